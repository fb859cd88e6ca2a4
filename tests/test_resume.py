"""What a run that was stopped, or changed, does again; and that nobody can tell from the result."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import CRAWL, PROJECT, REFINE, SAMPLE_SETTINGS, SAMPLES, digests, run, sample_recipe

from corpus.errors import InputError

EXTRACT_ONLY = ["cluster.workers=0", "extract.extractor=resiliparse", "extract.language_precheck=false"]


def receipts(out: Path, stage: str) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / stage / "receipts" / "documents").glob("part-*.json")}


def start(out: Path, blocklist: Path, workers: int) -> subprocess.Popen[bytes]:
    """The whole recipe as a process group of its own."""
    settings = [item for value in [*SAMPLE_SETTINGS, f"extract.url.blocklist={blocklist}"] for item in ("--set", value)]
    command = [str(REFINE), "run", str(PROJECT / "configs" / "quickstart.yaml")]
    command += ["--input", CRAWL, "--out", str(out), "--workers", str(workers), *settings]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def processes_of(out: Path) -> list[int]:
    """Live processes that were started for this output: the run, its workers (through their parents) and sandbox children."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"REFINE_TEST_RUN={out}".encode() in environment:
                found.append(int(entry.name))
    return found


def is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return False


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output folder whose run's processes, and only they, carry its name in their environment."""
    out = tmp_path / "dataset"
    monkeypatch.setenv("REFINE_TEST_RUN", str(out))
    return out


def wait_until_gone(out: Path) -> list[int]:
    for _ in range(100):
        left = [pid for pid in processes_of(out) if pid != os.getpid()]
        if not left:
            return []
        time.sleep(0.1)
    return left


def test_resume_after_kill_gives_identical_shards(marked: Path, blocklist: Path, sample_run: Path) -> None:
    moments = random.Random(7)
    for _ in range(3):
        process = start(marked, blocklist, workers=2)
        time.sleep(moments.uniform(2.0, 9.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert wait_until_gone(marked) == []
    process = start(marked, blocklist, workers=2)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert digests(marked) == digests(sample_run)
    assert wait_until_gone(marked) == []


def test_a_killed_worker_costs_nothing_but_time(marked: Path, blocklist: Path, sample_run: Path) -> None:
    process = start(marked, blocklist, workers=2)
    killed: set[int] = set()
    while len(killed) < 2 and process.poll() is None:
        time.sleep(0.2)
        at_work = list((marked / "extract" / "attempts" / "documents").glob("part-*.json"))
        workers = [pid for pid in processes_of(marked) if pid not in killed and is_worker(pid)]
        if at_work and workers:
            os.kill(workers[0], signal.SIGKILL)
            killed.add(workers[0])
    _, errors = process.communicate(timeout=300)
    assert killed
    assert process.returncode == 0, errors.decode()
    assert digests(marked) == digests(sample_run)
    assert wait_until_gone(marked) == []


def test_one_worker_or_none_gives_the_same_bytes_as_two(tmp_path: Path, blocklist: Path, sample_run: Path) -> None:
    run(sample_recipe(blocklist, "cluster.workers=2"), tmp_path / "two")
    assert digests(tmp_path / "two") == digests(sample_run)


def test_a_finished_run_makes_nothing_again(tmp_path: Path, blocklist: Path) -> None:
    recipe = sample_recipe(blocklist, *EXTRACT_ONLY)
    run(recipe, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part-*")}
    run(recipe, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part-*")} == before


def test_a_changed_threshold_reruns_its_stage_and_what_follows(tmp_path: Path, blocklist: Path) -> None:
    run(sample_recipe(blocklist, *EXTRACT_ONLY), tmp_path)
    before = {stage: receipts(tmp_path, stage) for stage in ("extract", "filter", "dedup")}
    run(sample_recipe(blocklist, *EXTRACT_ONLY, "filter.gopher_quality.min_words=400"), tmp_path)
    assert receipts(tmp_path, "extract") == before["extract"]
    assert all(receipts(tmp_path, "filter")[name] > made for name, made in before["filter"].items())
    texts = pq.read_table(tmp_path / "corpus" / "documents")["text"].to_pylist()
    assert texts
    assert min(len(text.split()) for text in texts) > 350


def test_an_added_input_runs_alone_through_map_steps(tmp_path: Path, blocklist: Path) -> None:
    archives = sorted(str(path) for path in (SAMPLES / "crawl").iterdir())
    recipe = sample_recipe(blocklist, *EXTRACT_ONLY)
    run(recipe, tmp_path, archives[1:])
    before = receipts(tmp_path, "extract")
    run(recipe, tmp_path, archives)
    after = receipts(tmp_path, "extract")
    assert {name: after[name] for name in before} == before
    assert len(after) == len(archives)
    order = [entry["path"] for entry in json.loads((tmp_path / "extract" / "inputs.json").read_text())]
    assert order == [*archives[1:], archives[0]]


def test_a_folder_with_a_run_of_other_inputs_is_refused(tmp_path: Path, blocklist: Path) -> None:
    archives = sorted(str(path) for path in (SAMPLES / "crawl").iterdir())
    recipe = sample_recipe(blocklist, *EXTRACT_ONLY)
    run(recipe, tmp_path, archives[3:])
    with pytest.raises(InputError, match="holds a run of other inputs"):
        run(recipe, tmp_path, archives[:1])


def test_two_runs_cannot_write_one_folder_at_once(tmp_path: Path, blocklist: Path) -> None:
    from filelock import FileLock

    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(InputError, match="another run is writing here"):
        run(sample_recipe(blocklist, *EXTRACT_ONLY), tmp_path / "out")


def test_a_shard_without_receipt_does_not_exist(tmp_path: Path, blocklist: Path) -> None:
    recipe = sample_recipe(blocklist, *EXTRACT_ONLY)
    run(recipe, tmp_path)
    whole = digests(tmp_path)
    shard = tmp_path / "filter" / "documents" / "part-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:100])
    (tmp_path / "filter" / "receipts" / "documents" / "part-00001.json").unlink()
    (tmp_path / "filter" / "documents" / ".part-00001.parquet.0123456789ab").write_bytes(b"left by a killed task")
    run(recipe, tmp_path)
    assert digests(tmp_path) == whole
    assert not list(tmp_path.rglob(".part-*"))


def test_dropped_intermediate_documents_do_not_undo_a_finished_run(tmp_path: Path, blocklist: Path) -> None:
    recipe = sample_recipe(blocklist, *EXTRACT_ONLY)
    run(recipe, tmp_path, drop_intermediate=True)
    corpus = digests(tmp_path / "corpus")
    assert not (tmp_path / "extract" / "documents").exists()
    assert (tmp_path / "extract" / "ledger" / "part-00000.parquet").exists()
    before = receipts(tmp_path, "extract")
    run(recipe, tmp_path, drop_intermediate=True)
    assert receipts(tmp_path, "extract") == before
    assert digests(tmp_path / "corpus") == corpus
