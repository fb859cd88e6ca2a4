"""The steps of dedup that find near-duplicates: see `pipeline.stages.dedup`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import storage
from corpus.errors import ShardError
from corpus.text import Texts
from dedup.bands import match_range, ranges_for, write_bands
from dedup.minhash import MinHashSettings, band_keys
from dedup.pairs import Pairs, merged
from dedup.signatures import write_signatures
from dedup.verification import jaccard, overlaps, read_sets, shingle_ranges, write_sets
from pipeline.outcome import batches_of
from pipeline.stage_run import StageRun
from pipeline.stages.dedup_shards import Numbering, number_in, opened, read_shard, scope_marks, write_by_shard
from pipeline.steps import Made, Plan, Step
from pipeline.tokens import Tokenizer

_PAIRS_AT_ONCE = 2**20  # a row group of pairs, and of each file of overlaps
_CAPPED, _SHINGLES = "capped_buckets", "candidate_shingles"


def tokenizer_of_unit(plan: Plan) -> Tokenizer | None:
    """None where words are compared."""
    return Tokenizer.load(plan.tokenizer) if plan.section["unit"] == "tokens" else None


def minhash_settings(plan: Plan) -> MinHashSettings:
    return MinHashSettings(**plan.section["minhash"], tokenizer=tokenizer_of_unit(plan))


# bands and edges


def _chosen(
    plan: Plan, shard: int, is_chosen: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.uint32], pa.RecordBatch]]:
    """(source rows, documents) of a shard, those chosen only, batch by batch."""
    for source_rows, batch in batches_of(plan, shard):
        row = source_rows.to_numpy()
        chosen = is_chosen[row]
        yield row[chosen].astype(np.uint32), batch.filter(pa.array(chosen))


def _left(plan: Plan, shard: int) -> NDArray[np.bool_]:
    """Which rows the URL and the text step left."""
    return read_shard(plan.stage_folder.file("duplicates", 0), shard)["removed_by"].to_numpy() < 0


def write_shard_bands(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    settings, left = minhash_settings(plan), _left(plan, shard)
    keys, rows = [np.empty((0, settings.bands), np.uint64)], [np.empty(0, np.uint32)]
    counts = np.zeros(len(left), np.int64)
    for row, batch in _chosen(plan, shard, left):
        found, n_shingles = band_keys(Texts.of(batch.column("text")), settings)
        if plan.section["scope"] == "dump":
            found ^= scope_marks(batch.column("dump"))[:, None]
        keys.append(found[n_shingles > 0])
        rows.append(row[n_shingles > 0])
        counts[row] = n_shingles
    write_bands(files["bands"], np.concatenate(keys), np.concatenate(rows), settings, plan.extra["n_ranges"])
    pq.write_table(pa.table({"n_shingles": counts}), files["shingle_counts"], compression="zstd")
    return Made(len(left))


def write_shard_signatures(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    left = _left(plan, shard)
    parts = ((row, batch.column("id"), Texts.of(batch.column("text"))) for row, batch in _chosen(plan, shard, left))
    write_signatures(files["signatures"], parts, minhash_settings(plan))
    return Made(len(left))


def write_edges(plan: Plan, number: int, files: dict[str, Path]) -> Made:
    settings, cap, numbering = minhash_settings(plan), plan.section["max_bucket_documents"], Numbering(plan)
    earlier, own = numbering.opened("bands", slice(-1)), numbering.opened("bands", slice(-1, None))
    pairs, n_capped = match_range(own, number, plan.extra["n_ranges"], settings, cap, earlier)
    pairs = pairs.numbered(numbering.first)
    new = pairs.right >= numbering.n_earlier  # of the others, which are all of earlier runs, these know
    _write_pairs(files["edges"], pairs.where(new), {_CAPPED: str(n_capped)})
    return Made()


# pairs


def _write_pairs(path: Path, pairs: Pairs, metadata: dict[str, str]) -> None:
    table = pa.table({"left": pairs.left, "right": pairs.right, "bands": pairs.bands}).replace_schema_metadata(metadata)
    pq.write_table(table, path, compression="zstd", row_group_size=_PAIRS_AT_ONCE)


def _pairs(table: pa.Table) -> Pairs:
    return Pairs(*(table.column(name).to_numpy() for name in ("left", "right", "bands")))


def write_pairs(plan: Plan, number: int, files: dict[str, Path]) -> Made:
    """The pairs of one in `n_ranges` of the documents (as the right one), from all ranges of keys.

    A document is the right one in as many pairs as it has bands, or a few times more: so parts are about equal, and as
    large as what was matched at once.
    """
    own, n_parts = Numbering(plan).own, plan.extra["n_ranges"]
    bounds = [own.start + (number + i) * (own.stop - own.start) // n_parts for i in range(2)]
    here = [("right", ">=", bounds[0]), ("right", "<", bounds[1])]
    pairs = merged(_pairs(pq.read_table(file, filters=here)) for _, file in opened(plan, "edges"))
    _write_pairs(files["pairs"], pairs, {})
    return Made()


def _all_pairs(plan: Plan) -> Iterator[Pairs]:
    """Sorted, a row group at a time."""
    for _, file in opened(plan, "pairs"):
        parquet = pq.ParquetFile(file)
        for group in range(parquet.num_row_groups):
            yield _pairs(parquet.read_row_group(group))


def write_candidates(plan: Plan, item: int, files: dict[str, Path]) -> Made:
    """Which documents are in a pair, a row group a shard; how many shingles they have in the metadata."""
    numbering = Numbering(plan)
    is_candidate = np.zeros(len(numbering), np.bool_)
    for pairs in _all_pairs(plan):
        is_candidate[pairs.left] = is_candidate[pairs.right] = True
    n_shingles = 0
    for shard in plan.stage_folder.receipts("bands"):
        with storage.open_input(plan.stage_folder.file("shingle_counts", shard)) as file:
            counts = pq.read_table(file)["n_shingles"].to_numpy()
        n_shingles += int(counts[is_candidate[numbering.first[shard] :][: len(counts)]].sum())
    table = pa.table({"is_candidate": is_candidate})
    write_by_shard(files["candidates"], numbering.by_shard(table), table.schema, {_SHINGLES: str(n_shingles)})
    return Made(len(numbering))


# shingles and overlaps: exact Jaccard


def write_shingles(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    candidates = read_shard(plan.stage_folder.file("candidates", 0), shard)["is_candidate"].to_numpy()
    parts = ((row, Texts.of(batch.column("text"))) for row, batch in _chosen(plan, shard, candidates))
    write_sets(files["shingles"], parts, minhash_settings(plan), plan.extra["n_shingle_ranges"])
    return Made(len(candidates))


def write_overlaps(plan: Plan, number: int, files: dict[str, Path]) -> Made:
    n_ranges = plan.extra["n_shingle_ranges"]
    sets, offsets = read_sets(opened(plan, "shingles"), number, n_ranges, Numbering(plan).first)
    schema = pa.schema([("common", pa.uint32()), ("union", pa.uint32())])
    with pq.ParquetWriter(files["overlaps"], schema, compression="zstd") as writer:
        for pairs in _all_pairs(plan):
            counts = [pa.array(each, pa.uint32()) for each in overlaps(sets, offsets, pairs.left, pairs.right)]
            writer.write_table(pa.table(counts, schema=schema), row_group_size=max(len(pairs), 1))
    return Made()


def matched(plan: Plan) -> Iterator[tuple[Pairs, NDArray[np.float32] | None]]:
    """The pairs (of numbers) that hold, sorted, and their exact Jaccard similarity if it was asked for; some at a time."""
    if not plan.section["verify"]:
        yield from ((pairs, None) for pairs in _all_pairs(plan))
        return
    n_ranges, n_counted = plan.extra["n_shingle_ranges"], len(plan.stage_folder.receipts("overlaps"))
    if n_counted < n_ranges:
        raise ShardError(
            f"only {n_counted} of {n_ranges} ranges of shingles were counted; run again, or set verify: false"
        )
    for group, pairs in enumerate(_all_pairs(plan)):
        common, union = np.zeros(len(pairs), np.int64), np.zeros(len(pairs), np.int64)
        for _, file in opened(plan, "overlaps"):
            table = pq.ParquetFile(file).read_row_group(group)
            common += table["common"].to_numpy()
            union += table["union"].to_numpy()
        exact = jaccard(common, union)
        holds = exact >= np.float32(plan.section["min_jaccard"])
        yield pairs.where(holds), exact[holds]


BANDS = Step("bands", ("bands", "shingle_counts"), write_shard_bands)
SIGNATURES = Step("signatures", ("signatures",), write_shard_signatures)
EDGES = Step("edges", ("edges",), write_edges)
PAIRS = Step("pairs", ("pairs",), write_pairs)
CANDIDATES = Step("candidates", ("candidates",), write_candidates)
SHINGLES = Step("shingles", ("shingles",), write_shingles)
OVERLAPS = Step("overlaps", ("overlaps",), write_overlaps)


def prepare(run: StageRun) -> None:
    """All of them, from band keys to what `matched` reads."""
    section, everything = run.plan.section, run.plan.all_inputs()
    numbering = Numbering(run.plan)
    n_own = len(numbering) - numbering.n_earlier
    n_documents = n_own + min(n_own, numbering.n_earlier)  # of earlier runs, those that are like ours
    n_ranges = ranges_for(n_documents, section["minhash"]["bands"], section["memory"])
    run.extend_plan(n_ranges=n_ranges)
    run.barrier_step(BANDS, run.shard_keys("bands"))
    if section["store_signatures"]:
        run.barrier_step(SIGNATURES, run.shard_keys("signatures"))
    run.barrier_step(EDGES, [run.plan.key("edges", everything, number) for number in range(n_ranges)])
    run.barrier_step(PAIRS, [run.plan.key("pairs", everything, number) for number in range(n_ranges)])
    if section["verify"]:
        run.barrier_step(CANDIDATES, [run.plan.key("candidates", everything)])
        n_ranges = shingle_ranges(number_in(run.folder.file("candidates", 0), _SHINGLES), section["memory"])
        run.extend_plan(n_shingle_ranges=n_ranges)
        run.barrier_step(SHINGLES, run.shard_keys("shingles"))
        run.barrier_step(OVERLAPS, [run.plan.key("overlaps", everything, number) for number in range(n_ranges)])


def notes(plan: Plan) -> list[str]:
    folder = plan.stage_folder
    n_capped = sum(number_in(folder.file("edges", number), _CAPPED) for number in folder.receipts("edges"))
    if not n_capped:
        return []
    limit = plan.section["max_bucket_documents"]
    return [f"{n_capped:,} buckets of more than {limit} documents: each compared with the first of its bucket only"]
