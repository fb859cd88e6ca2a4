"""MinHash signatures and band keys of a column of texts.

Broder 1997; as used by RefinedWeb (appendix G.3.1: 450 bands × 20 rows over 5-grams, P(s) = 1 − (1 − s²⁰)⁴⁵⁰) and FineWeb
(14 × 8 over word 5-grams). Two documents of Jaccard similarity s share at least one band with probability
1 − (1 − s^rows)^bands.

    text → normalised words → shingles of `ngram` units, 32 bits each → signature of bands × rows → one 64-bit key a band

The signature is by one of two schemes. `minhash` evaluates bands × rows permutations on every shingle; it is bit-identical to
`datasketch.MinHash(scheme="affine32")` over the same 32-bit shingles, permutations included: they are datasketch's own.
`sketch` (`dedup.sketch`) has the same collision curve for a time that hardly grows with bands × rows: it is what makes
450 × 20 affordable. Shingles are not made unique first, as a minimum does not change by repetition.

A unit is a word, or, where a tokenizer is given, one of its tokens (`dedup.units`), as RefinedWeb has it. A text of fewer
units than `ngram` is one shingle of all its units. A text without words has no shingle, an all-ones signature, and no place
in any bucket: only its bytes can say what it equals (`corpus.words.text_digests`).

Cost, English documents of 9.3 kB, one core, more or less busy: 14 × 8 is 190 to 215 MB/s, half of it for finding words; 450 × 20
is 600 to 900 documents/s by `minhash`, and 5,000 to 7,500 by `sketch`.
"""

from dataclasses import dataclass
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
from dedup.sketch import MAX_PLACES, sketches
from dedup.units import Tokenizer, normalised_token_hashes, unit_of

OUTPUT_VERSION = 1
"""Raised when the words, the shingles or the keys of a text change: older band files are then refused."""

SCHEMES = ("minhash", "sketch")
DATASKETCH_SCHEME = "affine32"
"""What datasketch calls `minhash`."""
EMPTY = np.uint32(0xFFFFFFFF)
"""In all places of a signature of no shingles."""

_MAX_BANDS = 2**16
_SHINGLE_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no word's bits are lost
_BLOCK = 4096  # shingles that stay in the first-level cache while all permutations pass over them
_TEXTS_AT_ONCE = 256  # whose signatures are in memory until they are keys: 9 MB at 450 × 20

_HASHES = types.Array(types.uint64, 1, "C", readonly=True)
_PERMUTATIONS = types.Array(types.uint32, 2, "C", readonly=True)


@dataclass(frozen=True, slots=True)
class MinHashSettings:
    """What decides a band key. Defaults are FineWeb's; RefinedWeb's are bands=450, rows=20, scheme="sketch" and GPT-2's tokens.

    `tokenizer`: None for shingles of words.
    """

    bands: int = 14
    rows: int = 8
    ngram: int = 5
    seed: int = 1
    scheme: str = "minhash"
    tokenizer: Tokenizer | None = None

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
        if self.scheme not in SCHEMES:
            raise ConfigError(f"minhash.scheme is {self.scheme!r}: give one of {', '.join(SCHEMES)}")
        if self.scheme == "sketch" and self.permutations > MAX_PLACES:
            raise ConfigError(
                f"minhash.bands · rows is {self.permutations}: "
                f"a sketch has at most {MAX_PLACES}, scheme: minhash has no such limit"
            )

    @property
    def permutations(self) -> int:
        return self.bands * self.rows

    def identity(self) -> dict[str, int | str]:
        """All that band keys depend on: keys of different identity must never be compared."""
        return {
            "bands": self.bands,
            "rows": self.rows,
            "ngram": self.ngram,
            "seed": self.seed,
            "scheme": self.scheme,
            "unit": unit_of(self.tokenizer),
            "output_version": OUTPUT_VERSION,
            "unicode": UNICODE_VERSION,
        }


@cache
def _permutations(settings: MinHashSettings) -> NDArray[np.uint32]:
    """uint32[2, bands · rows]: datasketch's multipliers (odd) and increments for this seed."""
    from datasketch import MinHash  # half a second to import

    return np.ascontiguousarray(MinHash(settings.permutations, settings.seed, scheme=DATASKETCH_SCHEME).permutations)


@helper
def _premix(value):
    """MurmurHash3's 32-bit finalizer, which the affine32 scheme applies to each base hash."""
    value ^= value >> np.uint32(16)
    value = np.uint32(value * np.uint32(0x85EBCA6B))  # Numba makes the product of two uint32 a uint64
    value ^= value >> np.uint32(13)
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return value ^ (value >> np.uint32(16))


@helper
def _shingle_hashes(units, n_units, ngram, shingles, at):
    """Put the pre-mixed hash of each run of `ngram` units into `shingles` (uint32) from `at` on; returns the next free index.

    The hash is the upper half of Σ unit[i] · BASE^(width − 1 − i) mod 2^64, rolled along: two products whatever `ngram` is.
    """
    width = min(ngram, n_units)
    if width == 0:
        return at
    state = np.uint64(0)
    lead = np.uint64(1)
    for i in range(width):
        state = state * _SHINGLE_BASE + units[i]
        lead *= _SHINGLE_BASE
    shingles[at] = _premix(np.uint32(state >> np.uint64(32)))
    for i in range(width, n_units):
        state = state * _SHINGLE_BASE + units[i] - units[i - width] * lead
        shingles[at + i - width + 1] = _premix(np.uint32(state >> np.uint64(32)))
    return at + n_units - width + 1


