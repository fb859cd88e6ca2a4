"""RefinedWeb's line-wise corrections: signal and edited text against a slow reference, and what each line becomes."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import PAGES, has_letter, is_word, lines, measure, reasons, strip, tokens, words

from corpus.documents import Documents
from corpus.errors import ConfigError
from corpus.unicode import DIGIT, LETTER, UPPER, WORD, kind_of
from filters import refinedweb_lines

OPTIONS = refinedweb_lines.OPTIONS


def ascii_lower(text: str) -> str:
    return re.sub("[A-Z]", lambda match: match[0].lower(), text)


def alnum(character: str) -> bool:
    return bool(kind_of(character) & (LETTER | DIGIT))


def phrase_at(line: str, at: int, phrases: list[str]) -> int:
    """Characters of the longest phrase at `at`, as whole words."""
    if at > 0 and alnum(line[at - 1]):
        return 0
    fitting = [
        len(phrase)
        for phrase in phrases
        if ascii_lower(line).startswith(phrase, at) and not (line[at + len(phrase) :] and alnum(line[at + len(phrase)]))
    ]
    return max(fitting, default=0)


def is_counter(line: str) -> bool:
    first, *rest = words(line)
    number = any(kind_of(c) & DIGIT for c in first)
    short = len(rest) == 1 or (
        len(rest) == 2 and len(rest[0].encode()) == 1 and rest[0].lower() not in OPTIONS["counters"]
    )
    return number and short and ascii_lower(rest[-1]) in OPTIONS["counters"]


UNITS = {"tokens": tokens, "words": words, "fields": str.split}


def corrected(line: str, view: str) -> str | None:
    """What stays of a line; None if it goes, the line itself if it is not flagged."""
    its_words = UNITS[view](line)
    letters = [c for c in line if kind_of(c) & LETTER]
    if not words(line):
        return line
    mainly_uppercase = 2 * sum(bool(kind_of(c) & UPPER) for c in letters) > len(letters)
    if len(its_words) == 1 or not has_letter(line) or mainly_uppercase or is_counter(line):
        return None
    if len(its_words) > OPTIONS["max_edited_line_words"]:
        return line
    start, end = 0, len(line)
    first = next(i for i in range(len(line)) if alnum(line[i]))
    if n := phrase_at(line, first, OPTIONS["starts"]):
        start = first + n
        while start < end and not alnum(line[start]):
            start += 1
    stop = next((i for i in range(end, start, -1) if alnum(line[i - 1])), start)
    end = next(
        (at for at in range(start, stop) if phrase_at(line[start:stop], at - start, OPTIONS["ends"]) == stop - at), end
    )
    rest = line[start:end]
    hole = next((at for at in range(len(rest)) if phrase_at(rest, at, OPTIONS["anywhere"])), len(rest))
    before, after = rest[:hole], rest[hole + phrase_at(rest, hole, OPTIONS["anywhere"]) :]
    if before + after == line:
        return line
    if not is_word(before + after):
        return None
    return " ".join(part for part in (strip(before), strip(after)) if part)


def reference(text: str, view: str) -> tuple[float, str]:
    kept: list[str] = []
    n_words = n_flagged = 0
    any_flagged = after_blank = False
    for line in map(strip, lines(text)):
        if not line:
            after_blank = True
            continue
        stays = corrected(line, view)
        n_words += len(UNITS[view](line))
        if stays != line:
            any_flagged = True
            n_flagged += len(UNITS[view](line))
        if stays is not None:
            kept.append(("\n\n" if after_blank else "\n") * bool(kept) + stays)
            after_blank = False
    return (n_flagged / n_words if n_words else float("nan")), "".join(kept) if any_flagged else text


WEB_LINES = st.lists(
    st.sampled_from(
        [
            "3",
            "likes",
            "1.2K",
            "Sign In",
            "sign-in",
            "to go on",
            "Read more",
            "…",
            "Items in cart",
            "the cats and",
            "SHOUT",
        ]
    )
    | st.sampled_from(["\n", "\n\n", " ", " ", " ", "—", "日本", "é", "now. ", "x y z a b c", "Views", "k", "log in"]),
    max_size=40,
).map("".join)


@settings(max_examples=1000, deadline=None)
@given(PAGES | WEB_LINES, st.sampled_from(list(UNITS)))
def test_signal_and_text_are_those_of_the_reference(text: str, view: str) -> None:
    measured = measure(refinedweb_lines, [text], view=view)
    fraction, edited = reference(text, view)
    assert measured.columns["text"].to_pylist() == [edited]
    assert np.array_equal(measured.signals["flagged_word_fraction"], np.array([fraction], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("SUBSCRIBE TO OUR NEWS", None),
        ("THE LATEST NEWS of today", None),
        ("NASA and ESA agree on it", "NASA and ESA agree on it"),
        ("12 / 04 / 2024 - 3.5", None),
        ("3 likes", None),
        ("1.2K Views", None),
        ("• 14,000 followers •", None),
        ("3 cats", "3 cats"),
        ("3 likes from friends", "3 likes from friends"),
        ("Home", None),
        ("Sign in to see more of this", "to see more of this"),
        ("» Sign-in: or join us", "or join us"),
        ("Signing in is easy here", "Signing in is easy here"),
        ("A storm came last night. Read more…", "A storm came last night."),
        ("A storm came last night. Read More >>]", "A storm came last night."),
        ("Read more books at night", "Read more books at night"),
        ("You have 3 items in cart today", "You have 3 today"),
        ("Read more", None),
        (
            "Sign in to see the very long line that has more than ten words",
            "Sign in to see the very long line that has more than ten words",
        ),
        ("* * *", "* * *"),
        ("我喜欢猫和狗。", "我喜欢猫和狗。"),
        ("МОСКВА ГОРОД", None),
    ],
)
def test_what_a_line_becomes(line: str, stays: str | None) -> None:
    text = f"The first line is kept.\n{line}\nThe last line is kept."
    expected = [part for part in ("The first line is kept.", stays, "The last line is kept.") if part is not None]
    assert measure(refinedweb_lines, [text]).columns["text"].to_pylist() == ["\n".join(expected)]


LONG_LINE = "These are twenty words of a line which is long and is kept as it is by every rule here.\n"


def test_a_document_with_too_many_flagged_words_fails_and_one_at_the_limit_does_not() -> None:
    text = LONG_LINE.replace(" every", "") + "Home"
    assert len(words(text)) == 20
    signal = measure(refinedweb_lines, [text]).signals["flagged_word_fraction"]
    assert signal.tolist() == [np.float32(0.05)]
    failed = reasons(refinedweb_lines, [text, text + "\nHome", LONG_LINE])
    assert failed == [[], ["max_flagged_word_fraction"], []]


def test_a_document_without_flagged_lines_keeps_every_byte() -> None:
    text = "  A line with spaces.  \r\n\n\n\n And a \x00 null byte. \n"
    measured = measure(refinedweb_lines, [text])
    assert measured.columns["text"].to_pylist() == [text]
    assert measured.signals["flagged_word_fraction"].tolist() == [0]


def test_paragraphs_stay_apart_when_lines_between_them_go() -> None:
    text = "A first paragraph here.\n\nHome\n\nA second one is here.\nABOUT US\nIt goes on."
    assert measure(refinedweb_lines, [text]).columns["text"].to_pylist() == [
        "A first paragraph here.\n\nA second one is here.\nIt goes on."
    ]


def test_a_document_with_nothing_left_is_empty_and_fails() -> None:
    measured = measure(refinedweb_lines, ["Home\n3 likes\nABOUT US", "", None, "...\n"])
    assert measured.columns["text"].to_pylist() == ["", "", "", "...\n"]
    assert reasons(refinedweb_lines, ["Home\n3 likes\nABOUT US", "", None, "...\n"]) == [
        ["max_flagged_word_fraction"],
        [],
        [],
        [],
    ]


def test_phrases_are_options() -> None:
    measured = measure(refinedweb_lines, ["The cats sat here. Weiter lesen"], ends=["weiter lesen"], counters=[])
    assert measured.columns["text"].to_pylist() == ["The cats sat here."]


def test_a_phrase_of_one_byte_is_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("refinedweb_lines.starts: 'x' is too short")):
        measure(refinedweb_lines, ["a"], starts=["x"])


def test_a_slice_edits_its_own_rows() -> None:
    texts = ["Home\n" + LONG_LINE, LONG_LINE, "3 likes"]
    batch = pa.record_batch({"text": pa.array(["x", *texts, None], pa.string())})
    sliced = refinedweb_lines.measure(Documents(batch.slice(1, 3)), OPTIONS)
    whole = measure(refinedweb_lines, list(texts))
    assert sliced.columns["text"].equals(whole.columns["text"])
    assert sliced.signals["flagged_word_fraction"].tolist() == whole.signals["flagged_word_fraction"].tolist()


def test_a_document_of_megabytes_is_edited() -> None:
    measured = measure(refinedweb_lines, [(LONG_LINE + "Home\n") * 50_000])
    assert measured.columns["text"].to_pylist() == [(LONG_LINE * 50_000).rstrip()]
    assert measured.signals["flagged_word_fraction"].tolist() == [np.float32(1 / 21)]


def test_every_default_phrase_is_lower_case_and_has_a_word() -> None:
    for name in ("counters", "starts", "ends", "anywhere"):
        for phrase in OPTIONS[name]:
            assert phrase == ascii_lower(phrase)
            assert any(kind_of(c) & WORD for c in phrase)
