"""Where texts have words of evaluation items: from each seed, as far both ways as the two go on alike.

How far that is, `dedup.evaluation_runs` says. What comes out are runs of equal words; what they amount to is for
`dedup.contamination_methods` to say, so one scan serves every method.

The scan takes one rolling hash and one look-up a word, in a filter that is larger than the fast caches: the look-ups of
_AT_ONCE words are asked for before the first of them is needed, which saves two thirds of their time. Against 36,000 items,
web text has two runs a kilobyte; they take a third of the scan, finding the words half.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.simd import prefetch
from corpus.text import Texts
from corpus.words import SCRATCH_BYTES
from dedup.evaluation_index import (
    GRAM_WORDS,
    SEED_BASE,
    SEED_WORDS,
    EvaluationIndex,
    filter_marks,
    text_words,
    upper_bits_shift,
)
from dedup.evaluation_runs import KNOWN_SHAPE, add_around, equal_words, is_known

_AT_ONCE = 256  # words whose look-ups are under way together
_OUTGOING = np.uint64(
    pow(int(SEED_BASE), SEED_WORDS - 1, 2**64)
)  # what the first word of a seed has been multiplied by
_WORDS = types.Array(types.uint32, 1, "C", readonly=True)
_STARTS = types.Array(types.int32, 1, "C", readonly=True)
_HASHES = types.Array(types.uint64, 1, "C", readonly=True)


class Hits(NamedTuple):
    """Runs of equal words, int64[n] each, by document; a place may be in more than one run."""

    document: NDArray[np.int64]
    part: NDArray[np.int64]  # of the index
    word: NDArray[np.int64]  # of the index: the run's first
    n_words: NDArray[np.int64]
    at: NDArray[np.int64]  # which word of the document is the run's first
    start: NDArray[np.int64]  # bytes from the beginning of the document
    end: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Hits":
        return Hits(*(column[chosen] for column in self))


def find_hits(texts: Texts, index: EvaluationIndex) -> Hits:
    """Every run of words that a text shares with a part of an item, around a seed."""
    capacity = 4096 + int(texts.byte_lengths.sum()) // 64  # what is not used costs no memory
    while True:
        found = np.empty((len(Hits._fields), capacity), np.int64)
        n = _find(
            texts.data, texts.offsets, texts.longest,
            index.words, index.part_words, index.part_near, index.item_parts, index.seeds, index.filter,
            upper_bits_shift(len(index.filter)), index.directory, upper_bits_shift(len(index.directory) - 1), found,
        )  # fmt: skip
        if n <= capacity:
            return Hits(*found[:, :n])
        capacity = n


def document_frequency(hits: Hits, index: EvaluationIndex) -> NDArray[np.int64]:
    """int64[n_grams]: in how many of the documents each gram was found; add those of all shards to know the corpus's."""
    document, gram = found_grams(hits, index, GRAM_WORDS)
    pairs = np.unique(document * np.int64(max(1, index.n_grams)) + gram)
    return np.bincount(pairs % max(1, index.n_grams), minlength=index.n_grams)


def found_grams(hits: Hits, index: EvaluationIndex, n_words: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(document, first word) of all n-grams in the runs; a part of fewer words is one gram."""
    length = np.minimum(n_words, np.diff(index.part_words)[hits.part])
    hit, word = spread(hits.word, hits.n_words - length + 1)
    return hits.document[hit], word


def spread(first: NDArray[Any], counts: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(i, first[i] + k) for k from 0 to counts[i] - 1."""
    counts = np.maximum(counts, 0)
    row = np.repeat(np.arange(len(first)), counts)
    return row, first[row] + np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


# --- kernel -----------------------------------------------------------------------------------------------------------


@helper
def _hash_seeds(text, first, n, states, seed_filter, filter_shift):
    """Fill states[:n] with the seed hashes of the words that begin at text[first:first + n]; prefetch the filter for each."""
    begin = np.uint64(first)
    last = np.uint64(SEED_WORDS - 1)
    state = np.uint64(0)
    for i in range(last):
        state = state * SEED_BASE + text[begin + i]
    for i in range(np.uint64(n)):
        state = state * SEED_BASE + text[begin + i + last]
        states[i] = state
        prefetch(seed_filter, np.int64(state >> filter_shift))
        state -= text[begin + i] * _OUTGOING


@helper
def _candidates(states, n, candidates, seed_filter, filter_shift):
    """Fill `candidates` with the i < n whose states[i] the filter has; returns how many."""
    n_candidates = np.uint64(0)
    for i in range(np.uint64(n)):
        marks = filter_marks(states[i])
        candidates[n_candidates] = i  # without a branch: nobody could predict it
        n_candidates += np.uint64(seed_filter[states[i] >> filter_shift] & marks == marks)
    return n_candidates


@kernel(
    types.int64(
        BYTES, OFFSETS, types.int64, _WORDS, _STARTS, _STARTS, _STARTS, _STARTS,
        _HASHES, types.uint64, _STARTS, types.uint64, types.int64[:, ::1],
    )
)  # fmt: skip
def _find(
    data,
    offsets,
    longest,
    words,
    part_words,
    part_near,
    item_parts,
    seeds,
    seed_filter,
    filter_shift,
    directory,
    directory_shift,
    found,
):
    """Fill found[:, i] with the fields of Hits as far as there is room; returns how many hits there are."""
    text = np.empty(longest, np.uint64)
    starts = np.empty(longest, np.int32)
    ends = np.empty(longest, np.int32)
    scratch = np.empty(SCRATCH_BYTES, np.uint8)
    known = np.empty(KNOWN_SHAPE, np.int64)
    states, candidates = np.empty(_AT_ONCE, np.uint64), np.empty(_AT_ONCE, np.uint64)
    n_found = 0
    for document in range(len(offsets) - 1):
        n_words = text_words(data, offsets[document], offsets[document + 1], text, starts, ends, scratch)
        known[:] = 0
        for block in range(0, n_words - SEED_WORDS + 1, _AT_ONCE):
            n = min(_AT_ONCE, n_words - SEED_WORDS + 1 - block)
            _hash_seeds(text, block, n, states, seed_filter, filter_shift)
            for candidate in range(_candidates(states, n, candidates, seed_filter, filter_shift)):
                at = block + np.int64(candidates[candidate])
                bucket = states[candidates[candidate]] >> directory_shift
                for place in range(directory[bucket], directory[bucket + np.uint64(1)]):
                    word = np.int64(seeds[np.uint64(place)])
                    if is_known(known, word, at) or equal_words(words, word, text, at, 1, SEED_WORDS) < SEED_WORDS:
                        continue
                    n_found = add_around(
                        words, part_words, part_near, item_parts, word, text, n_words, at,
                        found, n_found, document, starts, ends, known,
                    )  # fmt: skip
    return n_found
