"""What a user sees after a mistake: one line with the value and the fix, an exit code, and nothing that a run would trust."""

import errno
import gzip
import json
import os
import random
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CRAWL, PROJECT, REFINE, SAMPLES, refine

from pipeline.cli import main

QUICKSTART = PROJECT / "configs" / "quickstart.yaml"
ONE_ARCHIVE = SAMPLES / "crawl" / "sample-00001.warc.gz"


def failed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, str]:
    """(exit code, the one line of error) of the command, run in this process."""
    monkeypatch.setattr("sys.argv", ["refine", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    return int(ended.value.code or 0), errors[0]


CASES = {
    "missing file": (["extract", "no-such.warc.gz"], 3, "no-such.warc.gz: no such file"),
    "pattern without a match": (["extract", "no-such-*.warc.gz"], 3, "no-such-*.warc.gz: no file found"),
    "unknown key": (["extract", CRAWL, "--set", "extract.timeout_second=3"], 2, "did you mean 'timeout_seconds'?"),
    "unknown key of a rule set": (
        ["filter", "x.jsonl", "--set", "filter.gopher_quality.min_word=3"],
        2,
        "did you mean 'min_words'?",
    ),
    "unknown stage in --set": (["filter", "x.jsonl", "--set", "fliter.rulesets=[c4]"], 2, "did you mean 'filter'?"),
    "threshold of the wrong type": (
        ["filter", "x.jsonl", "--set", "filter.gopher_quality.min_words=many"],
        2,
        "'many'",
    ),
    "threshold that is no number": (
        ["filter", "x.jsonl", "--set", "filter.gopher_quality.min_words=.nan"],
        2,
        "min_words: nan should be a finite number",
    ),
    "option with a value of another type in its list": (
        ["filter", "x.jsonl", "--set", "filter.gopher_quality.stop_words=[3]"],
        2,
        "stop_words: 3 should be a valid string",
    ),
    "rule set that is there twice": (
        ["filter", "x.jsonl", "--set", "filter.rulesets=[c4, fineweb, c4]"],
        2,
        "'c4' is there twice",
    ),
    "no folder to write": (["filter", "x.jsonl", "--out", ""], 2, "--out: empty"),
    "unknown protocol": (["filter", "ftpp://host/x.jsonl"], 3, "Protocol not known: ftpp"),
    "setting without a value": (["filter", "x.jsonl", "--set", "filter.rulesets"], 2, "should be STAGE.KEY=VALUE"),
    "unknown rule set": (["filter", "x.jsonl", "--set", "filter.rulesets=[gopher]"], 2, "gopher_quality"),
    "no rule set at all": (["filter", "x.jsonl", "--set", "filter.rulesets=[]"], 2, "would keep everything"),
    "unknown extractor": (["extract", CRAWL, "--set", "extract.extractor=boilerpipe"], 2, "trafilatura"),
    "unknown favour": (["extract", CRAWL, "--set", "extract.trafilatura.favor=speed"], 2, "speed"),
    "missing model": (["extract", CRAWL, "--set", "extract.language.model=lid.bin"], 2, "lid.bin"),
    "missing blocklist": (["extract", CRAWL, "--set", "extract.url.blocklist=none.idx"], 2, "none.idx"),
    "missing tokenizer": (["extract", CRAWL, "--set", "output.tokenizer=none.json"], 2, "none.json"),
    "missing recipe": (["run", "none.yaml", "--input", CRAWL], 2, "none.yaml"),
    "missing evaluation set": (
        ["decontaminate", "{texts}", "--set", "decontaminate.evals=[none.jsonl]"],
        3,
        "none.jsonl",
    ),
    "missing text column": (["filter", "{texts}", "--text-column", "content"], 3, "its columns are id, text"),
    "bands that are no number": (["dedup", "{texts}", "--set", "dedup.minhash.bands=0"], 2, "dedup.minhash.bands"),
    "workers below nought": (
        ["dedup", "{texts}", "--set", "cluster.workers=-3"],
        2,
        "cluster.workers: -3 should be greater",
    ),
    "a shard that is no fraction": (["extract", CRAWL, "--shard", "3/2"], 2, "should be I/N"),
    "a sample that is no fraction": (["extract", CRAWL, "--sample", "1.5"], 2, "should be a fraction"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_one_line_with_the_value_and_the_fix(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"id": "1", "text": "Some text."}) + "\n")
    arguments, code, message = CASES[case]
    arguments = [str(texts) if argument in ("{texts}", "x.jsonl") else argument for argument in arguments]
    out = [] if "--out" in arguments else ["--out", tmp_path / "out"]
    actual, line = failed(capsys, monkeypatch, *arguments, *out, "--workers", 0)
    assert message in line
    assert actual == code
    assert not list(tmp_path.glob("out/**/*.parquet"))


def test_an_empty_folder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crawl").mkdir()
    code, line = failed(capsys, monkeypatch, "extract", tmp_path / "crawl", "--out", tmp_path / "out")
    assert f"{tmp_path / 'crawl'}: no file found" in line
    assert code == 3


def test_unknown_key_in_a_recipe_suggests_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("stages:\n  - dedup: {method: [urls]}\n")
    code, line = failed(capsys, monkeypatch, "run", recipe, "--input", CRAWL, "--out", tmp_path / "out")
    assert "dedup.method: unknown key; did you mean 'methods'?" in line
    assert code == 2


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("[]", "stages: empty"),
        ("[{filter: 3}]", "filter: 3 should be settings"),
        ("[shuffle]", "unknown stage 'shuffle'"),
        ("[{3: {}}]", "unknown stage 3"),
        ("[filter]\n3: {}", "unknown key 3"),
        ("3", "a list `stages:`"),
        ("", "a list `stages:`"),
        ("[", "not YAML"),
    ],
)
def test_a_recipe_without_proper_stages_is_one_line(
    stages: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text(f"stages: {stages}\n")
    code, line = failed(capsys, monkeypatch, "run", tmp_path / "mine.yaml", "--input", CRAWL, "--out", tmp_path / "out")
    assert message in line
    assert code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"stages: [", "not YAML"),
        (b"\xff", "not YAML"),
        (b"stages: 3", "a list `stages:`"),
        (b"stages: [3, dedup]", "no stage `filter`"),
    ],
)
def test_a_damaged_recipe_for_one_stage_is_one_line(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    code, line = failed(
        capsys, monkeypatch, "filter", "x.jsonl", "--config", tmp_path / "mine.yaml", "--out", tmp_path / "out"
    )
    assert message in line
    assert code == 2


@pytest.mark.parametrize(
    ("code", "message"),
    [("RULES = (", "SyntaxError: '(' was never closed"), ("import no_such_module", "No module named 'no_such_module'")],
)
def test_a_rule_set_that_cannot_be_imported_is_one_line(
    code: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(code)
    rulesets = f"filter.rulesets=[{tmp_path / 'mine.py'}]"
    exit_code, line = failed(capsys, monkeypatch, "filter", "x.jsonl", "--set", rulesets, "--out", tmp_path / "out")
    assert f"{tmp_path / 'mine.py'}: " in line
    assert message in line
    assert exit_code == 2


def test_a_truncated_gzip_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.jsonl.gz"
    texts.write_bytes(gzip.compress(b'{"text": "Some text."}\n' * 100)[:-12])
    code, line = failed(capsys, monkeypatch, "filter", texts, "--out", tmp_path / "out", "--workers", 0)
    assert "texts.jsonl.gz: neither Parquet nor JSONL: Truncated compressed stream" in line
    assert code == 3


def test_a_disk_that_is_full_between_two_shards_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/manifest.json")

    monkeypatch.setattr("pipeline.run.run_recipe", full)
    code, line = failed(capsys, monkeypatch, "extract", CRAWL, "--out", tmp_path / "out")
    assert "No space left on device: 'out/manifest.json'; mend" in line
    assert code == 1


def test_a_stopped_run_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.run.run_recipe", stopped)
    monkeypatch.setattr("sys.argv", ["refine", "extract", CRAWL, "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "run the same command again to go on" in capsys.readouterr().err


def test_a_file_that_is_no_archive_fails_alone_and_the_others_are_extracted(tmp_path: Path) -> None:
    (tmp_path / "crawl").mkdir()
    (tmp_path / "crawl" / "a.warc.gz").write_bytes(ONE_ARCHIVE.read_bytes())
    (tmp_path / "crawl" / "b.warc.gz").write_bytes(gzip.compress(b"this is no archive"))
    done = refine(
        "extract",
        tmp_path / "crawl",
        "--out",
        tmp_path / "out",
        "--workers",
        0,
        "--set",
        "extract.extractor=resiliparse",
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 4
    assert len(errors) == 1
    assert "b.warc.gz" in errors[0]
    assert (tmp_path / "out" / "documents" / "part-00000.parquet").exists()
    assert not (tmp_path / "out" / "documents" / "part-00001.parquet").exists()
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["missing"] == ["part-00001"]


def test_a_barrier_refuses_to_start_while_a_shard_is_missing_unless_told(tmp_path: Path) -> None:
    (tmp_path / "crawl").mkdir()
    (tmp_path / "crawl" / "a.warc.gz").write_bytes(ONE_ARCHIVE.read_bytes())
    (tmp_path / "crawl" / "b.warc.gz").write_bytes(b"this is no archive")
    command = [
        "run",
        QUICKSTART,
        "--input",
        tmp_path / "crawl",
        "--out",
        tmp_path / "out",
        "--workers",
        0,
        "--set",
        "extract.extractor=resiliparse",
    ]
    refused = refine(*command)
    assert refused.returncode == 4
    assert "dedup needs every shard, but 1 of 2 are missing" in refused.stderr
    assert "b.warc.gz" in refused.stderr
    assert not (tmp_path / "out" / "corpus").exists()
    allowed = refine(*command, "--allow-missing")
    assert allowed.returncode == 4
    assert json.loads((tmp_path / "out" / "corpus" / "manifest.json").read_text())["missing"] == ["part-00001"]
    assert pq.read_table(tmp_path / "out" / "corpus" / "documents").num_rows > 0


def test_a_full_disk_is_one_line_and_leaves_nothing_that_is_trusted(tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    noise = random.Random(1)
    rows = [" ".join(str(noise.random()) for _ in range(100)) for _ in range(300)]
    texts.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    out = tmp_path / "out"
    limited = f"ulimit -f 64; exec {REFINE} dedup {texts} --out {out} --workers 0"  # no file over 64 kB
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 4
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(out.glob("receipts/documents/*.json"))
    assert not list(out.glob("documents/*"))


def test_a_truncated_parquet_input_fails_its_shard(tmp_path: Path) -> None:
    whole = tmp_path / "texts" / "a.parquet"
    whole.parent.mkdir()
    pq.write_table(pa.table({"text": ["Some text."] * 100}), whole)
    (tmp_path / "texts" / "b.parquet").write_bytes(whole.read_bytes()[:-40])
    done = refine("filter", tmp_path / "texts", "--out", tmp_path / "out", "--workers", 0)
    assert done.returncode == 4
    assert "b.parquet" in done.stderr
    assert "Traceback" not in done.stderr
