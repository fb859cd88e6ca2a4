"""Where tokens begin and end in up to 64 bytes of text, for all of their fields at once: masks instead of characters.

A window begins where a field can, and is cut behind its last white space, so that it holds whole fields only. Most fields are
*plain*: letters of ASCII, or a number, with marks before and behind that are always tokens apart, with hyphens or slashes
between letters, and with the usual contractions. Any other field (a number with a unit, an abbreviation, an accent) is left
to `corpus.token_boundaries`, as one token for now. On 1,824 English texts (17 MB) that is one field in 46; looking at each
character of these takes a fifth of the scan's time.
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
_INSIDE_NUMBERS: Ranges = bytes_of(b",./:")
# The dashes – — and the quotation marks ‘ … ‟ begin with the bytes E2 80. They too are tokens at either end of a field.
_THIRD: Ranges = ((0x93, 0x94), (0x98, 0x9F))
_APOSTROPHE = 39

_classes = masks(
    WHITE_SPACE,
    LETTERS,
    LOWERCASE,
    DIGITS,
    _PEELED,
    bytes_of(b"."),
    bytes_of(b"-"),
    bytes_of(b"-/"),
    _INSIDE_NUMBERS,
    bytes_of(b"'"),
    bytes_of(b"\xe2"),
    bytes_of(b"\x80"),
    _THIRD,
    bytes_of(b"\x99"),
)
_find_space = finder(WHITE_SPACE)
_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)


@helper
def _abbreviated(data, at, dots, letters):
    """Which of the full stops belong to an abbreviation in letters ("Mr.")."""
    found = np.uint64(0)
    while dots:
        dot = dots & (~dots + _ONE)
        dots ^= dot
        before = ~letters & (dot - _ONE)
        start = last_bit(before) + 1 if before else 0
        if is_listed(ABBREVIATION_KEYS, data, at + start, at + first_bit(dot) + 1):
            found |= dot
    return found


@helper
def _contractions(data, at, letters, closed, apostrophes):
    """(first bytes of contractions (n't 's 'll …), bytes of the apostrophes in them).

    `closed`: bytes that a field can end before; `apostrophes`: the last byte of those between letters."""
    starts = np.uint64(0)
    inside = np.uint64(0)
    while apostrophes:
        last = apostrophes & (~apostrophes + _ONE)
        apostrophes ^= last
        behind = (letters + (last << _ONE)) & ~letters
        letter = at + first_bit(last) + 1
        n_letters = at + first_bit(behind) - letter
        if behind & closed == 0 or n_letters > 2:
            continue
        apostrophe = last if data[letter - 1] == _APOSTROPHE else last | last >> _ONE | last >> _TWO
        start = apostrophe & (~apostrophe + _ONE)
        first, second = data[letter] | 32, data[letter + n_letters - 1] | 32
        if n_letters == 2:
            fits = (first == 108 and second == 108) or (second == 101 and (first == 118 or first == 114))  # ll ve re
        elif first == 116:  # t
            start >>= _ONE
            fits = data[at + first_bit(start)] | 32 == 110 and start << _ONE & letters << _TWO != 0
        else:
            fits = first == 115 or first == 100 or first == 109  # s d m
        if fits:
            starts |= start
            inside |= apostrophe
    return starts, inside


@helper
def find_tokens(data, at, end):
    """The window at `at`: (its bytes; masks of the first byte of each token, of the byte behind each, of tokens that open a
    field, of contractions, of fields that are not plain, of bytes within a character).

    A field that is longer than a window is the only token of it, and the second mask is 0.
    """
    space, letters, lower, digits, peeled, dots, hyphens, joins, inner, quotes, lead, middle, third, curly = _classes(
        data, at
    )
    width = end - at
    if width >= BLOCK:
        if space == 0:
            none = np.uint64(0)
            return _find_space(data, at + BLOCK, end) - at, _ONE, none, _ONE, none, _ONE, none
        width = last_bit(space) + 1
    solid = ~space & first_bits(width)
    opens = solid & ~(solid << _ONE)
    ends = ~solid & solid << _ONE
    letters, lower, digits = letters & solid, lower & solid, digits & solid
    peeled, dots, joins = peeled & solid, dots & solid, joins & solid
    third &= lead << _TWO & middle << _ONE & solid
    within = third | third >> _ONE
    between_digits = digits << _ONE & digits >> _ONE
    inner &= between_digits
    peeled = (peeled | within | third >> _TWO) & ~inner
    dots &= ~inner
    joins &= ~inner
    apostrophes = (quotes & letters << _ONE | third & curly & letters << _THREE) & letters >> _ONE
    contractions, inside = _contractions(data, at, letters, ~solid | peeled | dots, apostrophes)
    peeled &= ~inside
    leading = peeled & ~(peeled + (peeled & opens))  # the carry runs through those at the start of a field
    trailing = (peeled | dots) & ~leading
    behind = (trailing + (trailing & ~(trailing << _ONE))) & ~trailing
    after_word = lower << _ONE & (letters | inside) << _TWO
    other = behind & solid
    other |= dots & ~(after_word | digits << _ONE) | _abbreviated(data, at, dots & after_word, letters)
    other |= joins & ~(letters << _ONE & letters >> _ONE | hyphens & between_digits)
    other |= letters << _ONE & digits | digits << _ONE & letters
    other |= solid & ~(letters | digits | peeled | dots | joins | inside | inner)
    other &= ~(opens & ends >> _ONE)  # one byte by itself is a token, whatever it is
    marks = peeled | dots | joins
    starts = solid & ~within & (opens | marks | marks << _ONE | contractions)
    stops = (starts | ~solid) & solid << _ONE
    others = np.uint64(0)
    while other:
        upto = other ^ (other - _ONE)
        first = _ONE << np.uint64(last_bit(opens & upto))
        stop = ends & ~upto
        stop &= ~stop + _ONE
        field = stop - first
        starts = starts & ~field | first
        stops = stops & ~(field << _ONE) | stop
        others |= first
        other &= ~field
    return width, starts, stops, opens, contractions, others, within
