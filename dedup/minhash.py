"""MinHash signatures and band keys of a column of texts.

Broder 1997; as used by RefinedWeb (appendix G.3.1: 450 bands × 20 rows over 5-grams, P(s) = 1 − (1 − s²⁰)⁴⁵⁰) and FineWeb
(14 × 8 over word 5-grams). Two documents of Jaccard similarity s share at least one band with probability
1 − (1 − s^rows)^bands.

    text → normalised words → shingles of `ngram` words, 32 bits each → bands × rows minima → one 64-bit key a band

A signature is bit-identical to `datasketch.MinHash(scheme="affine32")` over the same 32-bit shingles, permutations
included: they are datasketch's own. Shingles are not made unique first, as a minimum does not change by repetition.

A text with fewer words than `ngram` is one shingle of all its words. A text without words has no shingle, an all-ones
signature, and no place in any bucket: only its bytes can say what it equals (`corpus.words.text_digests`).

RefinedWeb shingles GPT-2 tokens; here the unit is the normalised word, as in FineWeb.

Cost, English documents of 9.5 kB, one core: 14 × 8 is 155 MB/s, of which finding words is three quarters; 450 × 20 is 900
documents/s, 14·10⁹ products a second.
"""

from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.errors import ConfigError
from corpus.hashing import combine, mix
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.text import Texts
from corpus.unicode import UNICODE_VERSION
from corpus.words import SCRATCH_BYTES, normalised_words

OUTPUT_VERSION = 1
"""Raised when the words, the shingles or the keys of a text change: older band files are then refused."""

_MAX_BANDS = 2**16
_SHINGLE_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no word's bits are lost
_ALL_ONES = np.uint32(0xFFFFFFFF)
_BLOCK = 4096  # shingles that stay in the first-level cache while all permutations pass over them

_PERMUTATIONS = types.Array(types.uint32, 2, "C", readonly=True)


