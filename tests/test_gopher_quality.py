"""Gopher's document-wise rules: the kernel against a slow reference, and one document for each rule."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import PAGES, has_letter, lines, measure, reasons, strip, tokens, words

from corpus.documents import Documents
from corpus.errors import ConfigError
from filters import gopher_quality

STOP_WORDS = gopher_quality.OPTIONS["stop_words"]


def share(count: int, total: int) -> float:
    return count / total if total else float("nan")


def reference(text: str) -> dict[str, float]:
    found, its_words = tokens(text), words(text)
    stripped = [strip(line) for line in lines(text)]
    return {
        "words": len(its_words),
        "mean_word_length": share(sum(map(len, its_words)), len(its_words)),
        "hashes_per_word": share(text.count("#"), len(found)),
        "ellipses_per_word": share(text.count("...") + text.count("…"), len(found)),
        "bullet_line_fraction": sum(line.startswith(("•", "-")) for line in stripped) / len(stripped),
        "ellipsis_line_fraction": sum(line.endswith(("...", "…")) for line in stripped) / len(stripped),
        "alphabetic_word_fraction": share(sum(map(has_letter, found)), len(found)),
        "stop_words": len(set(found) & set(STOP_WORDS)),
    }


SENTENCES = st.lists(
    st.sampled_from(["the ", "of ", "The ", "that", "...", "…", "# ", "\n• ", "\n- ", "\n", "12 "])
).map("".join)


@settings(max_examples=600, deadline=None)
@given(st.lists(PAGES | SENTENCES, min_size=1, max_size=4))
def test_signals_are_those_of_the_reference(texts: list[str]) -> None:
    signals = measure(gopher_quality, texts).signals
    expected = [reference(text) for text in texts]
    for name, values in signals.items():
        assert np.array_equal(values, np.array([row[name] for row in expected], np.float32), equal_nan=True), name
    assert set(signals) == set(expected[0])


GOOD = "the cat and dog of this town have come with that to be glad " * 5
FIFTY_WORDS = "the cat of " + "word " * 47

ONE_RULE_EACH = {
    "min_words": "the cat of this town have fun",
    "max_words": "the of " + "word " * 99_999,
    "min_mean_word_length": "to be of a is " * 20,
    "max_mean_word_length": "the of " + "internationalisation " * 50,
    "max_hashes_per_word": GOOD + "# " * 10,
    "max_ellipses_per_word": GOOD + "… " * 10 + "end",
    "max_bullet_line_fraction": "\n".join(["- the small cat and dogs have come with them"] * 19 + [GOOD]),
    "max_ellipsis_line_fraction": "\n".join([GOOD] * 2 + ["and then..."]),
    "min_alphabetic_word_fraction": GOOD + "1234 5678 9012 3456 " * 10,
    "min_stop_words": "le chat et le chien sont venus dans la ville avec joie " * 6 + "the",
}


@pytest.mark.parametrize("rule", [rule.name for rule in gopher_quality.RULES])
def test_a_document_made_to_fail_one_rule_fails_just_that_rule(rule: str) -> None:
    assert reasons(gopher_quality, [ONE_RULE_EACH[rule], GOOD]) == [[rule], []]


def test_a_document_exactly_at_a_threshold_is_kept() -> None:
    at_limit = {
        "min_words": FIFTY_WORDS,
        "max_words": "the of " + "word " * 99_998,
        "min_mean_word_length": "the and " + "abc " * 60,
        "max_mean_word_length": "the cows of " + "abcdefghij " * 50 + "z" * 31,
        "max_hashes_per_word": "the of " + "word " * 88 + "# " * 10,
        "max_ellipses_per_word": "the of " + "word " * 87 + "... " * 10 + "end",
        "max_bullet_line_fraction": "\n".join(["- the small cat and dogs have come with them"] * 9 + [FIFTY_WORDS]),
        "max_ellipsis_line_fraction": "\n".join([FIFTY_WORDS] * 7 + ["and then..."] * 3),
        "min_alphabetic_word_fraction": "the of " + "word " * 78 + "12 " * 20,
        "min_stop_words": "the of " + "word " * 60,
    }
    assert reasons(gopher_quality, list(at_limit.values())) == [[]] * len(at_limit)
    signals = measure(gopher_quality, list(at_limit.values())).signals
    for row, rule in enumerate(gopher_quality.RULES):
        assert signals[rule.signal][row] == np.float32(rule.threshold), rule.name


def test_hashes_and_ellipses_are_tested_apart() -> None:
    text = "the of " + "word " * 100 + "# ... " * 9 + "end"
    assert reasons(gopher_quality, [text]) == [[]]


def test_two_times_the_same_stop_word_is_one() -> None:
    assert measure(gopher_quality, ["the the the of The"]).signals["stop_words"].tolist() == [2]


def test_stop_words_of_another_language_are_an_option() -> None:
    signals = measure(
        gopher_quality, ["der Hund und die Katze für öl", "the of"], stop_words=["der", "und", "für"]
    ).signals
    assert signals["stop_words"].tolist() == [3, 0]


def test_a_stop_word_that_is_no_single_token_is_named() -> None:
    message = 'gopher_quality.stop_words: "don\'t" is 2 tokens; name words that are one'
    with pytest.raises(ConfigError, match=re.escape(message)):
        measure(gopher_quality, ["x"], stop_words=["the", "don't"])


def test_an_empty_text_has_no_words_and_unmeasurable_ratios_pass() -> None:
    assert reasons(gopher_quality, ["", None, "\n"]) == [["min_words", "min_stop_words"]] * 3


def test_chinese_characters_are_words() -> None:
    assert measure(gopher_quality, ["我喜欢猫。" * 20]).signals["words"].tolist() == [80]


def test_a_slice_has_the_signals_of_its_rows() -> None:
    texts = [ONE_RULE_EACH[rule] for rule in ("min_words", "max_hashes_per_word", "min_stop_words")]
    batch = pa.record_batch({"text": pa.array(["x", *texts, None], pa.string())})
    sliced = gopher_quality.measure(Documents(batch.slice(1, 3)), gopher_quality.OPTIONS).signals
    whole = measure(gopher_quality, list(texts)).signals
    assert {name: values.tolist() for name, values in sliced.items()} == {k: v.tolist() for k, v in whole.items()}


def test_a_document_of_megabytes_is_measured() -> None:
    signals = measure(gopher_quality, ["the cat... #1\n" * 200_000]).signals
    assert signals["words"].tolist() == [600_000]
    assert signals["hashes_per_word"].tolist() == [np.float32(0.2)]
    assert signals["ellipses_per_word"].tolist() == [np.float32(0.2)]
