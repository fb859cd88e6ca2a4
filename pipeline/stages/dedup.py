"""Dedup: one copy of each URL, one of each text, one of each cluster of near-duplicates.

    digests     map      a shard's URL and text digests, and what the keep policy needs
    duplicates  barrier  equal URLs and equal texts, over all shards
    bands       map      band keys of the documents that are left
    signatures  map      their MinHash signatures, with `store_signatures`
    edges       map      over ranges of keys: pairs of documents that share a bucket
    pairs       map      over ranges of documents: the same of all ranges of keys, each once
    candidates  barrier  with `verify: true`, as the next two: which documents are in pairs
    shingles    map      their shingle sets
    overlaps    map      over ranges of shingles: how many each pair has in common
    clusters    barrier  union-find over the pairs that hold; which document each duplicate gives way to
    …                    the steps of exact substrings: pipeline/stages/dedup_substring.py
    documents   map      verdicts applied, spans cut

Each method sees what the one before it kept, and `duplicate_of` names the document that is kept in the end. What earlier
runs (`against`) have to do with it: pipeline/stages/dedup_against.py.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import storage
from corpus.dataset import Count, add_counts
from corpus.errors import ConfigError, GuardError
from corpus.schema import DEDUP_LEDGER
from corpus.text import Texts
from corpus.words import text_digests
from dedup.clusters import Survivors, clusters, group_equal, largest_cluster
from dedup.library import REASONS
from dedup.minhash import MinHashSettings
from dedup.pairs import Closest, Pairs, jaccard_of_bands
from dedup.signatures import refuse_other_schemes
from dedup.substring import OUTPUT_VERSION as SUBSTRING_VERSION
from dedup.urls import url_digests
from pipeline.outcome import Outcome, batches_of, map_documents, outcome, single_reason
from pipeline.stage_run import StageRun
from pipeline.stages import dedup_against, dedup_pairs, dedup_substring
from pipeline.stages.dedup_estimate import refuse_full_disk
from pipeline.stages.dedup_pairs import matched, minhash_settings
from pipeline.stages.dedup_shards import Numbering, number_in, own_run, read_shard, scope_marks, write_by_shard
from pipeline.stages.dedup_signals import with_signal
from pipeline.stages.dedup_substring import FindSpans, apply_spans, spans_of_shard, substring_settings
from pipeline.steps import Made, Plan, Step
from pipeline.tokens import Tokenizer

OUTPUT_VERSION = 2

_LARGEST, _REPEATED = "largest_cluster", "repeated_documents"

_CLUSTERS = pa.schema([("reason", pa.string()), *DEDUP_LEDGER])


def identity(section: dict[str, Any]) -> dict[str, str]:
    settings = MinHashSettings(**section["minhash"])
    if section["store_signatures"]:
        if "minhash" not in section["methods"]:
            raise ConfigError("store_signatures: no signatures without the method minhash; add it to dedup.methods")
        refuse_other_schemes(settings)
    if section["store_tokens"] and "substring" not in section["methods"]:
        raise ConfigError("store_tokens: without the method substring none are compared; add it to dedup.methods")
    found = {key: str(value) for key, value in settings.identity().items()} | {"unit": section["unit"]}
    if "substring" in section["methods"]:
        found["substring"] = str(SUBSTRING_VERSION)
    return found | dedup_against.identity(section)


# digests


def write_digests(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    rows, text_bytes, digests = 0, 0, []
    for source_rows, batch in with_signal(plan, shard, batches_of(plan, shard)):
        rows += len(source_rows)
        text_bytes += int(Texts.of(batch.column("text")).byte_lengths.sum())
        scope = scope_marks(batch.column("dump")) if plan.section["scope"] == "dump" else np.uint64(0)
        texts, _ = text_digests(Texts.of(batch.column("text")))
        urls = url_digests(batch.column("url"))
        digests.append(
            pa.RecordBatch.from_pydict(
                {
                    "row": source_rows.cast(pa.uint32()),
                    "id": batch.column("id"),
                    "url_low": np.where(urls.any(axis=1), urls[:, 0] ^ scope, 0),
                    "url_high": np.where(urls.any(axis=1), urls[:, 1] ^ scope, 0),
                    "text_low": texts[:, 0] ^ scope,
                    "text_high": texts[:, 1] ^ scope,
                    "priority": _priority(batch, plan.section["keep"]),
                }
            )
        )
    empty = pa.schema(
        [
            ("row", pa.uint32()),
            ("id", pa.string()),
            *((name, pa.uint64()) for name in (*_URL, *_TEXT)),
            ("priority", pa.float64()),
        ]
    )
    pq.write_table(pa.Table.from_batches(digests, empty), files["digests"], compression="zstd")
    counted = {"reason": None, "language": None, "documents": rows, "text_bytes": text_bytes, "tokens": 0}
    return Made(rows, [counted])


_URL, _TEXT = ("url_low", "url_high"), ("text_low", "text_high")


def _priority(batch: pa.RecordBatch, keep: Any) -> NDArray[np.float64]:
    """float64[n]: of a cluster the highest stays, of equal ones the first."""
    if keep == "first":
        return np.zeros(batch.num_rows)
    if keep == "longest":
        values = pc.binary_length(batch.column("text"))
    elif keep == "newest":
        values = batch.column("date").cast(pa.int64())
    else:
        name = keep["highest"]
        if name not in batch.schema.names:
            raise ConfigError(
                f"dedup.keep.highest: no column {name!r}; the documents have {', '.join(batch.schema.names)}, "
                "and the ledger of the stage before, if there is one, has no such signal"
            )
        values = batch.column(name)
    return pc.fill_null(values.cast(pa.float64()), float("nan")).to_numpy(zero_copy_only=False)


# duplicates: equal URLs, equal texts


def write_duplicates(plan: Plan, item: int, files: dict[str, Path]) -> Made:
    """What stands in for each document after the URL and the text step; a row group a shard."""
    numbering = Numbering(plan)
    survivors = Survivors(numbering.priority(), dedup_against.verdicts(numbering))
    for step, (method, columns) in enumerate((("urls", _URL), ("exact", _TEXT))):
        if method in plan.section["methods"]:
            digests = numbering.gather(columns, 0, np.uint64)
            survivors.remove(step, group_equal(digests[survivors.left]))
    table = pa.table({"kept": survivors.kept[numbering.own], "removed_by": survivors.removed_by[numbering.own]})
    write_by_shard(files["duplicates"], numbering.by_shard(table), table.schema)
    return Made(len(table))


# clusters


def write_clusters(plan: Plan, item: int, files: dict[str, Path]) -> Made:
    """Every document's verdict, a row group a shard; in the metadata what the guard and the notes ask for."""
    numbering = Numbering(plan)
    earlier = dedup_against.verdicts(numbering)
    survivors = Survivors(numbering.priority(), earlier)
    with storage.open_input(plan.stage_folder.file("duplicates", 0)) as file:
        duplicates = pq.read_table(file)
    survivors.go_on(1, duplicates["kept"].to_numpy(), duplicates["removed_by"].to_numpy())
    left = survivors.left
    pairs = (np.stack([some.left, some.right], axis=1) for some, _ in _matched(plan))
    near = clusters(len(numbering), chain(dedup_against.edges(numbering, *earlier), pairs))
    in_place_of = survivors.remove(2, np.searchsorted(left, near[left]))
    survivors.kept = in_place_of[survivors.kept]  # earlier documents' too: what is joined now is one cluster
    survivors.check()
    if "bridged" in files:
        pq.write_table(dedup_against.bridged(numbering, earlier[1], near, in_place_of), files["bridged"])
    found = {
        _LARGEST: largest_cluster(near[numbering.own])[1],
        _REPEATED: int((survivors.kept[numbering.own] < numbering.n_earlier).sum()),
    }
    del left, near, in_place_of  # each as large as what follows
    metadata = {name: str(value) for name, value in found.items()}
    write_by_shard(files["clusters"], _verdicts(plan, numbering, survivors), _CLUSTERS, metadata)
    return Made(len(duplicates))


