"""The benchmarks run, and the implementations that they compare agree. No speeds: a machine that runs tests is busy."""

import json
from pathlib import Path

import pytest

from benchmarks import peers, plots
from benchmarks.__main__ import HERE, NAMES, measure, table
from benchmarks.inputs import make_sample_folder, write_lines
from benchmarks.measure import MIN_ROUNDS, Claim, Took, Work, compare
from benchmarks.peers import OURS, Peers
from corpus.errors import InputError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample_folder(tmp_path_factory.mktemp("benchmarks") / "data")


def test_every_script_is_run() -> None:
    others = {
        "__init__",
        "__main__",
        "measure",
        "inputs",
        "removal_rates",
        "contamination_recall",
        "crawl",
        "plots",
        "generate_corpus",
        "watch",
        "large_index",  # by decontamination, as a process of its own
    }
    assert {path.stem for path in HERE.glob("*.py")} - others == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_runs_on_the_samples_and_both_sides_agree(name: str, data: Path, tmp_path: Path) -> None:
    findings = measure(name, data, 0.0, tmp_path, with_peers=False)
    report = json.loads((tmp_path / f"{name}.json").read_text("utf-8"))
    assert report["benchmark"] == name
    assert report["facts"] == findings.facts
    assert report["machine"]["cores"] >= 1
    assert report["peak_memory_mb"] > 10
    assert [speed["name"] for speed in report["speeds"]] == [speed.name for speed in findings.speeds]
    for speed in report["speeds"]:
        assert speed["rounds"] == MIN_ROUNDS
        assert 0 < speed["slowest"] <= speed["lower_quartile"] <= speed["median"] <= speed["fastest"]
    assert report["speeds"][0]["ratio"] == 1.0
    assert {
        fact: value for fact, value in findings.facts.items() if fact.startswith("same_") and value is not True
    } == {}
    assert report["notes"]
    assert table(name, findings).row_count == len(findings.speeds)
    assert str(data.parent) not in json.dumps(report)


def test_runs_alternate_after_one_unmeasured_round() -> None:
    calls: list[str] = []
    work: Work = {"first": (lambda: calls.append("first"), 1.0), "second": (lambda: calls.append("second"), 2.0)}
    compare(work, "calls/s", 0.0)
    assert calls == ["first", "second"] * (1 + MIN_ROUNDS)


def test_a_speed_of_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match=r"^empty: the data folder has no input"):
        compare({"empty": (lambda: None, 0.0)}, "pages/s", 0.0)


def test_a_peer_times_itself() -> None:
    work: Work = {"peer": (lambda: Took(wall=2.0, cpu=0.5, output=None, peak_mb=0.0), 1.0)}
    (speed,) = compare(work, "calls/s", 0.0)
    assert (speed.median, speed.cpu, speed.ratio, speed.cpu_ratio) == (0.5, 2.0, 1.0, 1.0)


def test_a_bare_extractor_answers_in_turns(tmp_path: Path) -> None:
    page = (
        "<html><body><article><p>" + "The lamp on the point was lit every night. " * 20 + "</p></article></body></html>"
    )
    pages = write_lines(tmp_path / "pages.jsonl", [page, "", page])
    with Peers(wanted=False) as found:
        loop = found.start("extractors", OURS, pages=pages)
        assert loop is not None
        replies = [loop.ask(name) for name in ("resiliparse", "precision")]
        assert [reply.output for reply in replies] == [2, 2]
        assert all(reply.wall > 0 and reply.cpu > 0 for reply in replies)
        assert set(found.versions) == {"refine: trafilatura", "refine: resiliparse", "refine: lxml"}


def test_a_peer_that_does_not_start_is_missing_with_the_reason(tmp_path: Path) -> None:
    with Peers() as found:
        assert found.start("datatrove_urls", OURS, urls=write_lines(tmp_path / "urls.jsonl", [])) is None
    assert found.missing == ["datatrove_urls: ModuleNotFoundError: No module named 'datatrove'"]


def test_a_peer_that_cannot_be_installed_is_missing_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setattr(peers, "ENVIRONMENTS", {"nowhere": (("./no-such-wheel.whl",),)})
    with Peers() as found:
        assert found.start("datatrove_urls", "nowhere", urls=tmp_path) is None
    (reason,) = found.missing
    assert reason.startswith("nowhere: cannot be installed: ")
    assert "no-such-wheel" in reason


@pytest.mark.parametrize(
    ("measured", "aim", "at_most", "is_met"),
    [(2.0, 2.0, False, True), (1.9, 2.0, False, False), (1.9, 2.0, True, True)],
)
def test_a_claim_is_met_on_the_right_side_of_its_aim(measured: float, aim: float, at_most: bool, is_met: bool) -> None:
    assert Claim("", "", measured, aim, at_most).is_met == is_met


def test_the_tables_in_the_readme_are_what_the_results_give() -> None:
    text = plots.README.read_text("utf-8")
    assert text == plots.readme_with_tables()
    assert f"<!-- benchmarks -->\n{plots.readme_table()}\n<!-- /benchmarks -->" in text
    assert "| verbatim | " in text


def test_every_row_of_the_table_names_speeds_that_were_measured() -> None:
    for row in plots.ROWS:
        names = {
            speed["name"]
            for speed in json.loads((plots.RESULTS / f"{row.benchmark}.json").read_text("utf-8"))["speeds"]
        }
        assert {row.ours, *(speed for _, speed in row.peers)} <= names
