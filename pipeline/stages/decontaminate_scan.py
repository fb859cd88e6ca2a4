"""Decontaminate, its first half: where the documents of a shard have words of evaluation items, kept for each evaluation set.

A *scan* looks for a group of sets at once and writes what it finds in numbers that belong to the set alone. `scans.json` in the
stage's folder names the sets of each scan with the digest of their files: a set that is added later is a scan of its own, and
the others' texts are not read again. Since nothing that is found of a set depends on other sets, how sets fell into scans
makes no difference to any verdict.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus import storage
from corpus.dataset import TableWriter
from corpus.text import Texts
from dedup.evaluation_hits import Hits, document_frequency, find_hits
from dedup.evaluation_index import EvaluationIndex, build_index
from dedup.evaluation_sets import EvaluationSets, read_evaluation_sets
from pipeline.contamination_table import EVALS
from pipeline.outcome import batches_of
from pipeline.stage_run import StageRun
from pipeline.steps import Made, Plan, Step, tick

Scan = dict[str, str]  # evaluation set → digest of its files

_SET = ("set", pa.string())
# document: source row; part, word: of the set
_HITS = pa.schema([_SET, *((name, pa.int64()) for name in Hits._fields)])
_FREQUENCIES = pa.schema([_SET, ("gram", pa.int64()), ("documents", pa.int64())])
_ROW_GROUP = 100_000


# --- sets -------------------------------------------------------------------------------------------------------------


def evaluation_sets(section: Mapping[str, Any]) -> EvaluationSets:
    return read_evaluation_sets(section["evals"], section["fields"])


def file_versions(section: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each evaluation file; reading them all is also the check that they can be read."""
    return {f"{EVALS}{file}": digest for file, digest in evaluation_sets(section).identity.items()}


def set_digests(plan: Plan) -> Scan:
    """The plan's evaluation sets as they are now."""
    files: defaultdict[str, list[str]] = defaultdict(list)
    for name, version in sorted(plan.versions.items()):
        if name.startswith(EVALS):  # a file is named SET/FILE
            files[name.removeprefix(EVALS).split("/")[0]].append(f"{name} {version}")
    return {
        name: hashlib.blake2b("\n".join(of_set).encode(), digest_size=16).hexdigest() for name, of_set in files.items()
    }


@lru_cache(maxsize=2)
def _index(section_json: str, versions_json: str, sets: tuple[str, ...]) -> EvaluationIndex:
    items = evaluation_sets(json.loads(section_json)).items
    return build_index(sorted((item for item in items if item.set in sets), key=lambda item: item.set))


def index_of(plan: Plan, sets: Mapping[str, str]) -> EvaluationIndex:
    """The index of these of the plan's sets, in the order of their names."""
    return _index(json.dumps(plan.section), json.dumps(plan.versions), tuple(sorted(sets)))


class _Places(NamedTuple):
    """Where each set begins in an index of theirs."""

    names: pa.Array
    parts: NDArray[np.int64]
    words: NDArray[np.int64]


def _places(index: EvaluationIndex) -> _Places:
    encoded = index.item_set.dictionary_encode()
    _, items = np.unique(encoded.indices.to_numpy(), return_index=True)
    parts = index.item_parts[items].astype(np.int64)
    return _Places(encoded.dictionary, parts, index.part_words[parts].astype(np.int64))


# --- scans ------------------------------------------------------------------------------------------------------------


def _scans_file(plan: Plan) -> str:
    return storage.join(plan.folder, "scans.json")


def scans_of(plan: Plan) -> dict[str, Scan]:
    """The scans that have one of the plan's sets, by name, with those of their sets that are the plan's as they are now."""
    wanted = set_digests(plan)
    known: dict[str, Scan] = storage.read_json(_scans_file(plan)) if storage.exists(_scans_file(plan)) else {}
    left = {
        name: {key: digest for key, digest in scan.items() if wanted.get(key) == digest} for name, scan in known.items()
    }
    return {name: scan for name, scan in left.items() if scan}


