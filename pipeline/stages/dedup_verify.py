"""The steps of dedup that verify pairs by exact Jaccard similarity (`verify: true`): see `pipeline.stages.dedup`.

stored_shingles   map      with `store_shingles`: shingle sets of all documents that are signed, for later runs
candidates        barrier  which documents are in pairs
shingles          map      their shingle sets
earlier_shingles  map      over shards of earlier runs (`pipeline.stages.dedup_against`): the same, from what these stored
overlaps          map      over ranges of shingles: how many each pair has in common
"""

from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import storage
from corpus.dataset import StageFolder
from corpus.errors import ShardError
from corpus.text import Texts
from dedup.pairs import Pairs
from dedup.verification import (
    Piece,
    jaccard,
    overlaps,
    read_sets,
    sets_of_texts,
    shingle_ranges,
    stored_sets,
    write_sets,
)
from pipeline.stage_run import StageRun
from pipeline.stages.dedup_pairs import all_pairs, chosen_documents, left_by_copies, minhash_settings
from pipeline.stages.dedup_shards import Numbering, number_in, opened, read_shard, write_by_shard
from pipeline.steps import Made, Plan, Step

_SHINGLES = "candidate_shingles"


def write_stored_shingles(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    """The sets of all documents that are signed, for later runs."""
    left = left_by_copies(plan, shard)
    write_sets(files["stored_shingles"], _sets_of(plan, shard, left, 1))
    return Made(len(left))


def write_candidates(plan: Plan, item: int, files: dict[str, Path]) -> Made:
    """Which documents are in a pair, a row group a numbered shard; how many shingles they have in the metadata."""
    numbering = Numbering(plan)
    is_candidate = np.zeros(len(numbering), np.bool_)
    for pairs in all_pairs(plan):
        is_candidate[pairs.left] = is_candidate[pairs.right] = True
    n_shingles = 0
    for shard, file in numbering.opened("bands", slice(None), "shingle_counts"):
        counts = pq.read_table(file)["n_shingles"].to_numpy()
        n_shingles += int(counts[is_candidate[numbering.first[shard] :][: len(counts)]].sum())
    table = pa.table({"is_candidate": is_candidate})
    shards = (table[start:stop] for start, stop in pairwise(numbering.first.tolist()))
    write_by_shard(files["candidates"], shards, table.schema, {_SHINGLES: str(n_shingles)})
    return Made(len(numbering))


def _candidates(plan: Plan, numbered_shard: int) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = read_shard(plan.stage_folder.file("candidates", 0), numbered_shard)[
        "is_candidate"
    ].to_numpy()
    return found


def _sets_of(plan: Plan, shard: int, chosen: NDArray[np.bool_], n_ranges: int) -> Iterator[Piece]:
    parts = ((row, Texts.of(batch.column("text"))) for row, batch in chosen_documents(plan, shard, chosen))
    return sets_of_texts(parts, minhash_settings(plan), n_ranges)


def _stored_sets(folder: StageFolder, shard: int, chosen: NDArray[np.bool_], n_ranges: int) -> Iterator[Piece]:
    with storage.open_input(folder.file("stored_shingles", shard)) as file:
        yield from stored_sets(file, np.flatnonzero(chosen).astype(np.uint32), n_ranges)


def write_shingles(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    candidates, n_ranges = _candidates(plan, Numbering(plan).n_earlier_shards + shard), plan.extra["n_shingle_ranges"]
    if plan.section["store_shingles"]:
        pieces = _stored_sets(plan.stage_folder, shard, candidates, n_ranges)
    else:
        pieces = _sets_of(plan, shard, candidates, n_ranges)
    write_sets(files["shingles"], pieces)
    return Made(len(candidates))


def write_earlier_shingles(plan: Plan, numbered_shard: int, files: dict[str, Path]) -> Made:
    folder, shard = Numbering(plan).place(numbered_shard)
    candidates = _candidates(plan, numbered_shard)
    write_sets(files["earlier_shingles"], _stored_sets(folder, shard, candidates, plan.extra["n_shingle_ranges"]))
    return Made()


def write_overlaps(plan: Plan, number: int, files: dict[str, Path]) -> Made:
    numbering = Numbering(plan)
    shingles = chain(opened(plan, "earlier_shingles"), numbering.opened("shingles", slice(-1, None)))
    sets, offsets = read_sets(shingles, number, plan.extra["n_shingle_ranges"], numbering.first)
    schema = pa.schema([("common", pa.uint32()), ("union", pa.uint32())])
    with pq.ParquetWriter(files["overlaps"], schema, compression="zstd") as writer:
        for pairs in all_pairs(plan):
            counts = [pa.array(each, pa.uint32()) for each in overlaps(sets, offsets, pairs.left, pairs.right)]
            writer.write_table(pa.table(counts, schema=schema), row_group_size=max(len(pairs), 1))
    return Made()


def verified_pairs(plan: Plan) -> Iterator[tuple[Pairs, NDArray[np.float32]]]:
    """The pairs (of numbers) that hold, sorted, and their exact Jaccard similarity; some at a time."""
    n_ranges, n_counted = plan.extra["n_shingle_ranges"], len(plan.stage_folder.receipts("overlaps"))
    if n_counted < n_ranges:
        raise ShardError(
            f"only {n_counted} of {n_ranges} ranges of shingles were counted; run again, or set verify: false"
        )
    for group, pairs in enumerate(all_pairs(plan)):
        common, union = np.zeros(len(pairs), np.int64), np.zeros(len(pairs), np.int64)
        for _, file in opened(plan, "overlaps"):
            table = pq.ParquetFile(file).read_row_group(group)
            common += table["common"].to_numpy()
            union += table["union"].to_numpy()
        exact = jaccard(common, union)
        holds = exact >= np.float32(plan.section["min_jaccard"])
        yield pairs.where(holds), exact[holds]


STORED_SHINGLES = Step("stored_shingles", ("stored_shingles",), write_stored_shingles)
CANDIDATES = Step("candidates", ("candidates",), write_candidates)
EARLIER_SHINGLES = Step("earlier_shingles", ("earlier_shingles",), write_earlier_shingles)
SHINGLES = Step("shingles", ("shingles",), write_shingles)
OVERLAPS = Step("overlaps", ("overlaps",), write_overlaps)


def prepare(run: StageRun) -> None:
    """All of them; pairs are there."""
    section, everything, numbering = run.plan.section, run.plan.all_inputs(), Numbering(run.plan)
    if section["store_shingles"]:
        run.barrier_step(STORED_SHINGLES, run.shard_keys("stored_shingles"))
    run.barrier_step(CANDIDATES, [run.plan.key("candidates", everything)])
    n_ranges = shingle_ranges(number_in(run.folder.file("candidates", 0), _SHINGLES), section["memory"])
    run.extend_plan(n_shingle_ranges=n_ranges)
    run.barrier_step(SHINGLES, run.shard_keys("shingles"))
    earlier: list[str | None] = [None] * numbering.n_earlier_shards
    for shard in numbering.shards_with("stored_shingles", slice(-1)):
        earlier[shard] = run.plan.key("earlier_shingles", everything, shard)
    run.barrier_step(EARLIER_SHINGLES, earlier)
    run.barrier_step(OVERLAPS, [run.plan.key("overlaps", everything, number) for number in range(n_ranges)])
