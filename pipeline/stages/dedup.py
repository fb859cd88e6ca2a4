"""Dedup: one copy of each URL, one of each text, one of each cluster of near-duplicates.

    digests     map      a shard's URL and text digests, and what the keep policy needs
    duplicates  barrier  equal URLs and equal texts, over all shards
    bands       map      band keys of the documents that are left
    signatures  map      their MinHash signatures, with `store_signatures`
    edges       map      over ranges of keys: pairs of documents that share a bucket
    pairs       map      over ranges of documents: the same of all ranges of keys, each once
    …                    with `verify: true` the steps of exact similarity: pipeline/stages/dedup_verify.py
    clusters    barrier  union-find over the pairs that hold; which document each duplicate gives way to
    …                    the steps of exact substrings: pipeline/stages/dedup_substring.py
    documents   map      verdicts applied, spans cut

Each method sees what the one before it kept, and `duplicate_of` names the document that is kept in the end. What earlier
runs (`against`) have to do with it: pipeline/stages/dedup_against.py.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.dataset import Count, add_counts
from corpus.errors import ConfigError
from corpus.schema import DEDUP_LEDGER
from dedup.minhash import MinHashSettings
from dedup.signatures import refuse_other_schemes
from dedup.substring import OUTPUT_VERSION as SUBSTRING_VERSION
from pipeline.outcome import Outcome, map_documents, outcome, single_reason
from pipeline.stage_run import StageRun
from pipeline.stages import dedup_against, dedup_clusters, dedup_pairs, dedup_substring, dedup_verify
from pipeline.stages.dedup_digests import DIGESTS, DUPLICATES
from pipeline.stages.dedup_estimate import refuse_full_disk
from pipeline.stages.dedup_shards import own_run, read_shard
from pipeline.stages.dedup_substring import FindSpans, apply_spans, spans_of_shard, substring_settings
from pipeline.steps import Made, Plan, Step
from pipeline.tokens import Tokenizer

OUTPUT_VERSION = 2


def identity(section: dict[str, Any]) -> dict[str, str]:
    settings = MinHashSettings(**section["minhash"])
    if section["store_signatures"]:
        if "minhash" not in section["methods"]:
            raise ConfigError("store_signatures: no signatures without the method minhash; add it to dedup.methods")
        refuse_other_schemes(settings)
    if section["store_shingles"] and not (section["verify"] and "minhash" in section["methods"]):
        raise ConfigError("store_shingles: none are compared; set dedup.verify=true and have minhash in dedup.methods")
    if section["store_tokens"] and "substring" not in section["methods"]:
        raise ConfigError("store_tokens: without the method substring none are compared; add it to dedup.methods")
    found = {key: str(value) for key, value in settings.identity().items()} | {"unit": section["unit"]}
    if "substring" in section["methods"]:
        found["substring"] = str(SUBSTRING_VERSION)
    return found | dedup_against.identity(section)


def process(
    of_shard: pa.Table,
    spans: FindSpans | None,
    plan: Plan,
    shard: int,
    rows: pa.Array,
    batch: pa.RecordBatch,
    tokenizer: Tokenizer,
) -> Outcome:
    """`of_shard`: the verdicts of all its documents."""
    verdicts = of_shard.take(rows).combine_chunks()
    columns = {name: verdicts.column(name).combine_chunks() for name, _ in DEDUP_LEDGER}
    reasons, after = verdicts.column("reason").combine_chunks(), batch
    if spans is not None:
        row = rows.to_numpy().astype(np.uint32)
        after, dropped, of_spans = apply_spans(batch, row, spans, substring_settings(plan))
        reasons = pc.if_else(pa.array(dropped), "dedup.substring", reasons)
        columns |= of_spans
    return outcome(rows, batch, after, single_reason(reasons.to_pylist()), columns, tokenizer)


def write_documents(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    spans = spans_of_shard(plan, shard) if "substring" in plan.section["methods"] else None
    verdicts = read_shard(plan.stage_folder.file("clusters", 0), shard)
    return map_documents(plan, shard, files, partial(process, verdicts, spans))


STEP = Step("documents", ("documents", "ledger"), write_documents)


def prepare(run: StageRun) -> None:
    """All steps before the last; raises GuardError when one cluster would swallow the corpus."""
    everything = run.plan.all_inputs()
    run.barrier_step(DIGESTS, run.input_keys("digests"))
    run.extend_plan(runs=[*dedup_against.earlier_runs(run.plan), own_run(run.plan)])
    run.barrier_step(DUPLICATES, [run.plan.key("duplicates", everything)])
    refuse_full_disk(run)
    if "minhash" in run.plan.section["methods"]:
        dedup_pairs.prepare(run)
        if run.plan.section["verify"]:
            dedup_verify.prepare(run)
    dedup_clusters.prepare(run)
    if "substring" in run.plan.section["methods"]:
        counted = [receipt.counts for receipt in run.folder.receipts("digests").values()]
        dedup_substring.prepare(run, sum(row["text_bytes"] for row in add_counts(counted)))


def removed_by_substrings(plan: Plan, counts: list[Count]) -> float:
    """The share of the text that the other methods left which exact substrings took; `counts`: of all documents made."""
    if "substring" not in plan.section["methods"]:
        return 0.0
    digests, made = plan.stage_folder.receipts("digests"), plan.stage_folder.receipts()
    n_bytes = sum(row["text_bytes"] for shard in made for row in digests[shard].counts)
    n_bytes -= sum(row["text_bytes"] for row in counts if row["reason"] not in (None, "dedup.substring"))
    n_left = sum(row["text_bytes"] for row in counts if row["reason"] is None)
    return 1 - n_left / max(n_bytes, 1)


def notes(plan: Plan) -> list[str]:
    found = dedup_clusters.notes(plan)
    return [*found, *(dedup_pairs.notes(plan) if "minhash" in plan.section["methods"] else [])]
