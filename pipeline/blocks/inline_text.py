"""The text between tags as it is shown: references resolved, runs of white space one space, none at a block's edge.

White space is what `str.isspace` says, as everywhere in the project, no-break spaces included. In `pre` it stays as it is, with
line ends as newlines. Runs without anything special, nearly all of a text, are copied 64 bytes at a time.
"""

import numpy as np

from corpus.kernels import helper
from corpus.simd import BLOCK, copy_bytes, first_bit, first_bits, masks
from pipeline.blocks.entities import read_reference

_SPACE, _NEWLINE, _AMPERSAND, _LESS = (np.uint8(ord(character)) for character in " \n&<")
_ONE, _LAST_BIT = np.uint64(1), np.uint64(1 << 63)

_MARKUP = ((0, 0), (38, 38), (60, 60))
_RETURNS = ((13, 13),)
_CONTROL_SPACES = ((9, 13), (28, 31))
_SPACES = ((32, 32),)
_MAY_BE_SPACE = ((0xC2, 0xC2), (0xE1, 0xE3))  # first bytes of all white space beyond ASCII
_classes = masks(_MARKUP, _RETURNS, _CONTROL_SPACES, _SPACES, _MAY_BE_SPACE)


@helper
def is_space(byte):
    """Whether the ASCII character is white space."""
    return byte == 32 or 9 <= byte <= 13 or 28 <= byte <= 31


@helper
def _space_length(lead, second, third):
    """Bytes of the white-space character that begins with these three bytes; 0 if none does."""
    if lead < 0x80:
        return 1 if is_space(lead) else 0
    if lead == 0xC2:
        return 2 if second == 0xA0 or second == 0x85 else 0
    if lead == 0xE2 and second == 0x80:
        return 3 if 0x80 <= third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
    if lead == 0xE2:
        return 3 if second == 0x81 and third == 0x9F else 0
    if lead == 0xE3:
        return 3 if second == 0x80 and third == 0x80 else 0
    return 3 if lead == 0xE1 and second == 0x9A and third == 0x80 else 0


@helper
def _write_space(out, start, to):
    """A space, unless the block begins here or has one; returns the end of the text."""
    if to > start and not is_space(out[to - 1]):
        out[to] = _SPACE
        return to + 1
    return to


@helper
def write_break(out, start, to):
    """What `<br>` leaves: a newline in place of a space, two at most; none where a block begins."""
    if to == start:
        return to
    if out[to - 1] == _SPACE:
        out[to - 1] = _NEWLINE
        return to
    if to - start > 1 and out[to - 1] == _NEWLINE and out[to - 2] == _NEWLINE:
        return to
    out[to] = _NEWLINE
    return to + 1


@helper
def _read_special(data, at, end, n_white, is_pre, out, start, to):
    """As `read_text`, for the one thing at `at` that may not stand for itself; (at, to) if it does.

    `n_white`: bytes of ASCII white space there.
    """
    byte = data[at]
    if byte == _AMPERSAND:
        after, written = read_reference(data, at, end, out, to)
        if after > at and not is_pre and _space_length(out[to], out[to + 1], out[to + 2]) == written - to:
            written = _write_space(out, start, to)
        return after, written
    if byte == 0:
        return at + 1, to
    if is_pre:  # a carriage return
        if not (at + 1 < end and data[at + 1] == _NEWLINE):
            out[to] = _NEWLINE
            to += 1
        return at + 1, to
    if n_white == 0:
        second = data[at + 1] if at + 1 < end else byte
        third = data[at + 2] if at + 2 < end else byte
        n_white = _space_length(byte, second, third)
        if n_white == 0:
            return at, to
    return at + n_white, _write_space(out, start, to)


@helper
def read_text(data, at, end, is_pre, out, start, to):
    """Copy text from data[at:end] up to the next "<" to `out`, whose block began at `start` and has come to `to`.

    Returns (where the "<" is, else `end`; end of the text in `out`). Needs BLOCK bytes of room behind what it writes.
    """
    while at < end and data[at] != _LESS:
        markup, returns, control_spaces, spaces, may_be_space = _classes(data, at)
        white = control_spaces | spaces
        stops = markup | ~first_bits(end - at)
        if is_pre:
            stops |= returns
        else:
            stops |= control_spaces | may_be_space | spaces & (spaces << _ONE)
            if white & _ONE and (to == start or is_space(out[to - 1])):
                at += first_bit(~white | _LAST_BIT)
                continue
        if at + BLOCK <= data.size:
            copy_bytes(data, at, BLOCK, out, to)
        else:
            copy_bytes(data, at, end - at, out, to)
        after, written = at + BLOCK, to + BLOCK
        while stops:
            n = first_bit(stops)
            after, written = at + n, to + n
            if after >= end or data[after] == _LESS:
                break
            n_white = first_bit(~(white >> np.uint64(n)) | _LAST_BIT)
            after, written = _read_special(data, after, end, n_white, is_pre, out, start, written)
            if after != at + n:
                break
            stops &= stops - _ONE
            after, written = at + BLOCK, to + BLOCK
        at, to = after, written
    return at, to
