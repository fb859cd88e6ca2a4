"""C4's cleaning: signals and edited text against a slow reference, and what each kind of line becomes."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import PAGES, lines, measure, reasons, strip, tokens, words

from corpus.documents import Documents
from corpus.errors import ConfigError
from corpus.sentences import SENTENCE_ENDS
from corpus.unicode import PUNCTUATION, SPACE, kind_of
from filters import c4


def fields(line: str) -> list[str]:
    return "".join(" " if kind_of(c) & SPACE else c for c in line).split()


def sentences(line: str) -> int:
    n, closed = 0, True
    for token in tokens(line):
        if n == 0 or (closed and not all(kind_of(c) & PUNCTUATION for c in token)):
            n, closed = n + 1, False
        closed = closed or token in SENTENCE_ENDS
    return n


def ascii_lower(text: str) -> str:
    return re.sub("[A-Z]", lambda match: match[0].lower(), text)


UNITS = {"tokens": tokens, "words": words, "fields": fields}


def reference(text: str, require_terminal_punctuation: bool, view: str) -> tuple[list[int], str]:
    kept, lorem, curly, n_sentences = [], 0, 0, 0
    for line in map(strip, lines(text)):
        units = UNITS[view](line)
        if len(units) < 3 or max(map(len, units)) > 20:
            continue
        bare = re.sub(r"\[[0-9]*\]|\[edit\]|\[citation needed\]", "", line)
        ends_well = bare.endswith((*SENTENCE_ENDS, '"', "'", "”", "’")) and not bare.endswith("...")
        if require_terminal_punctuation and not ends_well:
            continue
        if any(phrase in ascii_lower(bare) for phrase in c4.OPTIONS["line_phrases"]):
            continue
        lorem += "lorem ipsum" in ascii_lower(bare)
        curly += bare.count("{")
        n_sentences += sentences(line)
        kept.append(bare)
    return [lorem, curly, n_sentences], strip("\n".join(kept))


PIECES = [
    "One two three. ",
    "[1]",
    "[edit]",
    "[citation needed]",
    "[x]",
    "Lorem Ipsum",
    "{",
    "JavaScript",
    "terms of use ",
]
PIECES += ["...", "\n", "A b c!", "four five six ", "”", "Mr. Who went? ", "日本。 ", "\u00a0", " [12]", "\n\n"]
LINES = st.lists(st.sampled_from([*PIECES, "wordoftwentycharacters"]), max_size=30).map("".join)


@settings(max_examples=800, deadline=None)
@given(PAGES | LINES, st.booleans(), st.sampled_from(list(UNITS)))
def test_signals_and_text_are_those_of_the_reference(text: str, require_terminal_punctuation: bool, view: str) -> None:
    options = {"require_terminal_punctuation": require_terminal_punctuation, "max_word_characters": 20, "view": view}
    measured = measure(c4, [text], **options)
    values, edited = reference(text, require_terminal_punctuation, view)
    assert [int(measured.signals[rule.signal][0]) for rule in c4.RULES] == values
    assert measured.columns["text"].to_pylist() == [edited]


FIVE = "One two three. Four five six. Seven is here. Eight is here! Is it nine?"

ONE_RULE_EACH = {
    "max_lorem_ipsum": FIVE + "\nHere is Lorem Ipsum again.",
    "max_curly_brackets": FIVE + "\nHere is { a bracket.",
    "min_sentences": FIVE.rsplit(". Eight", 1)[0] + ".",
}


@pytest.mark.parametrize("rule", [rule.name for rule in c4.RULES])
def test_a_document_made_to_fail_one_rule_fails_just_that_rule(rule: str) -> None:
    assert reasons(c4, [ONE_RULE_EACH[rule], FIVE]) == [[rule], []]


def edited(text: str, **options: object) -> str:
    return measure(c4, [text], **options).columns["text"].to_pylist()[0]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Only two.", None),
        ("This line has no end", None),
        ("This line trails off...", None),
        ("This line trails off…", None),
        ("Please enable JavaScript in your browser.", None),
        ("We have a Privacy Policy you should read.", None),
        ("This site USES COOKIES for all of it.", None),
        ("This is a w" + "o" * 999 + "rd indeed.", None),
        ("This is a w" + "o" * 997 + "rd indeed.", "This is a w" + "o" * 997 + "rd indeed."),
        ("He said “this is fine.”", "He said “this is fine.”"),
        ('He said "this is fine"', 'He said "this is fine"'),
        ("The town[1] is old[23].[citation needed]", "The town is old."),
        ("History [edit] of the town[].", "History  of the town."),
        ("Arrays use a[i] and [12a] here.", "Arrays use a[i] and [12a] here."),
        ("日本 の 猫。", "日本 の 猫。"),
    ],
)
def test_what_a_line_becomes(line: str, kept: str | None) -> None:
    text = f"First line stays here.\n{line}\nThe last line stays.  "
    expected = ["First line stays here.", kept, "The last line stays."]
    assert edited(text) == "\n".join(part for part in expected if part is not None)


def test_lines_without_terminal_punctuation_stay_when_the_rule_is_off_as_in_fineweb() -> None:
    assert edited("This line has no end", require_terminal_punctuation=False) == "This line has no end"


def test_words_per_line_and_phrases_are_options() -> None:
    assert edited("Only two.\nWe like cats a lot.", min_line_words=2, line_phrases=["like cats"]) == "Only two."


@pytest.mark.parametrize(
    ("phrases", "message"),
    [(["x"], "c4.line_phrases: 'x' is too short"), (["ab"] * 64, "c4.line_phrases: 65 phrases; at most 64")],
)
def test_phrases_that_cannot_be_matched_are_named(phrases: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        edited("A b c.", line_phrases=phrases)


def test_a_document_with_nothing_left_has_an_empty_text_and_no_sentences() -> None:
    measured = measure(c4, ["one\ntwo", "", None])
    assert measured.columns["text"].to_pylist() == ["", "", ""]
    assert measured.signals["sentences"].tolist() == [0, 0, 0]


def test_null_bytes_and_every_other_character_are_kept() -> None:
    text = "A null \x00 byte and \u2028 others 😀 stay."
    assert edited(text) == text


def test_abbreviations_do_not_end_a_sentence() -> None:
    assert measure(c4, ["Mr. Smith of the U.S. went e.g. to Dr. Who."]).signals["sentences"].tolist() == [1]


def test_a_slice_edits_its_own_rows() -> None:
    texts = list(ONE_RULE_EACH.values())
    batch = pa.record_batch({"text": pa.array(["x", *texts, None], pa.string())})
    sliced = c4.measure(Documents(batch.slice(1, 3)), c4.OPTIONS)
    whole = measure(c4, list(texts))
    assert sliced.columns["text"].equals(whole.columns["text"])
    assert {k: v.tolist() for k, v in sliced.signals.items()} == {k: v.tolist() for k, v in whole.signals.items()}


def test_a_document_of_megabytes_is_edited() -> None:
    measured = measure(c4, ["This line stays here.[1]\nnot this\n" * 100_000, FIVE])
    assert measured.columns["text"].to_pylist() == ["\n".join(["This line stays here."] * 100_000), FIVE]
    assert measured.signals["sentences"].tolist() == [np.float32(100_000), 5]
