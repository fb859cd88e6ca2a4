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

from corpus import storage
from corpus.dataset import Receipt, StageFolder, add_counts, part_name, stage_folders
from pipeline.report import one_line
from pipeline.verify_shard import (
    AGAIN,
    REMAKE,
    Checked,
    Papers,
    check_file,
    check_shard,
    differences,
    kept_tokens,
    n_documents,
)

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


def verify(url: str) -> VerifyResult:
    """Check the run, or the one stage, at `url`, every byte of it. Raises InputError if there is no dataset at all."""
    problems: list[str] = []
    stages = [_read_papers(name, folder, problems) for name, folder in _folders(url, problems)]
    before: dict[int, Checked] = {}
    for at, stage in enumerate(stages):
        problems += _check_manifest(stage)
        problems += _check_listing(stage)
        with ThreadPoolExecutor() as pool:
            results = pool.map(check_shard, repeat(stage), stage.shards)
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
        problems.append(f"{url}: run.json or manifest.json is damaged ({one_line(error)}); {AGAIN}")
        return []


def _read_papers(name: str, folder: StageFolder, problems: list[str]) -> Papers:
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
    return Papers(name, folder, manifest or {}, len(inputs or []), receipts)


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


def _check_manifest(stage: Papers) -> Iterator[str]:
    path = stage.folder.manifest_file
    missing = stage.manifest.get("missing", [])
    for shard in range(stage.n_inputs):
        if shard not in stage.shards and part_name(shard) not in missing and not stage.is_packed:
            yield f"{stage.folder.receipt_file('documents', shard)}: missing; {AGAIN}"
    if not stage.manifest:
        yield f"{path}: missing, the stage is unfinished or its manifest damaged; {AGAIN}"
        return
    listed, there = stage.manifest.get("shards", {}), {part_name(n): r.outputs for n, r in stage.shards.items()}
    for name in sorted(listed.keys() | there.keys()):
        if name not in there:
            yield f"{path}: lists {name}, which has no receipt; {AGAIN}"
        elif name not in listed:
            yield f"{path}: does not list {name}, which has a receipt; {AGAIN}"
        elif listed[name] != there[name]:
            yield f"{path}: says other bytes, rows or checksum for {name} than its receipt; {REMAKE}"
    rows_in = sum(receipt.rows_in for receipt in stage.shards.values())
    if stage.manifest.get("rows_in") != rows_in:
        yield f"{path}: says {stage.manifest.get('rows_in')} rows in, the receipts {rows_in}; {AGAIN}"
    if not stage.is_packed:  # packing decides nothing: its counts are those of the stage before
        counts = add_counts([receipt.counts for receipt in stage.shards.values()])
        yield from differences(path, stage.manifest.get("counts", []), counts, "the receipts")


def _check_listing(stage: Papers) -> Iterator[str]:
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


def _check_other_steps(stage: Papers) -> Iterator[str]:
    for step, of_step in stage.receipts.items():
        for shard, receipt in of_step.items() if step != "documents" else ():
            for kind, output in receipt.outputs.items():
                yield from check_file(stage.folder.file(kind, shard), output)


def _check_chain(
    previous: Papers, stage: Papers, before: Mapping[int, Checked], checked: Mapping[int, Checked]
) -> Iterator[str]:
    """That a stage read what the stage before it wrote: as many rows, in a ledger shard the same ids in the same order."""
    written = {shard: n_documents(receipt) for shard, receipt in previous.shards.items()}
    if stage.is_packed:
        n_packed, n_kept = sum(map(n_documents, stage.shards.values())), sum(written.values())
        if n_packed != n_kept:
            yield f"{stage.folder.url}: holds {n_packed} documents, {previous.name} kept {n_kept}; {AGAIN}"
        n_tokens = sum(of_shard.tokens for of_shard in checked.values())
        said = sum(kept_tokens(receipt.counts) for receipt in previous.shards.values())
        if n_tokens != said and not any(of_shard.problems for of_shard in checked.values()):
            yield f"{stage.folder.url}: holds {n_tokens} tokens, {previous.name} kept {said}; {AGAIN}"
        return
    for shard, receipt in stage.shards.items():
        path = stage.folder.file("ledger", shard)
        if shard not in written:
            yield f"{path}: {previous.name} has no {part_name(shard)} that it could be made from; {REMAKE}"
        elif receipt.rows_in != written[shard]:
            yield f"{path}: {receipt.rows_in} rows in, but {previous.name} kept {written[shard]}; {REMAKE}"
        elif checked[shard].ids_in and before[shard].ids_kept and checked[shard].ids_in != before[shard].ids_kept:
            yield f"{path}: its ids are not those of {previous.name} {part_name(shard)}; {REMAKE}"