@dataclass(frozen=True, slots=True)
class MinHashSettings:
    """What decides a band key. Defaults are FineWeb's; RefinedWeb's are bands=450, rows=20."""

    bands: int = 14
    rows: int = 8
    ngram: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("bands", 1, _MAX_BANDS),
            ("rows", 1, _MAX_BANDS),
            ("ngram", 1, 1000),
            ("seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"minhash.{name} is {value}: give a number from {low} to {high}")

    @property
    def permutations(self) -> int:
        return self.bands * self.rows

    def identity(self) -> dict[str, int | str]:
        """All that band keys depend on: keys of different identity must never be compared."""
        return asdict(self) | {"output_version": OUTPUT_VERSION, "unicode": UNICODE_VERSION}


@cache
def _permutations(settings: MinHashSettings) -> NDArray[np.uint32]:
    """uint32[2, bands · rows]: datasketch's multipliers (odd) and increments for this seed."""
    from datasketch import MinHash  # half a second to import

    return np.ascontiguousarray(MinHash(settings.permutations, settings.seed, scheme="affine32").permutations)


@helper
def _premix(value):
    """MurmurHash3's 32-bit finalizer, which the affine32 scheme applies to each base hash."""
    value ^= value >> np.uint32(16)
    value = np.uint32(value * np.uint32(0x85EBCA6B))  # Numba makes the product of two uint32 a uint64
    value ^= value >> np.uint32(13)
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return value ^ (value >> np.uint32(16))


@helper
def _shingles(words, n_words, ngram, shingles):
    """Fill `shingles` (uint32) with the pre-mixed hash of each run of `ngram` words; returns how many.

    The hash is the upper half of Σ word[i] · BASE^(width − 1 − i) mod 2^64, rolled along: two products whatever `ngram` is.
    """
    width = min(ngram, n_words)
    if width == 0:
        return 0
    state = np.uint64(0)
    lead = np.uint64(1)
    for i in range(width):
        state = state * _SHINGLE_BASE + words[i]
        lead *= _SHINGLE_BASE
    shingles[0] = _premix(np.uint32(state >> np.uint64(32)))
    for i in range(width, n_words):
        state = state * _SHINGLE_BASE + words[i] - words[i - width] * lead
        shingles[i - width + 1] = _premix(np.uint32(state >> np.uint64(32)))
    return n_words - width + 1


@helper
def _minima(shingles, n_shingles, permutations, signature):
    """signature[k] = min over the shingles of multiplier[k] · shingle + increment[k] (mod 2^32); all ones without any.

    LLVM turns the inner loop into vector code; several permutations for each load of a shingle gained nothing.
    """
    signature[:] = _ALL_ONES
    for block in range(0, n_shingles, _BLOCK):
        part = shingles[block : min(block + _BLOCK, n_shingles)]
        for k in range(len(signature)):
            multiplier, increment, lowest = permutations[0, k], permutations[1, k], signature[k]
            for i in range(len(part)):
                lowest = min(lowest, np.uint32(multiplier * part[i] + increment))
            signature[k] = lowest


@kernel(types.void(BYTES, OFFSETS, types.int64, types.int64, _PERMUTATIONS, types.uint32[:, ::1]))
def _signatures(data, offsets, longest, ngram, permutations, signatures):
    words = np.empty(longest, np.uint64)
    starts = np.empty(longest, np.int32)
    ends = np.empty(longest, np.int32)
    shingles = np.empty(longest, np.uint32)
    scratch = np.empty(SCRATCH_BYTES, np.uint8)
    for document in range(len(offsets) - 1):
        n_words = normalised_words(data, offsets[document], offsets[document + 1], words, starts, ends, scratch)
        _minima(shingles, _shingles(words, n_words, ngram, shingles), permutations, signatures[document])


def signatures(texts: Texts, settings: MinHashSettings) -> NDArray[np.uint32]:
    """uint32[n, bands · rows]: the MinHash of each text; 36 kB a document at 450 × 20, so keys are stored, not these."""
    result = np.empty((len(texts), settings.permutations), np.uint32)
    _signatures(texts.data, texts.offsets, texts.longest, settings.ngram, _permutations(settings), result)
    return result


@kernel(
    types.void(
        BYTES, OFFSETS, types.int64, types.int64, types.int64, _PERMUTATIONS, types.uint64[:, ::1], types.boolean[::1]
    )
)
def _band_keys(data, offsets, longest, ngram, rows, permutations, keys, has_words):
    words = np.empty(longest, np.uint64)
    starts = np.empty(longest, np.int32)
    ends = np.empty(longest, np.int32)
    shingles = np.empty(longest, np.uint32)
    scratch = np.empty(SCRATCH_BYTES, np.uint8)
    signature = np.empty(permutations.shape[1], np.uint32)
    for document in range(len(offsets) - 1):
        n_words = normalised_words(data, offsets[document], offsets[document + 1], words, starts, ends, scratch)
        _minima(shingles, _shingles(words, n_words, ngram, shingles), permutations, signature)
        for band in range(keys.shape[1]):
            state = np.uint64(0)
            for k in range(band * rows, (band + 1) * rows):
                state = combine(state, np.uint64(signature[k]))
            keys[document, band] = mix(state)
        has_words[document] = n_words > 0


def band_keys(texts: Texts, settings: MinHashSettings) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """(uint64[n, bands], bool[n]): the key of each text in each band, and whether the text has a word at all.

    Two texts are candidates if their keys are equal in the same band. Keys of texts without words mean nothing: leave
    them out. Memory is the result and one signature.
    """
    keys = np.empty((len(texts), settings.bands), np.uint64)
    has_words = np.empty(len(texts), np.bool_)
    _band_keys(
        texts.data,
        texts.offsets,
        texts.longest,
        settings.ngram,
        settings.rows,
        _permutations(settings),
        keys,
        has_words,
    )
    return keys, has_words
