"""One scan, three views (tokens, words, fields), and lines: kernels against slow references, and what a reader expects."""

import itertools
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import PAGES

from corpus.hashing import NO_CHANGE, hash_bytes
from corpus.lines import lines_of
from corpus.sentences import SENTENCE_ENDS
from corpus.text import Texts
from corpus.token_lists import ABBREVIATIONS, UNITS
from corpus.tokens import (
    ENDS_SENTENCE,
    HAS_DIGIT,
    HAS_LETTER,
    IS_WORD,
    ONLY_PUNCTUATION,
    OPENS_FIELD,
    _capacity,
    tokens_of,
)
from corpus.unicode import ALONE, DIGIT, LETTER, MARK, PUNCTUATION, SPACE, SYMBOL, UPPER, kind_of

INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
APOSTROPHES = "'’"


def is_letter(character: str) -> bool:
    return bool(kind_of(character) & LETTER)


def is_upper(character: str) -> bool:
    return bool(kind_of(character) & UPPER)


def is_lower(character: str) -> bool:
    return is_letter(character) and not is_upper(character)


def is_digit(character: str) -> bool:
    return bool(kind_of(character) & DIGIT)


def is_alnum(character: str) -> bool:
    return is_letter(character) or is_digit(character)


def is_follower(character: str) -> bool:
    """Goes with what stands before: combining marks that take up no space and invisible joiners."""
    return kind_of(character) & (MARK | LETTER) == MARK or character in INVISIBLE


def breaks(character: str) -> bool:
    if character < "\x80" or is_follower(character):
        return False
    bits = kind_of(character)
    return bool(bits & SYMBOL) or (bool(bits & PUNCTUATION) and (character == "…" or character >= "\u3000"))


def peels(character: str, ascii_marks: str) -> bool:
    if character < "\x80":
        return character in ascii_marks
    if breaks(character):
        return True
    return bool(kind_of(character) & PUNCTUATION) and not (
        "\u2010" <= character <= "\u2015" and character not in "\u2013\u2014"
    )


def opening(field: str) -> int:
    dots = len(field) - len(field.lstrip("."))
    if dots >= 2:
        return dots
    if re.match(r"\+.", field, re.DOTALL) and is_digit(field[1]):
        return 0
    return int(peels(field[0], "%=,:;!?()[]{}<>_#*&'\"`$+"))


def closing(core: str) -> int:
    """Characters of the token at the end of `core`."""
    last = core[-1]
    if peels(last, ",:;!?()[]{}<>_#*&'\"`"):
        return 1
    if len(core) == 1:
        return 0
    before = core[-2]
    if last == ".":
        dots = len(core) - len(core.rstrip("."))
        if dots >= 2:
            return dots
        if is_upper(before):
            return int(len(core) > 2 and is_upper(core[-3]))
        if is_letter(before) and (len(core) == 2 or core[-3] == "."):
            return 0
        ends = is_alnum(before) or is_follower(before) or peels(before, ",:;!?()[]{}<>_#*&'\"`+%$-^")
        return int(ends and core not in ABBREVIATIONS)
    if last in "+%$":
        return int(is_digit(before))
    if not is_letter(last):
        return 0
    if is_digit(core[0]):
        number = len(core)
        while number and is_letter(core[number - 1]):
            number -= 1
        if is_digit(core[number - 1]) and core[number:] in UNITS:
            return len(core) - number
    return contraction(core)


def contraction(core: str) -> int:
    for n, endings in ((3, ("n't", "'ll", "'ve", "'re")), (2, ("'s", "'d", "'m"))):
        ending = core[-n:].replace("’", "'")
        if len(core) > n and all(c < "\x80" for c in ending) and ending.lower() in endings:
            host = core[-n - 1]
            return n if is_letter(host) or (n == 2 and is_digit(host)) else 0
    return 0


def is_address(core: str) -> bool:
    middle = core[1:-2]
    for i in range(1, 1 + len(middle)):
        if core[i : i + 3] == "://" or (core[i] == "@" and is_alnum(core[i - 1]) and is_alnum(core[i + 1])):
            return True
        if i == 3 and core[3] == "." and core[0] in "wW" and core[2] in "wW":
            return True
        if core[i] == "." and is_alnum(core[i - 1]) and "/" not in core[:i]:
            rest = "".join(itertools.takewhile(is_lower, core[i + 1 :]))
            after = core[i + 1 + len(rest) :]
            if len(rest) >= 2 and (not after or after[0] in "/?"):
                return True
    return False


def separator(core: str, i: int) -> int:
    """Characters of the token at `core[i]` that separates inside a field."""
    here = core[i]
    if breaks(here):
        return 1
    if core.startswith("..", i):
        return len(core) - i - len(core[i:].lstrip("."))
    if i == 0 or i + 1 == len(core):
        return 0
    before, after = core[i - 1], core[i + 1]
    dashes = len(list(itertools.takewhile(lambda c: c in "-~–—", core[i:])))
    if dashes and is_alnum(before) and i + dashes < len(core) and is_letter(core[i + dashes]):
        return dashes
    apart = (
        (here in ":<>=/" and is_alnum(before) and is_letter(after))
        or (here == "," and is_letter(before) and is_letter(after))
        or (here == "." and is_lower(before) and is_upper(after))
        or (here in "+-*^" and is_digit(before) and (is_digit(after) or after == "-"))
    )
    return int(apart)


