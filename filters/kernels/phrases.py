"""Short phrases found in text by a kernel: ASCII letters in any case, everything else byte for byte."""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.errors import ConfigError
from corpus.kernels import helper
from corpus.text import Texts

MAX_PHRASES = 64  # a set of phrases is a uint64 of bits

_LOWER = np.array([ord(chr(byte).lower()) if byte < 128 else byte for byte in range(256)], np.uint8)


class Phrases(NamedTuple):
    """Phrase i is data[offsets[i]:offsets[i + 1]], lower case; pairs[256 * first byte + second byte]: a phrase begins so.

    Kernels take it whole, as PHRASES.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    pairs: NDArray[np.bool_]

    @classmethod
    def of(cls, phrases: list[str], option: str) -> "Phrases":
        """The phrases of the option named; ConfigError for too many of them or one of less than two bytes."""
        if len(phrases) > MAX_PHRASES:
            raise ConfigError(f"{option}: {len(phrases)} phrases; at most {MAX_PHRASES} are possible")
        texts = Texts.of(phrases)
        data = _LOWER[texts.data]
        pairs = np.zeros(1 << 16, np.bool_)
        for phrase, start, n_bytes in zip(phrases, texts.offsets[:-1], texts.byte_lengths, strict=True):
            if n_bytes < 2:
                raise ConfigError(f"{option}: {phrase!r} is too short; a phrase has two bytes or more")
            pairs[256 * int(data[start]) + int(data[start + 1])] = True
        return cls(data, texts.offsets.copy(), pairs)  # a copy, because Numba tells apart what may be written


PHRASES = types.NamedTuple((types.uint8[::1], types.int64[::1], types.boolean[::1]), Phrases)


@helper
def phrase_at(data, at, end, phrases, i):
    """Whether data[at:end] begins with phrase i."""
    start, stop = phrases.offsets[i], phrases.offsets[i + 1]
    if stop - start > end - at:
        return False
    same = 0
    while same < stop - start and _LOWER[data[at + same]] == phrases.data[start + same]:
        same += 1
    return same == stop - start


@helper
def phrases_in(data, start, end, phrases):
    """Which phrases occur in data[start:end]: bit i of the uint64 is phrase i."""
    found = np.uint64(0)
    for at in range(start, end - 1):
        if phrases.pairs[256 * np.int64(_LOWER[data[at]]) + _LOWER[data[at + 1]]]:
            for i in range(len(phrases.offsets) - 1):
                if phrase_at(data, at, end, phrases, i):
                    found |= np.uint64(1) << np.uint64(i)
    return found
