"""What the steps of dedup share: tables with a row group a shard, and documents by number over all shards."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from corpus import storage
from corpus.dataset import StageFolder
from corpus.schema import document_key, document_place
from pipeline.steps import Plan


def read_shard(path: str, shard: int) -> pa.Table:
    """A shard's row group of a file that has one for each."""
    with storage.open_input(path) as file:
        return pq.ParquetFile(file).read_row_group(shard)


def scope_marks(dumps: pa.Array) -> NDArray[np.uint64]:
    """uint64[n] that differs between crawls: XORed into digests and keys it keeps crawls apart."""
    encoded = dumps.dictionary_encode()
    marks = [xxhash.xxh3_64_intdigest((name or "").encode()) for name in encoded.dictionary.to_pylist()]
    absent = xxhash.xxh3_64_intdigest(b"")
    table = np.array([*marks, absent], np.uint64)
    return table[pc.fill_null(encoded.indices, len(marks)).to_numpy(zero_copy_only=False)]


Run = dict[str, Any]
"""{"folder": str, "n_rows": [of each shard], "known": [the numbers of the runs that its keys speak of, itself first]}"""


def own_run(plan: Plan) -> Run:
    """This run, from the digests that it has made. The rows of a shard that is missing are none."""
    n_rows = [0] * len(plan.inputs)
    for shard, file in opened(plan, "digests"):
        row = pq.read_table(file, columns=["row"])["row"]
        n_rows[shard] = row[-1].as_py() + 1 if len(row) else 0
    return {"folder": plan.folder, "n_rows": n_rows, "known": [len(plan.section["against"])]}


