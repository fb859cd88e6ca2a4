"""GPT-2's tokens at the speed of a scan.

A byte-level BPE first splits a text into pieces (words with the space before them, numbers, punctuation, white space), then
each piece into tokens. Most pieces of a text occurred before, so the tokens of each are kept in a table, and only of new ones
are bytes merged; a very long piece goes to tiktoken. The tokens are tiktoken's, whatever the table holds.

Pieces are those of GPT-2's pattern (Radford et al. 2019, `encoder.py`); `\\s+(?!\\S)` is limited to MAX_SPACES characters, as
tiktoken's regex engine panics on a longer run than a million. Letters and numbers are those of Unicode 15.1 (`corpus.unicode`):
text in scripts that are newer may have other tokens.

On English text 7 times as fast as tiktoken by itself while the table fills, 11 times once it has.
"""

import numpy as np
import tiktoken
from numba import types
from numpy.typing import NDArray

from corpus.hashing import GOLDEN, NO_CHANGE, hash_bytes
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.text import Texts
from corpus.unicode import DIGIT, LETTER, MARK, SPACE, decode, kind, sequence_length

MAX_SPACES = 10_000
PATTERN = rf"'(?:[sdmt]|ll|ve|re)| ?\p{{L}}++| ?\p{{N}}++| ?[^\s\p{{L}}\p{{N}}]++|\s{{1,{MAX_SPACES}}}(?!\S)|\s"

_OTHER, _LETTER, _NUMBER, _SPACE = range(4)
_QUOTE, _BLANK = ord("'"), ord(" ")
_SLOTS = 1 << 20  # 12 MB
_SEVERAL = 4  # tokens of pieces of several, for each slot: 16 MB
_LONG = 512  # bytes of a piece: merging takes the square of them
_NONE = np.int32(2**31 - 1)

Table = tuple[NDArray[np.uint64], NDArray[np.int32]]
"""Open addressing by the hash of some bytes: keys (0 = free) and values."""
_TABLE = types.Tuple((types.uint64[::1], types.int32[::1]))
_KNOWN = types.Tuple((types.uint64[::1], types.int32[::1], types.int32[::1]))
"""The table of pieces. A value is the piece's one token, or ~i of several: their number and they themselves, from the last
array's index i on."""


def _ascii_class(character: str) -> int:
    if character.isalpha():
        return _LETTER
    if character.isdigit():
        return _NUMBER
    return _SPACE if character in " \t\n\v\f\r" else _OTHER  # Unicode's White_Space, not Python's isspace


_ASCII = np.array([_ascii_class(chr(byte)) for byte in range(128)], np.uint8)


@helper
def _class_at(data, at):
    """(what the pattern takes the character at `at` for, its bytes)."""
    if data[at] < 0x80:
        return np.int64(_ASCII[data[at]]), 1
    length = sequence_length(data[at])
    bits = kind(decode(data, at, length))
    if bits & SPACE:
        return _SPACE, length
    if bits & DIGIT:
        return _NUMBER, length
    return (_LETTER if bits & (LETTER | MARK) == LETTER else _OTHER), length


@helper
def _contraction(data, at, end):
    """Bytes of 's, 'd, 'm, 't, 'll, 've, 're behind the quote, which is before `at`; 0 = none."""
    if at == end:
        return 0
    first = data[at]
    if first == ord("s") or first == ord("d") or first == ord("m") or first == ord("t"):
        return 1
    if at + 1 == end:
        return 0
    second = data[at + 1]
    if first == ord("l"):
        return 2 if second == ord("l") else 0
    return 2 if (first == ord("v") or first == ord("r")) and second == ord("e") else 0


@helper
def _spaces_end(data, at, end):
    """Where the piece of white space at `at` ends: all but the last of a run before a word, which goes with the word."""
    last = at
    n = 0
    while at < end and n < MAX_SPACES:
        of_class, length = _class_at(data, at)
        if of_class != _SPACE:
            break
        last = at
        at += length
        n += 1
    is_followed = at < end and _class_at(data, at)[0] != _SPACE
    return last if is_followed and n > 1 else at


