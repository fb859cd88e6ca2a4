"""Character references: `&eacute;` `&eacute` `&#233;` `&#xE9;`.

Source: the HTML Living Standard, §13.2.5.72 ff. and its table of 2,231 names (Python's `html.entities.html5`). As there: 106 old
names need no semicolon, and then the longest that fits counts (`&notit;` is `¬it;`); numbers 128 … 159 mean windows-1252; NUL,
surrogates and numbers beyond Unicode become U+FFFD. What is no reference stays as it is. A name is looked up at every letter,
by the hash of what there is of it: one product a letter, so that no name is read twice.
"""

import html.entities

import numpy as np
from numpy.typing import NDArray

from corpus.hashing import GOLDEN
from corpus.kernels import helper
from corpus.unicode import encode

# html.entities has old names twice, with the semicolon and without.
_NAMES = {name.rstrip(";"): text for name, text in html.entities.html5.items()}
_WITHOUT_SEMICOLON = {name for name in html.entities.html5 if not name.endswith(";")}
_LONGEST = max(map(len, _NAMES))
MAX_GROWTH = 2  # no reference is longer as text: at most six bytes, `&nGt;`, of five

_SLOT_BITS = 13
_LENGTH_SHIFT, _OLD = np.uint64(48), np.uint64(1 << 56)  # above the text: its length, and whether it needs no semicolon

_WINDOWS_1252 = np.array(
    [ord(bytes([byte]).decode("cp1252", "ignore") or chr(byte)) for byte in range(0x80, 0xA0)], np.int64
)
_REPLACEMENT = 0xFFFD


def _hash(name: bytes) -> int:
    state = 0
    for byte in name:
        state = (state ^ byte) * int(GOLDEN) % (1 << 64)
    return state


def _table() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(hash of the name in each slot, 0 = empty; its value)."""
    keys, values = np.zeros(1 << _SLOT_BITS, np.uint64), np.zeros(1 << _SLOT_BITS, np.uint64)
    for name, text in _NAMES.items():
        key = _hash(name.encode())
        slot = key >> 64 - _SLOT_BITS
        while keys[slot]:
            slot = (slot + 1) % len(keys)
        value = text.encode()
        keys[slot] = key
        values[slot] = int.from_bytes(value, "little") | len(value) << int(_LENGTH_SHIFT)
        if name in _WITHOUT_SEMICOLON:
            values[slot] |= _OLD
    return keys, values


_KEYS, _VALUES = _table()
_SHIFT, _LAST_SLOT = np.uint64(64 - _SLOT_BITS), np.uint64((1 << _SLOT_BITS) - 1)

_NEITHER = 36  # letter nor digit
_DIGIT = np.array(
    [int(chr(byte), 36) if byte < 128 and chr(byte).isalnum() else _NEITHER for byte in range(256)], np.int64
)


@helper
def _value_of(key):
    """Value of the name with this hash; 0 if there is none."""
    slot = key >> _SHIFT
    while _KEYS[slot]:
        if _KEYS[slot] == key:
            return _VALUES[slot]
        slot = (slot + np.uint64(1)) & _LAST_SLOT
    return np.uint64(0)


@helper
def _named(data, at, end, out, to):
    """(where the reference at the "&" at `at` ends, where its text in `out` ends); (at, to) if it is none."""
    stop = at + 1
    last = min(end, stop + _LONGEST)
    key, value, found = np.uint64(0), np.uint64(0), np.uint64(0)
    found_end = at
    while stop < last and _DIGIT[data[stop]] < _NEITHER:
        key = (key ^ np.uint64(data[stop])) * GOLDEN
        value = _value_of(key)
        stop += 1
        if value & _OLD:
            found, found_end = value, stop
    if value and stop < end and data[stop] == 59:  # ;
        found, found_end = value, stop + 1
    n = np.int64((found >> _LENGTH_SHIFT) & np.uint64(7))
    for i in range(n):
        out[to + i] = np.uint8(found >> np.uint64(8 * i))
    return found_end, to + n


@helper
def _numeric(data, at, end, out, to):
    """As `_named`, for "&#"."""
    stop = at + 2
    base = 10
    if stop < end and data[stop] | 0x20 == 120:  # x
        base = 16
        stop += 1
    first = stop
    number = 0
    while stop < end and _DIGIT[data[stop]] < base:
        number = min(number * base + _DIGIT[data[stop]], 0x110000)
        stop += 1
    if stop == first:
        return at, to
    if stop < end and data[stop] == 59:
        stop += 1
    if number == 0 or number >= 0x110000 or 0xD800 <= number < 0xE000:
        number = _REPLACEMENT
    elif 0x80 <= number < 0xA0:
        number = _WINDOWS_1252[number - 0x80]
    return stop, encode(number, out, to)


@helper
def read_reference(data, at, end, out, to):
    """Write what the reference at the "&" at `at` stands for into `out` at `to`; returns (its end, end of what was written).

    (at, to) if it is none. Whatever is written is at most MAX_GROWTH times as long as the reference.
    """
    if at + 1 < end and data[at + 1] == 35:  # #
        return _numeric(data, at, end, out, to)
    return _named(data, at, end, out, to)
