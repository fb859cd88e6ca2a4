"""Where a piece of markup ends, and what it says: comments, raw text, attributes.

Source: the HTML Living Standard, §13.2.5 (tokenization). Where a browser waits for more and the page has ended, so has the piece.
Every function goes over its bytes once and returns where to go on, at most `end`.
"""

import numpy as np

from corpus.hashing import load_bytes
from corpus.kernels import helper
from corpus.simd import find_byte, finder
from pipeline.blocks.keywords import HIDDEN, keywords_in
from pipeline.blocks.tags import tag_number

LESS, GREATER, _SLASH, _EQUALS, _DASH, _BANG = (np.uint8(ord(character)) for character in "<>/=-!")
_DOUBLE_QUOTE, _SINGLE_QUOTE = np.uint8(34), np.uint8(39)

_BLANKS = ((9, 10), (12, 13), (32, 32))
_find_blank_or_greater = finder((*_BLANKS, (62, 62)))
find_name_end = finder((*_BLANKS, (47, 47), (61, 62)))  # of an element or an attribute; "=" is in no element's name


_LOWER = np.uint64(0x2020202020202020)


def _word(name: str) -> np.uint64:
    """As `_name_word` reads it."""
    word = name.encode()[:8]
    return np.uint64(int.from_bytes(word, "little") | int(_LOWER))


# Attributes that say something. The first three have keywords.
_ATTRIBUTES = ("class", "id", "role", "style", "aria-hidden", "hidden", "href")
_N_ATTRIBUTES, _WITH_KEYWORDS = len(_ATTRIBUTES), 3
_STYLE, _ARIA_HIDDEN, _IS_HIDDEN, _HREF = (
    _ATTRIBUTES.index(name) for name in ("style", "aria-hidden", "hidden", "href")
)
_WORDS = np.array([_word(name) for name in _ATTRIBUTES])
_LENGTHS = np.array([len(name) for name in _ATTRIBUTES])
_TRUE, _NONE, _DISPLAY = _word("true"), _word("none"), _word("display")
_N_TRUE, _N_NONE, _N_DISPLAY = (np.int64(len(name)) for name in ("true", "none", "display"))

# What a tag says is an int: bits of the keywords, then one for each of the attributes that it has, then whether it ends at once.
_FIRST_ATTRIBUTE = 20
HAS_HREF = 1 << _FIRST_ATTRIBUTE + _HREF
SELF_CLOSING = 1 << 30


@helper
def _is_blank(byte):
    return byte == 32 or byte == 9 or byte == 10 or byte == 12 or byte == 13


@helper
def _skip_blanks(data, at, end):
    while at < end and _is_blank(data[at]):
        at += 1
    return at


@helper
def skip_declaration(data, at, end):
    """Past the comment, doctype, CDATA section or processing instruction that begins with the "<" at `at`.

    Outside drawings a CDATA section is a comment that ends at the first ">", to browsers too.
    """
    inside = at + 4
    if not (inside <= end and data[at + 1] == _BANG and data[at + 2] == _DASH and data[at + 3] == _DASH):
        return min(find_byte(data, min(at + 2, end), end, GREATER) + 1, end)
    stop = find_byte(data, inside, end, GREATER)
    while stop < end:
        # "-->" and "--!>"; "<!-->" and "<!--->" are comments, too
        if data[stop - 1] == _DASH and data[stop - 2] == _DASH:
            return stop + 1
        if data[stop - 1] == _BANG and stop - 3 >= inside and data[stop - 2] == _DASH and data[stop - 3] == _DASH:
            return stop + 1
        stop = find_byte(data, stop + 1, end, GREATER)
    return end


@helper
def find_end_tag(data, at, end, tag):
    """Where the end tag is ("<") that ends the raw text at `at` of this element; `end` if nothing ends it."""
    at = find_byte(data, at, end, LESS)
    while at < end:
        if at + 1 < end and data[at + 1] == _SLASH:
            stop = find_name_end(data, at + 2, end)
            if stop < end and tag_number(data, at + 2, stop) == tag:
                return at
        at = find_byte(data, at + 1, end, LESS)
    return end


@helper
def _hides(data, start, end):
    """Whether a style says `display: none`. Each "none" looks back over the blanks before it: linear."""
    for at in range(start + 8, end - 3):
        if data[at] | 0x20 == 110 and load_bytes(data, at, _N_NONE) | _LOWER == _NONE:
            before = at - 1
            while before > start and _is_blank(data[before]):
                before -= 1
            if data[before] == 58:  # :
                before -= 1
                while before > start and _is_blank(data[before]):
                    before -= 1
                if before - 6 >= start and load_bytes(data, before - 6, _N_DISPLAY) | _LOWER == _DISPLAY:
                    return True
    return False


@helper
def _with_attribute(says, data, name, n, value, value_end):
    """What a tag says with the attribute whose name is the `n` bytes at `name`; of two of one name the first counts."""
    word = load_bytes(data, name, min(n, 8)) | _LOWER
    which = 0
    while which < _N_ATTRIBUTES and (word != _WORDS[which] or n != _LENGTHS[which]):
        which += 1
    bit = 1 << _FIRST_ATTRIBUTE + which
    if which == _N_ATTRIBUTES or says & bit:
        return says
    says |= bit
    is_hidden = which == _IS_HIDDEN
    if which < _WITH_KEYWORDS:
        says |= keywords_in(data, value, value_end)
    elif which == _STYLE:
        is_hidden = _hides(data, value, value_end)
    elif which == _ARIA_HIDDEN:
        is_hidden = value_end - value == _N_TRUE and load_bytes(data, value, _N_TRUE) | _LOWER == _TRUE
    return says | HIDDEN if is_hidden else says


@helper
def read_attributes(data, at, end, is_wanted):
    """(where the tag ends, what it says); `at` is behind the tag's name. (end, 0) if the page ends before the tag.

    Says keywords, HIDDEN and HAS_HREF if `is_wanted`, SELF_CLOSING always.
    """
    says = 0
    while True:
        is_slash = False
        while at < end and (_is_blank(data[at]) or data[at] == _SLASH):
            is_slash = data[at] == _SLASH
            at += 1
        if at >= end:
            return end, 0
        if data[at] == GREATER:
            return at + 1, says | (SELF_CLOSING if is_slash else 0)
        name = at
        at = find_name_end(data, at + 1, end)  # an "=" that comes first belongs to the name
        name_end = at
        at = _skip_blanks(data, at, end)
        value, value_end = at, at
        if at < end and data[at] == _EQUALS:
            value = _skip_blanks(data, at + 1, end)
            if value >= end:
                return end, 0
            quote = data[value]
            if quote in (_DOUBLE_QUOTE, _SINGLE_QUOTE):
                value += 1
                value_end = find_byte(data, value, end, quote)
                at = value_end + 1
            else:
                value_end = _find_blank_or_greater(data, value, end)
                at = value_end
            if value_end >= end:
                return end, 0
        if is_wanted:
            says = _with_attribute(says, data, name, name_end - name, value, value_end)
