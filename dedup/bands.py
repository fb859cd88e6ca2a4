"""The exchange between signing and matching: band keys on disk, sorted so that a matching task reads one slice of each file.

A signing task writes one file of (band uint16, key uint64, row uint32), sorted by (range, band, key, row). A *range* is the
top bits of the key, and the Parquet row group of that number: the footer is the offset table. A matching task reads one
range of every file, finds the buckets (equal key in the same band) and returns the pairs of documents in them.

Sorted, all three columns are delta-encoded: 8.6 bytes an entry (121 a document at 14 × 8, 3.9 kB at 450 × 20) where plain
columns under zstd take 10.4. Many ranges in a small file cost some of that (9.2 with 64).

Matching keeps the entries of one range in memory, and nothing else: about BYTES_PER_ENTRY each, see `ranges_for`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.errors import ConfigError, IntegrityError
from dedup.clusters import document_keys
from dedup.minhash import MinHashSettings
from dedup.pairs import Pairs, bucket_pairs

BandFile = str | Path | IO[bytes]

BYTES_PER_ENTRY = 100
"""Peak memory of `match_range` for each entry of its range: 58 with a third of the documents in clusters of 4, 97 with all of
them in clusters of 16 (8 million entries)."""

_SCHEMA = pa.schema([("band", pa.uint16()), ("key", pa.uint64()), ("row", pa.uint32())])
_METADATA = b"refine.minhash"
_MAX_RANGES = 2**16
MAX_ROW_GROUP = 2**26  # rows: the most that Parquet's writer puts into one


def ranges_for(n_documents: int, bands: int, memory_bytes: int) -> int:
    """How many ranges (a power of two) let each be matched in about `memory_bytes`."""
    work = f"match {n_documents} documents in {bands} bands"
    return power_of_two(n_documents * bands * BYTES_PER_ENTRY, memory_bytes, work)


def power_of_two(n_bytes: int, memory_bytes: int, work: str) -> int:
    """How many ranges, a power of two, divide `n_bytes` into parts of at most `memory_bytes`."""
    n_ranges = 1 << (max(-(-n_bytes // memory_bytes), 1) - 1).bit_length()
    if n_ranges > _MAX_RANGES:
        raise ConfigError(f"{memory_bytes} bytes are too few to {work}: give {n_bytes // _MAX_RANGES + 1}")
    return n_ranges


def _identity(settings: MinHashSettings, n_ranges: int) -> dict[str, int | str]:
    return settings.identity() | {"ranges": n_ranges}


def write_bands(
    file: BandFile, keys: NDArray[np.uint64], rows: NDArray[np.uint32], settings: MinHashSettings, n_ranges: int
) -> None:
    """Write the keys (uint64[n, bands]) of the documents at `rows` (uint32[n], ascending) of one shard.

    A shard may have several files. Memory: 20 bytes an entry, of which `keys` are 8.
    """
    n_documents, n_bands = keys.shape
    if keys.size > MAX_ROW_GROUP:
        raise ConfigError(
            f"{n_documents} documents in {n_bands} bands are too many for one band file: "
            f"write several of at most {MAX_ROW_GROUP // n_bands} documents"
        )
    range_starts = np.arange(n_ranges, dtype=np.uint64) << np.uint64(64 - (n_ranges - 1).bit_length())
    sorted_keys = np.empty((n_bands, n_documents), np.uint64)
    sorted_rows = np.empty((n_bands, n_documents), np.uint32)
    bounds = np.full((n_bands, n_ranges + 1), n_documents)
    for band in range(n_bands):
        order = np.argsort(keys[:, band], kind="stable")
        sorted_keys[band] = keys[order, band]
        sorted_rows[band] = rows[order]
        bounds[band, :-1] = np.searchsorted(sorted_keys[band], range_starts)
    with pq.ParquetWriter(
        file,
        _SCHEMA.with_metadata({_METADATA: json.dumps(_identity(settings, n_ranges))}),
        compression="none",
        use_dictionary=False,
        column_encoding=dict.fromkeys(_SCHEMA.names, "DELTA_BINARY_PACKED"),
        write_statistics=False,
    ) as writer:
        for number in range(n_ranges):
            starts, ends = bounds[:, number], bounds[:, number + 1]
            parts = [(band, slice(start, end)) for band, (start, end) in enumerate(zip(starts, ends, strict=True))]
            band_column = np.repeat(np.arange(n_bands, dtype=np.uint16), ends - starts)
            key_column = np.concatenate([sorted_keys[part] for part in parts])
            row_column = np.concatenate([sorted_rows[part] for part in parts])
            table = pa.table([band_column, key_column, row_column], schema=_SCHEMA)
            writer.write_table(table, row_group_size=max(len(table), 1))  # an empty range is an empty row group


def _read_range(
    shard: int, file: BandFile, number: int, n_ranges: int, settings: MinHashSettings, of_earlier: bool = False
) -> list[NDArray[Any]]:
    """The columns band, key, row of range `number` of one file. `of_earlier`: it may be cut into other ranges."""
    with pq.ParquetFile(file) as parquet:
        stored = (parquet.metadata.metadata or {}).get(_METADATA)
        found = json.loads(stored) if stored else {}
        its_ranges = found.get("ranges", n_ranges) if of_earlier else n_ranges
        identity = _identity(settings, its_ranges)
        if found != identity:
            raise IntegrityError(
                f"the bands of shard {shard} were signed with {found}, not {identity}: delete them and sign again"
            )
        groups = range(number * its_ranges // n_ranges, -(-(number + 1) * its_ranges // n_ranges))
        table = parquet.read_row_groups(groups, use_threads=False)
    band, key, row = (column.to_numpy() for column in table.columns)
    if its_ranges >= n_ranges:
        return [band, key, row]
    here = key >> np.uint64(64 - (n_ranges - 1).bit_length()) == number
    return [band[here], key[here], row[here]]


def _among(keys: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which keys are among the ascending `wanted`."""
    at = np.searchsorted(wanted, keys)
    found = np.zeros(len(keys), np.bool_)
    inside = at < len(wanted)
    found[inside] = wanted[at[inside]] == keys[inside]
    return found


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """The parts as one array; the parts themselves are let go, so that only one column is in memory twice."""
    joined = np.concatenate(parts)
    parts.clear()
    return joined


