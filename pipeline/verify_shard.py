"""What a stage's papers say of one shard, and whether its files are that; see `pipeline.verify`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from corpus import storage
from corpus.dataset import Count, Receipt, StageFolder, add_counts
from corpus.schema import DOCUMENTS, LEDGER
from pipeline.report import READ_ERRORS, one_line

Outputs = Mapping[str, dict[str, Any]]

_DATE = DOCUMENTS.get_field_index("date")
_DOCUMENTS_ON_DISK = DOCUMENTS.set(_DATE, pa.field("date", pa.timestamp("ms", "UTC")))  # Parquet has no seconds

REMAKE = "delete its receipt and run again"
AGAIN = "run again with --out of this folder"


@dataclass(frozen=True)
class Papers:
    """A stage's papers, as far as they can be read."""

    name: str
    folder: StageFolder
    manifest: Mapping[str, Any]
    n_inputs: int
    receipts: Mapping[str, Mapping[int, Receipt]]  # step → shard → receipt

    @property
    def shards(self) -> Mapping[int, Receipt]:
        return self.receipts["documents"]

    @property
    def is_packed(self) -> bool:
        return self.name in ("corpus", "pack")

    @property
    def kinds(self) -> set[str]:
        """What a receipt of a shard must name: packing has no ledger, and what only measures writes no documents."""
        if self.manifest.get("stage") == "contamination":
            return {"ledger"}
        return {"documents"} if self.is_packed else {"documents", "ledger"}

    @property
    def documents_dropped(self) -> bool:
        return bool(self.manifest.get("documents_dropped"))

    @property
    def is_sample(self) -> bool:
        return self.manifest.get("sample") is not None

    def outputs(self, receipt: Receipt) -> Outputs:
        """What must be on disk for this receipt."""
        dropped = "documents" if self.documents_dropped else None
        return {kind: output for kind, output in receipt.outputs.items() if kind != dropped}


@dataclass(frozen=True, slots=True)
class Checked:
    """What one shard's files turned out to be; digests are "" where the ledger could not be read."""

    problems: list[str]
    ids_in: str = ""  # digest of the ids of all ledger rows in order
    ids_kept: str = ""
    tokens: int = 0  # of the documents


def differences(path: str, said: list[Count], found: list[Count], where: str) -> Iterator[str]:
    """Every count that is not the same in two lists of counts."""
    left, right = ({(c["reason"], c["language"]): c for c in counts} for counts in (said, found))
    nothing = {"documents": 0, "text_bytes": 0, "tokens": 0}
    for at in sorted(left.keys() | right.keys(), key=lambda at: (at[0] or "", at[1] or "")):
        for name in nothing:
            a, b = left.get(at, nothing)[name], right.get(at, nothing)[name]
            if a != b:
                label = f"{at[0] or 'kept'}, language {at[1]}"
                yield f"{path}: says {a} {name} for {label}, {where} {b}; {REMAKE}"


def check_file(path: str, output: Mapping[str, Any]) -> Iterator[str]:
    """At most one problem: the first of existence, size, checksum and rows that is not as recorded."""
    if not storage.exists(path):
        yield f"{path}: missing; {REMAKE}"
        return
    n_bytes = storage.info_of(path)["size"]
    if n_bytes != output["bytes"]:
        yield f"{path}: has {n_bytes} bytes, its receipt says {output['bytes']}; {REMAKE}"
        return
    found = storage.checksum(path)
    if found != output["checksum"]:
        yield f"{path}: has checksum {found}, its receipt says {output['checksum']}; {REMAKE}"
        return
    try:
        with storage.open_input(path) as file:
            n_rows = pq.ParquetFile(file).metadata.num_rows
    except READ_ERRORS as error:
        yield f"{path}: is no Parquet file ({one_line(error)}); {REMAKE}"
        return
    if n_rows != output["rows"]:
        yield f"{path}: has {n_rows} rows, its receipt says {output['rows']}; {REMAKE}"


def check_shard(stage: Papers, shard: int) -> Checked:
    """The files of one shard against its receipt and against each other."""
    receipt = stage.shards[shard]
    problems = [
        f"{stage.folder.receipt_file('documents', shard)}: names no {kind}; delete it and run again"
        for kind in sorted(stage.kinds - receipt.outputs.keys())
    ]
    checked = {"ledger": Checked([]), "documents": Checked([])}
    for kind, output in stage.outputs(receipt).items():
        path = stage.folder.file(kind, shard)
        damage = list(check_file(path, output))
        problems += damage
        if damage or kind not in checked:
            continue
        try:
            with storage.open_input(path) as file:
                check = _check_ledger if kind == "ledger" else _check_documents
                checked[kind] = check(stage, shard, pq.ParquetFile(file))
        except READ_ERRORS as error:
            problems.append(f"{path}: cannot be read ({one_line(error)}); {REMAKE}")
        problems += checked[kind].problems
    ledger, documents = checked["ledger"], checked["documents"]
    if ledger.ids_kept and documents.ids_kept and ledger.ids_kept != documents.ids_kept:
        path = stage.folder.file("documents", shard)
        problems.append(f"{path}: its ids are not those that the ledger keeps, in order; {REMAKE}")
    return Checked(problems, ledger.ids_in, ledger.ids_kept, documents.tokens)


