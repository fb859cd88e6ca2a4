"""Decontaminate: find evaluation items in documents; drop the document, cut the span, or only tag it.

    scan-…       map      what a shard has of the items of a group of evaluation sets (`pipeline.stages.decontaminate_scan`)
    suppressed   barrier  n-grams that too many documents of the corpus have: common phrases, which do not count
    documents    map      verdicts and spans
    (summary)             contamination.json and .csv: what became of every item

Without evaluation sets every document passes and the manifest says `not decontaminated`.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import storage
from corpus.errors import InputError
from corpus.schema import SPAN
from corpus.text import Texts
from dedup.contamination import ContaminationSettings, Decontaminated, decontaminate
from dedup.contamination_methods import item_statuses, method_of
from dedup.coverage import covered
from dedup.evaluation_hits import Hits
from dedup.evaluation_index import EvaluationIndex
from pipeline.contamination_table import forget_contamination, write_contamination
from pipeline.outcome import Outcome, map_documents, outcome, single_reason
from pipeline.stage_run import StageRun
from pipeline.stages.decontaminate_scan import (
    corpus_frequency,
    file_versions,
    index_of,
    read_hits,
    run_scans,
    set_digests,
)
from pipeline.steps import Made, Plan, Step
from pipeline.tokens import Tokenizer

OUTPUT_VERSION = 2


def settings_of(section: dict[str, Any]) -> ContaminationSettings:
    return ContaminationSettings(**{name: section[name] for name in ContaminationSettings.__dataclass_fields__})


def identity(section: dict[str, Any]) -> dict[str, str]:
    settings_of(section)
    return file_versions(section) if section["evals"] else {}


def write_suppressed(plan: Plan, item: int, files: dict[str, Path]) -> Made:
    """The n-grams in more than `max_document_frequency` documents of the whole corpus."""
    index = index_of(plan, set_digests(plan))
    grams = np.flatnonzero(corpus_frequency(plan, index) > plan.section["max_document_frequency"])
    pq.write_table(pa.table({"gram": grams}), files["suppressed"], compression="zstd")
    return Made()


def _suppressed(plan: Plan, index: EvaluationIndex) -> NDArray[np.bool_]:
    """bool[n_grams]."""
    flags = np.zeros(index.n_grams, np.bool_)
    with storage.open_input(plan.stage_folder.file("suppressed", 0)) as file:
        flags[pq.read_table(file)["gram"].to_numpy()] = True
    return flags


@dataclass(frozen=True, slots=True)
class Scanned:
    """What is known of a shard before its texts are read."""

    index: EvaluationIndex
    suppressed: NDArray[np.bool_]
    hits: Hits  # `document` is the source row

    def of(self, rows: NDArray[np.int64]) -> Hits:
        """Those of these rows, numbered by place among them."""
        first, end = np.searchsorted(self.hits.document, [rows[0], rows[-1] + 1]) if len(rows) else (0, 0)
        hits = self.hits.where(np.arange(first, end))
        return hits._replace(document=np.searchsorted(rows, hits.document))


def scanned(plan: Plan, shard: int) -> Scanned | None:
    """None where there are no evaluation sets."""
    if not plan.section["evals"]:
        return None
    index = index_of(plan, set_digests(plan))
    return Scanned(index, _suppressed(plan, index), read_hits(plan, shard, index))


def judged(known: Scanned | None, plan: Plan, rows: pa.Array, texts: Texts) -> Decontaminated:
    if known is None:
        nothing = pa.nulls(len(texts), pa.list_(SPAN))
        return Decontaminated(texts.column, pa.nulls(len(texts), pa.string()), nothing)
    return decontaminate(texts, known.of(rows.to_numpy()), known.index, known.suppressed, settings_of(plan.section))


def process(
    known: Scanned | None, plan: Plan, shard: int, rows: pa.Array, batch: pa.RecordBatch, tokenizer: Tokenizer
) -> Outcome:
    texts = Texts.of(batch.column("text"))
    found = judged(known, plan, rows, texts)
    prefix = pa.scalar("decontaminate.")
    reasons = pc.binary_join_element_wise(prefix, found.reason, "", null_handling="emit_null")
    edited = batch.set_column(batch.schema.get_field_index("text"), "text", found.text)
    columns = {"spans": found.spans, "covered": covered(texts, found.spans)}
    made = outcome(rows, batch, edited, single_reason(reasons.to_pylist()), columns, tokenizer)
    before, after = batch.column("token_count"), made.ledger.column("token_count")
    removed = pc.subtract(before, pc.if_else(pc.is_valid(found.reason), 0, after)).cast(pa.int32())
    return Outcome(made.documents, made.ledger.append_column("tokens_removed", removed))


def write_documents(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    return map_documents(plan, shard, files, partial(process, scanned(plan, shard)))


SUPPRESSED = Step("suppressed", ("suppressed",), write_suppressed)
STEP = Step("documents", ("documents", "ledger"), write_documents)


def prepare(run: StageRun) -> None:
    if not run.plan.section["evals"]:
        return
    run_scans(run)
    run.barrier_step(SUPPRESSED, [run.plan.key("suppressed", run.plan.all_inputs())])


def statuses(plan: Plan) -> pa.Table:
    """One row an item: `dedup.contamination_methods.item_statuses` in this corpus."""
    index = index_of(plan, set_digests(plan))
    return item_statuses(index, _suppressed(plan, index), method_of(plan.section["method"]), plan.section["passages"])


def summarise(plan: Plan) -> None:
    """Raises InputError where there are documents but no text: they are not clean for that."""
    if not plan.section["evals"]:
        forget_contamination(plan.stage_folder)
        return
    counts = [row for receipt in plan.stage_folder.receipts().values() for row in receipt.counts]
    if counts and not any(row["text_bytes"] for row in counts):
        n_documents = sum(row["documents"] for row in counts)
        raise InputError(f"no text in any of {n_documents:,} documents; name its column by --text-column")
    write_contamination(plan, statuses(plan))


def keeps_documents(plan: Plan) -> bool:
    """Whether it is meant so that no document goes: spans are cut or tagged, or there is nothing to look for."""
    settings = settings_of(plan.section)
    return not plan.section["evals"] or (settings.action or method_of(settings.method).action) != "drop"


def notes(plan: Plan) -> list[str]:
    """What the manifest must say, so that nothing passes for clean by accident."""
    if not plan.section["evals"]:
        return ["not decontaminated: no evaluation sets were given (decontaminate.evals)"]
    found = statuses(plan)
    items = Counter(found["set"].to_pylist())
    of_status = Counter(found["status"].to_pylist())
    unknown = Counter(found["set"].filter(pc.equal(found["status"], "unmatchable")).to_pylist())
    blind = [
        f"none of the items of {name} can be looked for" for name, n in sorted(items.items()) if unknown[name] == n
    ]
    return [
        f"checked against {len(items)} evaluation sets: "
        + ", ".join(f"{name} {n:,}" for name, n in sorted(items.items())),
        f"{of_status['unmatchable']:,} items are too short or too common to be looked for; "
        f"{of_status['suspect']:,} are suspect: what tells them apart are common phrases here",
        *blind,
    ]
