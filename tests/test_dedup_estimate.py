"""The disk that dedup will take is known before band keys are signed, and one that is too full stops the run."""

from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from conftest import run

from benchmarks.generate_corpus import PlantedCorpus
from corpus.dataset import StageFolder
from corpus.errors import GuardError
from pipeline.config import resolve
from pipeline.stages import dedup_estimate
from pipeline.stages.dedup_estimate import disk_estimate
from pipeline.steps import load_plan

WORDS = [f"word{i}" for i in np.random.default_rng(1).integers(0, 5_000, 20_000)]


def recipe(*settings: str):
    return resolve({"stages": [{"dedup": {}}]}, ["cluster.workers=0", *settings], "test")


@pytest.fixture
def source(tmp_path: Path) -> str:
    PlantedCorpus(WORDS, 4_000).write(tmp_path / "in")
    return str(tmp_path / "in" / "*.parquet")


def used(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*.parquet"))


@pytest.mark.parametrize("minhash", ["{bands: 14, rows: 8}", "{bands: 450, rows: 20, scheme: sketch}"])
def test_the_estimate_is_within_a_fifth_of_what_is_written(source: str, tmp_path: Path, minhash: str) -> None:
    out = tmp_path / "out"
    run(recipe(f"dedup.minhash={minhash}"), out, source, packed=False)
    estimate = disk_estimate(load_plan(StageFolder(str(out))))
    assert sum(estimate.values()) == pytest.approx(used(out), rel=0.2)


def test_a_disk_without_room_stops_the_run_before_bands_are_signed(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedup_estimate.shutil, "disk_usage", lambda _: namedtuple("usage", "free")(100_000))
    paper, out = recipe("dedup.minhash={bands: 450, rows: 20, scheme: sketch}"), tmp_path / "out"
    with pytest.raises(
        GuardError, match=r"will need about \d\d\.\d MB more \(bands .* MB, documents .*\), and 100\.0 kB are free"
    ):
        run(paper, out, source, packed=False)
    assert not (out / "bands").exists()
    run(paper, out, source, packed=False, allow_extreme=True)
    assert (out / "documents" / "part-00000.parquet").exists()


def test_what_is_there_already_is_not_needed_again(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(recipe(), out, source, packed=False)
    documents = out / "documents" / "part-00000.parquet"
    free = round(1.5 * documents.stat().st_size)
    assert free < used(out)
    documents.unlink()
    monkeypatch.setattr(dedup_estimate.shutil, "disk_usage", lambda _: namedtuple("usage", "free")(free))
    run(recipe(), out, source, packed=False)
    assert documents.exists()
