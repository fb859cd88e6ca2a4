"""How often keys occur in a corpus: counted by range of keys, through files, so that no task holds them all.

    write_keys         each shard   its distinct keys, sorted, and whether the shard has a key more than once
    count_occurrences  each range   for every shard, what each of its keys is: ONCE, FIRST or LATER
    read_occurrences   each shard   the replies of all ranges

A key is 128 bits (`high`, `low`). A *range* is the top bits of `high`, and the Parquet row group of that number in a shard's
file. A reply has a row group for each shard, in the order of that shard's file.

Shards of *earlier* runs come before all others. They are asked about only to find out what repeats in the run itself: a key
that no shard of it has is ONCE for them. Their files are as they left them, and may be cut into other ranges.

Nothing is ever paired: a key that occurs a million times costs one entry in each shard that has it. Sorted, `high` is
delta-encoded: an entry takes 13 to 15 bytes on disk, of which `low` is 8 (nearly none where it is all zeros).
"""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.errors import ConfigError, IntegrityError

KeyFile = str | Path | IO[bytes]
Identity = dict[str, int | str]

ONCE, FIRST, LATER = (np.uint8(code) for code in range(3))
"""A key of a shard: nowhere else and once there; repeated, and in no shard before; repeated, and in a shard before."""

BYTES_PER_ENTRY = 80
"""Peak memory of `count_occurrences` for each entry of its range (80 measured on 20 million entries)."""

_SCHEMA = pa.schema([("high", pa.uint64()), ("low", pa.uint64()), ("repeated", pa.bool_())])
_REPLY = pa.schema([("occurrence", pa.uint8())])
_METADATA = b"refine.keys"
_MAX_RANGES = 2**16
_MAX_ENTRIES = 2**26  # rows that Parquet's writer puts into one row group


class Keys(NamedTuple):
    high: NDArray[np.uint64]
    low: NDArray[np.uint64]


