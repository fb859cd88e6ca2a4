"""Matches: what a stretch of a document has of one part of an item, and how much of the part that is.

A match is a chain of runs of equal words at most MAX_GAP_BYTES apart. Coverage counts each word (n-gram) of the part once,
however often and in whatever order the stretch has it. Words of common phrases count on neither side.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup.evaluation_hits import Hits, spread
from dedup.evaluation_index import BITS_UNIT, GRAM_WORDS, EvaluationIndex

MAX_GAP_BYTES = 250  # of the document; some 40 words


@dataclass(frozen=True, slots=True)
class Method:
    """Lengths in words, coverages as shares of a part."""

    unit: int = 1  # words in a row that count together
    min_stretch: int = 1  # words, with up to `max_differences` among them; shorter ones do not count
    max_differences: int = 0
    min_part_words: int = 5
    min_coverage: float = 0.0  # of parts of `long` words and more; 0: any unit is enough
    min_coverage_short: float = 0.0  # of parts of `short` words and fewer; in between, in between
    short: int = 12
    long: int = 20
    exact: int = 0  # a part of so many words or fewer counts only where all are in one run
    in_bits: bool = False  # words count by what they are worth
    min_bits: float = 0.0  # of what decides
    min_question: float = 0.0  # coverage from which on a question counts together with answers beside it; 0: never
    min_tail: float = 0.0  # coverage of the part's last words
    action: str = "drop"

    def threshold(self, n_words: NDArray[np.int64]) -> NDArray[np.float64]:
        share = np.clip((n_words - self.short) / (self.long - self.short), 0, 1)
        return self.min_coverage_short + share * (self.min_coverage - self.min_coverage_short)


# --- parts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PartSizes:
    """What counts of each part."""

    common: NDArray[np.bool_]  # of each word of the index: it does not count
    words: NDArray[np.int64]
    bits: NDArray[np.float64]


def part_sizes(index: EvaluationIndex, suppressed: NDArray[np.bool_]) -> PartSizes:
    lengths = np.diff(index.part_words).astype(np.int64)
    common = np.zeros(len(index.words), np.bool_)
    grams = np.flatnonzero(suppressed)
    common[spread(grams, np.minimum(GRAM_WORDS, lengths[_owner(index.part_words, grams)]))[1]] = True
    word = np.flatnonzero(common)
    part = _owner(index.part_words, word)
    bits = index.part_bits - np.bincount(part, index.bits[word], len(lengths))
    return PartSizes(common, lengths - np.bincount(part, minlength=len(lengths)), bits / BITS_UNIT)


def _owner(first: NDArray[np.int32], inner: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(first, inner, "right") - 1


# --- matches ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matches:
    """One entry a match, by document, part and place."""

    document: NDArray[np.int64]
    part: NDArray[np.int64]
    item: NDArray[np.int64]
    kind: NDArray[np.uint8]  # of the part, and
    words: NDArray[np.int64]  # how many count,
    bits: NDArray[np.float64]  # what they are worth
    at: NDArray[np.int64]  # words of the document, from `at` to before `at_end`
    at_end: NDArray[np.int64]
    start: NDArray[np.int64]  # bytes
    end: NDArray[np.int64]
    longest: NDArray[np.int64]  # words of its longest run
    coverage: NDArray[np.float64]
    tail: NDArray[np.float64]  # coverage of the part's last words


def find_matches(hits: Hits, index: EvaluationIndex, sizes: PartSizes, method: Method) -> Matches:
    lengths = np.diff(index.part_words)
    if method.max_differences:
        hits = hits.where(_in_stretches(hits, method))
    hits = hits.where(hits.n_words >= np.minimum(method.unit, lengths[hits.part]))
    hits = hits.where(np.lexsort((hits.at, hits.part, hits.document)))
    first, match = _chains(hits)
    part = hits.part[first]
    at_end, end, longest = np.zeros((3, len(first)), np.int64)
    np.maximum.at(at_end, match, hits.at + hits.n_words)
    np.maximum.at(end, match, hits.end)
    np.maximum.at(longest, match, hits.n_words)

    def worth(word: NDArray[np.int64]) -> NDArray[np.float64]:
        bits = index.bits[word] / BITS_UNIT if method.in_bits else 1.0
        return np.where(sizes.common[word], 0.0, bits)

    of_match, word = _distinct(match, *spread(hits.word, hits.n_words))
    tail_begin = index.part_words[part + 1] - index.part_tail[part]
    in_tail = word >= tail_begin[of_match]
    of_tail, tail_word = spread(tail_begin, index.part_tail[part])
    tail = _shares(of_match[in_tail], worth(word[in_tail]), np.bincount(of_tail, worth(tail_word), len(first)))
    if method.unit == 1:
        coverage = _shares(of_match, worth(word), (sizes.bits if method.in_bits else sizes.words)[part])
    else:
        n_common = np.concatenate([[0], np.cumsum(sizes.common)])
        unit = np.minimum(method.unit, lengths)  # a part of fewer words is one

        def counts(word: NDArray[np.int64]) -> NDArray[np.bool_]:
            """Whether the unit from this word on has a word that counts."""
            unit_end = word + unit[_owner(index.part_words, word)]
            return n_common[unit_end] - n_common[word] < unit_end - word

        of_match, word = _distinct(match, *spread(hits.word, hits.n_words - unit[hits.part] + 1))
        of_whole, every = spread(index.part_words[part], (lengths - unit + 1)[part])
        coverage = _shares(of_match, counts(word), np.bincount(of_whole, counts(every), len(first)))
    item = _owner(index.item_parts, part)
    return Matches(
        hits.document[first], part, item, index.part_kind[part], sizes.words[part], sizes.bits[part],
        hits.at[first], at_end, hits.start[first], end, longest, coverage, tail,
    )  # fmt: skip


def _chains(hits: Hits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(first hit of each match, the match of each hit) of hits by document, part and place."""
    same = np.zeros(len(hits.at), np.bool_)
    same[1:] = (hits.document[1:] == hits.document[:-1]) & (hits.part[1:] == hits.part[:-1])
    group = np.cumsum(~same) * (hits.end.max(initial=0) + 1)  # so that ends rise from group to group
    same[1:] &= hits.start[1:] <= (np.maximum.accumulate(hits.end + group) - group)[:-1] + MAX_GAP_BYTES
    return np.flatnonzero(~same), np.cumsum(~same) - 1


