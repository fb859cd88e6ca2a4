"""Exact substrings as a method of the dedup stage: the same verdicts and texts for any shards, ranges and workers."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import digests, run
from test_substring import left_by_brute_force

from pipeline.config import resolve
from pipeline.report.explain import entry_lines, explain
from pipeline.tokens import Tokenizer

NOTICE = " ".join(f"notice{number * 7919 % 1009}" for number in range(60))
FOOTER = " ".join(f"footer{number * 7919 % 1009}" for number in range(50))
SHORT = " ".join(f"short{number}" for number in range(49))
SETTINGS = ["dedup.methods=[urls, exact, minhash, substring]"]


def own(page: int, n_words: int = 120) -> str:
    return " ".join(f"page{page}word{number}" for number in range(n_words))


TEXTS = [
    f"{own(0)}\n{NOTICE}\nMore of page 0.",
    f"{own(1)} {SHORT}",
    own(2),
    f"{NOTICE} {own(3)} {FOOTER}",
    f"{SHORT} {own(4)}",
    f"{FOOTER}\n\n{NOTICE} the end",
    f"{NOTICE.upper()} {own(6)}",
    own(2),
    f"{own(8)} {FOOTER} {own(9)}",
]
CUT = [
    f"{own(0)}\n\nMore of page 0.",
    TEXTS[1],
    TEXTS[2],
    f" {own(3)} ",
    TEXTS[4],
    None,
    TEXTS[6],
    None,
    f"{own(8)}  {own(9)}",
]


def shards(folder: Path, n: int) -> str:
    """TEXTS in `n` files, in order."""
    folder.mkdir()
    bounds = [len(TEXTS) * shard // n for shard in range(n + 1)]
    for shard in range(n):
        rows = TEXTS[bounds[shard] : bounds[shard + 1]]
        table = pa.table({"text": pa.array(rows, pa.large_string()), "dump": ["a", "b"][shard % 2 :][:1] * len(rows)})
        pq.write_table(table, folder / f"{shard}.parquet")
    return str(folder)


def deduplicated(tmp_path: Path, *settings: str, n_shards: int = 3, name: str = "out") -> tuple[pa.Table, pa.Table]:
    inputs = tmp_path / f"in-{n_shards}"
    recipe = resolve({"stages": [{"dedup": {}}]}, ["cluster.workers=0", *SETTINGS, *settings], "test")
    run(recipe, tmp_path / name, str(inputs) if inputs.exists() else shards(inputs, n_shards), packed=False)
    return pq.read_table(tmp_path / name / "documents"), pq.read_table(tmp_path / name / "ledger")


@pytest.mark.parametrize("n_shards", [1, 5])
@pytest.mark.parametrize("memory", ["2GiB", "10kB"])
def test_every_copy_is_cut_and_the_ledger_says_where(tmp_path: Path, n_shards: int, memory: str) -> None:
    documents, ledger = deduplicated(tmp_path, f"dedup.memory={memory}", n_shards=n_shards)
    assert documents["text"].to_pylist() == [text for text in CUT if text is not None]
    reasons = [None, None, None, None, None, "dedup.substring", None, "dedup.exact", None]
    assert ledger["reason"].to_pylist() == reasons
    spans = ledger["duplicate_spans"].to_pylist()
    cut = [
        [text.encode()[span["start"] : span["end"]].decode() for span in of_text]
        for text, of_text in zip(TEXTS, spans, strict=True)
    ]
    assert cut == [[NOTICE], [], [], [NOTICE, FOOTER], [], [f"{FOOTER}\n\n{NOTICE}"], [], [], [FOOTER]]
    share = (len(FOOTER) + 2 + len(NOTICE)) / len(TEXTS[5])
    assert ledger["duplicate_fraction"].to_pylist()[5] == pytest.approx(share)
    assert documents["token_count"].to_pylist()[0] > 0


def test_explain_tells_of_spans(tmp_path: Path) -> None:
    _, ledger = deduplicated(tmp_path)
    (story,) = explain(str(tmp_path / "out"), ledger["id"][3].as_py())
    share = (len(NOTICE) + len(FOOTER)) / len(TEXTS[3])
    assert f"2 spans of it occur more than once: {share:.1%} of its text as it came" in entry_lines(story.entries[-1])


def test_ranges_are_as_many_as_memory_asks_for(tmp_path: Path) -> None:
    deduplicated(tmp_path, "dedup.memory=10kB")
    plan = json.loads((tmp_path / "out" / "plan.json").read_text("utf-8"))
    assert plan["extra"]["windows_ranges"] > 1
    assert len(list((tmp_path / "out" / "window_replies").iterdir())) == plan["extra"]["windows_ranges"]


def test_two_workers_give_the_same_bytes_as_none(tmp_path: Path) -> None:
    deduplicated(tmp_path, name="none")
    deduplicated(tmp_path, "cluster.workers=2", name="two")
    assert digests(tmp_path / "none") == digests(tmp_path / "two")


def test_of_cut_later_the_first_copy_in_order_of_shards_stays(tmp_path: Path) -> None:
    documents, ledger = deduplicated(tmp_path, "dedup.substring.action=cut_later", n_shards=5)
    assert documents["text"].to_pylist() == [
        TEXTS[0], TEXTS[1], TEXTS[2], f" {own(3)} {FOOTER}", TEXTS[4], TEXTS[6], f"{own(8)}  {own(9)}",
    ]  # fmt: skip
    assert [len(spans) for spans in ledger["duplicate_spans"].to_pylist()] == [0, 0, 0, 1, 0, 1, 0, 0, 1]


def test_masked_documents_carry_their_spans(tmp_path: Path) -> None:
    documents, _ = deduplicated(tmp_path, "dedup.substring.action=mask")
    kept = [text for text, cut in zip(TEXTS, CUT, strict=True) if cut is not None]
    assert documents["text"].to_pylist() == kept
    start = len(own(0)) + 1
    assert documents["duplicate_spans"].to_pylist()[0] == [{"start": start, "end": start + len(NOTICE)}]


@pytest.mark.parametrize(("action", "dropped"), [("drop_any", [0, 3, 5, 8]), ("drop_partial", [0, 3, 5])])
def test_documents_with_copies_are_dropped(tmp_path: Path, action: str, dropped: list[int]) -> None:
    _, ledger = deduplicated(tmp_path, f"dedup.substring.action={action}")
    reasons = ledger["reason"].to_pylist()
    assert [row for row, reason in enumerate(reasons) if reason == "dedup.substring"] == dropped


def test_scope_dump_compares_within_a_crawl_only(tmp_path: Path) -> None:
    # the first four texts are of crawl a, the rest of b
    _, ledger = deduplicated(tmp_path, "dedup.scope=dump", n_shards=2)
    assert [len(spans) for spans in ledger["duplicate_spans"].to_pylist()] == [1, 0, 0, 1, 0, 1, 0, 0, 1]


def test_documents_without_a_text_stay_as_they_are(tmp_path: Path) -> None:
    texts = pa.array([f"{own(0)} {NOTICE}", None, f"{NOTICE} {own(1)}"], pa.large_string())
    (tmp_path / "in-3").mkdir()
    pq.write_table(pa.table({"text": texts}), tmp_path / "in-3" / "0.parquet")
    documents, ledger = deduplicated(tmp_path)
    assert documents["text"].to_pylist() == [f"{own(0)} ", None, f" {own(1)}"]
    assert [len(spans) for spans in ledger["duplicate_spans"].to_pylist()] == [1, 0, 1]


def test_spans_of_the_configured_tokenizers_tokens_are_cut(tmp_path: Path) -> None:
    documents, ledger = deduplicated(tmp_path, "dedup.unit=tokens", "dedup.methods=[substring]", "dedup.memory=10kB")
    left = left_by_brute_force(TEXTS, 50)
    assert documents["text"].to_pylist() == [text for text in left if len(text) >= 20]
    assert ledger["reason"].to_pylist() == [None if len(text) >= 20 else "dedup.substring" for text in left]
    assert SHORT not in left[1]  # 49 words, of more tokens


def test_a_slow_tokenizer_sees_each_text_once_and_the_spans_are_the_same(
    tmp_path: Path, gpt2_json: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    encode = type(Tokenizer.load(gpt2_json)).encode_with_spans
    monkeypatch.setattr(
        type(Tokenizer.load(gpt2_json)),
        "encode_with_spans",
        lambda self, texts: seen.extend(texts.column.to_pylist()) or encode(self, texts),
    )
    scope = ["dedup.unit=tokens", "dedup.scope=dump"]
    fast = deduplicated(tmp_path, *scope)
    slow = deduplicated(tmp_path, *scope, f"output.tokenizer={gpt2_json}", name="slow")
    assert slow == fast
    assert seen == [
        text for text, kept in zip(TEXTS, fast[1]["reason"].to_pylist(), strict=True) if kept != "dedup.exact"
    ]