def inside(core: str) -> list[str]:
    parts = []
    token = i = 0
    while i < len(core):
        width = separator(core, i)
        if not width and kind_of(core[i]) & ALONE:
            width = 1 + len(list(itertools.takewhile(is_follower, core[i + 1 :])))
        if not width:
            i += 1
            continue
        parts += [core[token:i], core[i : i + width]]
        i += width
        token = i
    return [part for part in [*parts, core[token:]] if part]


def reference_field(field: str) -> list[str]:
    tokens: list[str] = []
    while field and (width := opening(field)):
        tokens.append(field[:width])
        field = field[width:]
    ends: list[str] = []
    while field and (width := closing(field)):
        ends.insert(0, field[-width:])
        field = field[:-width]
    if field:
        tokens += [field] if is_address(field) else inside(field)
    return tokens + ends


def fields(text: str) -> list[str]:
    return "".join(" " if kind_of(c) & SPACE else c for c in text).split(" ")


def reference(text: str) -> list[str]:
    return [token for field in fields(text) if field for token in reference_field(field)]


def strings(text: str) -> list[str]:
    texts = Texts.of([text])
    tokens = tokens_of(texts)
    raw = text.encode()
    return [raw[start:end].decode() for start, end in zip(tokens.starts, tokens.ends, strict=True)]


WEB_TEXT = st.text(
    st.one_of(
        st.sampled_from(" \n\t.,'’-–—:;/…()\"@$%+&*=<>_~^|\\"),
        st.sampled_from("absdtnlremvwkgWNSTLKM0159"),
        st.characters(exclude_categories=["Cs", "Cn", "Co"]),
        st.sampled_from("日本ァ。、กำ한éиЖ\u0301\u200d\u00ad€©😀"),
    ),
    max_size=60,
)


@settings(max_examples=1500, deadline=None)
@given(WEB_TEXT)
def test_tokens_are_those_of_the_reference(text: str) -> None:
    assert strings(text) == reference(text)


PLAIN_AND_ALMOST = st.lists(
    st.lists(
        st.sampled_from(
            [*"aBcdmstx09.,:;!?'\"()-/[&", "n't", "'ll", "’s", "’", "“", "”", "–", "…", "Mr.", "vs.", "é", "10", "km"]
        ),
        max_size=7,
    ).map("".join),
    max_size=40,  # several windows
).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(PLAIN_AND_ALMOST)
def test_tokens_of_many_short_fields_are_those_of_the_reference(text: str) -> None:
    assert strings(text) == reference(text)


