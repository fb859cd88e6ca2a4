"""A dataset on disk: shards, the receipts that make them real, and the manifest that describes them.

    FOLDER/inputs.json                     the inputs in their frozen order: a shard's number is its place here
    FOLDER/documents/part-00000.parquet    what was kept
    FOLDER/ledger/part-00000.parquet       what became of every input row
    FOLDER/receipts/STEP/part-00000.json   key, checksums, counts: written last; a shard without one does not exist
    FOLDER/manifest.json                   written when every receipt is there

Verdicts and bytes are the same for any number of workers; so row groups are cut by row count alone, by one writer a shard.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import storage
from corpus.errors import InputError, IntegrityError
from corpus.schema import DOCUMENTS

DOCUMENT_ROW_GROUP = 5_000
LEDGER_ROW_GROUP = 50_000

Count = dict[
    str, Any
]  # {"reason": str | None, "language": str | None, "documents": int, "text_bytes": int, "tokens": int}


def part_name(shard: int) -> str:
    return f"part-{shard:05d}"


class StageFolder:
    """Paths inside one stage's folder, local or remote."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def file(self, kind: str, shard: int) -> str:
        return storage.join(self.url, kind, part_name(shard) + ".parquet")

    def receipt_file(self, step: str, shard: int) -> str:
        return storage.join(self.url, "receipts", step, part_name(shard) + ".json")

    def checkpoint_folder(self, shard: int) -> str:
        """Pieces of a shard that is not finished."""
        return storage.join(self.url, "checkpoints", part_name(shard))

    @property
    def inputs_file(self) -> str:
        return storage.join(self.url, "inputs.json")

    @property
    def manifest_file(self) -> str:
        return storage.join(self.url, "manifest.json")

    def receipts(self, step: str = "documents") -> dict[int, "Receipt"]:
        """Every receipt of a step, by shard number."""
        folder = storage.join(self.url, "receipts", step)
        names = [name for name in storage.list_folder(folder) if name.startswith("part-") and name.endswith(".json")]
        return {int(name[5:-5]): Receipt(**storage.read_json(storage.join(folder, name))) for name in names}

    def remove_attempts(self) -> None:
        """Delete what interrupted tasks left behind; only the process that drives the run may call this."""
        for kind in storage.list_folder(self.url):
            folder = storage.join(self.url, kind)
            if "." in kind:
                continue
            for name in storage.list_folder(folder):
                if name.startswith(".part-"):
                    storage.remove(storage.join(folder, name))


@dataclass(frozen=True, slots=True)
class Receipt:
    """That a shard of one step is complete: its key (what it was made from and by), and what it holds."""

    key: str
    outputs: dict[str, dict[str, Any]]  # kind → {"checksum": hex, "bytes": int, "rows": int}
    rows_in: int = 0
    counts: list[Count] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class TableWriter:
    """One Parquet file whose row groups have exactly `row_group` rows (the last one what is left)."""

    def __init__(self, path: Path, row_group: int) -> None:
        self._path = path
        self._row_group = row_group
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._n_waiting = 0
        self.n_rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, batch.schema, compression="zstd")
        self._waiting.append(batch)
        self._n_waiting += batch.num_rows
        self.n_rows += batch.num_rows
        if self._n_waiting >= self._row_group:
            self._flush(keep_rest=True)

    def _flush(self, keep_rest: bool) -> None:
        table = pa.Table.from_batches(self._waiting)
        whole = table.num_rows - table.num_rows % self._row_group if keep_rest else table.num_rows
        if self._writer is not None and whole:
            self._writer.write_table(table.slice(0, whole), row_group_size=self._row_group)
        rest = table.slice(whole)
        self._waiting = rest.to_batches() or (self._waiting[:1] and [self._waiting[0].slice(0, 0)])
        self._n_waiting = rest.num_rows

    def close(self) -> None:
        if self._writer is not None:
            self._flush(keep_rest=False)
            self._writer.close()


class ShardWriter:
    """Documents and ledger of one shard, side by side, and the invariant that ties them together.

    Without a file for documents only the ledger is written: of a stage that measures what it leaves alone.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._documents = TableWriter(files["documents"], DOCUMENT_ROW_GROUP) if "documents" in files else None
        self._ledger = TableWriter(files["ledger"], LEDGER_ROW_GROUP)
        self._counts: Counter[tuple[str | None, str | None]] = Counter()
        self._bytes: Counter[tuple[str | None, str | None]] = Counter()
        self._tokens: Counter[tuple[str | None, str | None]] = Counter()

    def write(self, documents: pa.RecordBatch, ledger: pa.RecordBatch) -> None:
        if self._documents is not None:
            self._documents.write(documents)
        self._ledger.write(ledger)
        groups = pa.Table.from_batches([ledger]).group_by(["reason", "language"])
        for row in groups.aggregate(
            [("id", "count", pc.CountOptions("all")), ("text_bytes", "sum"), ("token_count", "sum")]
        ).to_pylist():
            at = (row["reason"], row["language"])
            self._counts[at] += row["id_count"]
            self._bytes[at] += row["text_bytes_sum"] or 0
            self._tokens[at] += row["token_count_sum"] or 0

    def close(self, rows_in: int) -> list[Count]:
        """Finish both files; `rows_in` is what the reader counted. Raises IntegrityError if a row was lost or invented."""
        self._ledger.close()
        kept = sum(n for (reason, _), n in self._counts.items() if reason is None)
        rejected = sum(n for (reason, _), n in self._counts.items() if reason is not None)
        written = kept
        if self._documents is not None:
            self._documents.close()
            written = self._documents.n_rows
        if rows_in != kept + rejected or kept != written:
            raise IntegrityError(
                f"{rows_in} rows in, but {written} written, {kept} kept and {rejected} rejected by the ledger"
            )
        return [
            {
                "reason": at[0],
                "language": at[1],
                "documents": self._counts[at],
                "text_bytes": self._bytes[at],
                "tokens": self._tokens[at],
            }
            for at in sorted(self._counts, key=lambda at: (at[0] or "", at[1] or ""))
        ]


def add_counts(counts: list[list[Count]]) -> list[Count]:
    """The counts of many shards as one, sorted by reason and language."""
    sums: dict[tuple[str | None, str | None], Count] = {}
    for row in (row for of_shard in counts for row in of_shard):
        total = sums.setdefault((row["reason"], row["language"]), {**row, "documents": 0, "text_bytes": 0, "tokens": 0})
        for name in ("documents", "text_bytes", "tokens"):
            total[name] += row[name]
    return [sums[at] for at in sorted(sums, key=lambda at: (at[0] or "", at[1] or ""))]


def empty_documents() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=DOCUMENTS)


def stage_folders(url: str) -> list[tuple[str, StageFolder]]:
    """(name, folder) of every stage of a run in order, or of the one stage, finished or not, that `url` itself is."""
    run_file = storage.join(url, "run.json")
    if storage.exists(run_file):
        return [(name, StageFolder(storage.join(url, name))) for name in storage.read_json(run_file)["stages"]]
    folder = StageFolder(url)
    for file, key in ((folder.manifest_file, "stage"), (storage.join(url, "plan.json"), "kind")):
        if storage.exists(file):
            return [(storage.read_json(file)[key], folder)]
    raise InputError(f"{url}: no dataset of refine (no run.json or manifest.json); is this the folder given as --out?")