def _check_ledger(stage: Papers, shard: int, ledger: pq.ParquetFile) -> Checked:
    """A row for every input row, in order, and the counts that the receipt states."""
    path, receipt = stage.folder.file("ledger", shard), stage.shards[shard]
    if not _starts_with(ledger.schema_arrow, LEDGER):
        return Checked([f"{path}: its first columns are not those of a ledger ({', '.join(LEDGER.names)}); {REMAKE}"])
    ids_in, ids_kept = xxhash.xxh3_128(), xxhash.xxh3_128()
    counts: list[list[Count]] = []
    last, in_order = -1, True
    for batch in ledger.iter_batches(columns=["id", "source_row", "reason", "language", "text_bytes", "token_count"]):
        steps = np.diff(batch.column("source_row").to_numpy(zero_copy_only=False), prepend=last)
        in_order &= bool((steps >= 1).all() if stage.is_sample else (steps == 1).all())
        last = batch.column("source_row")[-1].as_py()
        _add_ids(ids_in, batch.column("id"))
        _add_ids(ids_kept, batch.column("id").filter(pc.is_null(batch.column("reason"))))
        counts.append(_count(batch))
    found = add_counts(counts)
    problems = list(differences(stage.folder.receipt_file("documents", shard), receipt.counts, found, "the ledger"))
    n_kept = sum(count["documents"] for count in found if count["reason"] is None)
    n_written = n_documents(receipt)
    if not in_order:
        wanted = "increasing" if stage.is_sample else "0, 1, 2, … without a gap"
        problems.append(f"{path}: source_row is not {wanted}; {REMAKE}")
    if ledger.metadata.num_rows != receipt.rows_in:
        problems.append(f"{path}: has {ledger.metadata.num_rows} rows for {receipt.rows_in} rows in; {REMAKE}")
    if n_kept != n_written and "documents" in stage.kinds:
        problems.append(f"{path}: keeps {n_kept} rows, but {n_written} documents were written; {REMAKE}")
    return Checked(problems, ids_in.hexdigest(), ids_kept.hexdigest())


def _check_documents(stage: Papers, shard: int, documents: pq.ParquetFile) -> Checked:
    """Our columns in front, a token count for each, as many tokens as the receipt states."""
    path, receipt = stage.folder.file("documents", shard), stage.shards[shard]
    if not _starts_with(documents.schema_arrow, _DOCUMENTS_ON_DISK):
        return Checked([f"{path}: its first columns are not {', '.join(DOCUMENTS.names)} in our types; {REMAKE}"])
    ids = xxhash.xxh3_128()
    n_uncounted = n_tokens = 0
    for batch in documents.iter_batches(columns=["id", "token_count"]):
        _add_ids(ids, batch.column("id"))
        n_uncounted += batch.column("token_count").null_count
        n_tokens += pc.sum(batch.column("token_count")).as_py() or 0
    problems = [f"{path}: {n_uncounted} documents have no token_count; {REMAKE}"] if n_uncounted else []
    said = kept_tokens(receipt.counts)
    if n_tokens != said and not stage.is_packed:
        problems.append(f"{path}: has {n_tokens} tokens, its receipt says {said}; {REMAKE}")
    return Checked(problems, ids_kept=ids.hexdigest(), tokens=n_tokens)


def n_documents(receipt: Receipt) -> int:
    return int(receipt.outputs.get("documents", {}).get("rows", 0))


def kept_tokens(counts: list[Count]) -> int:
    return sum(count["tokens"] for count in counts if count["reason"] is None)


def _starts_with(schema: pa.Schema, ours: pa.Schema) -> bool:
    return list(schema)[: len(ours)] == list(ours)


def _count(ledger: pa.RecordBatch) -> list[Count]:
    """Documents, bytes and tokens by reason and language of some ledger rows."""
    groups = pa.Table.from_batches([ledger]).group_by(["reason", "language"])
    sums = groups.aggregate([([], "count_all"), ("text_bytes", "sum"), ("token_count", "sum")])
    return [
        {
            "reason": row["reason"],
            "language": row["language"],
            "documents": row["count_all"],
            "text_bytes": row["text_bytes_sum"] or 0,
            "tokens": row["token_count_sum"] or 0,
        }
        for row in sums.to_pylist()
    ]


def _add_ids(digest: xxhash.xxh3_128, ids: pa.Array) -> None:
    """Take a column of ids into a digest of their sequence, however it is cut into batches."""
    if len(ids):
        whole = pa.LargeListArray.from_arrays(pa.array([0, len(ids)], pa.int64()), pc.fill_null(ids, ""))
        digest.update(pc.binary_join(whole, "\n")[0].as_buffer())
        digest.update(b"\n")
