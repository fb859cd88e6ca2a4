"""The steps of dedup that find copies, equal URLs and equal texts: see `pipeline.stages.dedup`."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.errors import ConfigError
from corpus.text import Texts
from corpus.words import text_digests
from dedup.clusters import Survivors, group_equal
from dedup.urls import url_digests
from pipeline.outcome import batches_of
from pipeline.stages import dedup_against
from pipeline.stages.dedup_shards import Numbering, scope_marks, write_by_shard
from pipeline.stages.dedup_signals import with_signal
from pipeline.steps import Made, Plan, Step

_URL, _TEXT = ("url_low", "url_high"), ("text_low", "text_high")


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


DIGESTS = Step("digests", ("digests",), write_digests)
DUPLICATES = Step("duplicates", ("duplicates",), write_duplicates)
