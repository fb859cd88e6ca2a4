"""Whether a dataset is what its receipts and manifests say: files, checksums, and every count made again from the ledgers.

Receipts are not taken at their word: rows, reasons, bytes and tokens are counted again, and the ids of neighbouring stages
are laid side by side (as digests of their sequence), so that shards which changed places together with their receipts are
found too. Everything is streamed; what is held is a digest a shard.
"""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from corpus import storage
from corpus.dataset import Count, Receipt, StageFolder, add_counts, part_name, stage_folders
from corpus.schema import DOCUMENTS, LEDGER
from pipeline.report import READ_ERRORS, one_line

Outputs = Mapping[str, dict[str, Any]]

_DATE = DOCUMENTS.get_field_index("date")
_DOCUMENTS_ON_DISK = DOCUMENTS.set(_DATE, pa.field("date", pa.timestamp("ms", "UTC")))  # Parquet has no seconds

_REMAKE = "delete its receipt and run again"
_AGAIN = "run again with --out of this folder"
_PART = re.compile(r"part-\d{5,}\.(parquet|json)")


@dataclass(frozen=True, slots=True)
class VerifyResult:
    problems: tuple[str, ...]  # one line each: path, what is wrong, what to do
    notes: tuple[str, ...]  # what was not there to be checked, and why that is no failure
    stages: int
    shards: int
    checked_bytes: int  # what the receipts account for, documents dropped on purpose left out

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        verdict = "sound" if self.ok else f"{len(self.problems):,} problems"
        return f"{verdict}: {self.stages} stages, {self.shards:,} shards, {self.checked_bytes:,} bytes checked"


@dataclass(frozen=True)
class _Stage:
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
class _Checked:
    """What one shard's files turned out to be; digests are "" where the ledger could not be read."""

    problems: list[str]
    ids_in: str = ""  # digest of the ids of all ledger rows in order
    ids_kept: str = ""
    tokens: int = 0  # of the documents


def verify(url: str) -> VerifyResult:
    """Check the run, or the one stage, at `url`, every byte of it. Raises InputError if there is no dataset at all."""
    problems: list[str] = []
    stages = [_read_papers(name, folder, problems) for name, folder in _folders(url, problems)]
    before: dict[int, _Checked] = {}
    for at, stage in enumerate(stages):
        problems += _check_manifest(stage)
        problems += _check_listing(stage)
        with ThreadPoolExecutor() as pool:
            results = pool.map(_check_shard, repeat(stage), stage.shards)
            checked = dict(zip(stage.shards, results, strict=True))
        for shard in checked.values():
            problems += shard.problems
        problems += _check_other_steps(stage)
        if at > 0:
            problems += _check_chain(stages[at - 1], stage, before, checked)
        before = checked
    receipts = [(stage, receipt) for stage in stages for step in stage.receipts.values() for receipt in step.values()]
    return VerifyResult(
        problems=tuple(problems),
        notes=tuple(f"{s.folder.url}/documents: dropped after use" for s in stages if s.documents_dropped),
        stages=len(stages),
        shards=sum(len(stage.shards) for stage in stages),
        checked_bytes=sum(output["bytes"] for stage, receipt in receipts for output in stage.outputs(receipt).values()),
    )


def _folders(url: str, problems: list[str]) -> list[tuple[str, StageFolder]]:
    try:
        return stage_folders(url)
    except (ValueError, KeyError, TypeError) as error:
        problems.append(f"{url}: run.json or manifest.json is damaged ({one_line(error)}); {_AGAIN}")
        return []


def _read_papers(name: str, folder: StageFolder, problems: list[str]) -> _Stage:
    manifest = _read_json(folder.manifest_file, dict, problems) if storage.exists(folder.manifest_file) else None
    inputs = _read_json(folder.inputs_file, list, problems) if storage.exists(folder.inputs_file) else None
    receipts: dict[str, dict[int, Receipt]] = {"documents": {}}
    root = storage.join(folder.url, "receipts")
    for step in storage.list_folder(root):
        receipts[step] = {}
        for name_ in storage.list_folder(storage.join(root, step)):
            path = storage.join(root, step, name_)
            if not _PART.fullmatch(name_):
                problems.append(f"{path}: no receipt (left by an interrupted task?); delete it")
                continue
            value = _read_json(path, dict, problems)
            if _is_receipt(value):
                receipts[step][int(name_[5:-5])] = Receipt(**value)
            elif value is not None:
                problems.append(f"{path}: not a receipt; delete it and run again")
    return _Stage(name, folder, manifest or {}, len(inputs or []), receipts)


def _is_receipt(value: Any) -> bool:
    return (
        value is not None
        and {"key", "outputs"} <= value.keys() <= Receipt.__dataclass_fields__.keys()
        and all({"checksum", "bytes", "rows"} <= output.keys() for output in value["outputs"].values())
    )


def _read_json(path: str, kind: type, problems: list[str]) -> Any:
    """The value, None with a problem noted if the file does not hold one of this kind."""
    try:
        value = storage.read_json(path)
    except ValueError as error:
        problems.append(f"{path}: damaged JSON ({one_line(error)}); delete it and run again")
        return None
    if not isinstance(value, kind):
        problems.append(f"{path}: holds no JSON {kind.__name__}; delete it and run again")
        return None
    return value


