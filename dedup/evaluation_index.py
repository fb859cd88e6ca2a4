"""Evaluation items as a table of word n-grams, and where a text has them.

GPT-3 (Brown et al. 2020, appendix C): an item is known by its n-grams of N = 13 normalised words. Words are those of
`corpus.words`, so line breaks, case, accents and punctuation make no difference.

What is matched of an item:

- its question and its passage, each by itself;
- each answer as the question (without one, the passage) goes on in it: the n-grams with at least one word of the answer,
  which may begin up to n - 1 words before it. So n-grams do cross from a question into each of its answers, never from a
  passage into a question or from one answer into the next; and a short answer ("Paris") is never matched by itself;
- a text of fewer than n words is one gram, of its own length, if it has `min_item_words` (8, GPT-3's smallest N). An item
  with no gram at all is *unmatchable* and reported as such.

Measured on 14 published sets (36,205 items): at 8 words 289 items are unmatchable, at 6 84, at 5 40. In 35 MB of text from
real pages 5 gave two false flags ("Why is the sky blue?"), 6 to 8 none; 4 gave eight in half of it. An item takes 1 kB.

The table is the grams' sorted 64-bit hashes with a directory of their upper bits. Before it stands a filter of the first
`min_item_words` words of every gram: one rolling hash and one lookup a word, whatever lengths of gram there are. Two
different grams share a hash about once in 10**13 lookups in a table of a million, so matches are not compared again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import types
from numpy.typing import NDArray

from corpus.errors import ConfigError
from corpus.hashing import GOLDEN
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.text import Texts
from corpus.words import SCRATCH_BYTES, normalised_words
from dedup.evaluation_sets import EvaluationItem

_HASHES = types.Array(types.uint64, 1, "C", readonly=True)
_FLAGS = types.Array(types.bool_, 1, "C", readonly=True)
_STARTS = types.Array(types.int32, 1, "C", readonly=True)

_BASE = GOLDEN  # a gram is the polynomial of its words' hashes in this (odd) base, modulo 2**64
_BATCH_CHARACTERS = 16_000_000  # of items' texts that are hashed at once
_MAX_NGRAM = 64


@dataclass(frozen=True, slots=True)
class EvaluationIndex:
    """`hashes` uint64[n_grams]; gram g belongs to the texts gram_texts[gram_offsets[g]:gram_offsets[g + 1]].

    Plain arrays: it pickles, and is the same for the same items in the same order. A *text* is one question, passage or
    continuation, `text_item` int32[n_texts] the item it is of.
    """

    ngram: int
    min_item_words: int
    item_set: pa.Array  # string[n_items]
    item_name: pa.Array  # string[n_items]
    text_item: NDArray[np.int32]
    gram_texts: NDArray[np.int32]
    gram_offsets: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    directory: NDArray[np.int32]  # hashes with the upper bits b are directory[b]:directory[b + 1]
    lengths: NDArray[np.bool_]  # [ngram + 1]: is there a gram of this many words
    prefixes: NDArray[np.uint64]  # filter of the grams' first words, two bits of one element each

    @property
    def n_grams(self) -> int:
        return len(self.hashes)

    @property
    def nbytes(self) -> int:
        arrays = (self.item_set, self.item_name, self.text_item, self.gram_texts, self.gram_offsets, self.hashes)
        return sum(array.nbytes for array in (*arrays, self.directory, self.lengths, self.prefixes))


class Hits(NamedTuple):
    """Grams found, int64[n] each, by document and place: `start` and `end` are bytes from the beginning of the document."""

    document: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    gram: NDArray[np.int64]


# --- index ------------------------------------------------------------------------------------------------------------


def build_index(items: Sequence[EvaluationItem], ngram: int = 13, min_item_words: int = 8) -> EvaluationIndex:
    """Raises ConfigError unless 1 <= min_item_words <= ngram <= 64."""
    if not 1 <= min_item_words <= ngram <= _MAX_NGRAM:
        raise ConfigError(
            f"ngram: {ngram}, min_item_words: {min_item_words}: should be 1 <= min_item_words <= ngram <= {_MAX_NGRAM}"
        )
    text_item: list[int] = []
    parts: list[tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]] = []
    for texts, leads, owners in _text_batches(items):
        size = len(texts.data)
        grams, prefixes = np.empty(size, np.uint64), np.empty(size, np.uint64)
        lengths, rows = np.empty(size, np.int64), np.empty(size, np.int64)
        n = _text_grams(
            texts.data, texts.offsets, leads, texts.longest, ngram, min_item_words, grams, prefixes, lengths, rows
        )
        parts.append((grams[:n].copy(), prefixes[:n].copy(), lengths[:n].copy(), rows[:n] + len(text_item)))
        text_item.extend(owners)
    grams, prefixes, lengths, texts_of = (np.concatenate(column) for column in zip(*parts, strict=True))
    hashes, gram = np.unique(grams, return_inverse=True)
    pairs = np.unique(gram * np.int64(len(text_item)) + texts_of)
    counts = np.bincount(pairs // len(text_item), minlength=len(hashes))
    return EvaluationIndex(
        ngram,
        min_item_words,
        pa.array([item.set for item in items], pa.string()),
        pa.array([item.item for item in items], pa.string()),
        np.array(text_item, np.int32),
        (pairs % len(text_item)).astype(np.int32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        hashes,
        _directory(hashes),
        np.isin(np.arange(ngram + 1), lengths),
        _prefix_filter(np.unique(prefixes)),
    )


def _text_batches(items: Sequence[EvaluationItem]) -> Iterator[tuple[Texts, NDArray[np.int64], list[int]]]:
    """(texts, bytes of each that only lead to it, item of each), a bounded number of characters at a time."""
    texts: list[str] = []
    leads: list[int] = []
    owners: list[int] = []
    n_characters = 0
    for number, item in enumerate(items):
        if n_characters >= _BATCH_CHARACTERS:
            yield Texts.of(texts), np.array(leads, np.int64), owners
            texts, leads, owners, n_characters = [], [], [], 0
        pairs = [("", text) for text in (*item.question, *item.passage)]
        pairs += [(lead, answer) for lead in item.question or item.passage or ("",) for answer in item.answer]
        for lead, text in pairs:
            texts.append(f"{lead}\n{text}")
            leads.append(len(lead.encode()))
            owners.append(number)
            n_characters += len(texts[-1])
    yield Texts.of(texts), np.array(leads, np.int64), owners


def _directory(hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Where the hashes with each value of the upper bits begin; one or two hashes a bucket."""
    bits = max(1, len(hashes).bit_length() - 1)
    buckets = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    return np.concatenate([[0], np.cumsum(np.bincount(buckets, minlength=1 << bits))]).astype(np.int32)


