"""RefinedWeb's line-wise corrections (Penedo et al. 2023, arXiv 2306.01116, appendix G.2). They edit the text.

A line goes, with its line feed, if it is

- mainly uppercase: more than half of its letters are capitals;
- only numerical: no word has a letter;
- a counter ("3 likes", "1.2K views"): a number, at most one letter (K, M, B), and one of the `counters`;
- a single word.

A line of at most `max_edited_line_words` words is edited: a phrase of `starts` at its start, of `ends` at its end (marks and
spaces outside it go too) and of `anywhere` is cut out, once each, the longest that fits; where no word is left the line goes.
Phrases match whole words, ASCII letters in any case.

The document goes if the words of flagged lines (gone or edited) are more than 5% of its words. *Words* are tokens with a
letter or digit (`corpus.tokens`), so that a line of Chinese is not "a single word"; a line without any word (a rule of
dashes) is never flagged. A document without flagged lines keeps its text byte for byte; in the others white space around
lines goes and a run of blank lines becomes one. If nothing is left the text is empty, and the signal (1.0) says why.

The paper prints one example of each phrase; the lists are ours and short, and are options. On 1,824 English texts, extracted
with trafilatura, they change 51% of the documents and reject 3.7% (the paper: 22.6% of what the rules before it kept).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import types

from corpus.documents import Documents
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.lines import lines_of, previous, trim
from corpus.rules import Measurement, Rule
from corpus.tokens import HAS_DIGIT, HAS_LETTER, IS_WORD, tokens_of
from corpus.unicode import DIGIT, LETTER, UPPER, decode, kind, sequence_length
from filters.edited import copy, edited_column
from filters.phrases import Phrases, phrase_at

RULES = (Rule("max_flagged_word_fraction", 0.05, "RefinedWeb (arXiv 2306.01116), appendix G.2"),)
_COUNTERS = """
    like likes share shares comment comments view views reply replies follower followers retweet retweets repost reposts vote
    votes upvotes point points review reviews rating ratings download downloads subscriber subscribers reads bookmarks
    favorites pins"""
OPTIONS: dict[str, object] = {
    "max_edited_line_words": 10,
    "counters": _COUNTERS.split(),
    "starts": [
        "sign-in",
        "sign in",
        "sign up",
        "log in",
        "login",
        "skip to content",
        "skip to main content",
        "share this",
        "share on",
        "click here",
        "posted in",
        "filed under",
        "tagged with",
    ],
    "ends": [
        "read more",
        "continue reading",
        "learn more",
        "show more",
        "see more",
        "load more",
        "view all",
        "see all",
    ],
    "anywhere": [
        "items in cart",
        "item in cart",
        "items in your cart",
        "add to cart",
        "your cart is empty",
        "all rights reserved",
    ],
}

_NEWLINE, _SPACE = 10, 32


@helper
def _is_word(data, at):
    """Whether the character that begins at `at` is a letter or digit."""
    return kind(decode(data, at, sequence_length(data[at]))) & (LETTER | DIGIT) != 0


@helper
def _phrase_bytes(data, at, start, end, phrases, offsets):
    """Bytes of the longest phrase that stands at `at` in the line data[start:end] as whole words; 0 = none."""
    longest = 0
    if at > start and _is_word(data, previous(data, at)):
        return longest
    for i in range(len(offsets) - 1):
        n_bytes = offsets[i + 1] - offsets[i]
        if n_bytes > longest and phrase_at(data, at, end, phrases, offsets[i], offsets[i + 1]):
            stop = at + n_bytes
            if stop == end or not _is_word(data, stop):
                longest = n_bytes
    return longest


@helper
def _mainly_uppercase(data, start, end):
    letters = 0
    capitals = 0
    while start < end:
        if data[start] < 0x80:
            letters += 97 <= data[start] | 32 <= 122
            capitals += 65 <= data[start] <= 90
            start += 1
            continue
        length = sequence_length(data[start])
        bits = kind(decode(data, start, length))
        letters += bits & LETTER != 0
        capitals += bits & UPPER != 0
        start += length
    return 2 * capitals > letters


@helper
def _is_counter(data, base, token, last, starts, ends, flags, counters, counter_offsets):
    """Whether the words among tokens token … last - 1 are a number, at most one letter, and one of the counters."""
    place = 0
    found = False
    for i in range(token, last):
        if flags[i] & IS_WORD == 0:
            continue
        n_bytes = ends[i] - starts[i]
        if place == 0:
            if flags[i] & HAS_DIGIT == 0:
                return False
        elif found or place > 2:
            return False
        else:
            start = base + starts[i]
            found = _phrase_bytes(data, start, start, start + n_bytes, counters, counter_offsets) == n_bytes
            if not found and (place > 1 or n_bytes > 1):
                return False
        place += 1
    return found


@helper
def _drops(data, base, start, end, token, last, starts, ends, flags, n_words, counters, counter_offsets):
    """Whether the line data[start:end] with the tokens token … last - 1 goes as a whole."""
    if n_words == 0:
        return False
    lettered = False
    for i in range(token, last):
        lettered |= flags[i] & HAS_LETTER != 0
    return (
        n_words == 1
        or not lettered
        or _mainly_uppercase(data, start, end)
        or _is_counter(data, base, token, last, starts, ends, flags, counters, counter_offsets)
    )


@helper
def _cut_start(data, start, end, phrases, offsets):
    """Where the line goes on behind a phrase at its start; `start` if there is none."""
    at = start
    while at < end and not _is_word(data, at):
        at += sequence_length(data[at])
    n_bytes = _phrase_bytes(data, at, start, end, phrases, offsets)
    if n_bytes == 0:
        return start
    at += n_bytes
    while at < end and not _is_word(data, at):
        at += sequence_length(data[at])
    return at


@helper
def _cut_end(data, start, end, phrases, offsets):
    """Where the line ends before a phrase at its end; `end` if there is none."""
    stop = end
    while stop > start and not _is_word(data, previous(data, stop)):
        stop = previous(data, stop)
    for at in range(start, stop):
        if _phrase_bytes(data, at, start, stop, phrases, offsets) == stop - at:
            return at
    return end


@helper
def _find_anywhere(data, start, end, phrases, offsets):
    """(start, end) of the first phrase in data[start:end]; (end, end) if there is none."""
    for at in range(start, end):
        n_bytes = _phrase_bytes(data, at, start, end, phrases, offsets)
        if n_bytes:
            return at, at + n_bytes
    return end, end


@helper
def _copy_trimmed(data, start, end, out, at):
    start, end = trim(data, start, end)
    return copy(data, start, end, out, at)


@helper
def _write_edited(data, start, hole_start, hole_end, end, out, at):
    """Write the line data[start:end] without the hole, one space in its place; returns `at` if no word is left."""
    words = False
    for i in range(start, end):
        if (i < hole_start or i >= hole_end) and data[i] & 0xC0 != 0x80:
            words |= _is_word(data, i)
    if not words:
        return at
    written = _copy_trimmed(data, start, hole_start, out, at)
    rest = _copy_trimmed(data, hole_end, end, out, written + 1) if written > at else 0
    if written == at:
        return _copy_trimmed(data, hole_end, end, out, at)
    if rest == written + 1:
        return written
    out[written] = _SPACE
    return rest


@helper
def _count_words(first, last, flags):
    n = 0
    for token in range(first, last):
        n += flags[token] & IS_WORD != 0
    return n


@helper
def _write_line(
    data, base, start, end, token, last, starts, ends, flags, n_words, most_words, phrases, offsets, out, at
):
    """Write what stays of the line data[start:end]; returns (next free index of `out`, whether the line is flagged)."""
    counters, opening, closing, anywhere = phrases
    counter_offsets, opening_offsets, closing_offsets, anywhere_offsets = offsets
    if _drops(data, base, start, end, token, last, starts, ends, flags, n_words, counters, counter_offsets):
        return at, True
    if n_words <= most_words:
        kept_start = _cut_start(data, start, end, opening, opening_offsets)
        kept_end = _cut_end(data, kept_start, end, closing, closing_offsets)
        hole_start, hole_end = _find_anywhere(data, kept_start, kept_end, anywhere, anywhere_offsets)
        if kept_start > start or hole_start < end:
            return _write_edited(data, kept_start, hole_start, hole_end, kept_end, out, at), True
    return copy(data, start, end, out, at), False


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        types.int64[::1],
        types.int32[::1],
        types.int32[::1],
        types.int64[::1],
        types.int32[::1],
        types.int32[::1],
        types.uint8[::1],
        types.UniTuple(types.uint8[::1], 4),
        types.UniTuple(OFFSETS, 4),
        types.int64,
        types.float32[::1],
        types.uint8[::1],
        types.int64[::1],
    )
)
def _measure(
    data,
    offsets,
    first_line,
    line_starts,
    line_ends,
    first_token,
    token_starts,
    token_ends,
    token_flags,
    phrases,
    phrase_offsets,
    most_words,
    fraction,
    out,
    out_offsets,
):
    at = 0
    for document in range(len(offsets) - 1):
        base = offsets[document]
        token, last_token = first_token[document], first_token[document + 1]
        text_start = at
        out_offsets[document] = at
        words = 0
        flagged_words = 0
        any_flagged = False
        after_blank = False
        for line in range(first_line[document], first_line[document + 1]):
            start, end = trim(data, base + line_starts[line], base + line_ends[line])
            if start == end:
                after_blank = True
                continue
            first = token
            while token < last_token and token_starts[token] < end - base:
                token += 1
            n_words = _count_words(first, token, token_flags)
            line_at = at
            if at > text_start:
                out[at] = _NEWLINE
                out[at + after_blank] = _NEWLINE
                line_at += 1 + after_blank
            written, flagged = _write_line(
                data,
                base,
                start,
                end,
                first,
                token,
                token_starts,
                token_ends,
                token_flags,
                n_words,
                most_words,
                phrases,
                phrase_offsets,
                out,
                line_at,
            )
            words += n_words
            if flagged:
                any_flagged = True
                flagged_words += n_words
            if written > line_at:
                at = written
                after_blank = False
        if not any_flagged:
            at = copy(data, base, offsets[document + 1], out, text_start)
        fraction[document] = flagged_words / words if words else np.nan
    out_offsets[len(offsets) - 1] = at


def measure(documents: Documents, options: Mapping[str, Any]) -> Measurement:
    texts = documents.texts
    lines, tokens = lines_of(texts), tokens_of(texts)
    lists = [
        Phrases.of(options[name], f"refinedweb_lines.{name}") for name in ("counters", "starts", "ends", "anywhere")
    ]
    fraction = np.empty(len(texts), np.float32)
    out = np.empty(int(texts.byte_lengths.sum()) + 1, np.uint8)
    out_offsets = np.empty(len(texts) + 1, np.int64)
    _measure(
        texts.data,
        texts.offsets,
        lines.first,
        lines.starts,
        lines.ends,
        tokens.first,
        tokens.starts,
        tokens.ends,
        tokens.flags,
        tuple(phrases.data for phrases in lists),
        tuple(phrases.offsets for phrases in lists),
        options["max_edited_line_words"],
        fraction,
        out,
        out_offsets,
    )
    return Measurement({"flagged_word_fraction": fraction}, {"text": edited_column(out, out_offsets)})