@pytest.mark.parametrize("n", [62, 63, 64, 65, 127, 128])
def test_fields_that_end_where_a_window_ends_are_tokens(n: int) -> None:
    for text in ("a" * n, "b " + "a" * (n - 2), "a" * n + " b.", "b." * (n // 2), "it's " * (n // 5) + "x" * (n % 5)):
        assert strings(text) == reference(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(WEB_TEXT | PLAIN_AND_ALMOST, max_size=6))
def test_every_column_of_a_batch_describes_its_tokens(batch: list[str]) -> None:
    texts = Texts.of(batch)
    tokens = tokens_of(texts)
    assert len(tokens.hashes) <= _capacity(texts.data, texts.offsets)  # else the scan wrote past its arrays
    assert tokens.first.tolist() == [0, *itertools.accumulate(len(reference(text)) for text in batch)]
    for document, text in enumerate(batch):
        raw = text.encode()
        n_fields = sum(bool(field) for field in fields(text))
        opens = 0
        for i in range(tokens.first[document], tokens.first[document + 1]):
            start, end = int(tokens.starts[i]), int(tokens.ends[i])
            token = raw[start:end].decode()
            flags = int(tokens.flags[i])
            assert tokens.characters[i] == len(token)
            assert bool(flags & HAS_LETTER) == any(map(is_letter, token))
            assert bool(flags & HAS_DIGIT) == any(map(is_digit, token))
            assert bool(flags & ENDS_SENTENCE) == (token in SENTENCE_ENDS)
            assert bool(flags & ONLY_PUNCTUATION) == all(kind_of(c) & PUNCTUATION for c in token)
            before = raw[:start].decode()
            assert bool(flags & OPENS_FIELD) == (before == "" or bool(kind_of(before[-1]) & SPACE))
            opens += bool(flags & OPENS_FIELD)
        assert opens == n_fields


def test_equal_tokens_have_equal_hashes_and_others_do_not() -> None:
    text = "the cat, the dog; The cat"
    tokens = tokens_of(Texts.of([text]))
    by_hash: dict[int, set[str]] = {}
    for token, value in zip(strings(text), tokens.hashes.tolist(), strict=True):
        by_hash.setdefault(value, set()).add(token)
    assert sorted(map(sorted, by_hash.values())) == [[","], [";"], ["The"], ["cat"], ["dog"], ["the"]]
    data = np.frombuffer(b"xxcatxx", np.uint8)
    assert int(hash_bytes(data, 2, 3, NO_CHANGE, np.uint64(0))) == int(tokens.hashes[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't know, it's John's.", "I|do|n't|know|,|it|'s|John|'s|."),
        ("They’ll say we’ve won (again)!", "They|’ll|say|we|’ve|won|(|again|)|!"),
        ("It costs $3.50, or 10,000 yen; 50% of 7km.", "It|costs|$|3.50|,|or|10,000|yen|;|50|%|of|7|km|."),
        ("Mr. J. Smith of the U.S. said e.g. this.", "Mr.|J.|Smith|of|the|U.S.|said|e.g.|this|."),
        ("Wait... what?! Well…", "Wait|...|what|?|!|Well|…"),
        ("a well-known sign-in – or not—who knows", "a|well|-|known|sign|-|in|–|or|not|—|who|knows"),
        ("See https://a-b.com/x-y?z=1, or me@site-x.org.", "See|https://a-b.com/x-y?z=1|,|or|me@site-x.org|."),
        ("end.Next word,word and/or", "end|.|Next|word|,|word|and|/|or"),
        ("我喜欢猫。「はい」", "我|喜|欢|猫|。|「|は|い|」"),
        ("©2024 👍👍 10€", "©|2024|👍|👍|10|€"),
        ("soft\u00adhyphen caf\u0065\u0301", "soft\u00adhyphen|cafe\u0301"),
    ],
)
def test_tokens_a_reader_expects(text: str, expected: str) -> None:
    assert "|".join(strings(text)) == expected


def test_words_are_the_tokens_with_a_letter_or_digit() -> None:
    text = "Hello, world! 42 - ... ok"
    words = [t for t, f in zip(strings(text), tokens_of(Texts.of([text])).flags, strict=True) if f & IS_WORD]
    assert words == ["Hello", "world", "42", "ok"]


def test_a_sliced_column_with_nulls_has_the_tokens_of_its_own_rows() -> None:
    column = pa.array(["zero zero", None, "", "one, two", "three"], pa.large_string())
    tokens = tokens_of(Texts.of(column[1:4]))
    assert tokens.first.tolist() == [0, 0, 0, 3]
    assert list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == [(0, 3), (3, 4), (5, 8)]
    assert tokens_of(Texts.of(column[:0])).first.tolist() == [0]


def test_a_document_of_megabytes_without_a_space_is_scanned() -> None:
    for text, n_tokens in (
        ("漢" * 1_000_000, 1_000_000),
        ("a" * 3_000_000, 1),
        ("." * 3_000_000, 1),
        ("don't " * 500_000, 10**6),
    ):
        tokens = tokens_of(Texts.of([text]))
        assert tokens.first.tolist() == [0, n_tokens]
        assert tokens.ends[-1] == len(text.rstrip().encode())


def test_tokens_are_scanned_once_per_batch() -> None:
    texts = Texts.of(["a b"])
    assert tokens_of(texts) is tokens_of(texts)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab \t\r\n\u00a0é日"), max_size=20), max_size=5))
def test_lines_are_what_stands_between_line_feeds(batch: list[str]) -> None:
    lines = lines_of(Texts.of(batch))
    expected = [re.sub("\r$", "", line) for text in batch for line in text.split("\n")]
    found = []
    for document, text in enumerate(batch):
        raw = text.encode()
        for line in range(lines.first[document], lines.first[document + 1]):
            found.append(raw[lines.starts[line] : lines.ends[line]].decode())
    assert found == expected
    assert lines.characters.tolist() == [len(line) for line in expected]
    by_text = dict(zip(expected, lines.hashes.tolist(), strict=True))
    assert [by_text[line] for line in expected] == lines.hashes.tolist()
    assert len(set(by_text.values())) == len(by_text)


@given(st.lists(PAGES, min_size=1, max_size=4))
def test_there_is_room_for_all_tokens(texts: list[str]) -> None:
    """Arrays of tokens are made beforehand, and the scan does not look whether they are full."""
    column = Texts.of(texts)
    assert len(tokens_of(column).hashes) <= _capacity(column.data, column.offsets)


@pytest.mark.parametrize(
    "field", ["don't", "it's", "a.b.c.", "3am10km", "--x--", "a\u00a0b", "日本", "x'll've", "…a…", "(((", "1:2"]
)
def test_there_is_room_for_the_tokens_of_a_field_by_itself(field: str) -> None:
    for column in (Texts.of([field]), Texts.of([field] * 3)):
        assert len(tokens_of(column).hashes) <= _capacity(column.data, column.offsets)
