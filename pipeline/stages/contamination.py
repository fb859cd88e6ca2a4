"""Contamination: what `decontaminate` would find in a corpus that others made, and no more: a ledger, no documents.

The steps are those of `decontaminate`; a document that has an item gets a reason, `contamination.found`, and stays where it is.
Only texts and labels are read, tokens are not counted: that would take as long as the search.
"""

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from corpus.text import Texts
from dedup.coverage import covered
from pipeline.outcome import Outcome, map_documents, outcome, single_reason
from pipeline.stages.decontaminate import OUTPUT_VERSION, Scanned, identity, judged, notes, prepare, scanned, summarise
from pipeline.steps import Made, Plan, Step
from pipeline.tokens import Tokenizer

__all__ = ["OUTPUT_VERSION", "STEP", "identity", "notes", "prepare", "summarise"]

FOUND = "contamination.found"


def process(
    known: Scanned | None, plan: Plan, shard: int, rows: pa.Array, batch: pa.RecordBatch, _tokenizer: Tokenizer
) -> Outcome:
    texts = Texts.of(batch.column("text"))
    spans = judged(known, plan, rows, texts).spans
    reasons = single_reason([FOUND if found else None for found in pc.is_valid(spans).to_pylist()])
    columns = {"spans": spans, "covered": covered(texts, spans), "tokens_removed": pa.nulls(len(rows), pa.int32())}
    return outcome(rows, batch, batch, reasons, columns, None)


def write_ledger(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    return map_documents(plan, shard, files, partial(process, scanned(plan, shard)))


def keeps_documents(_plan: Plan) -> bool:
    """Whatever its action would be."""
    return True


STEP = Step("documents", ("ledger",), write_ledger)