class Numbering:
    """Dense numbers of all documents: run by run, earlier ones first, in each by shard and row.

    Shards are numbered in the same way: those of shard s are first[s] … first[s + 1] - 1. Runs are numbered from 0; in
    *keys* (`corpus.schema.document_key`) the run itself is 0 and earlier ones count from 1, as `--against` names them.
    """

    def __init__(self, plan: Plan) -> None:
        self._runs: list[Run] = plan.extra["runs"]
        self.folders = [StageFolder(run["folder"]) for run in self._runs]
        n_shards = [len(run["n_rows"]) for run in self._runs]
        self.first = np.cumsum([0, *(n for run in self._runs for n in run["n_rows"])])
        self.first_shard = np.cumsum([0, *n_shards])
        self._run_of = np.repeat(np.arange(len(n_shards)), n_shards)
        self.n_runs = len(self._runs)
        self.n_earlier_shards = int(self.first_shard[-2])
        self.n_earlier = int(self.first[self.n_earlier_shards])

    def __len__(self) -> int:
        return int(self.first[-1])

    def of_run(self, run: int) -> slice:
        """The numbers of a run's documents."""
        return slice(*(int(self.first[self.first_shard[end]]) for end in (run, run + 1)))

    @property
    def own(self) -> slice:
        """The numbers of this run's documents, which are the last."""
        return self.of_run(self.n_runs - 1)

    def known(self, run: int) -> list[int]:
        """What the runs are here that keys of this one speak of: itself, then those it was matched against."""
        known: list[int] = self._runs[run]["known"]
        return known

    def own_shards(self) -> Iterator[slice]:
        """The numbers of each of this run's shards."""
        for start, stop in pairwise(self.first[self.first_shard[-2] :].tolist()):
            yield slice(start, stop)

    def by_shard(self, table: pa.Table) -> Iterator[pa.Table]:
        """A table of this run's documents, shard by shard."""
        for shard in self.own_shards():
            yield table[shard.start - self.n_earlier : shard.stop - self.n_earlier]

    def place(self, numbered_shard: int) -> tuple[StageFolder, int]:
        """A shard's run and its number there."""
        run = self._run_of[numbered_shard]
        return self.folders[run], int(numbered_shard - self.first_shard[run])

    def shards_with(self, step: str, runs: slice) -> list[int]:
        """The numbered shards of these runs, of which the last is this one, that have the step's outputs."""
        firsts = zip(self.folders[runs], self.first_shard[:-1][runs].tolist(), strict=True)
        return [first + shard for folder, first in firsts for shard in sorted(folder.receipts(step))]

    def opened(self, step: str, runs: slice, kind: str = "") -> Iterator[tuple[int, IO[bytes]]]:
        """(numbered shard, file) of each of them; `kind`: of several outputs that one."""
        for numbered_shard in self.shards_with(step, runs):
            folder, shard = self.place(numbered_shard)
            with storage.open_input(folder.file(kind or step, shard)) as file:
                yield numbered_shard, file

    def _columns(self, shard: int, names: list[str]) -> pa.Table:
        folder, number = self.place(shard)
        with storage.open_input(folder.file("digests", number)) as file:
            return pq.read_table(file, columns=names)

    def gather(self, names: tuple[str, ...], missing: float, dtype: Any) -> NDArray[Any]:
        """[n] or [n, len(names)]: columns of all shards, by number; rows that are not there get `missing`."""
        result = np.full((len(self), len(names)), missing, dtype)
        for shard in np.flatnonzero(np.diff(self.first)).tolist():
            table = self._columns(shard, ["row", *names])
            at = self.first[shard] + table["row"].to_numpy().astype(np.int64)
            for position, name in enumerate(names):
                result[at, position] = table[name].to_numpy()
        return result

    def priority(self) -> NDArray[np.float64]:
        """As the keep policy has it within each run; any document of an earlier run is before all of the later ones."""
        values = self.gather(("priority",), np.nan, np.float64)[:, 0]
        if self.n_runs > 1:
            above = 0
            for run in reversed(range(self.n_runs)):
                distinct, rank = np.unique(values[self.of_run(run)], return_inverse=True)
                rank[np.isnan(distinct)[rank]] = -1
                values[self.of_run(run)] = rank + above + 1
                above += len(distinct) + 1
        return values

    def keys(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        shards = np.searchsorted(self.first, numbers, side="right") - 1
        run = self._run_of[shards]
        return document_key((run + 1) % self.n_runs, shards - self.first_shard[run], numbers - self.first[shards])

    def numbers(self, run: int, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of documents that one of the runs has under these keys."""
        its_run, shard, row = document_place(keys)
        return self.first[self.first_shard[np.array(self.known(run))[its_run]] + shard] + row

    def ids(self, numbers: NDArray[np.int64]) -> pa.Array:
        """The ids of these documents, read shard by shard."""
        order = np.argsort(numbers, kind="stable")
        found = [pa.array([], pa.string())]
        for shard, start, stop in self._by_shard(numbers[order]):
            table = self._columns(shard, ["row", "id"])
            at = np.searchsorted(table["row"].to_numpy(), numbers[order[start:stop]] - self.first[shard])
            found.append(table["id"].combine_chunks().take(pa.array(at)))
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return pa.concat_arrays(found).take(pa.array(back))

    def _by_shard(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
        """(shard, start, stop): numbers[start:stop] of the ascending `numbers` are documents of the shard."""
        bounds = np.searchsorted(numbers, self.first)
        for shard in np.flatnonzero(np.diff(bounds)):
            yield int(shard), int(bounds[shard]), int(bounds[shard + 1])


def write_by_shard(
    path: Path, shards: Iterable[pa.Table], schema: pa.Schema, metadata: dict[str, str] | None = None
) -> None:
    """Write a table of this run's documents, a row group a shard."""
    schema = schema.with_metadata(metadata)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for shard in shards:
            writer.write_table(shard.cast(schema), row_group_size=max(len(shard), 1))


def opened(plan: Plan, kind: str) -> Iterator[tuple[int, IO[bytes]]]:
    """(item, file) of every item of a step that has one output of its own name."""
    for item in sorted(plan.stage_folder.receipts(kind)):
        with storage.open_input(plan.stage_folder.file(kind, item)) as file:
            yield item, file


def number_in(path: str, name: str) -> int:
    """A number that a step left in the metadata of its output."""
    with storage.open_input(path) as file:
        return int(pq.read_schema(file).metadata[name.encode()])
