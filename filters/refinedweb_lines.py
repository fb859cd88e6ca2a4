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
dashes) is never flagged. With `view: tokens` or `view: fields` these are counted instead: for "a single word", the words of
a line that is edited, and the share that is flagged.

A document without flagged lines keeps its text byte for byte; in the others white space around lines goes and a run of blank
lines becomes one. If nothing is left the text is empty, and the signal (1.0) says why.

The paper prints one example of each phrase; the lists are ours and short, and are options. On 1,824 English texts, extracted
with trafilatura, they change 51% of the documents and reject 3.7% (the paper: 22.6% of what the rules before it kept).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import types

from corpus.documents import Documents
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.line_tokens import LINE_TOKENS, line_tokens_of
from corpus.lines import LINES, lines_of
from corpus.rules import Measurement, Rule
from corpus.simd import BLOCK, LEADS, LETTERS, UPPERCASE, copy_bytes, count_bits, first_bit, first_bits, masks
from corpus.tokens import HAS_DIGIT, HAS_LETTER, IS_WORD, OPENS_FIELD, TOKENS, tokens_of
from corpus.unicode import LETTER, UPPER, decode, kind, sequence_length
from corpus.views import View, counted_flags, counted_tokens
from filters.kernels.edited import edited_column
from filters.kernels.line_phrases import cut_end, cut_start, find_anywhere, phrase_bytes, write_without
from filters.kernels.phrases import PHRASES, Phrases

RULES = (Rule("max_flagged_word_fraction", 0.05, "RefinedWeb (arXiv 2306.01116), appendix G.2"),)
_COUNTERS = """
    like likes share shares comment comments view views reply replies follower followers retweet retweets repost reposts vote
    votes upvotes point points review reviews rating ratings download downloads subscriber subscribers reads bookmarks
    favorites pins"""
