"""Decontamination as a stage: an evaluation set that is added is looked for alone, and nothing else changes."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import digests, run

from pipeline.config import resolve

QUESTIONS = {
    "apples": "Why do some apples float in the barrel while the quinces beside them sink to its bottom?",
    "boats": "How many passengers can two ferries of forty seats each carry across the fjord in seven crossings?",
}
OTHER = "Nothing of the kind stands in this sentence, which only goes on for a while. "
FIELDS = {"sets": {name: {"files": [f"{name}*"], "question": "question"} for name in QUESTIONS}}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    for name, question in QUESTIONS.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"question": question}) + "\n")
    (tmp_path / "fields.yaml").write_text(json.dumps(FIELDS))
    folder = tmp_path / "in"
    folder.mkdir()
    for shard in range(2):
        texts = [f"{OTHER} {shard}", f"{OTHER} {QUESTIONS['boats']}", f"{QUESTIONS['apples']} {OTHER * shard}"]
        pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), folder / f"{shard}.parquet")
    return tmp_path


def decontaminated(inputs: Path, *sets: str, out: str = "out", settings: tuple[str, ...] = ()) -> Path:
    evals = ", ".join(str(inputs / f"{name}.jsonl") for name in sets)
    fields = f"decontaminate.fields={inputs / 'fields.yaml'}"
    of_all = ["cluster.workers=0", f"decontaminate.evals=[{evals}]", fields, *settings]
    run(resolve({"stages": ["decontaminate"]}, of_all, "test"), inputs / out, str(inputs / "in"), packed=False)
    return inputs / out


def reasons(out: Path) -> list[list[str | None]]:
    return [pq.read_table(path)["reason"].to_pylist() for path in sorted((out / "ledger").glob("*.parquet"))]


def ledger(out: Path) -> list[list[dict]]:
    return [pq.read_table(path).to_pylist() for path in sorted((out / "ledger").glob("*.parquet"))]


def scanned(out: Path) -> dict[str, int]:
    """When each shard was scanned for each group of sets, in nanoseconds."""
    return {str(path): path.stat().st_mtime_ns for path in out.glob("scan-*-hits/*.parquet")}


def test_a_set_that_is_added_is_looked_for_alone_and_the_verdicts_are_those_of_both(inputs: Path) -> None:
    out = decontaminated(inputs, "apples")
    first = scanned(out)
    assert reasons(out) == [[None, None, "decontaminate.contaminated"]] * 2
    decontaminated(inputs, "apples", "boats")
    both = scanned(out)
    assert {path: both[path] for path in first} == first
    assert len(both) == 2 * len(first)
    assert reasons(out) == [[None, "decontaminate.contaminated", "decontaminate.contaminated"]] * 2
    assert ledger(out) == ledger(decontaminated(inputs, "boats", "apples", out="at-once"))


def test_two_workers_give_the_bytes_of_one_also_for_a_set_that_is_added(inputs: Path) -> None:
    for workers in (1, 2):
        for sets in (["apples"], ["apples", "boats"]):
            decontaminated(inputs, *sets, out=f"out-{workers}", settings=(f"cluster.workers={workers}",))
    one, two = digests(inputs / "out-1"), digests(inputs / "out-2")
    assert any(name.startswith("documents/") for name in one)
    assert one == two


def test_a_set_that_is_left_out_and_comes_back_is_looked_for_again_in_what_was_added_meanwhile(inputs: Path) -> None:
    out = decontaminated(inputs, "apples", "boats")
    decontaminated(inputs, "boats")
    assert reasons(out) == [[None, "decontaminate.contaminated", None]] * 2
    pq.write_table(pa.table({"text": pa.array([QUESTIONS["apples"]], pa.large_string())}), inputs / "in" / "2.parquet")
    decontaminated(inputs, "boats")
    assert reasons(out)[2] == [None]
    decontaminated(inputs, "apples", "boats")
    assert reasons(out)[2] == ["decontaminate.contaminated"]


def test_another_method_reads_no_text_for_matches_again(inputs: Path) -> None:
    out = decontaminated(inputs, *QUESTIONS)
    before = scanned(out)
    decontaminated(inputs, *QUESTIONS, settings=("decontaminate.method=gpt3",))
    assert scanned(out) == before
    assert reasons(out)[0] == [None, "decontaminate.nothing_left", "decontaminate.nothing_left"]


def test_items_in_more_documents_than_common_phrases_may_be_are_suspect_and_do_not_count(inputs: Path) -> None:
    out = decontaminated(inputs, *QUESTIONS, settings=("decontaminate.max_document_frequency=1",))
    assert reasons(out) == [[None] * 3] * 2
    notes = json.loads((out / "manifest.json").read_text())["notes"]
    assert any("2 are suspect" in note for note in notes)
