"""Exact Jaccard similarity of candidate pairs, on the sets of shingles that were signed.

RefinedWeb and FineWeb take a shared bucket for a duplicate. Lee et al. 2022 (arXiv 2107.06499, section 4.2: bands × rows as
RefinedWeb's) check candidates by their edit similarity; here it is the Jaccard similarity that MinHash estimates, in linear
time. The default of `min_jaccard` is what FineWeb's 14 × 8 is meant for: "at least 75% similar". Shingles are the 32-bit hashes
that were signed: two sets of 1,500 have one in common by chance in one pair of 1,900.

The exchange is by ranges of *shingles*, not of documents. One task a shard writes the sets of its candidates, a Parquet row
group a range; one task a range reads that of every set and counts what each pair has in common there; the counts of all ranges
add up. So a task's memory is all candidates' shingles divided by the number of ranges, however large a cluster is, and each
candidate is read and written once: 3 bytes a shingle, 4 kB for an English document of 9.5 kB.

Later runs can verify pairs with documents of this one without its text if the sets of all that were signed are stored, as one
range: 0.47 bytes a byte of English text. What was signed decides, so they find what one run over everything would.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import types
from numpy.typing import NDArray

from corpus.errors import InputError
from corpus.kernels import OFFSETS, kernel
from corpus.text import Texts
from dedup.bands import MAX_ROW_GROUP, BandFile, power_of_two
from dedup.minhash import MinHashSettings, shingles

BYTES_PER_SHINGLE = 12
"""Peak memory of `read_sets` for each shingle of its range."""

_SCHEMA = pa.schema([("row", pa.uint32()), ("shingle", pa.uint32())])
_PIECE_BYTES = 2**24  # of text, whose shingles are sorted together

_SHINGLES = types.Array(types.uint32, 1, "C", readonly=True)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)


Piece = Iterable[tuple[NDArray[np.uint32], NDArray[np.uint32]]]
"""For each range the (row, shingle) of some documents' sets there, sorted by both, each once."""


def shingle_ranges(n_shingles: int, memory_bytes: int) -> int:
    """How many ranges (a power of two) let each be counted in about `memory_bytes`."""
    return power_of_two(n_shingles * BYTES_PER_SHINGLE, memory_bytes, f"verify {n_shingles} shingles")


def shingle_sets(
    texts: Texts, settings: MinHashSettings, n_ranges: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint32]]]:
    """For each range (the top bits of a shingle) what the texts have there: (text, shingle), sorted by both, each once."""
    values, offsets = shingles(texts, settings)
    range_bits = (n_ranges - 1).bit_length()
    rest_bits = np.uint64(32 - range_bits)
    rest = (np.uint64(1) << rest_bits) - np.uint64(1)
    packed = values.astype(np.uint64)  # to be range, text, rest of the shingle
    packed = (packed >> rest_bits) << np.uint64(64 - range_bits) | packed & rest
    packed |= np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(offsets)) << rest_bits
    packed.sort()
    packed = packed[np.diff(packed, prepend=~packed[:1]) != 0]
    ends = np.searchsorted(packed, np.arange(1, n_ranges, dtype=np.uint64) << np.uint64(64 - range_bits))
    for number, part in enumerate(np.split(packed, ends)):
        text = (part >> rest_bits).astype(np.uint32)  # the range is above 32 bits
        yield text.astype(np.int64), (part & rest).astype(np.uint32) | np.uint32(number << 32 - range_bits)


def sets_of_texts(
    parts: Iterable[tuple[NDArray[np.uint32], Texts]], settings: MinHashSettings, n_ranges: int
) -> Iterator[Piece]:
    """The sets of a shard's documents. `parts`: (rows, their texts), ascending; one is in memory at a time."""
    for all_rows, all_texts in parts:
        for piece in _pieces(all_texts):
            rows = all_rows[piece]
            of_ranges = shingle_sets(Texts(all_texts.column[piece]), settings, n_ranges)
            yield ((rows[text], shingle) for text, shingle in of_ranges)