@helper
def _piece_end(data, start, end):
    """Where the piece that begins at `start` ends."""
    if data[start] == _QUOTE:
        n_bytes = _contraction(data, start + 1, end)
        if n_bytes:
            return start + 1 + n_bytes
    of_class, length = _class_at(data, start)
    at = start + length
    if data[start] == _BLANK and at < end:
        of_class, length = _class_at(data, at)
        at += length
    if of_class == _SPACE:
        return _spaces_end(data, start, end)
    while at < end:
        here, length = _class_at(data, at)
        if here != of_class:
            break
        at += length
    return at


@kernel(types.void(BYTES, OFFSETS, types.int64[::1], types.uint64[::1], types.int32[::1]))
def _fill(data, offsets, ranks, keys, values):
    """Put the rank of each token, data[offsets[i]:offsets[i + 1]], into an empty table."""
    mask = len(keys) - 1
    for token in range(len(offsets) - 1):
        key, slot, _ = _slot(data, offsets[token], offsets[token + 1], keys, mask)
        keys[slot] = key
        values[slot] = ranks[token]


@helper
def _key(data, start, end):
    n = np.uint64(end - start)
    seed = n * GOLDEN  # without it ":\0" has the hash of ";", as zeros behind a few bytes hardly count
    return max(hash_bytes(data, start, end - start, NO_CHANGE, seed), np.uint64(1))  # 0: a free slot


@helper
def _slot(data, start, end, keys, mask):
    """(key of data[start:end], its slot or where that would be, whether it is there)."""
    key = _key(data, start, end)
    slot = np.int64(key) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return key, slot, keys[slot] == key


@helper
def _rank(data, start, end, tokens):
    """The rank of the token data[start:end]; _NONE if that is none."""
    keys, ranks = tokens
    _, slot, found = _slot(data, start, end, keys, len(keys) - 1)
    return ranks[slot] if found else _NONE


@helper
def _merge(data, start, end, tokens, parts, pairs, ids, n_ids):
    """Write the tokens of the piece data[start:end] to `ids` from `n_ids` on; returns how many they are.

    The pair of neighbours of the lowest rank becomes one, again and again.
    """
    whole = _rank(data, start, end, tokens)
    if whole != _NONE:
        ids[n_ids] = whole
        return 1
    n = end - start
    for i in range(n + 1):
        parts[i] = start + i
    for i in range(n - 1):
        pairs[i] = _rank(data, parts[i], parts[i + 2], tokens)
    while n > 1:
        lowest = 0
        for i in range(1, n - 1):
            if pairs[i] < pairs[lowest]:
                lowest = i
        if pairs[lowest] == _NONE:
            break
        n -= 1
        for i in range(lowest + 1, n + 1):
            parts[i] = parts[i + 1]
        for i in range(lowest + 1, n - 1):
            pairs[i] = pairs[i + 1]
        for i in range(max(lowest - 1, 0), min(lowest + 1, n - 1)):
            pairs[i] = _rank(data, parts[i], parts[i + 2], tokens)
    for i in range(n):
        ids[n_ids + i] = _rank(data, parts[i], parts[i + 1], tokens)
    return n


@helper
def _remember(slot, key, known, ids, first, n, room):
    """Put the tokens ids[first] … ids[first + n - 1] of a piece into the table; where there is no room for them, it is full."""
    keys, values, several = known
    if n > 1 and room[1] <= n:
        room[0] = 0
    if room[0] == 0:
        return
    room[0] -= 1
    keys[slot] = key
    values[slot] = ids[first]
    if n > 1:
        at = len(several) - room[1]
        room[1] -= n + 1
        values[slot] = ~at
        several[at] = n
        for i in range(n):
            several[at + 1 + i] = ids[first + i]