def match_range(
    files: Iterable[tuple[int, BandFile]],
    number: int,
    n_ranges: int,
    settings: MinHashSettings,
    max_bucket_documents: int,
    earlier: Iterable[tuple[int, BandFile]] = (),
) -> tuple[Pairs, int]:
    """The pairs of document keys that share a bucket of range `number`, and how many buckets were capped (`dedup.pairs`).

    `files`: (shard, band file); a generator may open one at a time. Neither the order of files nor `n_ranges` decides what is
    found over all ranges. `earlier`: files of which only the buckets count that one of `files` has a document in; of the
    others nothing is kept in memory. IntegrityError if a file was signed with other settings, or one of `files` with other
    ranges.
    """
    bands, keys, documents = [np.empty(0, np.uint16)], [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for shard, file in files:
        band, key, row = _read_range(shard, file, number, n_ranges, settings)
        bands.append(band)
        keys.append(key)
        documents.append(document_keys(shard, row))
    ours: NDArray[np.uint64] | None = None
    for shard, file in earlier:
        ours = np.unique(np.concatenate(keys)) if ours is None else ours
        band, key, row = _read_range(shard, file, number, n_ranges, settings, of_earlier=True)
        hit = _among(key, ours)
        bands.append(band[hit])
        keys.append(key[hit])
        documents.append(document_keys(shard, row[hit]))
    return bucket_pairs(_joined(bands), _joined(keys), _joined(documents), max_bucket_documents)