def _grouped(keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(order that sorts the keys, where in that order each distinct key begins). Equal keys are in no order."""
    order = np.argsort(keys.high)
    high, low = keys.high[order], keys.low[order]
    same_high, same_low = high[1:] == high[:-1], low[1:] == low[:-1]
    if (same_high & ~same_low).any():  # hardly ever: 64 bits agree by chance
        order = np.lexsort((keys.low, keys.high))
        low = keys.low[order]
        same_low = low[1:] == low[:-1]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = ~(same_high & same_low)
    return order, np.flatnonzero(begins)


def ranges_for(n_entries: int, memory_bytes: int) -> int:
    """How many ranges (a power of two) let each be counted in about `memory_bytes`."""
    wanted = -(-n_entries * BYTES_PER_ENTRY // memory_bytes)
    n_ranges = 1 << (max(wanted, 1) - 1).bit_length()
    if n_ranges > _MAX_RANGES:
        needed = n_entries * BYTES_PER_ENTRY // _MAX_RANGES
        raise ConfigError(f"{memory_bytes} bytes are too few to count {n_entries} keys: give {needed + 1}")
    return n_ranges


def write_keys(file: KeyFile, keys: Keys, n_ranges: int, identity: Identity) -> NDArray[np.uint32]:
    """Write the keys of a shard, given in any order and each as often as it occurs; which entry of the file each key is.

    `n_ranges` is a power of two. `identity`: what the keys depend on, as keys of another must not be counted with them.
    """
    order, begins = _grouped(keys)
    counts = np.diff(np.append(begins, len(order)))
    distinct = order[begins]
    columns = [keys.high[distinct], keys.low[distinct], counts > 1]
    range_starts = np.arange(n_ranges, dtype=np.uint64) << np.uint64(64 - (n_ranges - 1).bit_length())
    bounds = np.append(np.searchsorted(columns[0], range_starts), len(distinct))
    if np.diff(bounds).max() > _MAX_ENTRIES:
        raise ConfigError(f"{len(distinct)} keys of a shard in {n_ranges} ranges: give more ranges, or smaller shards")
    with pq.ParquetWriter(
        file,
        _SCHEMA.with_metadata({_METADATA: json.dumps(identity | {"ranges": n_ranges})}),
        compression="none",
        use_dictionary=False,
        column_encoding={"high": "DELTA_BINARY_PACKED", "low": "DELTA_BINARY_PACKED"},
        write_statistics=False,
    ) as writer:
        for start, end in pairwise(bounds):
            table = pa.table([column[start:end] for column in columns], schema=_SCHEMA)
            writer.write_table(table, row_group_size=max(end - start, 1))  # an empty range is an empty row group
    entries = np.empty(len(order), np.uint32)
    entries[order] = np.repeat(np.arange(len(distinct), dtype=np.uint32), counts)
    return entries


def count_occurrences(
    files: Iterable[KeyFile], number: int, n_ranges: int, identity: Identity, n_earlier: int = 0
) -> list[NDArray[np.uint8]]:
    """What each key of range `number` is, for each of the shards' files, given in order; a generator may open one at a time.

    `n_earlier`: how many of them, the first ones, are of earlier runs. IntegrityError if a file was written with another
    identity, or one of the others with another number of ranges.
    """
    parts = [_read_range(file, number, n_ranges, identity, at < n_earlier) for at, file in enumerate(files)]
    lengths = [len(part) for part in parts]
    if not sum(lengths):
        return [np.empty(0, np.uint8) for _ in lengths]
    high, low, repeated = (pa.concat_tables(parts)[name].to_numpy() for name in _SCHEMA.names)
    parts.clear()
    order, begins = _grouped(Keys(high, low))
    del high, low
    n_shards = np.diff(np.append(begins, len(order)))
    is_repeated = (n_shards > 1) | np.logical_or.reduceat(repeated[order], begins)
    if n_earlier:  # entries are in order of shards
        is_repeated &= np.maximum.reduceat(order, begins) >= sum(lengths[:n_earlier])
    first_entry = np.minimum.reduceat(order, begins)
    occurrence = np.empty(len(order), np.uint8)
    occurrence[order] = np.repeat(np.where(is_repeated, LATER, ONCE), n_shards)
    occurrence[first_entry[is_repeated]] = FIRST
    return np.split(occurrence, np.cumsum(lengths)[:-1])


def _read_range(file: KeyFile, number: int, n_ranges: int, identity: Identity, of_earlier: bool) -> pa.Table:
    """Range `number` of one file. `of_earlier`: it may be cut into other ranges."""
    with pq.ParquetFile(file) as parquet:
        stored = (parquet.metadata.metadata or {}).get(_METADATA)
        found = json.loads(stored) if stored else {}
        its_ranges = found.get("ranges", n_ranges) if of_earlier else n_ranges
        wanted = identity | {"ranges": its_ranges}
        if found != wanted:
            raise IntegrityError(f"keys were written with {found}, not {wanted}: delete them and run again")
        groups = range(number * its_ranges // n_ranges, -(-(number + 1) * its_ranges // n_ranges))
        table = parquet.read_row_groups(groups, use_threads=False)
    if its_ranges >= n_ranges:
        return table
    here = table["high"].to_numpy() >> np.uint64(64 - (n_ranges - 1).bit_length()) == number
    return table.filter(pa.array(here))  # a copy: a slice would keep the whole


def write_occurrences(file: KeyFile, occurrences: Sequence[NDArray[np.uint8]]) -> None:
    """Write what `count_occurrences` found of a range."""
    with pq.ParquetWriter(file, _REPLY, compression="zstd", write_statistics=False) as writer:
        for occurrence in occurrences:
            writer.write_table(pa.table([occurrence], schema=_REPLY), row_group_size=max(len(occurrence), 1))


def read_occurrences(replies: Iterable[KeyFile], position: int) -> NDArray[np.uint8]:
    """What each entry is of the key file that was number `position`. `replies`: those of all ranges, in order."""
    parts = []
    for reply in replies:
        with pq.ParquetFile(reply) as parquet:
            parts.append(parquet.read_row_group(position, use_threads=False)["occurrence"].to_numpy())
    return np.concatenate(parts)
