"""What a person looks at after a run: the funnel, an HTML page, the story of one page, samples of what was rejected.

This file is how all of them read a run. Ledgers have as many rows as the crawl has records, so nothing here holds more than
a batch of one; a row is found by its position (shard, row), which is what ties the stages together.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage
from corpus.dataset import Count, Receipt, StageFolder, add_counts, part_name, stage_folders
from corpus.errors import IntegrityError
from corpus.rules import Rule, with_thresholds
from pipeline.inputs import read_documents
from pipeline.steps import load_plan
from pipeline.text_columns import columns_of, text_of

READ_ERRORS = (pa.ArrowException, OSError)  # what pyarrow raises for a damaged Parquet file
TEXT_BATCH_ROWS = 1_000

_VISIBLE = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


@dataclass(frozen=True)
class Stage:
    """One stage of a run as it lies on disk, finished or not."""

    name: str  # its folder's name: a second filter is "filter-2"
    folder: StageFolder

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Empty while the stage is unfinished."""
        return _read_json(self.folder.manifest_file) if storage.exists(self.folder.manifest_file) else {}

    @cached_property
    def receipts(self) -> dict[int, Receipt]:
        try:
            return self.folder.receipts()
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"{self.folder.url}/receipts: {error}; run `refine verify` to see which") from None

    @cached_property
    def inputs(self) -> list[dict[str, Any]]:
        """Input files in shard order; empty before the stage has started."""
        return _read_json(self.folder.inputs_file) if storage.exists(self.folder.inputs_file) else []

    @cached_property
    def outputs(self) -> dict[int, dict[str, dict[str, Any]]]:
        """shard → kind ("documents", "ledger") → {"checksum", "bytes", "rows"}, of the shards that are complete."""
        if self.manifest:
            of_shards = {int(name[5:]): kinds for name, kinds in self.manifest["shards"].items()}
        else:
            of_shards = {shard: receipt.outputs for shard, receipt in self.receipts.items()}
        return dict(sorted(of_shards.items()))

    @cached_property
    def counts(self) -> list[Count]:
        return self.manifest.get("counts") or add_counts([receipt.counts for receipt in self.receipts.values()])

    @property
    def kind(self) -> str:
        """extract, filter, dedup, decontaminate or pack."""
        return str(self.manifest.get("stage", "pack" if self.name == "corpus" else self.name.split("-")[0]))

    @property
    def ledger_shards(self) -> list[int]:
        return [shard for shard, kinds in self.outputs.items() if "ledger" in kinds]

    @property
    def state(self) -> str:
        """What is missing, in words; "" when nothing is."""
        if self.manifest:
            return ""
        return f"unfinished: {len(self.receipts)} of {len(self.inputs)} shards" if self.inputs else "not started"


def open_run(url: str) -> list[Stage]:
    """The stages of a run (or of the one stage that `url` is) in order. Raises InputError if there is no dataset."""
    try:
        return [Stage(name, folder) for name, folder in stage_folders(url)]
    except ValueError as error:
        raise IntegrityError(f"{url}: run.json or manifest.json is damaged ({error}); run the pipeline again") from None


def rules_in_force(manifest: Mapping[str, Any], language: str | None) -> dict[str, list[Rule]]:
    """rule set → its rules with the thresholds that a stage had for documents in this language."""
    table = (manifest.get("config", {}).get("languages") or {}).get(language, {})
    return {
        ruleset: list(with_thresholds([Rule(**rule) for rule in rules], table.get(ruleset, {})))
        for ruleset, rules in manifest.get("rules", {}).items()
    }


def some_shards(stage: Stage, max_rows: int) -> list[int]:
    """Evenly spaced shards whose ledgers hold about `max_rows` rows (all of them if they fit, at least one)."""
    shards = stage.ledger_shards
    n_rows = sum(stage.outputs[shard]["ledger"]["rows"] for shard in shards)
    if n_rows <= max_rows:
        return shards
    n_shards = max(1, len(shards) * max_rows // n_rows)
    return [shards[i * len(shards) // n_shards] for i in range(n_shards)]


@contextmanager
def open_parquet(path: str) -> Iterator[pq.ParquetFile]:
    """Raises InputError if the file is missing, IntegrityError if it cannot be read (in the block too)."""
    with storage.open_input(path) as file:
        try:
            yield pq.ParquetFile(file)
        except READ_ERRORS as error:
            raise IntegrityError(
                f"{path}: damaged ({one_line(error)}); run `refine verify`, then the stage again"
            ) from None


def scan(path: str, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(position of its first row, batch) through a Parquet file."""
    first = 0
    with open_parquet(path) as file:
        for batch in file.iter_batches(columns=columns):
            yield first, batch
            first += batch.num_rows


def read_row(path: str, row: int, columns: list[str] | None = None) -> dict[str, Any]:
    """The row at this position of a Parquet file, read from its row group alone."""
    with open_parquet(path) as file:
        first = 0
        for group in range(file.metadata.num_row_groups):
            n_rows = file.metadata.row_group(group).num_rows
            if row < first + n_rows:
                for batch in file.iter_batches(TEXT_BATCH_ROWS, row_groups=[group], columns=columns):
                    if row < first + batch.num_rows:
                        found: dict[str, Any] = batch.slice(row - first, 1).to_pylist()[0]
                        return found
                    first += batch.num_rows
            first += n_rows
    raise IntegrityError(f"{path}: has no row {row}; run `refine verify`")


def received_text(stages: Sequence[Stage], at: int, shard: int, row: int) -> tuple[str, str]:
    """(text of a document as stage number `at` received it, ""), or ("", why it is not to be had)."""
    stage = stages[at]
    if at > 0:
        column, path = "text", stages[at - 1].folder.file("documents", shard)
        if stages[at - 1].manifest.get("documents_dropped"):
            return "", f"the documents of {stages[at - 1].name} were dropped after use (--drop-intermediate)"
    elif stage.kind == "extract":
        return "", "extract keeps no text of what it rejects; the page itself is in the archive named here"
    else:
        column, path = load_plan(stage.folder).text_column, stage.inputs[shard]["path"]
    if not storage.exists(path):
        return "", f"{path} is no longer there"
    if path.endswith(".parquet"):
        with open_parquet(path) as file:
            columns = columns_of(column, file.schema_arrow.names)
        found = pa.RecordBatch.from_pylist([read_row(path, row, columns)])
        return text_of(found, column, path)[0].as_py() or "", ""
    for rows, documents in read_documents({"path": path, "identity": ""}, column, None):
        if len(rows) and row <= rows[-1].as_py():
            return documents.column("text")[row - rows[0].as_py()].as_py() or "", ""
    return "", f"{path} has no record {row} any more"


def visible(text: str | None) -> str:
    """Crawled text as a terminal may show it: control characters, which could drive the terminal, are replaced."""
    return (text or "").translate(_VISIBLE)


def place(stage: str, shard: int, row: int) -> str:
    return f"{stage} {part_name(shard)} row {row}"


def _read_json(path: str) -> Any:
    try:
        return storage.read_json(path)
    except ValueError as error:
        raise IntegrityError(f"{path}: damaged ({error}); run the stage again") from None


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
