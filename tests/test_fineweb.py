"""FineWeb's rules: the kernel against a slow reference, and one document for each rule."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from measuring import PAGES, lines, measure, reasons, strip, tokens

from corpus.documents import Documents
from corpus.sentences import SENTENCE_ENDS
from filters import fineweb


def share(count: int, total: int) -> float:
    return count / total if total else float("nan")


def reference(text: str) -> dict[str, float]:
    found = [line for line in lines(text) if strip(line)]
    seen: set[str] = set()
    repeated = 0
    for line in found:
        repeated += len(line) if line in seen else 0
        seen.add(line)
    return {
        "punctuated_line_fraction": share(sum(strip(line)[-1] in SENTENCE_ENDS for line in found), len(found)),
        "short_line_fraction": share(sum(len(line) <= 30 for line in found), len(found)),
        "duplicate_line_character_fraction": share(repeated, len(text) - text.count("\n")),
        "newlines_per_word": share(text.count("\n"), len(tokens(text))),
    }


@settings(max_examples=600, deadline=None)
@given(PAGES)
def test_signals_are_those_of_the_reference(text: str) -> None:
    expected = reference(text)
    signals = measure(fineweb, [text]).signals
    assert set(signals) == set(expected)
    for name, values in signals.items():
        assert np.array_equal(values, np.array([expected[name]], np.float32), equal_nan=True), name


LINES = [f"This is sentence number {i} of a page that is fine." for i in range(200)]

ONE_RULE_EACH = {
    "min_punctuated_line_fraction": "\n".join(line[:-1] for line in LINES),
    "max_short_line_fraction": "\n".join([f"Short line {i}. It is short." for i in range(70)] + LINES[:30]),
    "max_duplicate_line_character_fraction": "\n".join([*LINES[:50], LINES[0]]),
    "max_newlines_per_word": "\n\n\n\n".join(LINES),
}


@pytest.mark.parametrize("rule", [rule.name for rule in fineweb.RULES])
def test_a_document_made_to_fail_one_rule_fails_just_that_rule(rule: str) -> None:
    assert reasons(fineweb, [ONE_RULE_EACH[rule], "\n".join(LINES)]) == [[rule], []]


def test_a_document_exactly_at_a_threshold_is_kept() -> None:
    at_limit = {
        "min_punctuated_line_fraction": "\n".join([*LINES[:12], *(line[:-1] for line in LINES[12:100])]),
        "max_short_line_fraction": "\n".join([f"Short line {i}. It is short." for i in range(67)] + LINES[:33]),
        "max_duplicate_line_character_fraction": "\n".join(["x" * 30 + ".", "x" * 30 + ".", "y" * 3037 + "."]),
        "max_newlines_per_word": "\n" * 30 + " ".join(f"ninety{i}" for i in range(99)) + " .",
    }
    assert reasons(fineweb, list(at_limit.values()))[3] == []
    signals = measure(fineweb, list(at_limit.values())).signals
    for row, rule in enumerate(fineweb.RULES):
        assert signals[rule.signal][row] == np.float32(rule.threshold), rule.name
        assert rule.name not in reasons(fineweb, [at_limit[rule.name]])[0]


def test_sentence_ends_of_other_scripts_count_and_trailing_white_space_does_not() -> None:
    text = "これは文です。\nयह एक वाक्य है। \nIs it?\u00a0\nnot, this:\nno”"
    assert measure(fineweb, [text]).signals["punctuated_line_fraction"].tolist() == [np.float32(3 / 5)]


def test_length_is_counted_in_characters_not_bytes() -> None:
    signals = measure(fineweb, ["й" * 30, "й" * 31]).signals
    assert signals["short_line_fraction"].tolist() == [1, 0]


def test_an_empty_text_cannot_be_measured_and_passes() -> None:
    assert reasons(fineweb, ["", None]) == [[], []]
    assert all(np.isnan(values).all() for values in measure(fineweb, ["", None]).signals.values())


def test_a_slice_has_the_signals_of_its_rows() -> None:
    texts = list(ONE_RULE_EACH.values())
    batch = pa.record_batch({"text": pa.array(["x", *texts, None], pa.string())})
    sliced = fineweb.measure(Documents(batch.slice(1, 4)), fineweb.OPTIONS).signals
    whole = measure(fineweb, list(texts)).signals
    assert {name: values.tolist() for name, values in sliced.items()} == {k: v.tolist() for k, v in whole.items()}


def test_a_document_of_megabytes_is_measured() -> None:
    signals = measure(fineweb, ["\n".join(f"Line {i}." for i in range(300_000))]).signals
    assert signals["punctuated_line_fraction"].tolist() == [1]
    assert signals["duplicate_line_character_fraction"].tolist() == [0]
    assert signals["newlines_per_word"].tolist() == [np.float32(299_999 / 900_000)]
