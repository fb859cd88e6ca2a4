"""A batch of documents: an Arrow record batch whose text is also at hand as bytes."""

from functools import cached_property

import pyarrow as pa

from corpus.arena import Arena
from corpus.text import Texts


class Documents:
    """What a rule set measures. Immutable: `replace` gives new documents.

    What is derived from their texts lies in `arena`: after the next `clear` they are not to be measured any more."""

    def __init__(self, batch: pa.RecordBatch, arena: Arena | None = None) -> None:
        self.batch = batch
        self.arena = arena

    def __len__(self) -> int:
        return self.batch.num_rows

    def column(self, name: str) -> pa.Array:
        """The column `name`; all null where the documents have none of that name."""
        if name in self.batch.schema.names:
            return self.batch.column(name)
        return pa.nulls(len(self), pa.string())

    @cached_property
    def texts(self) -> Texts:
        return Texts.of(self.column("text"), self.arena)

    def replace(self, columns: dict[str, pa.Array]) -> "Documents":
        """The same documents with these columns set (existing ones in place, new ones at the end)."""
        batch = self.batch
        for name, values in columns.items():
            if name in batch.schema.names:
                batch = batch.set_column(batch.schema.get_field_index(name), name, values)
            else:
                batch = batch.append_column(name, values)
        return Documents(batch, self.arena)
