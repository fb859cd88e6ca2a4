"""Finished pieces of a shard that is not finished yet.

An archive takes tens of minutes with trafilatura, longer than a preempted worker may have. So extraction saves its outcomes
every few thousand records; who makes the shard next reads them back and goes on behind the last record. A piece is two
Arrow files, the ledger last: it exists when that does, and counts only under the key that it was made for. One piece of
a web archive is about 2 minutes of work and 3 MB.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from corpus import storage
from corpus.dataset import StageFolder
from pipeline.outcome import Outcome

_META = b"refine.checkpoint"


@dataclass(frozen=True, slots=True)
class Position:
    """Behind which record a piece ends: how many there were, and the place of the last in the archive."""

    n_captures: int
    offset: int
    length: int


class Checkpoints:
    def __init__(self, folder: StageFolder, shard: int, key: str) -> None:
        self._folder = folder.checkpoint_folder(shard)
        self._key = key
        self._n_pieces = 0

    def load(self) -> Iterator[tuple[Outcome, Position]]:
        """The pieces that are there, in order, up to the first that is missing or of another key."""
        while storage.exists(self._file("ledger")):
            ledger = self._read("ledger")
            saved = json.loads(ledger.schema.metadata[_META])
            if saved.pop("key") != self._key:
                return
            documents = self._read("documents")
            self._n_pieces += 1
            yield Outcome(_one_batch(documents), _one_batch(ledger.replace_schema_metadata(None))), Position(**saved)

    def save(self, outcomes: Sequence[Outcome], position: Position) -> None:
        """Keep what has been made since the last piece."""
        ledger = pa.Table.from_batches([made.ledger for made in outcomes])
        meta = {
            "key": self._key,
            "n_captures": position.n_captures,
            "offset": position.offset,
            "length": position.length,
        }
        self._write("documents", pa.Table.from_batches([made.documents for made in outcomes]))
        self._write("ledger", ledger.replace_schema_metadata({_META: json.dumps(meta)}))
        self._n_pieces += 1

    def _file(self, kind: str) -> str:
        return storage.join(self._folder, f"{self._n_pieces:05d}.{kind}.arrow")

    def _read(self, kind: str) -> pa.Table:
        with storage.open_input(self._file(kind)) as file:
            return pa.ipc.open_file(pa.py_buffer(file.read())).read_all()

    def _write(self, kind: str, table: pa.Table) -> None:
        with (
            storage.attempt(self._file(kind)) as (local, attempted),
            pa.ipc.new_file(str(local), table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer,
        ):
            writer.write_table(table)
        storage.promote(attempted, self._file(kind))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
