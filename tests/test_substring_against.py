"""Exact substrings against earlier runs: what one run over everything finds in the new documents, from stored tokens alone."""

import json
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import digests, run
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError
from corpus.schema import document_key
from pipeline.config import resolve

SETTINGS = ["dedup.methods=[exact, substring]", 'dedup.substring={"min_tokens": 4, "min_characters_left": 3}']
STORED = "dedup.store_tokens=true"


def write(folder: Path, texts: Sequence[str], n_shards: int = 2) -> str:
    """The texts of two crawls in shards."""
    folder.mkdir()
    bounds = [len(texts) * shard // n_shards for shard in range(n_shards + 1)]
    for shard, (start, stop) in enumerate(pairwise(bounds)):
        columns = {"text": texts[start:stop], "dump": ["ab"[len(text) % 2] for text in texts[start:stop]]}
        schema = pa.schema([("text", pa.large_string()), ("dump", pa.string())])
        pq.write_table(pa.table(columns, schema), folder / f"{shard}.parquet")
    return str(folder)


def dedup(out: Path, inputs: str | list[str], *given: str, against: Sequence[Path] = ()) -> None:
    every = ["cluster.workers=0", *SETTINGS, *given, f"dedup.against={json.dumps([str(path) for path in against])}"]
    run(resolve({"stages": [{"dedup": {}}]}, every, "test"), out, inputs, packed=False)


def verdicts(out: Path) -> list[tuple[str | None, list[dict[str, int]]]]:
    """(reason, spans) of every document."""
    table = pq.read_table(out / "ledger", columns=["reason", "duplicate_spans"])
    return [(row["reason"], row["duplicate_spans"]) for row in table.to_pylist()]


def texts_of(out: Path) -> list[str]:
    found: list[str] = pq.read_table(out / "documents")["text"].to_pylist()
    return found


PHRASES = ["a b c d e f", "c d e f", "x x x x x x x", "日本語 の 本文 です", "p q p q p q p q"]
TEXTS = st.lists(st.sampled_from(PHRASES) | st.integers(0, 5).map(lambda n: f"own{n}"), max_size=6).map(" ".join)


@given(st.lists(TEXTS, min_size=6, max_size=20), st.data())
@settings(max_examples=4)
def test_new_documents_get_the_spans_of_one_run_over_everything(in_turn, texts, data) -> None:
    bounds = [0, *sorted(data.draw(st.integers(1, len(texts) - 1)) for _ in range(2)), len(texts)]
    given = [
        f"dedup.scope={data.draw(st.sampled_from(['all', 'dump']))}",
        f"dedup.substring.action={data.draw(st.sampled_from(['cut', 'cut_later', 'mask', 'drop_partial']))}",
    ]
    with TemporaryDirectory() as folder:
        root = Path(folder)
        parts: list[str] = []
        for number, (start, stop) in enumerate(pairwise(bounds)):
            parts.append(write(root / f"in{number}", texts[start:stop]))
            memory = f"dedup.memory={data.draw(st.sampled_from(['2GiB', '20kB', '5kB']))}"
            dedup(root / str(number), parts[-1], *given, memory, STORED, against=[root / str(n) for n in range(number)])
        dedup(root / "all", parts, *given)
        everything = verdicts(root / "all")
        assert verdicts(root / "2") == everything[bounds[2] :]
        assert (
            texts_of(root / "2")
            == texts_of(root / "all")[sum(reason is None for reason, _ in everything[: bounds[2]]) :]
        )


def words(name: str, n: int = 60) -> str:
    return " ".join(f"{name}{number * 7919 % 1009}" for number in range(n))


NOTICE, FOOTER = words("notice"), words("footer")
OLD = [f"{words('first')} {NOTICE}", words("second"), f"{FOOTER} {words('third')}", f"{words('fourth')} {FOOTER}"]
NEW = [f"{words('fifth')} {NOTICE} end", f"{FOOTER} {words('sixth')}", words("seventh"), f"{NOTICE} {words('eighth')}"]
CUT = [f"{words('fifth')}  end", f" {words('sixth')}", NEW[2], f" {words('eighth')}"]
LONG = "dedup.substring.min_tokens=50"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run that stored its tokens and was left without its documents, and those without their source."""
    dedup(tmp_path / "old", write(tmp_path / "in-old", OLD), LONG, STORED)
    shutil.rmtree(tmp_path / "old" / "documents")
    shutil.rmtree(tmp_path / "in-old")
    return tmp_path / "old"


@pytest.mark.parametrize("action", ["cut", "cut_later"])
def test_every_copy_of_what_an_earlier_run_has_goes_and_that_run_stays_as_it_is(
    tmp_path: Path, old: Path, action: str
) -> None:
    before = digests(old)
    dedup(tmp_path / "new", write(tmp_path / "in", NEW), LONG, f"dedup.substring.action={action}", against=[old])
    assert texts_of(tmp_path / "new") == CUT
    assert digests(old) == before
    assert not list((tmp_path / "new").glob("tokens/*"))


def test_workers_ranges_and_an_interruption_change_no_byte(tmp_path: Path, old: Path) -> None:
    source = write(tmp_path / "in", NEW)
    dedup(tmp_path / "none", source, LONG, "dedup.memory=40kB", against=[old])
    dedup(tmp_path / "two", source, LONG, "dedup.memory=40kB", "cluster.workers=2", against=[old])
    assert digests(tmp_path / "none") == digests(tmp_path / "two")
    expected = digests(tmp_path / "none")
    for step in ("earlier_windows", "window_replies", "documents"):
        (tmp_path / "none" / "receipts" / step / "part-00000.json").unlink()
        (tmp_path / "none" / step / "part-00000.parquet").unlink()
    dedup(tmp_path / "none", source, LONG, "dedup.memory=40kB", against=[old])
    assert digests(tmp_path / "none") == expected


@pytest.mark.parametrize("is_slow", [False, True])
def test_spans_of_a_tokenizers_tokens_are_found_in_an_earlier_run(
    tmp_path: Path, gpt2_json: str, is_slow: bool
) -> None:
    parts = [write(tmp_path / "in-old", OLD), write(tmp_path / "in", NEW)]
    given = [LONG, "dedup.unit=tokens", f"output.tokenizer={gpt2_json}" if is_slow else "output.tokenizer=gpt2"]
    dedup(
        tmp_path / "old", parts[0], *given, f"dedup.store_tokens={not is_slow}"
    )  # those of a slow one are kept anyway
    dedup(tmp_path / "new", parts[1], *given, against=[tmp_path / "old"])
    dedup(tmp_path / "all", parts, *given)
    assert verdicts(tmp_path / "new") == verdicts(tmp_path / "all")[len(OLD) :]
    assert all(NOTICE[200:-200] not in text for text in texts_of(tmp_path / "new"))


def test_a_bridged_document_which_stays_is_compared_with(tmp_path: Path) -> None:
    halves = [words("left", 100), words("right", 100)]
    others = " ".join(words(f"other{part}", 1000) for part in range(4))
    near = ["dedup.methods=[minhash, substring]", 'dedup.minhash={"bands": 8, "rows": 1, "ngram": 1}', LONG]
    dedup(tmp_path / "old", write(tmp_path / "in-old", halves, 1), *near, STORED)
    new = [" ".join(halves), f"{words('right')} {others}"]
    dedup(tmp_path / "new", write(tmp_path / "in", new, 1), *near, against=[tmp_path / "old"])
    assert pq.read_table(tmp_path / "new" / "bridged")["document"].to_pylist() == [document_key(1, 0, 1)]
    assert texts_of(tmp_path / "new") == [f" {others}"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("substring.min_tokens=40", r"old was made with min_tokens 50 \(here 40\); make them equal"),
        ("unit=tokens", r"unit words \(here tokens\)"),
        ("scope=dump", r"scope all \(here dump\)"),
    ],
)
def test_tokens_of_other_parameters_are_an_error_that_names_both(
    tmp_path: Path, old: Path, given: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        dedup(tmp_path / "new", write(tmp_path / "in", NEW), LONG, f"dedup.{given}", against=[old])


def test_an_earlier_run_without_tokens_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    dedup(tmp_path / "old", write(tmp_path / "in-old", OLD), LONG)
    source = write(tmp_path / "in", NEW)
    with pytest.raises(
        ConfigError, match=r"old has no tokens to find substrings by; .* dedup.store_tokens=true, or leave"
    ):
        dedup(tmp_path / "new", source, LONG, against=[tmp_path / "old"])
    with pytest.raises(ConfigError, match=r"store_tokens: without the method substring none are compared"):
        dedup(tmp_path / "new", source, STORED, "dedup.methods=[exact]")


def test_an_earlier_run_whose_tokens_are_gone_is_an_error(tmp_path: Path, old: Path) -> None:
    (old / "tokens" / "part-00001.parquet").unlink()
    with pytest.raises(ConfigError, match=r"tokens/part-00001.parquet is gone; run the dedup of .*old again"):
        dedup(tmp_path / "new", write(tmp_path / "in", NEW), LONG, against=[old])
