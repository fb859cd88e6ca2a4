"""From verdicts to a stage's two outputs: the documents that stay, and a ledger row for every one that came."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.dataset import ShardWriter, empty_documents
from corpus.rules import Verdicts
from corpus.schema import DOCUMENTS, LEDGER
from pipeline.inputs import read_documents
from pipeline.steps import Made, Plan, tick
from pipeline.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class Outcome:
    documents: pa.RecordBatch
    ledger: pa.RecordBatch


def outcome(
    rows: pa.Array,
    before: pa.RecordBatch,
    after: pa.RecordBatch,
    verdicts: Verdicts,
    columns: Mapping[str, pa.Array],
    tokenizer: Tokenizer | None,
) -> Outcome:
    """Split documents by their verdicts.

    `rows`: their source rows; `before`, `after`: the documents as they came and as the stage edited them (often the same);
    `columns`: the stage's own ledger columns. Tokens of kept documents are counted here where they are not known, as they
    are not when the text was edited; without a `tokenizer`, nowhere.
    """
    stays = pc.is_null(verdicts.reason)
    edited = pc.not_equal(before.column("text"), after.column("text"))
    counts = pc.if_else(pc.fill_null(edited, False), None, after.column("token_count"))
    after = after.set_column(after.schema.get_field_index("token_count"), DOCUMENTS.field("token_count"), counts)
    kept = after.filter(stays)
    counted = kept if tokenizer is None else count_tokens(kept, tokenizer)
    kept_bytes, kept_tokens = pc.binary_length(counted.column("text")), counted.column("token_count")
    ledger = {
        "id": before.column("id"),
        "url": before.column("url"),
        "dump": before.column("dump"),
        "language": after.column("language"),
        "source_row": rows,
        "text_bytes": pc.replace_with_mask(
            _or_zero(pc.binary_length(before.column("text"))), stays, _or_zero(kept_bytes)
        ),
        "token_count": pc.replace_with_mask(before.column("token_count"), stays, kept_tokens),
        "reason": verdicts.reason,
        "failed": verdicts.failed,
    }
    ledger = {field.name: ledger[field.name].cast(field.type) for field in LEDGER}
    return Outcome(counted, pa.RecordBatch.from_pydict(ledger | dict(columns)))


def _or_zero(lengths: pa.Array) -> pa.Array:
    return pc.fill_null(lengths, 0).cast(pa.int64())


def count_tokens(documents: pa.RecordBatch, tokenizer: Tokenizer) -> pa.RecordBatch:
    """The documents with `token_count` filled in where it is null."""
    counts = documents.column("token_count")
    if not counts.null_count:
        return documents
    unknown = pc.is_null(counts)
    found = tokenizer.count(documents.column("text").filter(unknown))
    filled = pc.replace_with_mask(counts, unknown, pa.array(found, pa.int32()))
    return documents.set_column(documents.schema.get_field_index("token_count"), "token_count", filled)


def single_reason(reasons: list[str | None]) -> Verdicts:
    """Verdicts of a stage where a document has at most one reason."""
    reason = pa.array(reasons, pa.string())
    offsets = np.concatenate([[0], np.cumsum(pc.is_valid(reason).to_numpy(zero_copy_only=False))])
    return Verdicts(reason, pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), reason.drop_null()))


Batch = tuple[pa.Array, pa.RecordBatch]  # source rows, documents
Process = Callable[[Plan, int, pa.Array, pa.RecordBatch, Tokenizer], Outcome]


def map_documents(plan: Plan, shard: int, files: dict[str, Path], process: Process) -> Made:
    """Read a shard batch by batch, let `process` decide, write documents and ledger, or the ledger alone."""
    tokenizer = Tokenizer.load(plan.tokenizer)
    writer = ShardWriter(files)
    rows_in = 0
    nothing = (pa.array([], pa.int64()), empty_documents())
    for rows, batch in _or_else(batches_of(plan, shard), nothing):  # an empty shard has files with our columns, too
        rows_in += len(rows)
        counted = count_tokens(batch, tokenizer) if "documents" in files else batch
        made = process(plan, shard, rows, counted, tokenizer)
        writer.write(made.documents, made.ledger)
        tick(len(rows))
    return Made(rows_in, writer.close(rows_in))


def _or_else(batches: Iterator[Batch], nothing: Batch) -> Iterator[Batch]:
    yield next(batches, nothing)
    yield from batches


def batches_of(plan: Plan, shard: int) -> Iterator[Batch]:
    """The documents of a shard; of a stage that only measures, no more of them than its ledger shows."""
    labels_only = plan.kind == "contamination"
    return read_documents(plan.inputs[shard], plan.text_column, plan.sample, labels_only=labels_only)