def _check_manifest(stage: _Stage) -> Iterator[str]:
    path = stage.folder.manifest_file
    missing = stage.manifest.get("missing", [])
    for shard in range(stage.n_inputs):
        if shard not in stage.shards and part_name(shard) not in missing and not stage.is_packed:
            yield f"{stage.folder.receipt_file('documents', shard)}: missing; {_AGAIN}"
    if not stage.manifest:
        yield f"{path}: missing, the stage is unfinished or its manifest damaged; {_AGAIN}"
        return
    listed, there = stage.manifest.get("shards", {}), {part_name(n): r.outputs for n, r in stage.shards.items()}
    for name in sorted(listed.keys() | there.keys()):
        if name not in there:
            yield f"{path}: lists {name}, which has no receipt; {_AGAIN}"
        elif name not in listed:
            yield f"{path}: does not list {name}, which has a receipt; {_AGAIN}"
        elif listed[name] != there[name]:
            yield f"{path}: says other bytes, rows or checksum for {name} than its receipt; {_REMAKE}"
    rows_in = sum(receipt.rows_in for receipt in stage.shards.values())
    if stage.manifest.get("rows_in") != rows_in:
        yield f"{path}: says {stage.manifest.get('rows_in')} rows in, the receipts {rows_in}; {_AGAIN}"
    if not stage.is_packed:  # packing decides nothing: its counts are those of the stage before
        counts = add_counts([receipt.counts for receipt in stage.shards.values()])
        yield from _differences(path, stage.manifest.get("counts", []), counts, "the receipts")


def _differences(path: str, said: list[Count], found: list[Count], where: str) -> Iterator[str]:
    """Every count that is not the same in two lists of counts."""
    left, right = ({(c["reason"], c["language"]): c for c in counts} for counts in (said, found))
    nothing = {"documents": 0, "text_bytes": 0, "tokens": 0}
    for at in sorted(left.keys() | right.keys(), key=lambda at: (at[0] or "", at[1] or "")):
        for name in nothing:
            a, b = left.get(at, nothing)[name], right.get(at, nothing)[name]
            if a != b:
                label = f"{at[0] or 'kept'}, language {at[1]}"
                yield f"{path}: says {a} {name} for {label}, {where} {b}; {_REMAKE}"


def _check_listing(stage: _Stage) -> Iterator[str]:
    """Files that no receipt speaks of: a reader who globs the folder would take them for the dataset."""
    expected: dict[str, set[str]] = {"documents": set(), "ledger": set()}
    for of_step in stage.receipts.values():
        for shard, receipt in of_step.items():
            for kind in stage.outputs(receipt):
                expected.setdefault(kind, set()).add(part_name(shard) + ".parquet")
    for kind, names in expected.items():
        for name in storage.list_folder(storage.join(stage.folder.url, kind)):
            if name not in names:
                why = "left by an interrupted task" if name.startswith(".part-") else "no receipt speaks of it"
                yield f"{storage.join(stage.folder.url, kind, name)}: {why}; delete it"


def _check_other_steps(stage: _Stage) -> Iterator[str]:
    for step, of_step in stage.receipts.items():
        for shard, receipt in of_step.items() if step != "documents" else ():
            for kind, output in receipt.outputs.items():
                yield from _check_file(stage.folder.file(kind, shard), output)


def _check_file(path: str, output: Mapping[str, Any]) -> Iterator[str]:
    """At most one problem: the first of existence, size, checksum and rows that is not as recorded."""
    if not storage.exists(path):
        yield f"{path}: missing; {_REMAKE}"
        return
    n_bytes = storage.info_of(path)["size"]
    if n_bytes != output["bytes"]:
        yield f"{path}: has {n_bytes} bytes, its receipt says {output['bytes']}; {_REMAKE}"
        return
    found = storage.checksum(path)
    if found != output["checksum"]:
        yield f"{path}: has checksum {found}, its receipt says {output['checksum']}; {_REMAKE}"
        return
    try:
        with storage.open_input(path) as file:
            n_rows = pq.ParquetFile(file).metadata.num_rows
    except READ_ERRORS as error:
        yield f"{path}: is no Parquet file ({one_line(error)}); {_REMAKE}"
        return
    if n_rows != output["rows"]:
        yield f"{path}: has {n_rows} rows, its receipt says {output['rows']}; {_REMAKE}"


