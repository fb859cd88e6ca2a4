"""Whatever kind of column texts come in, and however long one is, every measurement says the same about them."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import PAGES

from corpus.documents import Documents
from corpus.lines import lines_of
from corpus.modules import load_module, shipped
from corpus.rules import Measurement
from corpus.text import Texts
from corpus.tokens import tokens_of
from corpus.words import text_digests
from dedup.evaluation_hits import find_hits
from dedup.evaluation_index import build_index
from dedup.evaluation_sets import EvaluationItem
from dedup.minhash import MinHashSettings, band_keys, signatures
from filters.language import detect

TEXT_RULESETS = [name for name in shipped("filters") if name not in ("url", "classifier")]
_SETTINGS = MinHashSettings(4, 4)
_QUESTION = "which of these planets is the one that lies farthest from its own sun"
_INDEX = build_index([EvaluationItem("quiz", "1", (_QUESTION,), (), ())])

Found = list[list[object]]  # a list for each text


def _rows(*columns: Sequence[object]) -> Found:
    return [list(row) for row in zip(*columns, strict=True)]


def _ruleset(name: str) -> Callable[[pa.Array], Found]:
    module = load_module("filters", name)

    def found(column: pa.Array) -> Found:
        measured = module.measure(Documents(pa.record_batch({"text": column})), getattr(module, "OPTIONS", {}))
        signals = [values.view(np.uint32).tolist() for values in measured.signals.values()]  # bits, so that NaN is NaN
        return _rows(*signals, *(values.to_pylist() for values in measured.columns.values()))

    return found


def _hits(column: pa.Array) -> Found:
    texts = Texts.of(column)
    hits = find_hits(texts, _INDEX)
    return [[hits.start[hits.document == row].tolist()] for row in range(len(texts))]


MEASUREMENTS: dict[str, Callable[[pa.Array], Found]] = {
    **{name: _ruleset(name) for name in TEXT_RULESETS},
    "digests": lambda column: [row.tolist() for row in text_digests(Texts.of(column))[0]],
    "signatures": lambda column: [row.tolist() for row in signatures(Texts.of(column), _SETTINGS)],
    "band keys": lambda column: [row.tolist() for row in band_keys(Texts.of(column), _SETTINGS)[0]],
    "evaluation items": _hits,
    "language of": lambda column: _rows(*(list(values) for values in detect(Texts.of(column), None))),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(PAGES | st.just(_QUESTION) | st.none(), min_size=1, max_size=6))
def test_null_sliced_and_short_offset_columns_measure_as_plain_ones(name: str, texts: list[str | None]) -> None:
    found = MEASUREMENTS[name]
    expected = found(pa.array([text or "" for text in texts], pa.large_string()))
    longer = pa.array(["before é", *texts, "behind 日本"], pa.large_string())
    assert found(pa.array(texts, pa.large_string())) == expected
    assert found(pa.array(texts, pa.string())) == expected
    assert found(longer.slice(1, len(texts))) == expected
    assert [found(longer.slice(1 + row, 1))[0] for row in range(len(texts))] == expected


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_column_without_texts_measures_nothing(name: str) -> None:
    assert MEASUREMENTS[name](pa.array([], pa.large_string())) == []


@pytest.fixture(scope="module")
def huge() -> tuple[str, int]:
    """(a text, how often it stands in a document of 100 MB)."""
    words = [f"word{i * 7919 % 5000}" for i in range(20_000)]
    part = "".join(
        f"{word},{' é日' if i % 97 == 0 else ''}{chr(10) if i % 13 == 12 else ' '}" for i, word in enumerate(words)
    )
    return part, -(-100_000_000 // len(part.encode()))


def test_a_document_of_100_mb_has_the_lines_tokens_and_words_of_its_parts(huge: tuple[str, int]) -> None:
    part, times = huge
    one, all_of_it = Texts.of([part]), Texts.of([part * times])
    assert all_of_it.longest >= 100_000_000
    n_tokens = len(tokens_of(one).hashes)
    whole = tokens_of(all_of_it)
    assert len(whole.hashes) == times * n_tokens
    assert np.array_equal(whole.hashes[-n_tokens:], tokens_of(one).hashes)
    assert whole.ends[-1] - whole.starts[-n_tokens] == tokens_of(one).ends[-1] - tokens_of(one).starts[0]
    assert len(lines_of(all_of_it).hashes) == times * (len(lines_of(one).hashes) - 1) + 1
    assert text_digests(all_of_it)[1].tolist() == [times * text_digests(one)[1][0]]
    assert np.array_equal(signatures(all_of_it, _SETTINGS), signatures(Texts.of([part * 2]), _SETTINGS))


@pytest.mark.parametrize("name", TEXT_RULESETS)
def test_a_document_of_100_mb_measures_as_its_parts_foretell(name: str, huge: tuple[str, int]) -> None:
    part, times = huge
    module = load_module("filters", name)
    options = {**getattr(module, "OPTIONS", {}), **({"require_terminal_punctuation": False} if name == "c4" else {})}

    def measure(text: str) -> Measurement:
        return module.measure(Documents(pa.record_batch({"text": pa.array([text], pa.large_string())})), options)

    one, found = measure(part), measure(part * times)
    for signal in PROPORTIONAL.get(name, ()):
        assert found.signals[signal][0] == np.float32(times * one.signals[signal][0]), signal
    for signal in EQUAL.get(name, ()):
        assert found.signals[signal][0] == pytest.approx(one.signals[signal][0], rel=1e-3, abs=1e-3), signal
    for signal in NEARLY_ALL.get(name, ()):
        assert 0.9 < found.signals[signal][0] < 1, signal
    assert {*PROPORTIONAL, *EQUAL, *NEARLY_ALL} == {*TEXT_RULESETS}
    if "text" in found.columns:
        same = found.columns["text"][0].as_py().strip() == (part * times).strip()
        assert same, "the text was edited"  # not compared in the assertion: pytest would print the difference of 100 MB


PROPORTIONAL = {"gopher_quality": ["words"]}
EQUAL = {
    "gopher_quality": ["mean_word_length", "alphabetic_word_fraction", "stop_words"],
    "c4": ["lorem_ipsum", "curly_brackets"],
    "pii": ["emails", "public_ips"],
    "fineweb": ["punctuated_line_fraction", "short_line_fraction", "newlines_per_word"],
    "refinedweb_lines": ["flagged_word_fraction"],
    "language": ["score"],
}
NEARLY_ALL = {
    "gopher_repetition": ["duplicate_line_fraction", "duplicate_line_character_fraction"],
    "fineweb": ["duplicate_line_character_fraction"],
}


def test_an_evaluation_item_behind_100_mb_is_found_there(huge: tuple[str, int]) -> None:
    part, times = huge
    behind = len(part.encode()) * times
    hits = find_hits(Texts.of([part * times + _QUESTION]), _INDEX)
    assert hits.start.tolist() == [behind]
    assert hits.end.tolist() == [behind + len(_QUESTION)]