@kernel(types.void(BYTES, OFFSETS, types.int64, types.int64, types.uint32[::1], types.int64[::1]))
def _shingles(data, offsets, longest, ngram, shingles, shingle_offsets):
    words = np.empty(longest, np.uint64)
    starts = np.empty(longest, np.int32)
    ends = np.empty(longest, np.int32)
    scratch = np.empty(SCRATCH_BYTES, np.uint8)
    shingle_offsets[0] = 0
    for document in range(len(offsets) - 1):
        n_words = normalised_words(data, offsets[document], offsets[document + 1], words, starts, ends, scratch)
        shingle_offsets[document + 1] = _shingle_hashes(words, n_words, ngram, shingles, shingle_offsets[document])


@kernel(types.void(_HASHES, OFFSETS, types.int64, types.uint32[::1], types.int64[::1]))
def _shingles_of_units(units, offsets, ngram, shingles, shingle_offsets):
    shingle_offsets[0] = 0
    for document in range(len(offsets) - 1):
        own = units[offsets[document] : offsets[document + 1]]
        shingle_offsets[document + 1] = _shingle_hashes(own, len(own), ngram, shingles, shingle_offsets[document])


def shingles(texts: Texts, settings: MinHashSettings) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """(uint32[m], int64[n + 1]): the shingles of all texts end to end, and where each text's begin. Repeated ones stay."""
    offsets = np.empty(len(texts) + 1, np.int64)
    if settings.tokenizer is None:
        room = np.empty(int(texts.byte_lengths.sum()), np.uint32)  # a word has a byte; what is not used costs no memory
        _shingles(texts.data, texts.offsets, texts.longest, settings.ngram, room, offsets)
    else:
        units, unit_offsets = normalised_token_hashes(texts, settings.tokenizer)
        room = np.empty(len(units), np.uint32)
        _shingles_of_units(units, unit_offsets, settings.ngram, room, offsets)
    return room[: offsets[-1]], offsets


@kernel(types.void(types.uint32[::1], OFFSETS, _PERMUTATIONS, types.uint32[:, ::1]))
def _minima(shingles, offsets, permutations, signatures):
    """signatures[document, k] = min over its shingles of multiplier[k] · shingle + increment[k] (mod 2^32).

    LLVM turns the inner loop into vector code; several permutations for each load of a shingle gained nothing.
    """
    for document in range(len(offsets) - 1):
        signature, end = signatures[document], offsets[document + 1]
        signature[:] = EMPTY
        for block in range(offsets[document], end, _BLOCK):
            part = shingles[block : min(block + _BLOCK, end)]
            for k in range(len(signature)):
                multiplier, increment, lowest = permutations[0, k], permutations[1, k], signature[k]
                for i in range(len(part)):
                    lowest = min(lowest, np.uint32(multiplier * part[i] + increment))
                signature[k] = lowest


def _signatures(
    values: NDArray[np.uint32], offsets: NDArray[np.int64], settings: MinHashSettings
) -> NDArray[np.uint32]:
    if settings.scheme == "sketch":
        return sketches(values, offsets, settings.permutations, settings.seed)
    result = np.empty((len(offsets) - 1, settings.permutations), np.uint32)
    _minima(values, offsets, _permutations(settings), result)
    return result


def signatures(texts: Texts, settings: MinHashSettings) -> NDArray[np.uint32]:
    """uint32[n, bands · rows]: the signature of each text; 36 kB a document at 450 × 20, so keys are stored, not these."""
    return _signatures(*shingles(texts, settings), settings)


@kernel(types.void(types.uint32[:, ::1], types.int64, types.uint64[:, :]))
def _keys(signatures, rows, keys):
    for document in range(len(signatures)):
        for band in range(keys.shape[1]):
            state = np.uint64(0)
            for k in range(band * rows, (band + 1) * rows):
                state = combine(state, np.uint64(signatures[document, k]))
            keys[document, band] = mix(state)


def band_keys(texts: Texts, settings: MinHashSettings) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(uint64[n, bands], int64[n]): the key of each text in each band, and how many shingles it has, with their repetitions.

    Two texts are candidates if their keys are equal in the same band. Keys of texts without shingles mean nothing: leave
    them out. Memory is the result and the shingles and signatures of a few texts.
    """
    keys = np.empty((len(texts), settings.bands), np.uint64)
    n_shingles = np.empty(len(texts), np.int64)
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = slice(start, start + _TEXTS_AT_ONCE)
        values, offsets = shingles(Texts(texts.column.slice(start, _TEXTS_AT_ONCE)), settings)
        _keys(_signatures(values, offsets, settings), settings.rows, keys[part])
        n_shingles[part] = np.diff(offsets)
    return keys, n_shingles
