"""`verify: true` through the whole stage, and what the ledger says of likeness: checked with Python's sets."""

import json
from io import StringIO
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import run
from rich.console import Console

from corpus.text import Texts
from dedup import dedup_texts
from dedup.minhash import MinHashSettings, band_keys
from pipeline.config import resolve
from pipeline.report.explain import explain, render
from pipeline.stages import dedup_pairs

LOOSE = {"bands": 12, "rows": 2, "ngram": 2}  # many candidates that are not alike
MIN_JACCARD = 0.5


def some_texts() -> list[str]:
    """Texts of 30 words; each has a few relatives with some of its words changed."""
    random = np.random.default_rng(5)
    texts = []
    for _ in range(25):
        words = random.choice([f"w{number}" for number in range(400)], 30)
        for n_changed in (0, 1, 3, 6, 10):
            relative = words.copy()
            relative[random.choice(30, n_changed, replace=False)] = [
                f"new{random.integers(10**6)}" for _ in range(n_changed)
            ]
            texts.append(" ".join(relative))
    return [texts[number] for number in random.permutation(len(texts))]


def shingle_set(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return set(pairwise(words))


def exact(left: str, right: str) -> float:
    a, b = shingle_set(left), shingle_set(right)
    return float(np.float32(len(a & b) / len(a | b)))


TEXTS = some_texts()
KEYS = band_keys(Texts.of(TEXTS), MinHashSettings(**LOOSE))[0]
BANDS = {pair: int((KEYS[pair[0]] == KEYS[pair[1]]).sum()) for pair in combinations(range(len(TEXTS)), 2)}
CANDIDATES = {pair: exact(*(TEXTS[number] for number in pair)) for pair, shared in BANDS.items() if shared}


def clusters_of(pairs: Any) -> list[int]:
    smallest = list(range(len(TEXTS)))
    for left, right in sorted(pairs) * len(TEXTS):
        smallest[left] = smallest[right] = min(smallest[left], smallest[right])
    return smallest


def write_shards(folder: Path, n_shards: int) -> str:
    folder.mkdir()
    size = -(-len(TEXTS) // n_shards)
    for shard in range(n_shards):
        part = TEXTS[shard * size : (shard + 1) * size]
        ids = [str(shard * size + row) for row in range(len(part))]
        pq.write_table(pa.table({"id": ids, "url": ids, "text": part}), folder / f"{shard}.parquet")
    return str(folder)


def dedup(out: Path, inputs: str, *settings: str) -> list[dict[str, Any]]:
    """The ledger's rows, keys of documents brought to numbers."""
    given = [f"dedup.minhash={json.dumps(LOOSE)}", f"dedup.min_jaccard={MIN_JACCARD}", "dedup.max_bucket_documents=99"]
    recipe = resolve({"stages": [{"dedup": {}}]}, ["cluster.workers=0", *given, *settings], "test")
    run(recipe, out, inputs, packed=False)
    tables = [pq.read_table(path) for path in sorted((out / "ledger").glob("*.parquet"))]
    first = np.cumsum([0, *map(len, tables)])
    rows = pa.concat_tables(tables).to_pylist()
    for row in rows:
        for name in ("duplicate_of", "cluster_id", "matched_with"):
            if row[name] is not None:
                row[name] = int(first[row[name] >> 32]) + (row[name] & 0xFFFFFFFF)
    return rows


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("verified")
    one, five = write_shards(folder / "one", 1), write_shards(folder / "five", 5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dedup_pairs, "_PAIRS_AT_ONCE", 7)
        many = dedup(folder / "c", five, "dedup.verify=true", "dedup.memory=4000")
    return {
        "verified": dedup(folder / "a", one, "dedup.verify=true"),
        "five shards": dedup(folder / "b", five, "dedup.verify=true"),
        "many ranges": many,
        "not verified": dedup(folder / "d", one),
    }


def test_clusters_are_made_of_pairs_that_share_a_band_and_are_alike_enough(ledgers) -> None:
    verified = clusters_of(pair for pair, jaccard in CANDIDATES.items() if jaccard >= MIN_JACCARD)
    all_candidates = clusters_of(CANDIDATES)
    assert len(set(verified)) > len(set(all_candidates)) + 10  # there is something to verify
    for name, expected in (("verified", verified), ("not verified", all_candidates)):
        kept = [row["duplicate_of"] if row["reason"] else number for number, row in enumerate(ledgers[name])]
        assert kept == expected


def test_verdicts_do_not_depend_on_shards_and_ranges(ledgers) -> None:
    assert [{**row, "source_row": 0} for row in ledgers["five shards"]] == [
        {**row, "source_row": 0} for row in ledgers["verified"]
    ]
    assert ledgers["many ranges"] == ledgers["five shards"]


@pytest.mark.parametrize("name", ["verified", "not verified"])
def test_the_ledger_names_the_closest_document_of_the_cluster_with_both_similarities(ledgers, name: str) -> None:
    is_verified = name == "verified"
    for number, row in enumerate(ledgers[name]):
        found = [row[column] for column in ("matched_with", "matching_bands", "estimated_jaccard", "exact_jaccard")]
        if row["reason"] is None:
            assert found == [None] * 4
            continue
        others = [
            (-(jaccard if is_verified else BANDS[pair]), sum(pair) - number, pair)
            for pair, jaccard in CANDIDATES.items()
            if number in pair and (jaccard >= MIN_JACCARD or not is_verified)
        ]
        _, other, pair = min(others)
        estimated = float(np.float32((BANDS[pair] / LOOSE["bands"]) ** (1 / LOOSE["rows"])))
        assert found == [other, BANDS[pair], pytest.approx(estimated), CANDIDATES[pair] if is_verified else None]


def test_the_library_gives_the_same_verdicts(ledgers) -> None:
    for is_verified, name in ((True, "verified"), (False, "not verified")):
        table = dedup_texts(
            TEXTS,
            minhash=MinHashSettings(**LOOSE),
            verify=is_verified,
            min_jaccard=MIN_JACCARD,
            max_bucket_documents=99,
        )
        assert table["duplicate_of"].to_pylist() == [row["duplicate_of"] for row in ledgers[name]]


def test_capped_buckets_are_counted_in_the_manifest(tmp_path: Path) -> None:
    inputs = write_shards(tmp_path / "in", 2)
    ledger = dedup(tmp_path / "out", inputs, "dedup.max_bucket_documents=3")
    assert [row["duplicate_of"] for row in ledger] == [
        None if kept == number else kept for number, kept in enumerate(clusters_of(CANDIDATES))
    ]
    sizes = [np.unique(KEYS[:, band], return_counts=True)[1] for band in range(LOOSE["bands"])]
    n_capped = sum(int((of_band > 3).sum()) for of_band in sizes)
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
    assert n_capped > 0
    assert f"{n_capped} buckets of more than 3 documents: each compared with the first of its bucket only" in notes


def test_explain_says_how_like_the_documents_are(tmp_path: Path) -> None:
    texts = [TEXTS[0], TEXTS[0] + " and more"]
    pq.write_table(pa.table({"id": ["a", "b"], "text": texts}), tmp_path / "in.parquet")
    dedup(tmp_path / "out", str(tmp_path / "in.parquet"), "dedup.verify=true")
    (story,) = explain(str(tmp_path / "out"), "b")
    ledger = story.entries[0].ledger
    console = Console(file=StringIO(), width=200)
    console.print(render([story]))
    shown = console.file.getvalue()
    assert f"matched it in {ledger['matching_bands']} bands: Jaccard about {ledger['estimated_jaccard']:.2f}, " in shown
    assert f"exactly {exact(*texts):.2f}" in shown
