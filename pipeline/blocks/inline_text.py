"""The text between tags as it is shown: references resolved, runs of white space one space, none at a block's edge.

White space is what `str.isspace` says, as everywhere in the project, no-break spaces included. In `pre` it stays as it is, with
line ends as newlines. Runs without anything special, nearly all of a text, are copied 64 bytes at a time.
"""

import numpy as np

from corpus.kernels import helper
from corpus.simd import BLOCK, copy_bytes, first_bit, first_bits, masks
from pipeline.blocks.entities import read_reference

_SPACE, _NEWLINE, _RETURN, _AMPERSAND, _LESS = (np.uint8(ord(character)) for character in " \n\r&<")

_MARKUP = ((0, 0), (13, 13), (38, 38), (60, 60))
_CONTROL_SPACES = ((9, 12), (28, 31))
_SPACES = ((32, 32),)
_MAY_BE_SPACE = ((0xC2, 0xC2), (0xE1, 0xE3))  # first bytes of all white space beyond ASCII
_classes = masks(_MARKUP, _CONTROL_SPACES, _SPACES, _MAY_BE_SPACE)


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
def _skip_spaces(data, at, end):
    while at < end and is_space(data[at]):
        at += 1
    return at


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
def read_text(data, at, end, is_pre, out, start, to):
    """Copy text from data[at:end] up to the next "<" to `out`, whose block began at `start` and has come to `to`.

    Returns (where the "<" is, else `end`; end of the text in `out`). Needs BLOCK bytes of room behind what it writes.
    """
    while at < end:
        markup, control_spaces, spaces, may_be_space = _classes(data, at)
        stops = markup | ~first_bits(end - at)
        if not is_pre:
            stops |= control_spaces | may_be_space | spaces & (spaces << np.uint64(1))
            if spaces & np.uint64(1) and (to == start or is_space(out[to - 1])):
                at = _skip_spaces(data, at, end)
                continue
        n = first_bit(stops) if stops else BLOCK
        if n:
            if at + BLOCK <= data.size:
                copy_bytes(data, at, BLOCK, out, to)
            else:
                copy_bytes(data, at, n, out, to)
            at += n
            to += n
            if n == BLOCK or at >= end:
                continue
        byte = data[at]
        if byte == _LESS:
            break
        if byte == _AMPERSAND:
            after, written = read_reference(data, at, end, out, to)
            if after == at:
                out[to] = byte
                at, to = at + 1, to + 1
            elif not is_pre and _space_length(out[to], out[to + 1], out[to + 2]) == written - to:
                at, to = after, _write_space(out, start, to)
            else:
                at, to = after, written
        elif byte == 0:
            at += 1
        elif is_pre:  # a carriage return
            if not (at + 1 < end and data[at + 1] == _NEWLINE):
                out[to] = _NEWLINE
                to += 1
            at += 1
        else:
            second = data[at + 1] if at + 1 < end else byte
            third = data[at + 2] if at + 2 < end else byte
            width = _space_length(byte, second, third)
            if width:
                to = _write_space(out, start, to)
                at = _skip_spaces(data, at + width, end)
            else:
                out[to] = byte
                at, to = at + 1, to + 1
    return at, to
