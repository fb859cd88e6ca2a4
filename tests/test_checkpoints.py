"""A worker that dies in the middle of an archive costs what it made since its last checkpoint, and nobody can tell."""

from pathlib import Path

import pytest
from conftest import SAMPLES, sample_recipe

from pipeline.stages import extract
from pipeline.steps import Plan

ARCHIVE = SAMPLES / "crawl" / "sample-00000.warc.gz"


def plan(out: Path, blocklist: Path, *settings: str, sample: float | None = None) -> Plan:
    section = sample_recipe(blocklist, "extract.extractor=resiliparse", *settings).stages[0].section
    return Plan("extract", str(out), section, [{"path": str(ARCHIVE), "identity": "1"}], "gpt2", "text", sample, {})


def made(out: Path, of: Plan) -> tuple[bytes, bytes]:
    files = {kind: out / f"{kind}.parquet" for kind in ("documents", "ledger")}
    out.mkdir(exist_ok=True)
    extract.write_documents(of, 0, files)
    return files["documents"].read_bytes(), files["ledger"].read_bytes()


@pytest.mark.parametrize("sample", [None, 0.5])
def test_an_archive_goes_on_behind_the_last_checkpoint(
    tmp_path: Path, blocklist: Path, monkeypatch: pytest.MonkeyPatch, sample: float | None
) -> None:
    monkeypatch.setattr(extract, "BATCH_CAPTURES", 4)
    monkeypatch.setattr(extract, "CHECKPOINT_BATCHES", 2)
    whole = made(tmp_path / "whole", plan(tmp_path / "whole", blocklist, sample=sample))
    seen: list[int] = []
    original = extract.extract

    def dies_at_the_sixth_batch(path, dump, rows, captures, tools, tokenizer):
        if len(seen) == 5:
            raise KeyboardInterrupt
        seen.append(len(rows))
        return original(path, dump, rows, captures, tools, tokenizer)

    monkeypatch.setattr(extract, "extract", dies_at_the_sixth_batch)
    interrupted = plan(tmp_path / "out", blocklist, sample=sample)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "out", interrupted)
    n_before = len(seen)
    seen.clear()
    monkeypatch.setattr(extract, "extract", lambda *arguments: seen.append(len(arguments[2])) or original(*arguments))
    assert made(tmp_path / "out", interrupted) == whole
    seen_again = len(seen)
    seen.clear()
    made(tmp_path / "again", plan(tmp_path / "again", blocklist, sample=sample))
    assert seen_again == len(seen) - 4  # two checkpoints of two batches each; the fifth batch was lost
    assert n_before == 5


def test_checkpoints_of_other_settings_do_not_count(
    tmp_path: Path, blocklist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "BATCH_CAPTURES", 4)
    monkeypatch.setattr(extract, "CHECKPOINT_BATCHES", 2)
    made(tmp_path / "out", plan(tmp_path / "out", blocklist))
    strict = ("extract.language.min_score=0.99",)
    fresh = made(tmp_path / "fresh", plan(tmp_path / "fresh", blocklist, *strict))
    assert made(tmp_path / "out", plan(tmp_path / "out", blocklist, *strict)) == fresh
