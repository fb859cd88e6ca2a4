"""`dedup.keep: {highest: NAME}` where NAME is no column of the documents: a signal in the ledger of the stage before.

A ledger has the rows that were kept in the order of the documents, so the two are joined by position. Only the stage whose
documents dedup reads is looked at: signals of earlier ones are not those of the text as it is now.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import storage
from corpus.dataset import StageFolder
from corpus.errors import IntegrityError
from pipeline.inputs import OURS, Input
from pipeline.outcome import Batch
from pipeline.steps import Plan


def identity(section: Mapping[str, Any], inputs: Sequence[Input]) -> dict[str, str]:
    """The digest of the ledgers that may decide: a signal can change where no document does."""
    if not isinstance(section["keep"], dict):
        return {}
    folders = dict.fromkeys(_stage_folder(source) for source in inputs)
    receipts = [
        receipt for folder in folders if folder for _, receipt in sorted(StageFolder(folder).receipts().items())
    ]
    checksums = [receipt.outputs.get("ledger", {}).get("checksum") for receipt in receipts]
    return {"ledgers": hashlib.blake2b(json.dumps(checksums).encode(), digest_size=16).hexdigest()}


def _stage_folder(source: Input) -> str:
    """The folder of the stage of ours that made it; "" if none did."""
    return str(source["path"]).rpartition("/documents/")[0] if (source["identity"] or "").startswith(OURS) else ""


def with_signal(plan: Plan, shard: int, batches: Iterator[Batch]) -> Iterator[Batch]:
    """The documents of a shard with the signal that decides as a column, if it is not one of theirs and the ledger has it."""
    keep, signal = plan.section["keep"], None
    for rows, batch in batches:
        if isinstance(keep, dict) and keep["highest"] not in batch.schema.names:
            signal = _of_documents(plan.inputs[shard], keep["highest"]) if signal is None else signal
            batch = batch if signal is None else batch.append_column(keep["highest"], signal.take(rows))
        yield rows, batch


def _of_documents(source: Input, name: str) -> pa.Array | None:
    """The signal of every document of a shard, in order; None if there is no such ledger or signal."""
    path = source["path"]
    ledger = storage.join(_stage_folder(source), "ledger", path.rpartition("/")[2])
    if not _stage_folder(source) or not storage.exists(ledger):
        return None
    with storage.open_input(path) as documents, storage.open_input(ledger) as file:
        if name not in pq.read_schema(file).names:
            return None
        table = pq.read_table(file, columns=list(dict.fromkeys(["reason", name])))
        n_documents = pq.read_metadata(documents).num_rows
    kept = table.filter(pc.is_null(table["reason"]))[name].combine_chunks()
    if len(kept) != n_documents:
        raise IntegrityError(
            f"{ledger}: {len(kept)} rows were kept, but {path} has {n_documents}; run that stage again"
        )
    return kept