def run_scans(run: StageRun) -> None:
    """Scan for the sets that have not been looked for yet, in the shards where they have not been."""
    plan = run.plan
    scans = scans_of(plan)
    path = _scans_file(plan)
    known = storage.read_json(path) if storage.exists(path) else {}
    for name in known.keys() - scans.keys():  # nobody asks for it any more
        for folder in (*_kinds(name), f"receipts/{_kinds(name)[0]}"):
            storage.remove(storage.join(plan.folder, folder))
    done = {name for scan in scans.values() for name in scan}
    new = {name: digest for name, digest in set_digests(plan).items() if name not in done}
    if new:
        scans["scan-" + hashlib.blake2b(json.dumps(new, sort_keys=True).encode(), digest_size=8).hexdigest()] = new
    # Of a scan, a set that is left out here is not in the shards that are scanned from now on.
    storage.write_json(path, scans)
    for name in scans:
        hits, _ = kinds = _kinds(name)
        keys = [_key(plan, hits, source["identity"]) if source["identity"] else None for source in plan.inputs]
        run.barrier_step(Step(hits, kinds, partial(write_hits, name)), keys)


def _kinds(scan: str) -> tuple[str, str]:
    return f"{scan}-hits", f"{scan}-frequencies"


def _key(plan: Plan, step: str, identity: str) -> str:
    """What decides a scan of a shard: its sets, which its name is a digest of, and the texts; not other sets or the method."""
    versions = {name: version for name, version in plan.versions.items() if not name.startswith(EVALS)}
    return replace(plan, section={}, versions=versions, tokenizer="").key(step, identity)


def write_hits(scan: str, plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    hits_kind, frequencies_kind = _kinds(scan)
    index = index_of(plan, scans_of(plan)[scan])
    names, parts, words = _places(index)
    documents = np.zeros(index.n_grams, np.int64)
    writer = TableWriter(files[hits_kind], _ROW_GROUP)
    writer.write(pa.RecordBatch.from_pylist([], schema=_HITS))
    rows_in = 0
    for rows, batch in batches_of(plan, shard):
        rows_in += len(rows)
        hits = find_hits(Texts.of(batch.column("text")), index)
        documents += document_frequency(hits, index)
        of_set = np.searchsorted(parts, hits.part, "right") - 1
        columns = hits._replace(
            document=rows.to_numpy()[hits.document], part=hits.part - parts[of_set], word=hits.word - words[of_set]
        )
        writer.write(pa.RecordBatch.from_arrays([names.take(pa.array(of_set)), *columns], schema=_HITS))
        tick(len(rows))
    writer.close()
    grams = np.flatnonzero(documents)
    of_set = np.searchsorted(words, grams, "right") - 1
    found = [names.take(pa.array(of_set)), grams - words[of_set], documents[grams]]
    pq.write_table(pa.table(found, schema=_FREQUENCIES), files[frequencies_kind], compression="zstd")
    return Made(rows_in)


# --- what was found ---------------------------------------------------------------------------------------------------


def _read(
    plan: Plan, number: int, shard: int, places: _Places
) -> Iterator[tuple[pa.Table, NDArray[Any], NDArray[Any]]]:
    """Of each scan, the rows of output `number` that are of the plan's sets; for each, its set's first part and word."""
    for scan, sets in scans_of(plan).items():
        with storage.open_input(plan.stage_folder.file(_kinds(scan)[number], shard)) as file:
            table = pq.read_table(file)
        table = table.filter(pc.is_in(table["set"], pa.array(sets, pa.string())))
        of_set = pc.index_in(table["set"], places.names).to_numpy()
        yield table, places.parts[of_set], places.words[of_set]


def read_hits(plan: Plan, shard: int, index: EvaluationIndex) -> Hits:
    """All hits of a shard, by source row, in the numbers of `index`."""
    columns = [
        [table[name].to_numpy() + {"part": part, "word": word}.get(name, 0) for name in Hits._fields]
        for table, part, word in _read(plan, 0, shard, _places(index))
    ]
    hits = Hits(*(np.concatenate(column) for column in zip(*columns, strict=True)))
    return hits.where(np.argsort(hits.document, kind="stable"))


def corpus_frequency(plan: Plan, index: EvaluationIndex) -> NDArray[np.int64]:
    """int64[n_grams]: in how many documents of the corpus each gram of `index` occurs."""
    documents = np.zeros(index.n_grams, np.int64)
    shards = {shard for scan in scans_of(plan) for shard in plan.stage_folder.receipts(_kinds(scan)[0])}
    places = _places(index)
    for shard in sorted(shards):
        for table, _, word in _read(plan, 1, shard, places):
            documents[table["gram"].to_numpy() + word] += table["documents"].to_numpy()
    return documents
