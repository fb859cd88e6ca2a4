"""The step of dedup that decides which document each duplicate gives way to: see `pipeline.stages.dedup`."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import storage
from corpus.errors import GuardError
from corpus.schema import DEDUP_LEDGER
from dedup.clusters import Survivors, clusters, largest_cluster
from dedup.library import REASONS
from dedup.pairs import Closest, Pairs, jaccard_of_bands
from pipeline.stage_run import StageRun
from pipeline.stages import dedup_against
from pipeline.stages.dedup_pairs import all_pairs, minhash_settings
from pipeline.stages.dedup_shards import Numbering, number_in, write_by_shard
from pipeline.stages.dedup_verify import verified_pairs
from pipeline.steps import Made, Plan, Step

_LARGEST, _REPEATED = "largest_cluster", "repeated_documents"

_CLUSTERS = pa.schema([("reason", pa.string()), *DEDUP_LEDGER])


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
    """The pairs that hold, and their exact Jaccard similarity if it was asked for."""
    if "minhash" not in plan.section["methods"]:
        return
    yield from verified_pairs(plan) if plan.section["verify"] else ((pairs, None) for pairs in all_pairs(plan))


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


CLUSTERS = Step("clusters", ("clusters",), write_clusters)


def _largest_cluster(plan: Plan) -> tuple[int, int]:
    """(documents in the largest cluster of near-duplicates, documents in all)."""
    path = plan.stage_folder.file("clusters", 0)
    with storage.open_input(path) as file:
        n_documents = pq.read_metadata(file).num_rows
    return number_in(path, _LARGEST), n_documents


def prepare(run: StageRun) -> None:
    """Raises GuardError when one cluster would swallow the corpus."""
    step = replace(CLUSTERS, outputs=("clusters", "bridged")) if run.plan.section["against"] else CLUSTERS
    run.barrier_step(step, [run.plan.key("clusters", run.plan.all_inputs())])
    largest, n_documents = _largest_cluster(run.plan)
    limit = max(run.guards.max_cluster_documents, run.guards.max_cluster_share * n_documents)
    if n_documents >= run.guards.min_documents and largest > limit and not run.options.allow_extreme:
        raise GuardError(
            f"dedup: one cluster has {largest:,} of {n_documents:,} documents, more than the guard's {limit:,.0f}; "
            "check ngram, bands and rows, or go on with --allow-extreme"
        )


def notes(plan: Plan) -> list[str]:
    found = ["the largest cluster of near-duplicates has {:,} of {:,} documents".format(*_largest_cluster(plan))]
    if plan.section["against"]:
        found += dedup_against.notes(plan, number_in(plan.stage_folder.file("clusters", 0), _REPEATED))
    return found
