"""`refine dedup NEW --against OLD`: the verdicts of one run over both, from OLD's index alone, which stays as it is."""

import json
import shutil
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import digests, refine, run
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError
from corpus.schema import document_place
from pipeline.config import resolve
from pipeline.report.explain import entry_lines, explain

MINHASH = 'dedup.minhash={"bands": 20, "rows": 1, "ngram": 1}'  # a third of the words in common is enough
Document = tuple[int, int, int | None, int]  # first half, second half, URL, score

EXAMPLES = 6
NAMES = ("duplicate_of", "cluster_id", "matched_with")


def half(side: str, number: int) -> str:
    return " ".join(f"{side}{number}x{word}" for word in range(15))


def write(folder: Path, documents: Sequence[Document], first: int, above: int = 0, n_shards: int = 2) -> str:
    """Shards of documents that are named by their numbers from `first` on. Documents that share a half are near-duplicates."""
    folder.mkdir(parents=True)
    for shard in range(n_shards):
        numbers = range(len(documents) * shard // n_shards, len(documents) * (shard + 1) // n_shards)
        rows = [
            {
                "id": str(first + number),
                "url": None if url is None else f"http://a.example/{url}",
                "text": f"{half('a', left)} {half('b', right)}",
                "score": score + above,
            }
            for number in numbers
            for left, right, url, score in [documents[number]]
        ]
        schema = pa.schema([("id", pa.string()), ("url", pa.string()), ("text", pa.string()), ("score", pa.int64())])
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{shard}.parquet")
    return str(folder)


def dedup(out: Path, inputs: str | list[str], *given: str, against: Sequence[Path] = (), **options: object) -> None:
    every = ["cluster.workers=0", MINHASH, *given, f"dedup.against={json.dumps([str(path) for path in against])}"]
    run(resolve({"stages": [{"dedup": {}}]}, every, "test"), out, inputs, packed=False, **options)  # type: ignore[arg-type]


def ledger(out: Path, numbers: Sequence[Sequence[range]]) -> list[dict[str, Any]]:
    """Rows of the ledger with keys as numbers; `numbers`: of each shard of each run, its own run first."""
    rows = [row for path in sorted((out / "ledger").iterdir()) for row in pq.read_table(path).to_pylist()]
    for row in rows:
        del row["source_row"]
        for name in NAMES:
            if row[name] is not None:
                of_run, shard, at = document_place(row[name])
                row[name] = numbers[of_run][shard][at]
    return rows


def halves(start: int, stop: int) -> list[range]:
    middle = (stop - start) // 2
    return [range(start, start + middle), range(start + middle, stop)]


DOCUMENT = st.tuples(st.integers(0, 9), st.integers(0, 9), st.none() | st.integers(0, 15), st.integers(0, 3))


def bridged(out: Path, numbers: Sequence[Sequence[range]]) -> list[tuple[int, int, int]]:
    """(document, joined to, joined by) as numbers."""
    found = []
    for row in pq.read_table(out / "bridged").to_pylist():
        places = [document_place(row[name]) for name in ("document", "joined_to", "joined_by")]
        found.append(tuple(numbers[of_run][shard][at] for of_run, shard, at in places))
        assert found[-1] == tuple(int(row[f"{name}_id"]) for name in ("document", "joined_to", "joined_by"))
    return found


@given(st.lists(DOCUMENT, min_size=8, max_size=24), st.data())
@settings(max_examples=EXAMPLES)
def test_verdicts_are_those_of_one_run_over_everything_that_prefers_the_earlier(in_turn, documents, data) -> None:
    bounds = [0, *sorted(data.draw(st.integers(1, len(documents) - 1)) for _ in range(2)), len(documents)]
    keep = data.draw(st.sampled_from(["dedup.keep=first", "dedup.keep={highest: score}"]))
    ranges = [data.draw(st.sampled_from(["2GiB", "20kB", "3kB"])) for _ in range(3)]
    with TemporaryDirectory() as folder:
        root = Path(folder)
        parts, numbers, found, is_bridged = [], [], [], set()
        for number, (start, stop) in enumerate(pairwise(bounds)):
            parts.append(write(root / f"in{number}", documents[start:stop], start, above=(2 - number) * 10))
            old = [root / str(earlier) for earlier in range(number)]
            dedup(root / str(number), parts[-1], keep, f"dedup.memory={ranges[number]}", against=old)
            numbers.append(halves(start, stop))
            found += ledger(root / str(number), [numbers[-1], *numbers[:-1]])
            if old:
                is_bridged |= {each[0] for each in bridged(root / str(number), [numbers[-1], *numbers[:-1]])}
        dedup(root / "all", parts, keep)
        everything = ledger(root / "all", [list(chain(*numbers))])
        assert found[bounds[2] :] == everything[bounds[2] :]
        assert is_bridged == {
            number
            for number, (own, one) in enumerate(zip(found, everything, strict=True))
            if own["reason"] is None and one["reason"] is not None
        }
        assert [row["reason"] is None for row in found] == [
            row["reason"] is None or number in is_bridged for number, row in enumerate(everything)
        ]


@given(st.lists(DOCUMENT, min_size=6, max_size=18), st.data())
@settings(max_examples=EXAMPLES)
def test_of_runs_that_do_not_know_each_other_each_keeps_its_verdicts(in_turn, documents, data) -> None:
    bounds = [0, *sorted(data.draw(st.integers(1, len(documents) - 1)) for _ in range(2)), len(documents)]
    with TemporaryDirectory() as folder:
        root = Path(folder)
        rows: list[dict[str, Any]] = []
        numbers: list[list[range]] = []
        for number, (start, stop) in enumerate(pairwise(bounds)):
            part = write(root / f"in{number}", documents[start:stop], start)
            dedup(root / str(number), part, against=[root / "0", root / "1"] if number == 2 else [])
            numbers.append(halves(start, stop))
            rows += ledger(root / str(number), [numbers[-1], *numbers[:-1]])
    reasons = [row["reason"] for row in rows]
    expected = expected_reasons(documents, reasons[: bounds[2]])
    assert reasons[bounds[2] :] == expected
    for row in rows[bounds[2] :]:
        if row["duplicate_of"] is not None:
            assert reasons[row["duplicate_of"]] is None


def expected_reasons(documents: list[Document], earlier: list[str | None]) -> list[str | None]:
    """Why each document after the `earlier` ones goes, when of those it is known why each went."""
    gone: dict[int, str] = {}
    new = range(len(earlier), len(documents))
    for reason, value in (("dedup.urls", lambda d: d[2]), ("dedup.exact", lambda d: d[:2])):
        later = {"dedup.urls": (None,), "dedup.exact": ("dedup.urls",)}[reason]
        seen = {
            value(documents[n]) for n, its_reason in enumerate(earlier) if its_reason is None or its_reason not in later
        }
        for number in new:
            known = value(documents[number])
            if number not in gone and known is not None:
                if known in seen:
                    gone[number] = reason
                seen.add(known)
    left = [n for n, reason in enumerate(earlier) if reason in (None, "dedup.minhash")] + [
        n for n in new if n not in gone
    ]
    kept: list[set[tuple[str, int]]] = []  # the halves of each cluster of what is left
    for number in left:
        mine = {("a", documents[number][0]), ("b", documents[number][1])}
        hit = [halves for halves in kept if halves & mine]
        if hit and number in new:
            gone[number] = "dedup.minhash"
        kept = [halves for halves in kept if not halves & mine] + [mine.union(*hit)]
    # a document that joins clusters of new ones only: its first member stays, the others go
    clusters: dict[int, int] = {}
    for number in left:
        mine = {("a", documents[number][0]), ("b", documents[number][1])}
        (cluster,) = [at for at, halves in enumerate(kept) if halves & mine]
        if number in new and cluster in clusters:
            gone[number] = "dedup.minhash"
        clusters.setdefault(cluster, number)
    return [gone.get(number) for number in new]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Two documents that have nothing in common, and a copy of the first."""
    dedup(tmp_path / "old", write(tmp_path / "in-old", [(1, 1, 1, 0), (2, 2, 2, 0), (1, 1, 3, 0)], 0, n_shards=1))
    return tmp_path / "old"


NEW: list[Document] = [(5, 5, None, 0), (1, 2, None, 0), (7, 7, 2, 0), (2, 2, None, 0), (5, 5, None, 0)]


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_an_earlier_document_that_is_bridged_is_reported_and_stays(tmp_path: Path, old: Path) -> None:
    before = state(old)
    dedup(tmp_path / "new", write(tmp_path / "in", NEW, 3, n_shards=1), against=[old])
    assert state(old) == before
    rows = ledger(tmp_path / "new", [[range(3, 8)], [range(3)]])
    reasons = [None, "dedup.minhash", "dedup.urls", "dedup.exact", "dedup.exact"]
    assert [row["reason"] for row in rows] == reasons
    assert [row["duplicate_of_id"] for row in rows] == [None, "0", "0", "0", "3"]
    assert [row["cluster_size"] for row in rows] == [2, 6, 6, 6, 2]
    assert bridged(tmp_path / "new", [[range(3, 8)], [range(3)]]) == [(1, 0, 4)]
    notes = json.loads((tmp_path / "new" / "manifest.json").read_text())["notes"]
    assert notes[:3] == [
        "the largest cluster of near-duplicates has 1 of 5 documents",
        f"documents that repeat one of {old}: 3",
        "documents of earlier runs that this one's join to others there, and that stay (bridged/): 1",
    ]
    (story,) = explain(str(tmp_path / "new"), "4")
    assert entry_lines(story.entries[-1])[:3] == [
        f"duplicate of (URL not in this run) 0 (earlier run 1 input part-00000 row 0 of {old}), which was kept",
        f"matched earlier run 1 input part-00000 row 1 in {rows[1]['matching_bands']} bands: "
        f"Jaccard about {rows[1]['estimated_jaccard']:.2f}",
        "one of 6 in its cluster",
    ]


def test_the_command_takes_earlier_runs_whose_documents_were_dropped_and_reads_no_text(
    tmp_path: Path, old: Path
) -> None:
    for documents in (old / "documents", tmp_path / "in-old"):
        for path in documents.iterdir():
            path.unlink()
    source = write(tmp_path / "in", NEW, 3, n_shards=1)
    command = ["dedup", source, "--against", old, "--set", MINHASH, "--out", tmp_path / "new", "--workers", 0]
    found = refine(*command)
    assert found.returncode == 0, found.stderr
    assert pq.read_table(tmp_path / "new" / "documents")["id"].to_pylist() == ["3"]
    assert refine(*command, "--dry-run").stdout == "dedup: 0 of 1 shards to make\n"


def test_a_run_serves_as_an_earlier_one_after_its_intermediate_documents_were_dropped(
    tmp_path: Path, sample_run: Path
) -> None:
    everything = sample_run / "filter" / "documents"
    recipe = json.loads((sample_run / "run.json").read_text())["recipe"]
    section = next(stage["section"] for stage in recipe["stages"] if stage["kind"] == "dedup")
    dropped = tmp_path / "dropped"
    shutil.copytree(sample_run, dropped)
    for stage in ("extract", "filter", "dedup"):
        shutil.rmtree(dropped / stage / "documents")
    settings = [f"dedup.{key}={json.dumps(value)}" for key, value in section.items() if key != "against"]
    dedup(tmp_path / "again", str(everything), *settings, against=[dropped])
    assert pq.read_table(tmp_path / "again" / "documents").num_rows == 0


def test_two_workers_give_the_same_bytes_as_none(tmp_path: Path, old: Path) -> None:
    source = write(tmp_path / "in", NEW, 3, n_shards=2)
    dedup(tmp_path / "none", source, "dedup.memory=10kB", against=[old])
    dedup(tmp_path / "two", source, "dedup.memory=10kB", "cluster.workers=2", against=[old])
    assert digests(tmp_path / "none") == digests(tmp_path / "two")


def test_a_changed_earlier_run_makes_the_later_one_run_again(tmp_path: Path, old: Path) -> None:
    source = write(tmp_path / "in", NEW, 3, n_shards=1)
    dedup(tmp_path / "new", source, against=[old])
    first = state(tmp_path / "new" / "receipts")
    dedup(tmp_path / "new", source, against=[old])
    assert state(tmp_path / "new" / "receipts") == first
    write(tmp_path / "more", [(5, 5, None, 0)], 0, n_shards=1)
    dedup(old, [str(tmp_path / "in-old"), str(tmp_path / "more")])
    dedup(tmp_path / "new", source, against=[old])
    assert pq.read_table(tmp_path / "new" / "documents").num_rows == 0
    dedup(tmp_path / "new", source)
    assert pq.read_table(tmp_path / "new" / "documents")["id"].to_pylist() == ["3", "4", "5"]
    assert not (tmp_path / "new" / "bridged" / "part-00000.parquet").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('minhash={"bands": 14, "rows": 1, "ngram": 1}', r"old was made with bands 20 \(here 14\); make them equal"),
        ('minhash={"bands": 20, "rows": 1, "ngram": 2, "seed": 3}', r"ngram 1 \(here 2\), seed 1 \(here 3\)"),
        ('minhash={"bands": 20, "rows": 1, "ngram": 1, "scheme": "sketch"}', r"scheme minhash \(here sketch\)"),
        ("unit=tokens", r"unit words \(here tokens\)"),
        ("scope=dump", r"scope all \(here dump\)"),
        ("methods=[minhash]", r"methods \['exact', 'minhash', 'urls'\] \(here \['minhash'\]\)"),
        ("verify=true", r"old has no shingles to verify pairs by"),
        ("methods=[urls, exact, minhash, substring]", r"old has no tokens to find substrings by"),
    ],
)
def test_an_index_of_other_parameters_is_an_error_that_names_both(
    tmp_path: Path, old: Path, given: str, message: str
) -> None:
    source = write(tmp_path / "in", NEW, 3)
    with pytest.raises(ConfigError, match=message):
        dedup(tmp_path / "new", source, f"dedup.{given}", against=[old])
    assert not (tmp_path / "new").exists()


def test_what_is_no_whole_index_is_an_error(tmp_path: Path, old: Path) -> None:
    source = write(tmp_path / "in", NEW, 3)
    with pytest.raises(ConfigError, match=r"against: .*in: no dataset of refine"):
        dedup(tmp_path / "new", source, against=[tmp_path / "in"])
    with pytest.raises(ConfigError, match=r"old is named twice"):
        dedup(tmp_path / "new", source, against=[old, old])
    dedup(tmp_path / "new", source, against=[old])
    with pytest.raises(ConfigError, match=r"new was matched against .*old; name it too, before .*new"):
        dedup(tmp_path / "newer", source, against=[tmp_path / "new"])
    bands = old / "bands" / "part-00000.parquet"
    bands.unlink()
    with pytest.raises(ConfigError, match=r"part-00000.parquet is gone; run the dedup of .*old again"):
        dedup(tmp_path / "other", source, against=[old])
