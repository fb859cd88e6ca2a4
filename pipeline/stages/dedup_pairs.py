"""The steps of dedup that find pairs of near-duplicates: see `pipeline.stages.dedup`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.text import Texts
from dedup.bands import match_range, ranges_for, write_bands
from dedup.minhash import MinHashSettings, band_keys
from dedup.pairs import Pairs, merged
from dedup.signatures import write_signatures
from pipeline.outcome import batches_of
from pipeline.stage_run import StageRun
from pipeline.stages.dedup_shards import Numbering, number_in, opened, read_shard, scope_marks
from pipeline.steps import Made, Plan, Step
from pipeline.tokens import Tokenizer

_PAIRS_AT_ONCE = 2**20  # a row group of pairs, and of each file of overlaps
_CAPPED = "capped_buckets"


def tokenizer_of_unit(plan: Plan) -> Tokenizer | None:
    """None where words are compared."""
    return Tokenizer.load(plan.tokenizer) if plan.section["unit"] == "tokens" else None


def minhash_settings(plan: Plan) -> MinHashSettings:
    return MinHashSettings(**plan.section["minhash"], tokenizer=tokenizer_of_unit(plan))


# bands and edges


def chosen_documents(
    plan: Plan, shard: int, is_chosen: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.uint32], pa.RecordBatch]]:
    """(source rows, documents) of a shard, those chosen only, batch by batch."""
    for source_rows, batch in batches_of(plan, shard):
        row = source_rows.to_numpy()
        chosen = is_chosen[row]
        yield row[chosen].astype(np.uint32), batch.filter(pa.array(chosen))


def left_by_copies(plan: Plan, shard: int) -> NDArray[np.bool_]:
    """Which rows the URL and the text step left."""
    return read_shard(plan.stage_folder.file("duplicates", 0), shard)["removed_by"].to_numpy() < 0


def write_shard_bands(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    settings, left = minhash_settings(plan), left_by_copies(plan, shard)
    keys, rows = [np.empty((0, settings.bands), np.uint64)], [np.empty(0, np.uint32)]
    counts = np.zeros(len(left), np.int64)
    for row, batch in chosen_documents(plan, shard, left):
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
    left = left_by_copies(plan, shard)
    parts = (
        (row, batch.column("id"), Texts.of(batch.column("text"))) for row, batch in chosen_documents(plan, shard, left)
    )
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


def all_pairs(plan: Plan) -> Iterator[Pairs]:
    """Sorted, a row group at a time."""
    for _, file in opened(plan, "pairs"):
        parquet = pq.ParquetFile(file)
        for group in range(parquet.num_row_groups):
            yield _pairs(parquet.read_row_group(group))


BANDS = Step("bands", ("bands", "shingle_counts"), write_shard_bands)
SIGNATURES = Step("signatures", ("signatures",), write_shard_signatures)
EDGES = Step("edges", ("edges",), write_edges)
PAIRS = Step("pairs", ("pairs",), write_pairs)


def prepare(run: StageRun) -> None:
    """All of them, from band keys to pairs."""
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


def notes(plan: Plan) -> list[str]:
    folder = plan.stage_folder
    n_capped = sum(number_in(folder.file("edges", number), _CAPPED) for number in folder.receipts("edges"))
    if not n_capped:
        return []
    limit = plan.section["max_bucket_documents"]
    return [f"{n_capped:,} buckets of more than {limit} documents: each compared with the first of its bucket only"]
