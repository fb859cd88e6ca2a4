"""Evaluation items as a table of the places where a match can begin.

An item is kept as *parts*: each wording of its question, each answer, each passage. A part is its words in order, as
`corpus.words` has them, so line breaks, case, accents and punctuation make no difference; HTML entities count as none. An
item without a question is a passage together with the answer that follows it.

A match begins at a *seed*: SEED_WORDS = 5 words in a row of a part that are worth SEED_BITS together. OLMo 3's decon has seeds of
5 words too, but samples one in ten; with one word in ten replaced, the longest run that is left of a 20-word item has 6 words,
so none can be spared. Seeds that more than MAX_SEED_PLACES places of one set share are left out: they are its template.

What a word is worth, in bits: minus log2 of its frequency by Zipf's law from its rank in English (`word_ranks.txt`: the
order in which GPT-2's byte-pair encoding learned its words), 18 for words beyond the 10,000 there. A fixed reference, not the
frequencies of the corpus or of the other items: whether a document contains an item then depends on these two alone. Words of
other languages are worth the same each, ideographs 8.

The table is the seeds' places in the order of their hashes, with a directory of the upper bits; before it stands a Bloom
filter. Words are kept as 32 bits of their hashes: 13 bytes a word of the items in all, 0.9 kB an item.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numba import types
from numpy.typing import NDArray

from corpus.hashing import GOLDEN
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.text import Texts
from corpus.words import SCRATCH_BYTES, normalised_words
from dedup.evaluation_sets import EvaluationItem

QUESTION, ANSWER, PASSAGE = range(3)
SEED_WORDS = 5
SEED_BITS = 40
MAX_SEED_PLACES = 32
GRAM_WORDS = 13  # of which document frequencies are counted, as GPT-3 does
PART_STRIDE = 32
BITS_UNIT = 8  # `bits` are in eighths of a bit

SEED_BASE = GOLDEN  # a seed is the polynomial of its words' hashes in this (odd) base, modulo 2**64
_BATCH_CHARACTERS = 16_000_000  # of items' texts that are hashed at once
_MOST_BITS, _IDEOGRAPH_BITS = 18, 8
_TAIL_WORDS = 8
_AMPERSAND, _HASH, _SEMICOLON = np.uint8(0x26), np.uint8(0x23), np.uint8(0x3B)
_HASHES = types.Array(types.uint64, 1, "C", readonly=True)


@dataclass(frozen=True, slots=True)
class EvaluationIndex:
    """Part p has the words part_words[p]:part_words[p + 1]; item i the parts item_parts[i]:item_parts[i + 1].

    Plain arrays: it pickles, and is the same for the same items in the same order. What is found of an item is the same whatever
    other sets are in the index.
    """

    item_set: pa.Array  # string[n_items]
    item_name: pa.Array  # string[n_items]
    item_parts: NDArray[np.int32]
    part_kind: NDArray[np.uint8]  # QUESTION, ANSWER or PASSAGE
    part_tail: NDArray[np.int32]  # how many words at the end ask the question or are the answer
    part_bits: NDArray[np.int32]  # what its words are worth, in units of 1 / BITS_UNIT
    part_seeded: NDArray[np.bool_]  # whether a match can begin in it
    part_words: NDArray[np.int32]
    part_near: NDArray[np.int32]  # the part of every PART_STRIDE-th word: from there it is a few steps to a word's part
    words: NDArray[np.uint32]  # hashes
    bits: NDArray[np.uint8]  # of each word, in units of 1 / BITS_UNIT
    seeds: NDArray[np.int32]  # the first word of each, by hash
    directory: NDArray[np.int32]  # seeds whose hash has the upper bits b are directory[b]:directory[b + 1]
    filter: NDArray[np.uint64]  # of the seeds' hashes, three bits of one element each

    @property
    def n_items(self) -> int:
        return len(self.item_name)

    @property
    def n_grams(self) -> int:
        """A gram is GRAM_WORDS words in a row, or a whole part that has fewer; it is known by its first word."""
        return len(self.words)

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, name).nbytes for name in self.__dataclass_fields__)


def build_index(items: Sequence[EvaluationItem]) -> EvaluationIndex:
    item_parts, kinds, texts, tail_texts = [0], [], [], []
    for item in items:
        for kind, text, tail in _parts(item):
            kinds.append(kind)
            texts.append(text)
            tail_texts.append(tail)
        item_parts.append(len(texts))
    counts, hashes, bits = _words_of(texts)
    tail_counts, _, _ = _words_of(tail_texts)
    part_kind = np.array(kinds, np.uint8)
    part_words = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    seeds, seed_hashes = _seeds(hashes, bits, part_words, _set_of_part(items, item_parts))
    return EvaluationIndex(
        pa.array([item.set for item in items], pa.string()),
        pa.array([item.item for item in items], pa.string()),
        np.array(item_parts, np.int32),
        part_kind,
        np.where(part_kind == QUESTION, np.minimum(counts // 2, _TAIL_WORDS), tail_counts).astype(np.int32),
        np.add.reduceat(np.append(bits, 0).astype(np.int32), part_words[:-1]) * (counts > 0),
        np.bincount(np.searchsorted(part_words, seeds, "right") - 1, minlength=len(counts)) > 0,
        part_words,
        (np.searchsorted(part_words, np.arange(0, len(hashes), PART_STRIDE), "right") - 1).astype(np.int32),
        hashes.astype(np.uint32),
        bits,
        seeds,
        _directory(seed_hashes),
        _filter(seed_hashes),
    )


def _parts(item: EvaluationItem) -> Iterator[tuple[int, str, str]]:
    """(kind, text, end of the text without which it is not the item)"""
    for text in item.question:
        yield QUESTION, text, ""
    for text in item.passage:
        if item.question or not item.answer:
            yield PASSAGE, text, ""
        for answer in () if item.question else item.answer:
            yield PASSAGE, f"{text}\n{answer}", answer
    for text in item.answer:
        yield ANSWER, text, ""


def _set_of_part(items: Sequence[EvaluationItem], item_parts: list[int]) -> NDArray[np.int32]:
    numbers: dict[str, int] = {}
    set_of_item = np.array([numbers.setdefault(item.set, len(numbers)) for item in items], np.int32)
    return np.repeat(set_of_item, np.diff(item_parts))


# --- words ------------------------------------------------------------------------------------------------------------


def _words_of(texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint8]]:
    """(how many words each text has, the hashes of all, what they are worth)"""
    ranked, rank_bits = _rank_bits()
    counts, hashes, bits = [np.empty(0, np.int64)], [np.empty(0, np.uint64)], [np.empty(0, np.uint8)]
    for batch in _batches(texts):
        n_words = np.empty(len(batch), np.int64)
        found, alone = np.empty(len(batch.data), np.uint64), np.empty(len(batch.data), np.bool_)
        n = _item_words(batch.data, batch.offsets, batch.longest, n_words, found, alone)
        counts.append(n_words)
        hashes.append(found[:n].copy())
        at = np.minimum(np.searchsorted(ranked, hashes[-1]), len(ranked) - 1)
        other = np.where(alone[:n], _IDEOGRAPH_BITS * BITS_UNIT, _MOST_BITS * BITS_UNIT)
        bits.append(np.where(ranked[at] == hashes[-1], rank_bits[at], other).astype(np.uint8))
    return np.concatenate(counts), np.concatenate(hashes), np.concatenate(bits)


def _batches(texts: list[str]) -> Iterator[Texts]:
    first = n_characters = 0
    for end, text in enumerate(texts, 1):
        n_characters += len(text)
        if n_characters >= _BATCH_CHARACTERS or end == len(texts):
            yield Texts.of(texts[first:end])
            first, n_characters = end, 0


@cache
def _rank_bits() -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """The hashes of the ranked words, sorted, and what each is worth."""
    texts = Texts.of(Path(__file__).with_name("word_ranks.txt").read_text().split())
    hashes = np.empty(len(texts.data), np.uint64)
    lone, n_words = np.empty(len(texts.data), np.bool_), np.empty(len(texts), np.int64)
    n = _item_words(texts.data, texts.offsets, texts.longest, n_words, hashes, lone)
    zipf = np.log2(np.arange(1, n + 1) * np.log(200_000))  # the harmonic sum of a vocabulary of that size
    order = np.argsort(hashes[:n])
    return hashes[:n][order], np.rint(zipf[order] * BITS_UNIT).astype(np.uint8)


@helper
def text_words(data, start, end, hashes, starts, ends, scratch):
    """`normalised_words` without those that are HTML entities (&quot; and &#39; are punctuation, not words)."""
    n_words = normalised_words(data, start, end, hashes, starts, ends, scratch)
    kept = np.uint64(0)
    for i in range(np.uint64(n_words)):
        last = start + ends[i]
        if last < end and data[np.uint64(last)] == _SEMICOLON:
            before = start + starts[i] - 1
            if before > start and data[before] == _HASH:
                before -= 1
            if before >= start and data[before] == _AMPERSAND:
                continue
        if kept < i:
            hashes[kept], starts[kept], ends[kept] = hashes[i], starts[i], ends[i]
        kept += np.uint64(1)
    return np.int64(kept)


@kernel(types.int64(BYTES, OFFSETS, types.int64, types.int64[::1], types.uint64[::1], types.bool_[::1]))
def _item_words(data, offsets, longest, n_words, hashes, lone):
    """Fill the last three: how many words each text has; of each word, its hash and whether it is one wide character."""
    words = np.empty(longest, np.uint64)
    starts = np.empty(longest, np.int32)
    ends = np.empty(longest, np.int32)
    scratch = np.empty(SCRATCH_BYTES, np.uint8)
    n = 0
    for row in range(len(n_words)):
        found = text_words(data, offsets[row], offsets[row + 1], words, starts, ends, scratch)
        n_words[row] = found
        for i in range(found):
            hashes[n] = words[i]
            lone[n] = data[offsets[row] + starts[i]] >= 0xE0 and ends[i] - starts[i] <= 4
            n += 1
    return n


# --- seeds ------------------------------------------------------------------------------------------------------------


def _seeds(
    hashes: NDArray[np.uint64], bits: NDArray[np.uint8], part_words: NDArray[np.int32], part_set: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """The first words of the seeds and their hashes, by hash, then place."""
    n_first = max(0, len(hashes) - SEED_WORDS + 1)
    states, worth = np.zeros(n_first, np.uint64), np.zeros(n_first, np.uint16)
    whole = np.ones(len(hashes) + 1, np.bool_)  # whether the part goes on for a seed's length
    for i in range(SEED_WORDS):
        states *= SEED_BASE
        states += hashes[i : i + n_first]
        worth += bits[i : i + n_first]
        if i > 0:
            whole[np.maximum(part_words[1:] - i, 0)] = False
    places = np.flatnonzero((worth >= SEED_BITS * BITS_UNIT) & whole[:n_first]).astype(np.int32)
    of_set = np.repeat(part_set, np.diff(part_words))[places]
    states = states[places]
    order = np.lexsort((of_set, states))  # stable: places stay in order
    places, of_set, states = places[order], of_set[order], states[order]
    begins = np.ones(len(places), np.bool_)
    begins[1:] = (states[1:] != states[:-1]) | (of_set[1:] != of_set[:-1])
    group = np.cumsum(begins) - 1
    rare = np.bincount(group, minlength=1)[group] <= MAX_SEED_PLACES
    return places[rare], states[rare]


def _directory(hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Where the hashes with each value of the upper bits begin; one or two hashes a bucket."""
    bits = max(1, len(hashes).bit_length() - 1)
    buckets = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    return np.concatenate([[0], np.cumsum(np.bincount(buckets, minlength=1 << bits))]).astype(np.int32)


def _filter(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """At least 16 bits a seed, three of them set in one element: about 0.5% of other words pass."""
    table = np.zeros(1 << max(1, (len(hashes) // 4).bit_length()), np.uint64)
    _mark(hashes, upper_bits_shift(len(table)), table)
    return table


def upper_bits_shift(size: int) -> np.uint64:
    """What leaves of a hash the upper bits that count to `size`, a power of two."""
    return np.uint64(65 - size.bit_length())


@helper
def filter_marks(state):
    one, low = np.uint64(1), np.uint64(63)
    return (one << (state & low)) | (one << (state >> np.uint64(6) & low)) | (one << (state >> np.uint64(12) & low))


@kernel(types.void(_HASHES, types.uint64, types.uint64[::1]))
def _mark(hashes, shift, table):
    for state in hashes:
        table[state >> shift] |= filter_marks(state)