@kernel(
    types.int64(
        BYTES, OFFSETS, _TABLE, _KNOWN, types.int64[::1], types.int32[::1], types.int64[::1], types.int64[:, ::1]
    )
)  # fmt: skip
def _encode(data, offsets, tokens, known, room, ids, id_offsets, long_pieces):
    """Fill `ids` with the tokens of all pieces but the long ones; those are rows (document, index in `ids`, start, end) of
    `long_pieces`, and their number is returned.

    `room`: for how many pieces, and tokens of pieces of several, the table `known` has room.
    """
    keys, values, several = known
    mask = len(keys) - 1
    parts, pairs = np.empty(_LONG + 1, np.int64), np.empty(_LONG, np.int32)
    n = n_long = 0
    id_offsets[0] = 0
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        while at < end:
            start = at
            at = _piece_end(data, start, end)
            key, slot, found = _slot(data, start, at, keys, mask)
            if found and values[slot] >= 0:
                ids[n] = values[slot]
                n += 1
            elif found:
                first = ~values[slot]
                for i in range(several[first]):
                    ids[n + i] = several[first + 1 + i]
                n += several[first]
            elif at - start > _LONG:
                long_pieces[n_long, 0], long_pieces[n_long, 1] = document, n
                long_pieces[n_long, 2], long_pieces[n_long, 3] = start, at
                n_long += 1
            else:
                n_tokens = _merge(data, start, at, tokens, parts, pairs, ids, n)
                _remember(slot, key, known, ids, n, n_tokens, room)
                n += n_tokens
        id_offsets[document + 1] = n
    return n_long


def _empty_table(n_slots: int) -> Table:
    return np.zeros(n_slots, np.uint64), np.zeros(n_slots, np.int32)


class Gpt2Encoder:
    """Encodes as tiktoken does with these ranks and PATTERN."""

    def __init__(self, encoding: tiktoken.Encoding, ranks: dict[bytes, int], n_slots: int = _SLOTS) -> None:
        """`n_slots`: of the table of pieces, a power of two. It is emptied between two batches when it is full."""
        self._encoding = encoding
        self._tokens = _empty_table(1 << (2 * len(ranks)).bit_length())
        data = np.frombuffer(b"".join(ranks), np.uint8)
        offsets = np.concatenate([[0], np.cumsum([len(token) for token in ranks])])
        _fill(data, offsets, np.array(list(ranks.values())), *self._tokens)
        self._n_slots = n_slots
        self._forget()

    def _forget(self) -> None:
        self._known = (*_empty_table(self._n_slots), np.empty(_SEVERAL * self._n_slots, np.int32))
        self._room = np.array([self._n_slots // 4 * 3, _SEVERAL * self._n_slots])

    def encode(self, texts: Texts) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """(ids, offsets): the tokens of text i are ids[offsets[i]:offsets[i + 1]]."""
        if self._room[0] == 0:
            self._forget()
        n_bytes = int(texts.byte_lengths.sum())
        ids, offsets = np.empty(n_bytes, np.int32), np.empty(len(texts) + 1, np.int64)  # a token has a byte
        long_pieces = np.empty((n_bytes // _LONG, 4), np.int64)
        n_long = _encode(texts.data, texts.offsets, self._tokens, self._known, self._room, ids, offsets, long_pieces)
        ids = ids[: offsets[-1]]
        return self._with_long_pieces(texts, ids, offsets, long_pieces[:n_long]) if n_long else (ids, offsets)

    def _with_long_pieces(
        self, texts: Texts, ids: NDArray[np.int32], offsets: NDArray[np.int64], long_pieces: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        found = [
            self._encoding.encode_ordinary(texts.data[start:end].tobytes().decode())
            for start, end in long_pieces[:, 2:].tolist()
        ]
        lengths = [len(piece) for piece in found]
        more = np.bincount(long_pieces[:, 0], lengths, len(texts)).astype(np.int64)
        return np.insert(ids, np.repeat(long_pieces[:, 1], lengths), np.concatenate(found)), offsets + np.append(
            0, np.cumsum(more)
        )
