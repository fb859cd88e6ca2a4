"""Workers: at an address, lost over a poisoned shard, and twice over one item; and what is said while they work."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CRAWL, PROJECT, refine, run, sample_recipe
from distributed import LocalCluster
from rich.console import Console

from corpus.dataset import StageFolder
from corpus.errors import ConfigError, ShardError
from pipeline import progress
from pipeline.cluster import DaskWorkers
from pipeline.config import resolve
from pipeline.sections import Cluster
from pipeline.stages import filter as filter_stage
from pipeline.steps import Attempt, Plan, commit, execute, save_plan

TEXT = "The quick brown fox jumps over the lazy dog and that is what it has to do with it. " * 8


def recipe(kind: str, *settings: str):
    return resolve({"stages": [{kind: {}}]}, ["cluster.workers=0", *settings], "test")


def test_a_cluster_that_is_there_is_used_by_its_address(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [TEXT, "short"]}), tmp_path / "in.parquet")
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0", protocol="tcp") as cluster:
        settings = recipe(
            "filter", "filter.rulesets=[gopher_quality]", f"cluster.scheduler={cluster.scheduler_address}"
        )
        run(settings, tmp_path / "out", str(tmp_path / "in.parquet"), packed=False)
    assert pq.read_table(tmp_path / "out" / "documents")["text"].to_pylist() == [TEXT]


def test_an_address_where_nobody_answers_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cluster.CONNECT_SECONDS", 1)
    with (
        pytest.raises(ConfigError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler answers"),
        DaskWorkers(Cluster(scheduler="tcp://127.0.0.1:9")),
    ):
        pass


def test_an_unknown_batch_system_names_the_known_ones() -> None:
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(ConfigError, match="slurm"), DaskWorkers(Cluster(jobqueue={"kind": "sulrm"})):
        pass


def test_a_shard_that_kills_its_workers_fails_after_five_tries_and_the_others_go_on(tmp_path: Path) -> None:
    poison = tmp_path / "poison.py"
    poison.write_text(
        "import os, time\n"
        "import numpy as np\n"
        "from corpus.rules import Measurement, Rule\n"
        "RULES = (Rule('max_x', 1, 'ours'),)\n"
        "def measure(documents, options):\n"
        "    if 'poison' in documents.texts.column.to_pylist():\n"
        "        time.sleep(1)\n"  # Dask starts no worker again that dies before it is known to have started
        "        os._exit(1)\n"
        "    return Measurement({'x': np.zeros(len(documents), np.float32)})\n"
    )
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": ["poison"]}), tmp_path / "in" / "a.parquet")
    pq.write_table(pa.table({"text": [TEXT]}), tmp_path / "in" / "b.parquet")
    settings = recipe("filter", f"filter.rulesets=[{poison}]", "cluster.workers=1")
    with pytest.raises(ShardError, match="the worker died 5 times over it"):
        run(settings, tmp_path / "out", str(tmp_path / "in"), packed=False)
    assert pq.read_table(tmp_path / "out" / "documents" / "part-00001.parquet")["text"].to_pylist() == [TEXT]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["missing"] == ["part-00000"]


def test_a_run_whose_workers_are_all_gone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cluster.NO_WORKERS_SECONDS", 1)
    with DaskWorkers(Cluster(workers=1)) as workers:
        workers._cluster.scale(0)
        with pytest.raises(ShardError, match="all workers died"):
            list(workers.run(abs, [(-1,)], lambda n_rows: None))


def test_a_task_that_ran_twice_leaves_one_result(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": [TEXT]}), source)
    section = recipe("filter", "filter.rulesets=[gopher_quality]").stages[0].section
    folder = StageFolder(str(tmp_path / "out"))
    plan = Plan("filter", folder.url, section, [{"path": str(source), "identity": "1"}], "gpt2", "text", None, {})
    path, digest = save_plan(plan)
    first, second = (execute(path, digest, filter_stage.STEP, 0, "key", "run") for _ in range(2))
    assert isinstance(first, Attempt)
    assert isinstance(second, Attempt)
    commit(folder, filter_stage.STEP, second)
    folder.remove_attempts()
    assert [file.name for file in (tmp_path / "out" / "documents").iterdir()] == ["part-00000.parquet"]
    assert folder.receipts()[0].outputs == second.receipt.outputs == first.receipt.outputs


def test_progress_in_a_log_is_plain_lines_with_documents_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    console = Console(file=io.StringIO(), width=120)
    with progress.Progress(console) as shown:
        shown.stage("extract")
        shown.begin("documents", 5, 3)
        shown.tick(120)
        shown.advance()
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "extract: 5 to make, 3 are there already"
    assert lines[1].startswith("extract: 0 of 2, 120 documents, ")
    assert lines[1].endswith(" documents/s")
    assert lines[2].startswith("extract: 1 of 2, 120 documents, ")
    assert lines[2].endswith(" s left")


def test_workers_tell_of_documents_while_a_shard_is_being_made(tmp_path: Path, blocklist: Path) -> None:
    told: list[int] = []
    settings = sample_recipe(blocklist, "extract.extractor=resiliparse")
    from pipeline.stages import extract

    plan = Plan(
        "extract", str(tmp_path), settings.stages[0].section,
        [{"path": str(PROJECT / "data_samples" / "crawl" / "sample-00000.warc.gz"), "identity": "1"}], "gpt2", "text", None, {},
    )  # fmt: skip
    path, digest = save_plan(plan)
    with DaskWorkers(Cluster(workers=0)) as workers:
        results = [
            result for _, result in workers.run(execute, [(path, digest, extract.STEP, 0, "key", "run")], told.append)
        ]
    assert isinstance(results[0], Attempt)
    assert sum(told) == results[0].receipt.rows_in > 10


def test_dry_run_says_what_would_be_made_and_makes_nothing(tmp_path: Path, blocklist: Path) -> None:
    out = tmp_path / "out"
    command = [
        "run",
        PROJECT / "configs" / "quickstart.yaml",
        "--input",
        CRAWL,
        "--out",
        out,
        "--dry-run",
        "--set",
        "extract.extractor=resiliparse",
    ]
    before = refine(*command)
    assert before.stdout.splitlines()[:2] == ["extract: 5 of 5 shards to make", "filter: 5 of 5 shards to make"]
    assert not out.exists()
    assert refine(*[item for item in command if item != "--dry-run"], "--workers", 0).returncode == 0
    assert refine(*command).stdout.splitlines() == [
        f"{name}: 0 of {n} shards to make"
        for name, n in (("extract", 5), ("filter", 5), ("dedup", 5), ("decontaminate", 5), ("corpus", 1))
    ]
    changed = refine(*command, "--set", "dedup.keep=longest").stdout.splitlines()
    assert changed[1:3] == ["filter: 0 of 5 shards to make", "dedup: 5 of 5 shards to make"]
