"""Replay: run the pages again whose verdict depended on the machine (timeout, memory, crash), and nothing else.

They are read from their offsets, one range each. A page that now comes through is put in its place in its shard; the stages
after extract see another checksum and make that shard again at the next `refine run`.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import storage
from corpus.dataset import ShardWriter, StageFolder, stage_folders
from corpus.errors import InputError, RefineError
from pipeline.compiling import compile_missing
from pipeline.stage_run import totals
from pipeline.stages import extract
from pipeline.steps import Made, Plan, Step, commit, execute, load_plan, save_plan
from pipeline.tokens import Tokenizer
from pipeline.warc import crawl_name, read_capture_at


def replay(dataset: str, say: Callable[[str], None], timeout_seconds: float | None = None) -> str:
    """Run the machine-dependent failures of a dataset's extract stage again; returns what came of it, for people.

    `say` hears what takes long; `timeout_seconds`: CPU seconds a page, where the run's own were too few. Raises InputError
    without an extract stage.
    """
    folder = _extract_folder(dataset)
    plan = load_plan(folder)
    if timeout_seconds is not None:
        plan = replace(plan, section=plan.section | {"timeout_seconds": timeout_seconds})
    n_pages = n_still = 0
    run_id = uuid.uuid4().hex[:12]
    path, digest = save_plan(plan)
    for shard, receipt in sorted(folder.receipts().items()):
        failed = sum(row["documents"] for row in receipt.counts if row["reason"] in extract.MACHINE_DEPENDENT)
        if failed:
            if n_pages == 0:
                extract.load_tools(json.dumps(plan.section))  # imports the kernels that it needs
                compile_missing(say)
            attempt = execute(path, digest, STEP, shard, receipt.key, run_id)
            if isinstance(attempt, RefineError):
                raise attempt
            commit(folder, STEP, attempt)
            n_pages += failed
            n_still += sum(
                row["documents"] for row in attempt.receipt.counts if row["reason"] in extract.MACHINE_DEPENDENT
            )
    if n_pages:
        storage.write_json(
            folder.manifest_file, storage.read_json(folder.manifest_file) | totals(extract, folder.receipts())
        )
    again = "; run the recipe again to bring the later stages up to date" if n_still < n_pages else ""
    return f"{n_pages} pages tried again, {n_pages - n_still} came through, {n_still} still fail{again}"


def _extract_folder(dataset: str) -> StageFolder:
    for _, folder in stage_folders(dataset):
        if storage.read_json(folder.manifest_file)["stage"] == "extract":
            return folder
    raise InputError(f"{dataset}: no extract stage in it; only extraction has verdicts that depend on the machine")


def write_shard(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    """The shard as it is, with the rows that failed replaced by what they give now."""
    folder = plan.stage_folder
    ledger = _read(folder.file("ledger", shard))
    documents = _read(folder.file("documents", shard))
    failed = pc.fill_null(pc.is_in(ledger["reason"], pa.array(extract.MACHINE_DEPENDENT)), False)
    path = plan.inputs[shard]["path"]
    places = ledger.filter(failed)
    captures = [
        read_capture_at(path, offset, length)
        for offset, length in zip(places["warc_offset"].to_pylist(), places["warc_length"].to_pylist(), strict=True)
    ]
    tools = extract.load_tools(json.dumps(plan.section))
    rows = places["source_row"].combine_chunks()
    made = extract.extract(path, crawl_name(path), rows, captures, tools, Tokenizer.load(plan.tokenizer))
    kept_rows = pc.filter(ledger["source_row"], pc.is_null(ledger["reason"]))
    new_rows = pc.filter(made.ledger.column("source_row"), pc.is_null(made.ledger.column("reason")))
    writer = ShardWriter(files)
    writer.write(
        _merged(documents, kept_rows, made.documents, new_rows),
        _merged(
            ledger.filter(pc.invert(failed)), pc.filter(ledger["source_row"], pc.invert(failed)), made.ledger, rows
        ),
    )
    return Made(ledger.num_rows, writer.close(ledger.num_rows))


def _read(path: str) -> pa.Table:
    with storage.open_input(path) as file:
        return pq.read_table(file)


def _merged(old: pa.Table, old_rows: pa.ChunkedArray, new: pa.RecordBatch, new_rows: pa.Array) -> pa.RecordBatch:
    """Rows of both in the order of their source rows."""
    both = pa.concat_tables([old, pa.Table.from_batches([new]).cast(old.schema)])
    order = pc.sort_indices(pa.concat_arrays([*old_rows.chunks, new_rows]))
    return both.take(order).combine_chunks().to_batches()[0] if both.num_rows else new.slice(0, 0)


STEP = Step("documents", ("documents", "ledger"), write_shard)
