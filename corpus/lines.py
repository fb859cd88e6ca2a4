"""Lines and paragraphs of texts.

A *line* is what stands between two line feeds (a carriage return before one belongs to it), white space kept: a line may be
*empty* (no character), or *blank* (white space only). A *paragraph* is a run of lines that are not empty. Lines are found
once per batch (`lines_of`) and shared by the rule sets.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.hashing import NO_CHANGE, hash_bytes
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.simd import BLOCK, CONTINUATION, NEWLINE, count_bits, counter, first_bit, first_bits, masks
from corpus.text import Texts
from corpus.unicode import SPACE, decode, kind, sequence_length

_RETURN = 13

_newlines_and_continuation = masks(NEWLINE, CONTINUATION)
_count_newlines = counter(NEWLINE)


class Lines(NamedTuple):
    """All lines, empty ones too, end to end; those of text i are first[i]:first[i + 1] (an empty text has one).

    `starts`, `ends`: int32, bytes from the text's first; `characters`: int32, code points between them; `hashes`: uint64
    of these bytes; `text_starts`, `text_ends`: int32, as `starts` and `ends`, without white space on either side (equal if
    the line is blank). Kernels take it whole, as LINES.
    """

    first: NDArray[np.int64]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    characters: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    text_starts: NDArray[np.int32]
    text_ends: NDArray[np.int32]


_PLACES = types.int32[::1]
LINES = types.NamedTuple((types.int64[::1], _PLACES, _PLACES, _PLACES, types.uint64[::1], _PLACES, _PLACES), Lines)


@helper
def count_text_characters(first, last, n_bytes, lines):
    """Code points of a text of `n_bytes` bytes whose lines are first … last - 1: what stands between lines is ASCII."""
    characters = n_bytes
    for line in range(first, last):
        characters += lines.characters[line] - (lines.ends[line] - lines.starts[line])
    return characters


@helper
def is_space(data, at):
    """Whether the character that begins at `at` is white space."""
    if data[at] > 32 and data[at] < 0x80:
        return False
    return kind(decode(data, at, sequence_length(data[at]))) & SPACE != 0


@helper
def previous(data, at):
    """Where the character before `at` begins."""
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@helper
def trim(data, start, end):
    """(start, end) without white space on either side."""
    while start < end and is_space(data, start):
        start += sequence_length(data[start])
    while start < end:
        last = previous(data, end)
        if not is_space(data, last):
            break
        end = last
    return start, end


@kernel(types.int64(BYTES, OFFSETS))
def _count_lines(data, offsets):
    return len(offsets) - 1 + _count_newlines(data, offsets[0], offsets[-1])


@helper
def _emit(data, base, start, end, n_characters, n, lines):
    """Line `n` is data[start:end], `n_characters` code points with the carriage return at its end."""
    has_return = end > start and data[end - 1] == _RETURN
    n_bytes = end - start - has_return
    lines.starts[n] = start - base
    lines.ends[n] = start - base + n_bytes
    lines.characters[n] = n_characters - has_return
    lines.hashes[n] = hash_bytes(data, start, n_bytes, NO_CHANGE, np.uint64(0))
    text_start, text_end = trim(data, start, end)
    lines.text_starts[n] = text_start - base
    lines.text_ends[n] = text_end - base


@kernel(types.void(BYTES, OFFSETS, LINES))
def _find_lines(data, offsets, lines):
    n = 0
    for document in range(len(offsets) - 1):
        base, end = offsets[document], offsets[document + 1]
        lines.first[document] = n
        start = base
        n_characters = 0  # of the line that begins at `start`, before this block
        for at in range(base, end, BLOCK):
            newlines, continuation = _newlines_and_continuation(data, at)
            newlines &= first_bits(end - at)
            leads = ~continuation & first_bits(end - at)
            while newlines:
                stop = at + first_bit(newlines)
                upto = newlines ^ (newlines - np.uint64(1))  # this newline and all bytes before it
                _emit(data, base, start, stop, n_characters + count_bits(leads & upto) - 1, n, lines)
                n += 1
                start = stop + 1
                n_characters = 0
                leads &= ~upto
                newlines &= ~upto
            n_characters += count_bits(leads)
        _emit(data, base, start, end, n_characters, n, lines)
        n += 1
    lines.first[len(offsets) - 1] = n


def _scan(texts: Texts) -> Lines:
    n = _count_lines(texts.data, texts.offsets)
    starts, ends, characters, text_starts, text_ends = (texts.arena.empty(n, np.int32) for _ in range(5))
    first = np.empty(len(texts) + 1, np.int64)
    lines = Lines(first, starts, ends, characters, texts.arena.empty(n, np.uint64), text_starts, text_ends)
    _find_lines(texts.data, texts.offsets, lines)
    return lines


def lines_of(texts: Texts) -> Lines:
    """The lines of `texts`, found at the first call and kept with them."""
    return texts.once(_scan)
