"""Character references: `&eacute;` `&eacute` `&#233;` `&#xE9;`.

Source: the HTML Living Standard, §13.2.5.72 ff. and its table of 2,231 names (Python's `html.entities.html5`). As there: 106 old
names need no semicolon, and then the longest that fits counts (`&notit;` is `¬it;`); numbers 128 … 159 mean windows-1252; NUL,
surrogates and numbers beyond Unicode become U+FFFD. What is no reference stays as it is. A look-up is one hash of the name.
"""

import html.entities

import numpy as np
from numpy.typing import NDArray

from corpus.hashing import load_bytes, multiply_fold
from corpus.kernels import helper
from corpus.unicode import encode

# html.entities has old names twice, with the semicolon and without.
_NAMES = {name.rstrip(";"): text for name, text in html.entities.html5.items()}
_WITHOUT_SEMICOLON = {name for name in html.entities.html5 if not name.endswith(";")}
_LONGEST = max(map(len, _NAMES))
_OLD_LONGEST = max(map(len, _WITHOUT_SEMICOLON))
_SHORTEST = min(map(len, _NAMES))
MAX_GROWTH = 2  # no reference is longer as text: at most six bytes, `&nGt;`, of five

_MIX = (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB)
_FIRST, _SECOND, _THIRD, _FOURTH = (np.uint64(value) for value in _MIX)
_SLOTS = 8192
_VALUE_BYTES = np.uint64(0xFFFFFFFFFFFF)  # the text; above it its length, and whether it needs no semicolon
_LENGTH_SHIFT, _OLD = np.uint64(48), np.uint64(1 << 56)

_WINDOWS_1252 = np.array(
    [ord(bytes([byte]).decode("cp1252", "ignore") or chr(byte)) for byte in range(0x80, 0xA0)], np.int64
)
_REPLACEMENT = 0xFFFD


def _hash(name: bytes) -> int:
    def fold(left: int, right: int) -> int:
        product = left * right
        return (product >> 64) ^ (product & ((1 << 64) - 1))

    first, second, third, fourth = (int.from_bytes(name[i : i + 8], "little") for i in (0, 8, 16, 24))
    return fold(first ^ _MIX[0], second ^ _MIX[1]) ^ fold(third ^ _MIX[2], fourth ^ _MIX[3])


def _table() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(hash of the name in each slot, 0 = empty; its value)."""
    keys, values = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint64)
    for name, text in _NAMES.items():
        key = _hash(name.encode())
        slot = key % _SLOTS
        while keys[slot]:
            slot = (slot + 1) % _SLOTS
        value = text.encode()
        keys[slot] = key
        values[slot] = int.from_bytes(value, "little") | len(value) << int(_LENGTH_SHIFT)
        if name in _WITHOUT_SEMICOLON:
            values[slot] |= _OLD
    return keys, values


_KEYS, _VALUES = _table()


@helper
def _value_of(data, start, n):
    """Value of the name that is the `n` <= 32 bytes at `start`; 0 if it is none."""
    key = multiply_fold(
        load_bytes(data, start, min(n, 8)) ^ _FIRST, load_bytes(data, start + 8, min(n - 8, 8)) ^ _SECOND
    )
    key ^= multiply_fold(
        load_bytes(data, start + 16, min(n - 16, 8)) ^ _THIRD, load_bytes(data, start + 24, min(n - 24, 8)) ^ _FOURTH
    )
    slot = key & np.uint64(_SLOTS - 1)
    while _KEYS[slot]:
        if _KEYS[slot] == key:
            return _VALUES[slot]
        slot = (slot + np.uint64(1)) & np.uint64(_SLOTS - 1)
    return np.uint64(0)


@helper
def _named(data, at, end, out, to):
    """(where the reference at the "&" at `at` ends, where its text in `out` ends); (at, to) if it is none."""
    start = at + 1
    stop = start
    while stop < end and stop - start < _LONGEST:
        byte = data[stop]
        letter = (byte | 0x20) - 97
        if not (0 <= letter < 26 or 48 <= byte < 58):
            break
        stop += 1
    value = np.uint64(0)
    if stop - start >= _SHORTEST and stop < end and data[stop] == 59:  # ;
        value = _value_of(data, start, stop - start)
        if value:
            stop += 1
    if value == 0:
        stop = min(stop, start + _OLD_LONGEST)
        while stop - start >= _SHORTEST:
            value = _value_of(data, start, stop - start)
            if value & _OLD:
                break
            stop -= 1
        if stop - start < _SHORTEST:
            return at, to
    n = np.int64((value >> _LENGTH_SHIFT) & np.uint64(7))
    text = value & _VALUE_BYTES
    for i in range(n):
        out[to + i] = np.uint8((text >> np.uint64(8 * i)) & np.uint64(255))
    return stop, to + n


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
    while stop < end:
        byte = np.int64(data[stop])
        if 48 <= byte < 58:
            digit = byte - 48
        elif base == 16 and 0 <= (byte | 0x20) - 97 < 6:
            digit = (byte | 0x20) - 87
        else:
            break
        number = min(number * base + digit, 0x110000)
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
