"""A configuration that would delete the corpus stops the run; complete counts decide, from a size on."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import run

from corpus.errors import GuardError
from pipeline.config import resolve

SENTENCE = "the quick brown fox jumps over the lazy dog and that is all there is to be said of it"
SMALL = ["guards.min_documents=100", "cluster.workers=0"]


def texts(folder: Path, n: int, same: int = 0) -> Path:
    """`n` short documents, of which the first `same` differ in a word only."""
    folder.mkdir(exist_ok=True)
    words = SENTENCE.split()
    rows = [
        " ".join([*words, *words, f"number{i}"]) if i < same else " ".join(f"{w}{i}" for w in words) for i in range(n)
    ]
    pq.write_table(pa.table({"text": rows}), folder / "a.parquet")
    return folder


def recipe(kind: str, *settings: str):
    return resolve({"stages": [{kind: {}}]}, [*SMALL, *settings], "test")


def test_a_rule_set_that_removes_nearly_everything_stops_the_run(tmp_path: Path) -> None:
    source = texts(tmp_path / "in", 200)
    strict = recipe("filter", "filter.rulesets=[gopher_quality]", "filter.gopher_quality.min_words=10000")
    with pytest.raises(GuardError, match=r"gopher_quality removes 100\.0% of 200 documents"):
        run(strict, tmp_path / "out", str(source), packed=False)
    made = (tmp_path / "out" / "documents" / "part-00000.parquet").stat().st_mtime_ns
    run(strict, tmp_path / "out", str(source), packed=False, allow_extreme=True)
    assert (tmp_path / "out" / "documents" / "part-00000.parquet").stat().st_mtime_ns == made
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
    assert any("went on although" in note and "gopher_quality" in note for note in notes)


def test_below_the_size_where_guards_apply_the_same_run_goes_through(tmp_path: Path) -> None:
    source = texts(tmp_path / "in", 50)
    run(
        recipe("filter", "filter.rulesets=[gopher_quality]", "filter.gopher_quality.min_words=10000"),
        tmp_path / "out",
        str(source),
        packed=False,
    )
    assert pq.read_table(tmp_path / "out" / "documents").num_rows == 0


def test_one_giant_cluster_of_near_duplicates_stops_the_run(tmp_path: Path) -> None:
    source = texts(tmp_path / "in", 300, same=150)
    greedy = recipe("dedup", "guards.max_cluster_documents=100")
    with pytest.raises(GuardError, match="one cluster has 150 of 300 documents"):
        run(greedy, tmp_path / "out", str(source), packed=False)
    assert not (tmp_path / "out" / "documents").exists()
    run(greedy, tmp_path / "out", str(source), packed=False, allow_extreme=True)
    assert pq.read_table(tmp_path / "out" / "documents").num_rows == 151


def test_exact_substrings_that_take_most_of_the_text_stop_the_run(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    page = " ".join(f"common{i}" for i in range(60))
    rows = [f"{page} {' '.join(f'own{i}w{j}' for j in range(20))}" for i in range(150)]
    rows.append(rows[0])  # what another method removes does not count
    pq.write_table(pa.table({"text": rows}), source / "a.parquet")
    cutting = recipe("dedup", "dedup.methods=[exact, substring]")
    with pytest.raises(
        GuardError, match=r"exact substrings remove 7[0-9]\.\d% of the text .*max_substring_removal \(50%\)"
    ):
        run(cutting, tmp_path / "out", str(source), packed=False)
    run(cutting, tmp_path / "out", str(source), packed=False, allow_extreme=True)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [note for note in manifest["notes"] if note.startswith("went on although dedup: exact substrings remove 7")]
    kept = [row["text_bytes"] for row in manifest["counts"] if row["reason"] is None]
    left = sum(map(len, rows[:-1]))
    assert f"{1 - kept[0] / left:.1%}" in manifest["notes"][-1]
    higher = recipe("dedup", "dedup.methods=[exact, substring]", "guards.max_substring_removal=0.9")
    run(higher, tmp_path / "higher", str(source), packed=False)
    assert not any(
        "went on" in note for note in json.loads((tmp_path / "higher" / "manifest.json").read_text())["notes"]
    )


def test_a_stage_that_removes_nothing_is_a_warning(tmp_path: Path) -> None:
    warnings = run(recipe("dedup"), tmp_path / "out", str(texts(tmp_path / "in", 120)), packed=False)
    assert warnings == ["dedup removed none of 120 documents; is it configured as you mean?"]


def test_without_evaluation_sets_the_manifest_says_not_decontaminated(tmp_path: Path) -> None:
    run(recipe("decontaminate"), tmp_path / "out", str(texts(tmp_path / "in", 10)), packed=False)
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
    assert any(note.startswith("not decontaminated") for note in notes)