def _verdicts(plan: Plan, numbering: Numbering, survivors: Survivors) -> Iterator[pa.Table]:
    """What the ledger says of this run's documents, shard by shard: in memory are numbers, and ids of those with duplicates."""
    gone = survivors.removed_by >= 0
    gone[: numbering.n_earlier] = False
    named, is_named = np.unique(survivors.kept[gone], return_inverse=True)
    ids, n_before = numbering.ids(named), 0
    size = np.bincount(survivors.kept, minlength=len(numbering))
    smallest = np.full(len(numbering), len(numbering))
    np.minimum.at(smallest, survivors.kept, np.arange(len(numbering)))
    closest = _closest(plan, numbering)
    for here in numbering.own_shards():
        kept = survivors.kept[here]
        n_gone = int(gone[here].sum())
        yield pa.table(
            {
                "reason": pa.array(REASONS).take(pa.array(survivors.removed_by[here], mask=~gone[here])),
                "duplicate_of": pa.array(numbering.keys(kept), pa.int64(), mask=~gone[here]),
                "duplicate_of_id": _scatter(ids.take(pa.array(is_named[n_before : n_before + n_gone])), gone[here]),
                "cluster_id": pa.array(numbering.keys(smallest[kept]), pa.int64(), mask=size[kept] == 1),
                "cluster_size": size[kept],
                **_likeness(plan, numbering, closest, here, survivors.removed_by[here] == 2),
            },
            schema=_CLUSTERS,
        )
        n_before += n_gone


