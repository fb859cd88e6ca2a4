"""Pack: the documents that came through, as shards of the size people load.

The plan is made from receipts alone: consecutive shards of the last stage are put together until the target size is
reached, and a shard that is larger by itself is cut by rows. So a failed archive renumbers nothing before this step, and
packing again after one shard changed rewrites only the packs that hold it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage
from corpus.dataset import DOCUMENT_ROW_GROUP, Receipt, TableWriter
from corpus.schema import DOCUMENTS
from pipeline.inputs import OURS
from pipeline.steps import Made, Plan, Step

OUTPUT_VERSION = 1

Slice = dict[str, Any]  # {"path", "identity", "start", "stop"}: rows [start, stop) of one input shard


def identity(section: dict[str, Any]) -> dict[str, str]:
    return {}


def packs(shards: list[tuple[str, Receipt]], shard_bytes: int) -> list[list[Slice]]:
    """Which rows of which input shards go into each packed shard."""
    result: list[list[Slice]] = [[]]
    room = float(shard_bytes)
    for path, receipt in shards:
        output = receipt.outputs["documents"]
        if not output["rows"]:
            continue
        row_bytes = output["bytes"] / output["rows"]
        start = 0
        while start < output["rows"]:
            if room < row_bytes and result[-1]:
                result.append([])
                room = float(shard_bytes)
            n_rows = min(output["rows"] - start, max(1, int(room / row_bytes)))
            result[-1].append(
                {"path": path, "identity": OURS + output["checksum"], "start": start, "stop": start + n_rows}
            )
            room -= n_rows * row_bytes
            start += n_rows
    return result


def write_documents(plan: Plan, item: int, files: dict[str, Path]) -> Made:
    writer = TableWriter(files["documents"], DOCUMENT_ROW_GROUP)
    for piece in plan.extra["packs"][item]:
        for batch in _rows(piece):
            writer.write(batch)
    if not writer.n_rows:
        writer.write(pa.RecordBatch.from_pylist([], schema=DOCUMENTS))
    writer.close()
    return Made(writer.n_rows)


def _rows(piece: Slice) -> Iterator[pa.RecordBatch]:
    with storage.open_input(piece["path"]) as file:
        first = 0
        for batch in pq.ParquetFile(file).iter_batches(DOCUMENT_ROW_GROUP):
            start, stop = max(piece["start"] - first, 0), min(piece["stop"] - first, batch.num_rows)
            if start < stop:
                yield batch.slice(start, stop - start)
            first += batch.num_rows


STEP = Step("documents", ("documents",), write_documents)
