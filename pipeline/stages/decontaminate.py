"""Decontaminate: find evaluation items in documents; drop the document, cut the span, or only tag it.

    frequencies  map      in how many documents of a shard each n-gram of the evaluation sets occurs
    suppressed   barrier  n-grams that too many documents of the corpus have: common phrases, which do not count
    documents    map      verdicts and spans
    (summary)             contamination.json and .csv: what became of every item

Without evaluation sets every document passes and the manifest says `not decontaminated`.
"""

import json
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import storage
from corpus.schema import SPAN
from corpus.text import Texts
from dedup.contamination import ContaminationSettings, Decontaminated, decontaminate
from dedup.contamination_methods import item_statuses, method_of
from dedup.evaluation_hits import document_frequency, find_hits
from dedup.evaluation_index import EvaluationIndex, build_index
from dedup.evaluation_sets import EvaluationSets, read_evaluation_sets
from pipeline.contamination_table import covered, forget_contamination, write_contamination
from pipeline.outcome import Outcome, batches_of, map_documents, outcome, single_reason
from pipeline.stage_run import StageRun
from pipeline.steps import Made, Plan, Step
from pipeline.tokens import Tokenizer

OUTPUT_VERSION = 2

_FREQUENCIES = pa.schema([("gram", pa.int64()), ("documents", pa.int64())])


def settings_of(section: dict[str, Any]) -> ContaminationSettings:
    return ContaminationSettings(**{name: section[name] for name in ContaminationSettings.__dataclass_fields__})


def identity(section: dict[str, Any]) -> dict[str, str]:
    """Digests of the evaluation files; reading them all is also the check that they can be read."""
    settings_of(section)
    return _sets(section).identity if section["evals"] else {}


def _sets(section: dict[str, Any]) -> EvaluationSets:
    return read_evaluation_sets(section["evals"], section["fields"])


@lru_cache(maxsize=2)
def _index(section_json: str, versions_json: str) -> EvaluationIndex:
    section = json.loads(section_json)
    return build_index(_sets(section).items)


def index_of(plan: Plan) -> EvaluationIndex:
    """The index of the plan's evaluation sets; `versions` tell files of the same name but other content apart."""
    return _index(json.dumps(plan.section), json.dumps(plan.versions))


def write_frequencies(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    index = index_of(plan)
    documents = np.zeros(index.n_grams, np.int64)
    rows_in = 0
    for rows, batch in batches_of(plan, shard):
        rows_in += len(rows)
        documents += document_frequency(find_hits(Texts.of(batch.column("text")), index), index)
    grams = np.flatnonzero(documents)
    pq.write_table(pa.table([grams, documents[grams]], schema=_FREQUENCIES), files["frequencies"], compression="zstd")
    return Made(rows_in)


def write_suppressed(plan: Plan, item: int, files: dict[str, Path]) -> Made:
    """The n-grams in more than `max_document_frequency` documents of the whole corpus."""
    folder = plan.stage_folder
    documents = np.zeros(index_of(plan).n_grams, np.int64)
    for shard in folder.receipts("frequencies"):
        with storage.open_input(folder.file("frequencies", shard)) as file:
            table = pq.read_table(file)
        documents[table["gram"].to_numpy()] += table["documents"].to_numpy()
    grams = np.flatnonzero(documents > plan.section["max_document_frequency"])
    pq.write_table(pa.table([grams, documents[grams]], schema=_FREQUENCIES), files["suppressed"], compression="zstd")
    return Made()


def _suppressed(plan: Plan, index: EvaluationIndex) -> NDArray[np.bool_]:
    """bool[n_grams]."""
    flags = np.zeros(index.n_grams, np.bool_)
    with storage.open_input(plan.stage_folder.file("suppressed", 0)) as file:
        flags[pq.read_table(file)["gram"].to_numpy()] = True
    return flags


def judged(plan: Plan, texts: Texts) -> Decontaminated:
    if not plan.section["evals"]:
        nothing = pa.nulls(len(texts), pa.list_(SPAN))
        return Decontaminated(texts.column, pa.nulls(len(texts), pa.string()), nothing)
    index = index_of(plan)
    return decontaminate(texts, find_hits(texts, index), index, _suppressed(plan, index), settings_of(plan.section))


def process(plan: Plan, shard: int, rows: pa.Array, batch: pa.RecordBatch, tokenizer: Tokenizer) -> Outcome:
    texts = Texts.of(batch.column("text"))
    found = judged(plan, texts)
    prefix = pa.scalar("decontaminate.")
    reasons = pc.binary_join_element_wise(prefix, found.reason, "", null_handling="emit_null")
    edited = batch.set_column(batch.schema.get_field_index("text"), "text", found.text)
    columns = {"spans": found.spans, "covered": covered(texts, found.spans)}
    made = outcome(rows, batch, edited, single_reason(reasons.to_pylist()), columns, tokenizer)
    before, after = batch.column("token_count"), made.ledger.column("token_count")
    removed = pc.subtract(before, pc.if_else(pc.is_valid(found.reason), 0, after)).cast(pa.int32())
    return Outcome(made.documents, made.ledger.append_column("tokens_removed", removed))


def write_documents(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    return map_documents(plan, shard, files, process)


FREQUENCIES = Step("frequencies", ("frequencies",), write_frequencies)
SUPPRESSED = Step("suppressed", ("suppressed",), write_suppressed)
STEP = Step("documents", ("documents", "ledger"), write_documents)


def prepare(run: StageRun) -> None:
    if not run.plan.section["evals"]:
        return
    run.barrier_step(FREQUENCIES, run.input_keys("frequencies"))
    run.barrier_step(SUPPRESSED, [run.plan.key("suppressed", run.plan.all_inputs())])


def statuses(plan: Plan) -> pa.Table:
    """One row an item: `dedup.contamination_methods.item_statuses` in this corpus."""
    index = index_of(plan)
    return item_statuses(index, _suppressed(plan, index), method_of(plan.section["method"]), plan.section["passages"])


def summarise(plan: Plan) -> None:
    if plan.section["evals"]:
        write_contamination(plan, statuses(plan))
    else:
        forget_contamination(plan.stage_folder)


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
