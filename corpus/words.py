"""Normalised words and their hashes: what near-duplicates and evaluation items are compared by.

RefinedWeb (appendix G.3.1) removes punctuation, lowercases, decomposes (NFD), strips accents and folds white space before it
makes shingles; GPT-3 (appendix C) does nearly the same before it matches 13-grams. Here both use one definition:

- a word is a run of letters and digits; combining marks inside it are dropped; anything else separates;
- a character of a script without spaces (`corpus.unicode.ALONE`) is a word of its own;
- a word is represented by the 64-bit hash of its folded UTF-8, and by where it lies in the text.

So punctuation *separates* ("sign-in" is two words, "don't" is "don" and "t"), where the paper does not say whether it
joins: a dash that a site sets without spaces is then the same as one with spaces.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.hashing import LOWER_ASCII, NO_CHANGE, combine, hash_bytes, mix
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.text import Texts
from corpus.unicode import ALONE, DIGIT, FOLD_WIDTH, LETTER, MARK, decode, encode, fold, kind, sequence_length

SEED = np.uint64(0)

_LONGEST_FOLDED = 4096  # bytes of one folded word that are hashed; a longer run is cut into words of about this size

# What one ASCII byte is: 0 separates, 1 belongs to a word.
_IS_WORD = np.array([chr(byte).isalnum() for byte in range(128)] + [False] * 128)


@helper
def normalised_words(data, start, end, hashes, starts, ends, scratch):
    """Fill hashes (uint64), starts and ends (int32, bytes from `start`) with the words of data[start:end]; returns how many.

    The three arrays need end - start entries; `scratch` is uint8[SCRATCH_BYTES].
    """
    n_words = 0
    at = start
    while at < end:
        if data[at] < 0x80 and not _IS_WORD[data[at]]:
            at += 1
            continue
        word_start = at
        while at < end and _IS_WORD[data[at]]:
            at += 1
        if at == end or data[at] < 0x80:
            hashes[n_words] = hash_bytes(data, word_start, at - word_start, LOWER_ASCII, SEED)
            starts[n_words] = word_start - start
            ends[n_words] = at - start
            n_words += 1
        else:
            at, n_words = _beyond_ascii(data, start, word_start, end, hashes, starts, ends, n_words, scratch)
    return n_words


SCRATCH_BYTES = _LONGEST_FOLDED + 4 * FOLD_WIDTH


@helper
def _beyond_ascii(data, start, at, end, hashes, starts, ends, n_words, scratch):
    """The run from `at` to the next separator, character by character; returns (where it ends, words so far)."""
    folded = 0
    word_start = at
    while at < end:
        length = sequence_length(data[at])
        code_point = decode(data, at, length)
        bits = kind(code_point)
        alone = bits & ALONE != 0
        if folded > 0 and (alone or bits & (LETTER | DIGIT | MARK) == 0 or folded >= _LONGEST_FOLDED):
            hashes[n_words] = hash_bytes(scratch, 0, folded, NO_CHANGE, SEED)
            starts[n_words] = word_start - start
            ends[n_words] = at - start
            n_words += 1
            folded = 0
        if bits & (LETTER | DIGIT | MARK) == 0:
            return at + length, n_words
        if folded == 0:
            word_start = at
        if bits & (LETTER | DIGIT):
            for position in range(FOLD_WIDTH):
                part = fold(code_point, position)
                if part == 0:
                    break
                folded = encode(part, scratch, folded)
        at += length
        if alone and folded > 0:
            hashes[n_words] = hash_bytes(scratch, 0, folded, NO_CHANGE, SEED)
            starts[n_words] = word_start - start
            ends[n_words] = at - start
            n_words += 1
            folded = 0
    if folded > 0:
        hashes[n_words] = hash_bytes(scratch, 0, folded, NO_CHANGE, SEED)
        starts[n_words] = word_start - start
        ends[n_words] = at - start
        n_words += 1
    return at, n_words


@kernel(types.void(BYTES, OFFSETS, types.int64, types.uint64[:, ::1], types.int64[::1]))
def _digests(data, offsets, longest, digests, n_words):
    hashes = np.empty(longest, np.uint64)
    starts = np.empty(longest, np.int32)
    ends = np.empty(longest, np.int32)
    scratch = np.empty(SCRATCH_BYTES, np.uint8)
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        n = normalised_words(data, start, end, hashes, starts, ends, scratch)
        low, high = np.uint64(n), ~np.uint64(n)
        for i in range(n):
            low = combine(low, hashes[i])
            high = mix(high + hashes[i])
        if n == 0:  # nothing but punctuation: the bytes themselves decide
            low = hash_bytes(data, start, end - start, NO_CHANGE, np.uint64(1))
            high = hash_bytes(data, start, end - start, NO_CHANGE, np.uint64(2))
        digests[document, 0] = low
        digests[document, 1] = high
        n_words[document] = n


def text_digests(texts: Texts) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(uint64[n, 2], int64[n]): a 128-bit digest of each text's normalised words, and how many words it has.

    Texts with equal words have equal digests. A text without any word is known by its bytes.
    """
    digests = np.empty((len(texts), 2), np.uint64)
    n_words = np.empty(len(texts), np.int64)
    _digests(texts.data, texts.offsets, texts.longest, digests, n_words)
    return digests, n_words