def _check_shard(stage: _Stage, shard: int) -> _Checked:
    """The files of one shard against its receipt and against each other."""
    receipt = stage.shards[shard]
    needed = {"documents"} if stage.is_packed else {"documents", "ledger"}
    problems = [
        f"{stage.folder.receipt_file('documents', shard)}: names no {kind}; delete it and run again"
        for kind in sorted(needed - receipt.outputs.keys())
    ]
    checked = {"ledger": _Checked([]), "documents": _Checked([])}
    for kind, output in stage.outputs(receipt).items():
        path = stage.folder.file(kind, shard)
        damage = list(_check_file(path, output))
        problems += damage
        if damage or kind not in checked:
            continue
        try:
            with storage.open_input(path) as file:
                check = _check_ledger if kind == "ledger" else _check_documents
                checked[kind] = check(stage, shard, pq.ParquetFile(file))
        except READ_ERRORS as error:
            problems.append(f"{path}: cannot be read ({one_line(error)}); {_REMAKE}")
        problems += checked[kind].problems
    ledger, documents = checked["ledger"], checked["documents"]
    if ledger.ids_kept and documents.ids_kept and ledger.ids_kept != documents.ids_kept:
        path = stage.folder.file("documents", shard)
        problems.append(f"{path}: its ids are not those that the ledger keeps, in order; {_REMAKE}")
    return _Checked(problems, ledger.ids_in, ledger.ids_kept, documents.tokens)


def _check_ledger(stage: _Stage, shard: int, ledger: pq.ParquetFile) -> _Checked:
    """A row for every input row, in order, and the counts that the receipt states."""
    path, receipt = stage.folder.file("ledger", shard), stage.shards[shard]
    if not _starts_with(ledger.schema_arrow, LEDGER):
        return _Checked([f"{path}: its first columns are not those of a ledger ({', '.join(LEDGER.names)}); {_REMAKE}"])
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
    problems = list(_differences(stage.folder.receipt_file("documents", shard), receipt.counts, found, "the ledger"))
    n_kept = sum(count["documents"] for count in found if count["reason"] is None)
    n_documents = _documents(receipt)
    if not in_order:
        wanted = "increasing" if stage.is_sample else "0, 1, 2, … without a gap"
        problems.append(f"{path}: source_row is not {wanted}; {_REMAKE}")
    if ledger.metadata.num_rows != receipt.rows_in:
        problems.append(f"{path}: has {ledger.metadata.num_rows} rows for {receipt.rows_in} rows in; {_REMAKE}")
    if n_kept != n_documents:
        problems.append(f"{path}: keeps {n_kept} rows, but {n_documents} documents were written; {_REMAKE}")
    return _Checked(problems, ids_in.hexdigest(), ids_kept.hexdigest())


def _check_documents(stage: _Stage, shard: int, documents: pq.ParquetFile) -> _Checked:
    """Our columns in front, a token count for each, as many tokens as the receipt states."""
    path, receipt = stage.folder.file("documents", shard), stage.shards[shard]
    if not _starts_with(documents.schema_arrow, _DOCUMENTS_ON_DISK):
        return _Checked([f"{path}: its first columns are not {', '.join(DOCUMENTS.names)} in our types; {_REMAKE}"])
    ids = xxhash.xxh3_128()
    n_uncounted = n_tokens = 0
    for batch in documents.iter_batches(columns=["id", "token_count"]):
        _add_ids(ids, batch.column("id"))
        n_uncounted += batch.column("token_count").null_count
        n_tokens += pc.sum(batch.column("token_count")).as_py() or 0
    problems = [f"{path}: {n_uncounted} documents have no token_count; {_REMAKE}"] if n_uncounted else []
    said = _kept_tokens(receipt.counts)
    if n_tokens != said and not stage.is_packed:
        problems.append(f"{path}: has {n_tokens} tokens, its receipt says {said}; {_REMAKE}")
    return _Checked(problems, ids_kept=ids.hexdigest(), tokens=n_tokens)


def _documents(receipt: Receipt) -> int:
    return int(receipt.outputs.get("documents", {}).get("rows", 0))


def _kept_tokens(counts: list[Count]) -> int:
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


def _check_chain(
    previous: _Stage, stage: _Stage, before: Mapping[int, _Checked], checked: Mapping[int, _Checked]
) -> Iterator[str]:
    """That a stage read what the stage before it wrote: as many rows, in a ledger shard the same ids in the same order."""
    written = {shard: _documents(receipt) for shard, receipt in previous.shards.items()}
    if stage.is_packed:
        n_packed, n_kept = sum(map(_documents, stage.shards.values())), sum(written.values())
        if n_packed != n_kept:
            yield f"{stage.folder.url}: holds {n_packed} documents, {previous.name} kept {n_kept}; {_AGAIN}"
        n_tokens = sum(of_shard.tokens for of_shard in checked.values())
        said = sum(_kept_tokens(receipt.counts) for receipt in previous.shards.values())
        if n_tokens != said and not any(of_shard.problems for of_shard in checked.values()):
            yield f"{stage.folder.url}: holds {n_tokens} tokens, {previous.name} kept {said}; {_AGAIN}"
        return
    for shard, receipt in stage.shards.items():
        path = stage.folder.file("ledger", shard)
        if shard not in written:
            yield f"{path}: {previous.name} has no {part_name(shard)} that it could be made from; {_REMAKE}"
        elif receipt.rows_in != written[shard]:
            yield f"{path}: {receipt.rows_in} rows in, but {previous.name} kept {written[shard]}; {_REMAKE}"
        elif checked[shard].ids_in and before[shard].ids_kept and checked[shard].ids_in != before[shard].ids_kept:
            yield f"{path}: its ids are not those of {previous.name} {part_name(shard)}; {_REMAKE}"
