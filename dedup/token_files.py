"""Tokens of a shard's documents in a file: for later runs, and so that a slow tokenizer sees each text once.

Parquet with a row a document and a row group a batch: `row` (uint32, in the shard), `tokens` (uint64, `Tokens.hashes`) and, if
asked for, where each lies: `gap` (int32, bytes from the end of the one before, mostly 0) and `length`. As Parquet's own
dictionaries have them, our tokens take 1.9 bytes each, a tokenizer's 1.7, and 0.5 more with where they lie: of English text
0.36, 0.4 and 0.53 bytes a byte. They are read at 100 to 150 MB of text a second: about as fast as our tokens and GPT-2's are
made anew, and a hundred times as fast as any tokenizer's.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.windows import Tokens

TokenFile = str | Path | IO[bytes]

Shard = Callable[[NDArray[np.uint32] | None], Iterable[Tokens]]
"""Reads the documents at these rows (ascending) of a shard, or all of them, some at a time."""

_TYPES = {"tokens": pa.uint64(), "gap": pa.int32(), "length": pa.int32()}


def write_tokens(file: TokenFile, batches: Iterable[Tokens], located: bool) -> Iterator[Tokens]:
    """The same batches, which are written on their way: a row group each, so that dictionaries stay small.

    `located`: with where they lie.
    """
    names = list(_TYPES) if located else ["tokens"]
    schema = pa.schema([("row", pa.uint32()), *((name, pa.large_list(_TYPES[name])) for name in names)])
    with pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=[f"{name}.list.element" for name in names],
        dictionary_pagesize_limit=2**30,  # no row group without one
        write_statistics=False,
    ) as writer:
        for batch in batches:
            columns = [batch.hashes, *(_gaps_and_lengths(batch) if located else ())]
            lists = [pa.LargeListArray.from_arrays(batch.first, column) for column in columns]
            writer.write_table(pa.table([batch.rows, *lists], schema=schema), row_group_size=max(len(batch.rows), 1))
            yield batch


def _gaps_and_lengths(tokens: Tokens) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    end_before = np.concatenate([np.zeros(1, np.int32), tokens.ends])[:-1]
    end_before[tokens.first[:-1][np.diff(tokens.first) > 0]] = 0
    return tokens.starts - end_before, tokens.ends - tokens.starts


def read_tokens(file: TokenFile, rows: NDArray[np.uint32]) -> Iterator[Tokens]:
    """The tokens of the documents at these rows, batch by batch as they were written; not where they lie."""
    for here, (tokens,) in _read(file, rows, ["tokens"]):
        yield Tokens(here, tokens.offsets.to_numpy(), tokens.values.to_numpy())


def read_located(file: TokenFile, rows: NDArray[np.uint32]) -> Iterator[Tokens]:
    """The same of tokens that were written `located`: only where they lie."""
    for here, (gap, length) in _read(file, rows, ["gap", "length"]):
        first, lengths = gap.offsets.to_numpy(), length.values.to_numpy()
        ends = np.concatenate([[0], np.cumsum(gap.values.to_numpy() + lengths, dtype=np.int64)])
        of_document = np.repeat(ends[first[:-1]], np.diff(first))
        ends = (ends[1:] - of_document).astype(np.int32)
        yield Tokens(here, first, np.empty(0, np.uint64), ends - lengths, ends)


def _read(
    file: TokenFile, rows: NDArray[np.uint32], names: list[str]
) -> Iterator[tuple[NDArray[np.uint32], list[pa.LargeListArray]]]:
    """(rows, columns) of the documents at these rows."""
    with pq.ParquetFile(file) as parquet:
        for group in range(parquet.num_row_groups):
            here = parquet.read_row_group(group, ["row"], use_threads=False)["row"].to_numpy()
            chosen = np.isin(here, rows)
            if chosen.any():
                table = parquet.read_row_group(group, names, use_threads=False)
                yield here[chosen], [table[name].combine_chunks().filter(pa.array(chosen)) for name in names]


class KeptTokens:
    """A `Shard` whose tokens are kept in a file, with where they lie, when all of it is read for the first time."""

    def __init__(self, read: Shard, file: TokenFile) -> None:
        self._read = read
        self.file = file

    def __call__(self, rows: NDArray[np.uint32] | None) -> Iterable[Tokens]:
        return write_tokens(self.file, self._read(None), located=True) if rows is None else read_tokens(self.file, rows)
