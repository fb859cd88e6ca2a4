"""Where tokens begin and end in up to 64 bytes of text, for all of their fields at once: masks instead of characters.

A window begins where a field can, and is cut behind its last white space, so that it holds whole fields only. Most fields are
*plain*: letters, or digits, with marks before and behind that are always tokens apart, and with hyphens or slashes between
letters. Where a character says otherwise (an apostrophe inside, a number with a unit, an abbreviation, anything beyond ASCII)
the field is left to `corpus.token_boundaries`, as one token for now. On 1,824 English texts that is one field in 25.
"""

import numpy as np

from corpus.kernels import helper
from corpus.simd import (
    BLOCK,
    DIGITS,
    LETTERS,
    LOWERCASE,
    WHITE_SPACE,
    Ranges,
    bytes_of,
    finder,
    first_bit,
    first_bits,
    last_bit,
    masks,
)
from corpus.token_lists import ABBREVIATION_KEYS, is_listed

_PEELED: Ranges = ((33, 34), (39, 41), (44, 44), (58, 59), (63, 63))  # !"'(),:;? are tokens at either end of a field
_JOINS: Ranges = bytes_of(b"-/")  # tokens between letters

_classes = masks(WHITE_SPACE, LETTERS, LOWERCASE, DIGITS, _PEELED, bytes_of(b"."), _JOINS)
_find_space = finder(WHITE_SPACE)


@helper
def _abbreviated(data, at, dots, letters):
    """Which of the full stops belong to an abbreviation in letters ("Mr.")."""
    found = np.uint64(0)
    while dots:
        dot = dots & (~dots + np.uint64(1))
        dots ^= dot
        before = ~letters & (dot - np.uint64(1))
        start = last_bit(before) + 1 if before else 0
        if is_listed(ABBREVIATION_KEYS, data, at + start, at + first_bit(dot) + 1):
            found |= dot
    return found


@helper
def _not_plain(data, at, solid, opens, ends, classes):
    """(marks that are tokens apart in a plain field, bytes because of which a field is not plain) of the bytes `solid`."""
    one, two = np.uint64(1), np.uint64(2)
    letters, lower, digits, peeled, dots, joins = classes
    leading = peeled & ~(peeled + (peeled & opens))  # the carry runs through those at the start of a field
    trailing = (peeled | dots) & ~leading
    behind = (trailing + (trailing & ~(trailing << one))) & ~trailing
    after_word = lower << one & letters << two
    wrong = behind & solid
    wrong |= dots & ~(after_word | digits << one) | _abbreviated(data, at, dots & after_word, letters)
    wrong |= joins & ~(letters << one & letters >> one)
    wrong |= letters << one & digits | digits << one & letters
    wrong |= solid & ~(letters | digits | peeled | dots | joins)
    return peeled | dots | joins, wrong & ~(opens & ends >> one)  # one byte by itself is a token, whatever it is


@helper
def find_tokens(data, at, end):
    """(bytes of the window at `at`, starts, stops, opens, others): masks of the first byte of each token, of the byte behind
    it, of those that open a field, and of the fields that are not plain.

    A field that is longer than a window is the only one of it, and `stops` is 0.
    """
    one = np.uint64(1)
    space, letters, lower, digits, peeled, dots, joins = _classes(data, at)
    width = end - at
    if width >= BLOCK:
        if space == 0:
            return _find_space(data, at + BLOCK, end) - at, one, np.uint64(0), one, one
        width = last_bit(space) + 1
    here = first_bits(width)
    solid = ~space & here
    opens = solid & ~(solid << one)
    ends = ~solid & solid << one
    classes = letters & here, lower & here, digits & here, peeled & here, dots & here, joins & here
    marks, wrong = _not_plain(data, at, solid, opens, ends, classes)
    starts = solid & (opens | marks | marks << one)
    stops = (starts | ~solid) & solid << one
    others = np.uint64(0)
    while wrong:
        upto = wrong ^ (wrong - one)
        first = one << np.uint64(last_bit(opens & upto))
        stop = ends & ~upto
        stop &= ~stop + one
        field = stop - first
        starts = starts & ~field | first
        stops = stops & ~(field << one) | stop
        others |= first
        wrong &= ~field
    return width, starts, stops, opens, others
