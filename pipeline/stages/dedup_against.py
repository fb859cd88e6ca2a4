"""Dedup against earlier runs: a new crawl is matched with their index, and they are never changed.

The index of a run is what its dedup stage leaves beside documents and ledger: digests of URLs and texts of all documents,
the band keys of those that the URL and the text step left, and every verdict; with `store_tokens`, of those that exact
substrings were looked for in, the tokens (a slow tokenizer's anyway). Text is not part of it, so `--drop-intermediate` takes
nothing away, and of an earlier run no text is read. With `verify`, the sets of shingles of all documents that were signed are
part of it, which `store_shingles` keeps.

Documents of earlier runs take part in each step as far as their own run let them get, are preferred to all others (those of
the run that is named first to those of the next), and keep their verdicts. If each of them was itself matched against those
before it, the new run's verdicts are those of one run over everything that prefers what is older. A new document can *bridge*
two that an earlier run kept, by being like both; one run over everything would remove one of them. Here both stay, and
`bridged/` lists them.

Exact substrings are found as in one run over everything, and acted on in this run only. Its spans are compared with the texts
of earlier documents as these came to their runs, also where a run cut or dropped them for a span; with `cut_later`, no copy
here is the first. Bridged documents take part, since they stay.

Verified pairs are those of one run over everything, but for what a run has compared of its own in buckets that only all
together are too large (`dedup.pairs`): there `duplicate_of` may name another document, while the same new ones go.

Cost: 5,000 documents of 200 words take 0.56 s alone, 0.84 s against 45,000 earlier ones, and all together in one run 4.8 s. Of
the earlier band keys only those that the new ones hit are kept in memory, but all digests and verdicts are: about 100 bytes a
document of every run. Exact substrings of 1.7 MB of pages: 0.35 s alone, 0.52 s against 15 MB, and all together 1.9 s.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import storage
from corpus.dataset import StageFolder, part_name, stage_folders
from corpus.errors import ConfigError, InputError
from dedup.library import REASONS
from pipeline.stages.dedup_shards import Numbering, Run
from pipeline.steps import Plan

_INDEX = ("digests", "bands", "stored_shingles", "clusters", "minimizers")  # steps whose outputs a later run reads


@dataclass(frozen=True)
class Index:
    """What an earlier run's finished dedup stage has to offer."""

    folder: StageFolder
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: str) -> "Index":
        """Of the dedup stage, or of the run with one, at `path`. Raises ConfigError if there is none, or not all of it."""
        try:
            folders = [folder for _, folder in stage_folders(path)]
        except InputError as error:
            raise ConfigError(f"dedup.against: {error}") from None
        manifests = [(folder, _manifest(folder)) for folder in folders]
        found = [(folder, manifest) for folder, manifest in manifests if manifest.get("stage") == "dedup"]
        if not found:
            raise ConfigError(f"dedup.against: {path} has no finished dedup stage; finish it, or name another folder")
        if len(found) > 1:
            names = " or ".join(folder.url for folder, _ in found)
            raise ConfigError(f"dedup.against: {path} has {len(found)} dedup stages; name {names}")
        return cls(*found[0])

    @cached_property
    def digest(self) -> str:
        """Of the index's content, as its receipts have it. Raises ConfigError if a file is gone."""
        content = []
        for step in _INDEX:
            there: dict[str, set[str]] = {}
            for item, receipt in sorted(self.folder.receipts(step).items()):
                for kind in receipt.outputs:
                    names = there.setdefault(kind, set(storage.list_folder(storage.join(self.folder.url, kind))))
                    if part_name(item) + ".parquet" not in names:
                        file = self.folder.file(kind, item)
                        raise ConfigError(f"dedup.against: {file} is gone; run the dedup of {self.folder.url} again")
                content.append([step, item, receipt.outputs])
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()

    def has(self, step: str, kind: str) -> bool:
        """Whether that step of it left files of this kind."""
        receipts = self.folder.receipts(step)
        return bool(receipts) and all(kind in receipt.outputs for receipt in receipts.values())

    @property
    def runs(self) -> list[str]:
        """The digests of the runs that it was itself matched against, in order."""
        named = self.manifest["versions"]
        return [named[_name(position)] for position in range(len(self.manifest["config"].get("against", [])))]


