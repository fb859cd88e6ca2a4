"""Pages that failed because of the machine are tried again, and only they."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import run, sample_recipe

from corpus.errors import InputError
from pipeline.replay import replay
from pipeline.verify import verify

SLOW = """
import re, time
OPTIONS = {}
def extract(html, url, options):
    if (url or "").endswith("/harbour/all"):
        deadline = time.process_time() + float(open(%r).read())
        while time.process_time() < deadline:
            pass
    return re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(script|style).*?</\\\\1>", " ", html))
"""


@pytest.fixture
def slow_then_fast(tmp_path: Path) -> tuple[Path, Path]:
    """An extractor of a user that is too slow on one page until a file says otherwise."""
    seconds = tmp_path / "seconds"
    seconds.write_text("30")
    extractor = tmp_path / "plain.py"
    extractor.write_text(SLOW % str(seconds))
    return extractor, seconds


def test_a_page_that_timed_out_is_put_in_its_place_by_replay(
    tmp_path: Path, blocklist: Path, slow_then_fast: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor, seconds = slow_then_fast
    recipe = sample_recipe(
        blocklist, f"extract.extractor={extractor}", "extract.timeout_seconds=1", "extract.language=null"
    )
    out = tmp_path / "out"
    run(recipe, out)
    before = pq.read_table(out / "extract" / "ledger")
    timeouts = [row for row in before.to_pylist() if row["reason"] == "extract.timeout"]
    assert [row["url"] for row in timeouts] == ["https://pictures.example/harbour/all"]
    assert json.loads((out / "extract" / "manifest.json").read_text())["machine_dependent"] == 1

    said: list[str] = []
    monkeypatch.setattr("pipeline.replay.compile_missing", lambda say: say("compiling"))
    assert replay(str(out), said.append).startswith("1 pages tried again, 0 came through, 1 still fail")
    assert said == ["compiling"]
    assert pq.read_table(out / "extract" / "ledger") == before

    seconds.write_text("0")
    assert replay(str(out), said.append).startswith(
        "1 pages tried again, 1 came through, 0 still fail; run the recipe again"
    )
    after = pq.read_table(out / "extract" / "ledger").to_pylist()
    others = [row for row in before.to_pylist() if row["reason"] != "extract.timeout"]
    assert [row for row in after if row["url"] != timeouts[0]["url"]] == others
    assert [row["source_row"] for row in after if row["file_path"] == timeouts[0]["file_path"]] == sorted(
        row["source_row"] for row in others + timeouts if row["file_path"] == timeouts[0]["file_path"]
    )
    assert json.loads((out / "extract" / "manifest.json").read_text())["machine_dependent"] == 0
    assert replay(str(out), said.append).startswith("0 pages tried again")
    assert said == ["compiling"] * 2
    run(recipe, out)
    assert verify(str(out)).problems == ()

    fresh = tmp_path / "fresh"
    run(recipe, fresh)
    assert pq.read_table(fresh / "extract" / "documents") == pq.read_table(out / "extract" / "documents")


def test_replay_needs_an_extract_stage(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset"):
        replay(str(tmp_path), print)