OPTIONS: dict[str, object] = {
    "view": View.WORDS,
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

_LISTS = ("counters", "starts", "ends", "anywhere")
_NEWLINE = 10

_case_masks = masks(LETTERS, UPPERCASE, LEADS)
_token_masks = masks(int(IS_WORD), int(HAS_LETTER), int(OPENS_FIELD))


@helper
def _mainly_uppercase(data, start, end):
    """Whether more than half of the letters in data[start:end] are capitals."""
    excess = 0  # of other letters over capitals
    for block in range(start, end, BLOCK):
        letters, capitals, leads = _case_masks(data, block)
        here = first_bits(end - block)
        leads &= here
        excess += count_bits(letters & here) - 2 * count_bits(capitals & here)
        if excess >= count_bits(leads) + max(end - block - BLOCK, 0):  # even if all the rest are capitals
            return False
        while leads:
            at = block + first_bit(leads)
            leads &= leads - np.uint64(1)
            bits = kind(decode(data, at, sequence_length(data[at])))
            excess += (bits & LETTER != 0) - 2 * (bits & UPPER != 0)
    return excess < 0


@helper
def _is_counter(data, base, token, last, tokens, counters):
    """Whether the words among tokens token … last - 1 are a number, at most one letter, and one of the counters."""
    place = 0
    found = False
    for i in range(token, last):
        if tokens.flags[i] & IS_WORD == 0:
            continue
        n_bytes = tokens.ends[i] - tokens.starts[i]
        if place == 0:
            if tokens.flags[i] & HAS_DIGIT == 0:
                return False
        elif found or place > 2:
            return False
        else:
            start = base + tokens.starts[i]
            found = phrase_bytes(data, start, start, start + n_bytes, counters) == n_bytes
            if not found and (place > 1 or n_bytes > 1):
                return False
        place += 1
    return found


@helper
def _drops(data, base, start, end, token, last, tokens, counts, counters):
    """Whether the line data[start:end] with the tokens token … last - 1, of which `_count_words` says `counts`, goes."""
    n_words, written, lettered = counts
    if not written:
        return False
    return (
        n_words == 1
        or not lettered
        or _mainly_uppercase(data, start, end)
        or _is_counter(data, base, token, last, tokens, counters)
    )


@helper
def _count_words(flags, first, last, counted):
    """(words, whether there is a letter or digit, whether there is a letter) among tokens first … last - 1.

    `counted`: flags of the view, see `corpus.views`."""
    n_words = 0
    written = False
    lettered = False
    for at in range(first, last, BLOCK):
        words, letters, opening = _token_masks(flags, at)
        here = first_bits(last - at)
        n_words += count_bits(counted_tokens(counted, words, opening) & here)
        written |= words & here != 0
        lettered |= letters & here != 0
    return n_words, written, lettered


@helper
def _write_line(data, base, start, end, token, last, tokens, counts, most_words, phrases, out, at):
    """Write what stays of the line data[start:end]; returns (next free index of `out`, whether the line is flagged)."""
    counters, opening, closing, anywhere = phrases
    if _drops(data, base, start, end, token, last, tokens, counts, counters):
        return at, True
    if counts[0] <= most_words:
        kept_start = cut_start(data, start, end, opening)
        kept_end = cut_end(data, kept_start, end, closing)
        hole_start, hole_end = find_anywhere(data, kept_start, kept_end, anywhere)
        if kept_start > start or hole_start < end:
            return write_without(data, kept_start, hole_start, hole_end, kept_end, out, at), True
    return copy_bytes(data, start, end - start, out, at), False


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        LINES,
        TOKENS,
        LINE_TOKENS,
        types.UniTuple(PHRASES, 4),
        types.uint8,
        types.int64,
        types.float32[::1],
        types.uint8[::1],
        types.int64[::1],
    )
)
def _measure(data, offsets, lines, tokens, line_tokens, phrases, counted, most_words, fraction, out, out_offsets):
    at = 0
    for document in range(len(offsets) - 1):
        base = offsets[document]
        text_start = at
        out_offsets[document] = at
        words = 0
        flagged_words = 0
        any_flagged = False
        after_blank = False
        for line in range(lines.first[document], lines.first[document + 1]):
            start, end = base + lines.text_starts[line], base + lines.text_ends[line]
            if start == end:
                after_blank = True
                continue
            first, last = line_tokens[line], line_tokens[line + 1]
            counts = _count_words(tokens.flags, first, last, counted)
            line_at = at
            if at > text_start:
                out[at] = _NEWLINE
                out[at + after_blank] = _NEWLINE
                line_at += 1 + after_blank
            written, flagged = _write_line(
                data, base, start, end, first, last, tokens, counts, most_words, phrases, out, line_at
            )
            words += counts[0]
            if flagged:
                any_flagged = True
                flagged_words += counts[0]
            if written > line_at:
                at = written
                after_blank = False
        if not any_flagged:
            at = copy_bytes(data, base, offsets[document + 1] - base, out, text_start)
        fraction[document] = flagged_words / words if words else np.nan
    out_offsets[len(offsets) - 1] = at


def measure(documents: Documents, options: Mapping[str, Any]) -> Measurement:
    texts = documents.texts
    phrases = tuple(Phrases.of(tuple(options[name]), f"refinedweb_lines.{name}") for name in _LISTS)
    fraction = np.empty(len(texts), np.float32)
    out = np.empty(int(texts.byte_lengths.sum()) + 1, np.uint8)
    out_offsets = np.empty(len(texts) + 1, np.int64)
    _measure(
        texts.data,
        texts.offsets,
        lines_of(texts),
        tokens_of(texts),
        line_tokens_of(texts),
        phrases,
        counted_flags(options["view"]),
        options["max_edited_line_words"],
        fraction,
        out,
        out_offsets,
    )
    return Measurement({"flagged_word_fraction": fraction}, {"text": edited_column(out, out_offsets)})
