"""Where texts have words of evaluation items: from each seed, as far both ways as the two go on alike.

After a difference the two are alike again where the next two words are equal, at most MAX_SKIP words further in either: a
word replaced, put in or left out ends nothing. (OLMo 3's decon ends after 11 misses in a row.) Where half of a part is found,
the item's other short parts, which may have no seed, are searched for near it. What comes out are runs of equal words; what
they amount to is for `dedup.contamination_methods` to say, so one scan serves every method.

The scan takes one rolling hash and one look-up a word; against 36,000 items, web text has two runs a kilobyte.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.kernels import BYTES, OFFSETS, helper, kernel
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

MAX_SKIP = 4
SHORT_PART_WORDS = 24  # parts that are searched for near another part of their item: they may have no seed
SEARCHED_WORDS = 120  # how near

_DIAGONALS = 1024  # on which the last run is remembered
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
            texts.data, texts.offsets, texts.longest, index.words, index.part_words, index.item_parts, index.seeds,
            index.filter, upper_bits_shift(len(index.filter)),
            index.directory, upper_bits_shift(len(index.directory) - 1), found,
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
def _equal(words, word, text, at, step, most):
    """How many words in a row are equal, in the direction of `step`."""
    n = 0
    while n < most and words[np.uint64(word + step * n)] == np.uint32(text[np.uint64(at + step * n)]):
        n += 1
    return n


@helper
def _alike(words, word, item_left, text, at, document_left, step, i, j):
    """Whether the two are equal i and j words further, for two words (one, where the part ends)."""
    if i >= item_left or j >= document_left:
        return False
    if words[np.uint64(word + step * i)] != np.uint32(text[np.uint64(at + step * j)]):
        return False
    if i + 1 == item_left:
        return True
    return j + 1 < document_left and (
        words[np.uint64(word + step * (i + 1))] == np.uint32(text[np.uint64(at + step * (j + 1))])
    )


@helper
def _skip(words, word, item_left, text, at, document_left, step):
    """(words of the item, of the document) to skip until they are alike again; (0, 0) if they are not soon."""
    for most in range(1, MAX_SKIP + 1):
        if _alike(words, word, item_left, text, at, document_left, step, most, most):
            return most, most
        for fewer in range(most):
            if _alike(words, word, item_left, text, at, document_left, step, fewer, most):
                return fewer, most
            if _alike(words, word, item_left, text, at, document_left, step, most, fewer):
                return most, fewer
    return 0, 0


@helper
def _add(found, n_found, document, part, word, n_words, at, starts, ends):
    """Write a run as far as there is room; returns n_found + 1."""
    if n_found < found.shape[1]:
        found[0, n_found] = document
        found[1, n_found] = part
        found[2, n_found] = word
        found[3, n_found] = n_words
        found[4, n_found] = at
        found[5, n_found] = starts[at]
        found[6, n_found] = ends[at + n_words - 1]
    return n_found + 1


@helper
def _grow(
    words, word, item_left, text, at, document_left, step,
    found, n_found, document, part, starts, ends, diagonals, begins, reaches,
):  # fmt: skip
    """Add the runs beyond a run, in the direction of `step`; `word` and `at` are the first that differ.

    Returns (n_found, how many words of the part are left beyond).
    """
    while item_left > 0 and document_left > 0:
        i, j = _skip(words, word, item_left, text, at, document_left, step)
        if i + j == 0:
            break
        if i == j:  # single words that are equal between those that are not
            for k in range(1, i):
                if words[word + step * k] == np.uint32(text[at + step * k]):
                    n_found = _add(found, n_found, document, part, word + step * k, 1, at + step * k, starts, ends)
        word, at, item_left, document_left = word + step * i, at + step * j, item_left - i, document_left - j
        n = _equal(words, word, text, at, step, min(item_left, document_left))
        back = n - 1 if step < 0 else 0
        n_found = _add(found, n_found, document, part, word - back, n, at - back, starts, ends)
        slot = (at - word) & (_DIAGONALS - 1)
        if step > 0:
            diagonals[slot] = at - word
            begins[slot], reaches[slot] = at, at + n
        word, at, item_left, document_left = word + step * n, at + step * n, item_left - n, document_left - n
    return n_found, item_left


@helper
def _search_beside(
    words, part_words, part, first_part, end_part, text, n_words, low, high,
    found, n_found, document, starts, ends,
):  # fmt: skip
    """Add, of the other short parts of the item, the place near text[low:high] that most of its words are equal to."""
    for other in range(first_part, end_part):
        begin, n = part_words[other], part_words[other + 1] - part_words[other]
        if other == part or n == 0 or n > SHORT_PART_WORDS:
            continue
        most, best = n // 2, -1
        for at in range(max(0, low - SEARCHED_WORDS), min(n_words - n, high + SEARCHED_WORDS) + 1):
            equal = 0
            for k in range(np.uint64(n)):
                equal += words[np.uint64(begin) + k] == np.uint32(text[np.uint64(at) + k])
            if equal > most:
                most, best = equal, at
        done = 0 if best >= 0 else n
        while done < n:
            run = _equal(words, begin + done, text, best + done, 1, n - done)
            if run > 0:
                n_found = _add(found, n_found, document, other, begin + done, run, best + done, starts, ends)
            done += run + 1
    return n_found


@helper
def _owner(first, inner):
    """The i with first[i] <= inner < first[i + 1]."""
    low, high = 0, len(first) - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if first[middle] <= inner:
            low = middle
        else:
            high = middle
    return low


@kernel(
    types.int64(
        BYTES, OFFSETS, types.int64, _WORDS, _STARTS, _STARTS, _STARTS,
        _HASHES, types.uint64, _STARTS, types.uint64, types.int64[:, ::1],
    )
)  # fmt: skip
def _find(
    data,
    offsets,
    longest,
    words,
    part_words,
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
    diagonals = np.empty(_DIAGONALS, np.int64)  # at - word of the runs last found
    begins, reaches = np.empty(_DIAGONALS, np.int64), np.empty(_DIAGONALS, np.int64)  # where in the document
    outgoing = np.uint64(1)
    for _ in range(SEED_WORDS):
        outgoing *= SEED_BASE
    n_found = 0
    for document in range(len(offsets) - 1):
        n_words = text_words(data, offsets[document], offsets[document + 1], text, starts, ends, scratch)
        reaches[:] = 0
        state = np.uint64(0)
        for i in range(min(n_words, SEED_WORDS - 1)):
            state = state * SEED_BASE + text[i]
        incoming = SEED_WORDS - 1
        for at in range(n_words - SEED_WORDS + 1):
            state = state * SEED_BASE + text[np.uint64(at + incoming)]
            if at > 0:
                state -= text[np.uint64(at - 1)] * outgoing
            marks = filter_marks(state)
            if seed_filter[state >> filter_shift] & marks != marks:
                continue
            bucket = state >> directory_shift
            for place in range(directory[bucket], directory[bucket + np.uint64(1)]):
                word = np.int64(seeds[place])
                slot = (at - word) & (_DIAGONALS - 1)
                is_known = begins[slot] <= at < reaches[slot] and diagonals[slot] == at - word
                if is_known or _equal(words, word, text, at, 1, SEED_WORDS) < SEED_WORDS:
                    continue
                part = _owner(part_words, word)
                begin, end = part_words[part], part_words[part + 1]
                before = _equal(words, word - 1, text, at - 1, -1, min(word - begin, at))
                first, first_at = word - before, at - before
                n = before + _equal(words, word, text, at, 1, min(end - word, n_words - at))
                n_found = _add(found, n_found, document, part, first, n, first_at, starts, ends)
                diagonals[slot] = at - word
                begins[slot], reaches[slot] = first_at, first_at + n
                left = 0
                for step in (-1, 1):
                    n_found, beyond = _grow(
                        words, first - 1 if step < 0 else first + n, first - begin if step < 0 else end - first - n,
                        text, first_at - 1 if step < 0 else first_at + n,
                        first_at if step < 0 else n_words - first_at - n, step,
                        found, n_found, document, part, starts, ends, diagonals, begins, reaches,
                    )  # fmt: skip
                    left += beyond
                if 2 * left <= end - begin:
                    item = _owner(item_parts, part)
                    n_found = _search_beside(
                        words, part_words, part, item_parts[item], item_parts[item + 1], text, n_words,
                        first_at - (first - begin), first_at + end - first, found, n_found, document, starts, ends,
                    )  # fmt: skip
    return n_found