def _matched(plan: Plan) -> Iterator[tuple[Pairs, NDArray[np.float32] | None]]:
    return matched(plan) if "minhash" in plan.section["methods"] else iter(())


def _closest(plan: Plan, numbering: Numbering) -> Closest:
    closest = Closest(len(numbering))
    for pairs, exact in _matched(plan):
        closest.see(pairs, pairs.bands.astype(np.float32) if exact is None else exact)
    return closest


def _likeness(
    plan: Plan, numbering: Numbering, closest: Closest, here: slice, of: NDArray[np.bool_]
) -> dict[str, pa.Array]:
    """Ledger columns: which document those `of` the ones `here` are most like, and how much."""
    settings, bands = minhash_settings(plan), closest.bands[here]
    return {
        "matched_with": pa.array(numbering.keys(closest.document[here]), mask=~of),
        "matching_bands": pa.array(bands, mask=~of),
        "estimated_jaccard": pa.array(jaccard_of_bands(bands, settings.bands, settings.rows), mask=~of),
        "exact_jaccard": pa.array(closest.likeness[here], mask=~(of & plan.section["verify"])),
    }


def _scatter(values: pa.Array, where: NDArray[np.bool_]) -> pa.Array:
    return pc.replace_with_mask(pa.nulls(len(where), pa.string()), pa.array(where), values)


# documents


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


DIGESTS = Step("digests", ("digests",), write_digests)
DUPLICATES = Step("duplicates", ("duplicates",), write_duplicates)
CLUSTERS = Step("clusters", ("clusters",), write_clusters)
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
    step = replace(CLUSTERS, outputs=("clusters", "bridged")) if run.plan.section["against"] else CLUSTERS
    run.barrier_step(step, [run.plan.key("clusters", everything)])
    _guard(run)
    if "substring" in run.plan.section["methods"]:
        counted = [receipt.counts for receipt in run.folder.receipts("digests").values()]
        dedup_substring.prepare(run, sum(row["text_bytes"] for row in add_counts(counted)))


def _largest_cluster(plan: Plan) -> tuple[int, int]:
    """(documents in the largest cluster of near-duplicates, documents in all)."""
    path = plan.stage_folder.file("clusters", 0)
    with storage.open_input(path) as file:
        n_documents = pq.read_metadata(file).num_rows
    return number_in(path, _LARGEST), n_documents


def _guard(run: StageRun) -> None:
    largest, n_documents = _largest_cluster(run.plan)
    limit = max(run.guards.max_cluster_documents, run.guards.max_cluster_share * n_documents)
    if n_documents >= run.guards.min_documents and largest > limit and not run.options.allow_extreme:
        raise GuardError(
            f"dedup: one cluster has {largest:,} of {n_documents:,} documents, more than the guard's {limit:,.0f}; "
            "check ngram, bands and rows, or go on with --allow-extreme"
        )


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
    found = ["the largest cluster of near-duplicates has {:,} of {:,} documents".format(*_largest_cluster(plan))]
    if plan.section["against"]:
        n_repeated = number_in(plan.stage_folder.file("clusters", 0), _REPEATED)
        found += dedup_against.notes(plan, n_repeated)
    return [*found, *(dedup_pairs.notes(plan) if "minhash" in plan.section["methods"] else [])]