def _shares(match: NDArray[np.int64], values: NDArray[Any], totals: NDArray[Any]) -> NDArray[np.float64]:
    """The sum of each match's values as a share of its total; 0 where that is nothing."""
    return np.bincount(match, values, len(totals)) / np.where(totals > 0, totals, 1.0)


def _distinct(
    match: NDArray[np.int64], hit: NDArray[np.int64], word: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each (match, word) once."""
    stride = word.max(initial=0) + 1
    pairs = np.sort(match[hit] * stride + word)  # np.unique is slower
    first = np.ones(len(pairs), np.bool_)
    first[1:] = pairs[1:] != pairs[:-1]
    return pairs[first] // stride, pairs[first] % stride


def _in_stretches(hits: Hits, method: Method) -> NDArray[np.int64]:
    """The hits, in order, that lie in a stretch which is long enough with as many differences as may be."""
    order = np.lexsort((hits.at, hits.part, hits.document))
    columns = (hits.document[order], hits.part[order], hits.word[order], hits.n_words[order], hits.at[order])
    document, part, word, n_words, at = (column.tolist() for column in columns)
    chosen = np.zeros(len(order), np.bool_)
    differences = [0] * len(order)  # before each hit, since the one before; more than may be where it does not go on
    first = between = 0
    for i in range(len(order)):
        if i and (document[i], part[i]) == (document[i - 1], part[i - 1]):
            skipped = (word[i] - word[i - 1] - n_words[i - 1], at[i] - at[i - 1] - n_words[i - 1])
            differences[i] = max(skipped) if min(skipped) >= 0 else method.max_differences + 1
        else:
            differences[i] = method.max_differences + 1
        between += differences[i]
        while first < i and between - differences[first] > method.max_differences:
            between -= differences[first]
            first += 1
        if at[i] + n_words[i] - at[first] >= method.min_stretch:
            chosen[first : i + 1] = True
    return order[chosen]