def _prefix_filter(prefixes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """At least 16 bits a prefix, three of them set in one element: about 0.5% of other words pass."""
    table = np.zeros(1 << max(1, (len(prefixes) // 4).bit_length()), np.uint64)
    _mark(prefixes, _shift(len(table)), table)
    return table


def _shift(size: int) -> np.uint64:
    """What leaves of a hash the upper bits that count to `size`, a power of two."""
    return np.uint64(65 - size.bit_length())


@helper
def _marks(state):
    one, low = np.uint64(1), np.uint64(63)
    return (one << (state & low)) | (one << (state >> np.uint64(6) & low)) | (one << (state >> np.uint64(12) & low))


@kernel(types.void(_HASHES, types.uint64, types.uint64[::1]))
def _mark(prefixes, shift, table):
    for prefix in prefixes:
        table[prefix >> shift] |= _marks(prefix)


@helper
def _hash_of(words, first, n_words):
    state = np.uint64(0)
    for i in range(first, first + n_words):
        state = state * _BASE + words[i]
    return state


@kernel(
    types.int64(
        BYTES, OFFSETS, OFFSETS, types.int64, types.int64, types.int64,
        types.uint64[::1], types.uint64[::1], types.int64[::1], types.int64[::1],
    )
)  # fmt: skip
def _text_grams(data, offsets, leads, longest, ngram, min_words, grams, prefixes, lengths, rows):
    """Fill the last four with every gram of every text; returns how many. A text's first `leads` bytes only lead to it."""
    words = np.empty(longest, np.uint64)
    starts = np.empty(longest, np.int32)
    ends = np.empty(longest, np.int32)
    scratch = np.empty(SCRATCH_BYTES, np.uint8)
    n_grams = 0
    for row in range(len(offsets) - 1):
        n_words = normalised_words(data, offsets[row], offsets[row + 1], words, starts, ends, scratch)
        n_lead = 0
        while n_lead < n_words and starts[n_lead] < leads[row]:
            n_lead += 1
        if n_lead == n_words or n_words < min_words:
            continue
        length = min(ngram, n_words)
        for first in range(max(0, n_lead - length + 1), n_words - length + 1):
            grams[n_grams] = _hash_of(words, first, length)
            prefixes[n_grams] = _hash_of(words, first, min_words)
            lengths[n_grams] = length
            rows[n_grams] = row
            n_grams += 1
    return n_grams


# --- probe ------------------------------------------------------------------------------------------------------------


def find_hits(texts: Texts, index: EvaluationIndex) -> Hits:
    """Every gram of the index in every text, in the order of documents, then places, then length of the gram."""
    capacity = 4096
    while True:
        found = np.empty((4, capacity), np.int64)
        n = _find(
            texts.data, texts.offsets, texts.longest, index.ngram, index.min_item_words, index.lengths,
            index.prefixes, _shift(len(index.prefixes)),
            index.directory, _shift(len(index.directory) - 1), index.hashes, found,
        )  # fmt: skip
        if n <= capacity:
            return Hits(*found[:, :n])
        capacity = n


@helper
def _gram_of(value, directory, shift, hashes):
    """Position of a hash in the sorted `hashes`, or -1."""
    bucket = value >> shift
    for gram in range(directory[bucket], directory[bucket + np.uint64(1)]):
        if hashes[gram] == value:
            return gram
    return -1


@kernel(
    types.int64(
        BYTES, OFFSETS, types.int64, types.int64, types.int64, _FLAGS,
        _HASHES, types.uint64, _STARTS, types.uint64, _HASHES, types.int64[:, ::1],
    )
)  # fmt: skip
def _find(
    data, offsets, longest, ngram, n_first, lengths, prefixes, prefix_shift, directory, directory_shift, hashes, found
):
    """Fill found[:, i] = (document, start, end, gram) as far as there is room; returns how many hits there are."""
    words = np.empty(longest, np.uint64)
    starts = np.empty(longest, np.int32)
    ends = np.empty(longest, np.int32)
    scratch = np.empty(SCRATCH_BYTES, np.uint8)
    outgoing = np.uint64(1)  # _BASE ** n_first
    for _ in range(n_first):
        outgoing *= _BASE
    n_found = 0
    for document in range(len(offsets) - 1):
        n_words = normalised_words(data, offsets[document], offsets[document + 1], words, starts, ends, scratch)
        state = _hash_of(words, 0, min(n_words, n_first))
        for first in range(n_words - n_first + 1):
            if first > 0:
                state = state * _BASE + words[first + n_first - 1] - words[first - 1] * outgoing
            marks = _marks(state)
            if prefixes[state >> prefix_shift] & marks != marks:
                continue
            value = state
            for length in range(n_first, min(ngram, n_words - first) + 1):
                if length > n_first:
                    value = value * _BASE + words[first + length - 1]
                if not lengths[length]:
                    continue
                gram = _gram_of(value, directory, directory_shift, hashes)
                if gram >= 0:
                    if n_found < found.shape[1]:
                        found[0, n_found] = document
                        found[1, n_found] = starts[first]
                        found[2, n_found] = ends[first + length - 1]
                        found[3, n_found] = gram
                    n_found += 1
    return n_found


# --- what counts --------------------------------------------------------------------------------------------------------


def document_frequency(hits: Hits, index: EvaluationIndex) -> NDArray[np.int64]:
    """int64[n_grams]: in how many of the documents each gram was found; add those of all shards to know the corpus's."""
    pairs = np.unique(hits.document * np.int64(index.n_grams) + hits.gram)
    return (
        np.bincount(pairs % index.n_grams, minlength=index.n_grams) if len(pairs) else np.zeros(index.n_grams, np.int64)
    )


def item_statuses(index: EvaluationIndex, suppressed: NDArray[np.bool_]) -> pa.Table:
    """One row an item: set, item, grams and suppressed (int64; how many), status.

    status: `unmatchable` (every text is too short to be looked for: nothing is known), `suspect` (all its grams are
    suppressed as common phrases: it may well be in the corpus), else `matchable`.
    """
    n_items = len(index.item_name)
    gram = np.repeat(np.arange(index.n_grams), np.diff(index.gram_offsets))
    pairs = np.unique(gram * n_items + index.text_item[index.gram_texts])  # an item's texts may share a gram
    owner = pairs % n_items
    grams = np.bincount(owner, minlength=n_items)
    lost = np.bincount(owner[suppressed[pairs // n_items]], minlength=n_items)
    status = np.where(grams == 0, "unmatchable", np.where(lost == grams, "suspect", "matchable"))
    columns = {"set": index.item_set, "item": index.item_name, "grams": grams, "suppressed": lost, "status": status}
    return pa.table(columns)