def _manifest(folder: StageFolder) -> dict[str, Any]:
    found: dict[str, Any] = storage.read_json(folder.manifest_file) if storage.exists(folder.manifest_file) else {}
    return found


def _name(position: int) -> str:
    return f"against {position + 1}"


def identity(section: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each index. Raises ConfigError for what cannot be done with earlier runs."""
    if not section["against"]:
        return {}
    digests = [Index.open(path).digest for path in section["against"]]
    for position, digest in enumerate(digests):
        if digest in digests[:position]:
            raise ConfigError(f"dedup.against: {section['against'][position]} is named twice")
    return {_name(position): digest for position, digest in enumerate(digests)}


def refuse_other_parameters(section: Mapping[str, Any], versions: Mapping[str, str]) -> None:
    """Raises ConfigError if keys or verdicts of an earlier run mean something else than those of this one."""
    ours = _parameters(section, versions, section)
    digests = [versions[_name(position)] for position in range(len(section["against"]))]
    for position, path in enumerate(section["against"]):
        index = Index.open(path)
        theirs = _parameters(index.manifest["config"], index.manifest["versions"], section)
        other = [name for name in sorted(ours | theirs) if ours.get(name) != theirs.get(name)]
        verifies = section["verify"] and "minhash" in section["methods"]
        if verifies and not index.has("stored_shingles", "stored_shingles"):
            raise ConfigError(
                f"dedup.against: {path} has no shingles to verify pairs by; run its dedup again with dedup.verify=true "
                "and dedup.store_shingles=true, or set dedup.verify=false here"
            )
        if "substring" in section["methods"] and not index.has("minimizers", "tokens"):
            raise ConfigError(
                f"dedup.against: {path} has no tokens to find substrings by; run its dedup again with the method substring "
                "and dedup.store_tokens=true, or leave substring out of dedup.methods here"
            )
        if other:
            differences = ", ".join(f"{name} {theirs.get(name)} (here {ours.get(name)})" for name in other)
            raise ConfigError(f"dedup.against: {path} was made with {differences}; make them equal")
        for named, digest in zip(index.manifest["config"].get("against", []), index.runs, strict=True):
            if digest not in digests[:position]:
                raise ConfigError(
                    f"dedup.against: {path} was matched against {named}; name it too, before {path}, "
                    "and if it has changed since, run the later one again"
                )


def _parameters(section: Mapping[str, Any], versions: Mapping[str, str], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What decides keys and verdicts of a run, as far as what is `asked` for depends on it."""
    others = ("pyarrow", "substring", "against", "ledgers", *(() if section["unit"] == "tokens" else ("tokenizer",)))
    deciding: dict[str, Any] = {name: value for name, value in versions.items() if not name.startswith(others)}
    if "substring" in asked["methods"]:
        deciding |= {"substring": versions.get("substring"), "min_tokens": section["substring"]["min_tokens"]}
    if asked["verify"]:
        deciding |= {name: section[name] for name in ("min_jaccard", "max_bucket_documents")}
    methods = [method for method in section["methods"] if method != "substring"]
    return deciding | {"methods": sorted(methods), "scope": section["scope"], "verify": section["verify"]}


def earlier_runs(plan: Plan) -> list[Run]:
    """The earlier runs, for `Numbering`."""
    digests = [plan.versions[_name(position)] for position in range(len(plan.section["against"]))]
    runs: list[Run] = []
    for position, path in enumerate(plan.section["against"]):
        index = Index.open(path)
        with storage.open_input(index.folder.file("clusters", 0)) as file:
            metadata = pq.read_metadata(file)
        n_rows = [metadata.row_group(shard).num_rows for shard in range(metadata.num_row_groups)]
        known = [position, *(digests.index(digest) for digest in index.runs)]
        runs.append({"folder": index.folder.url, "n_rows": n_rows, "known": known})
    return runs


def verdicts(numbering: Numbering) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """(kept, removed_by) of the documents of earlier runs, as these decided: see `dedup.clusters.Survivors`."""
    kept, removed_by = np.arange(numbering.n_earlier), np.full(numbering.n_earlier, -1, np.int8)
    for run in range(numbering.n_runs - 1):
        table = _read(numbering, run, "clusters", ["reason", "duplicate_of"]).combine_chunks()
        gone = table["reason"].is_valid().to_numpy()
        mine = numbering.of_run(run)
        removed_by[mine][gone] = pc.index_in(table["reason"].drop_null(), pa.array(REASONS)).to_numpy()
        kept[mine][gone] = numbering.numbers(run, table["duplicate_of"].drop_null().to_numpy())
    return kept, removed_by


def edges(numbering: Numbering, kept: NDArray[np.int64], removed_by: NDArray[np.int8]) -> Iterator[NDArray[np.int64]]:
    """What joins documents of earlier runs: clusters of near-duplicates, and bridges between these."""
    near = np.flatnonzero(removed_by == REASONS.index("dedup.minhash"))
    yield np.stack([near, kept[near]], axis=1)
    yield from _bridges(numbering)


def _bridges(numbering: Numbering) -> Iterator[NDArray[np.int64]]:
    """(document, joined_to) of each earlier run that was itself matched against others."""
    for run in range(numbering.n_runs - 1):
        if len(numbering.known(run)) > 1:
            table = _read(numbering, run, "bridged", ["document", "joined_to"])
            yield np.stack([numbering.numbers(run, column.to_numpy()) for column in table.columns], axis=1)


def bridged(
    numbering: Numbering, removed_by: NDArray[np.int8], near: NDArray[np.int64], in_place_of: NDArray[np.int64]
) -> pa.Table:
    """Documents that earlier runs kept and this one joins to others of theirs; of all these, `joined_to` would stay.

    `removed_by`: by their own runs; `near`: clusters of near-duplicates; `in_place_of`: which document of each is preferred.
    """
    documents = np.flatnonzero((removed_by < 0) & (in_place_of[: len(removed_by)] != np.arange(len(removed_by))))
    documents = np.setdiff1d(
        documents, np.concatenate([pairs[:, 0] for pairs in _bridges(numbering)] or [documents[:0]])
    )
    first_own = np.full(len(numbering), len(numbering))
    np.minimum.at(first_own, near[numbering.own], np.arange(numbering.n_earlier, len(numbering)))
    columns: dict[str, Any] = {}
    for name, numbers in (
        ("document", documents),
        ("joined_to", in_place_of[documents]),
        ("joined_by", first_own[near[documents]]),  # the first of this run in the cluster
    ):
        columns |= {name: numbering.keys(numbers), f"{name}_id": numbering.ids(numbers)}
    return pa.table(columns)


def notes(plan: Plan, n_repeated: int) -> list[str]:
    """What the manifest says: `n_repeated` documents have their original in an earlier run."""
    found = [f"documents that repeat one of {', '.join(plan.section['against'])}: {n_repeated:,}"]
    with storage.open_input(plan.stage_folder.file("bridged", 0)) as file:
        n_bridged = pq.read_metadata(file).num_rows
    if n_bridged:
        found.append(
            f"documents of earlier runs that this one's join to others there, and that stay (bridged/): {n_bridged:,}"
        )
    return found


def _read(numbering: Numbering, run: int, kind: str, columns: list[str]) -> pa.Table:
    with storage.open_input(numbering.folders[run].file(kind, 0)) as file:
        return pq.read_table(file, columns=columns)