def stored_sets(file: BandFile, rows: NDArray[np.uint32], n_ranges: int) -> Iterator[Piece]:
    """The sets of the documents at these rows, from a file of one range."""
    with pq.ParquetFile(file) as parquet:
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group, use_threads=False)
            row, shingle = (table[name].to_numpy() for name in _SCHEMA.names)
            wanted = np.isin(row, rows)
            row, shingle = row[wanted], shingle[wanted]
            number = shingle.astype(np.uint64) * np.uint64(n_ranges) >> np.uint64(32)
            order = np.argsort(number, kind="stable")
            ends = np.searchsorted(number[order], np.arange(1, n_ranges, dtype=np.uint64))
            yield ((row[part], shingle[part]) for part in np.split(order, ends))


def write_sets(file: BandFile, pieces: Iterable[Piece]) -> None:
    """Write the sets of some documents of a shard, ascending; all pieces have as many ranges."""
    with pq.ParquetWriter(
        file,
        _SCHEMA,
        compression="none",
        use_dictionary=False,
        column_encoding=dict.fromkeys(_SCHEMA.names, "DELTA_BINARY_PACKED"),
        write_statistics=False,
    ) as writer:
        for piece in pieces:
            for rows, shingle in piece:
                if len(rows) > MAX_ROW_GROUP:
                    raise InputError(
                        f"row {rows[0]} has {len(rows)} shingles, more than {MAX_ROW_GROUP}: leave it out, or verify: false"
                    )
                table = pa.table([rows, shingle], schema=_SCHEMA)
                writer.write_table(table, row_group_size=max(len(table), 1))


def _pieces(texts: Texts) -> Iterator[slice]:
    """Runs of texts of about _PIECE_BYTES, each of one at least."""
    start = 0
    while start < len(texts):
        end = int(np.searchsorted(texts.offsets, texts.offsets[start] + _PIECE_BYTES, side="right")) - 1
        yield slice(start, max(end, start + 1))
        start = max(end, start + 1)


def read_sets(
    files: Iterable[tuple[int, BandFile]], number: int, n_ranges: int, first: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """(shingles, offsets by document number) of range `number`. `files`: (shard, file), ascending; `first` as in clusters."""
    n_shingles = np.zeros(int(first[-1]), np.int64)
    parts = [np.empty(0, np.uint32)]
    for shard, file in files:
        of_shard = n_shingles[first[shard] : first[shard + 1]]
        with pq.ParquetFile(file) as parquet:
            for group in range(number, parquet.num_row_groups, n_ranges):
                table = parquet.read_row_group(group, use_threads=False)
                of_shard += np.bincount(table["row"].to_numpy(), minlength=len(of_shard))
                parts.append(table["shingle"].to_numpy())
    return np.concatenate(parts), np.concatenate([[0], np.cumsum(n_shingles)])


@kernel(types.void(_SHINGLES, OFFSETS, _NUMBERS, _NUMBERS, types.int64[::1], types.int64[::1]))
def _count(sets, offsets, left, right, common, union):
    for pair in range(len(left)):
        i, i_end = offsets[left[pair]], offsets[left[pair] + 1]
        j, j_end = offsets[right[pair]], offsets[right[pair] + 1]
        n_both = i_end - i + j_end - j
        n_common = 0
        while i < i_end and j < j_end:  # without a branch that could be mispredicted
            a, b = sets[i], sets[j]
            n_common += a == b
            i += a <= b
            j += b <= a
        common[pair] = n_common
        union[pair] = n_both - n_common


def overlaps(
    sets: NDArray[np.uint32], offsets: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(common, union): how many shingles two sets have in common and together, for each pair of numbers."""
    common, union = np.empty(len(left), np.int64), np.empty(len(left), np.int64)
    _count(sets, offsets, left, right, common, union)
    return common, union


def jaccard(common: NDArray[np.int64], union: NDArray[np.int64]) -> NDArray[np.float32]:
    """Similarity from the counts of all ranges; 0 of sets that are both empty, as where a shard is missing."""
    return (common / np.maximum(union, 1)).astype(np.float32)
