"""What counts as a match: the published methods and ours, as data, and the one function that applies them.

A *match* is what a stretch of a document has of one part of an item; its *coverage* the share of the part that is there, once
however often. `method.unit` words in a row count together: with 1, coverage counts aligned words; with n, n-grams.

    gpt3      one 13-gram, or a whole text of 8 words and more         Brown et al. 2020, appendix C
    palm      70% of the 8-grams                                       Chowdhery et al. 2022, section 8
    llama2    80% of the words lie in stretches of more than 10,       Touvron et al. 2023, A.6
              in each of which up to 4 may differ
    default   aligned words by what they are worth in bits; all of them up to 12 words, 75% from 20 words on

Deviations: all work on normalised words, where PaLM and Llama 2 have tokens; coverage is that of one stretch of one document,
where PaLM and Llama 2 ask whether n-grams were seen anywhere, since it is documents that are to be cleaned; and all see only
what `dedup.evaluation_hits` aligns, a 13-gram without a single seed is not seen.

The default asks more than coverage. An answer is no match: answers are what half of the web is about. A question must be worth
`min_bits`, if need be with an answer beside it: "Which of the following is true?" is no evidence. And half of its last words must be there, for
a question that quotes a famous text and then asks is not in every page with the quotation. OLMo 3's decon has one
threshold on question, answer and passage added up, 0.8 rising to 1.0 below 50 tokens.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.errors import ConfigError
from dedup.evaluation_hits import Hits, spread
from dedup.evaluation_index import ANSWER, BITS_UNIT, GRAM_WORDS, PASSAGE, QUESTION, EvaluationIndex

MAX_GAP_WORDS = 40  # of the document between two runs of one match
BESIDE_WORDS = 300  # of the document between a question and what belongs to it
_MIN_ANSWER_TAIL = 0.5  # of the answer in which a passage ends, whatever the method
_EXACT = 1e-9


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
    in_bits: bool = False  # words count by what they are worth
    min_bits: float = 0.0  # of what decides
    min_question: float = 0.0  # coverage from which on a question counts together with what is beside it; 0: never
    min_tail: float = 0.0  # coverage of the part's last words
    action: str = "drop"

    def threshold(self, n_words: NDArray[np.int64]) -> NDArray[np.float64]:
        share = np.clip((n_words - self.short) / (self.long - self.short), 0, 1)
        return self.min_coverage_short + share * (self.min_coverage - self.min_coverage_short)


METHODS = {
    "default": Method(
        min_coverage=0.75, min_coverage_short=1.0, in_bits=True, min_bits=60, min_question=0.5, min_tail=0.5
    ),
    "gpt3": Method(unit=13, min_part_words=8, action="cut"),
    "palm": Method(unit=8, min_part_words=8, min_coverage=0.7, min_coverage_short=0.7),
    "llama2": Method(
        min_stretch=11, max_differences=4, min_part_words=11, min_coverage=0.8, min_coverage_short=0.8
    ),
}  # fmt: skip


def method_of(name: str) -> Method:
    if name not in METHODS:
        raise ConfigError(f"method: {name!r}: should be one of {', '.join(METHODS)}")
    return METHODS[name]


# --- what is found -------------------------------------------------------------------------------------------------------


def find_spans(
    hits: Hits, index: EvaluationIndex, suppressed: NDArray[np.bool_], method: Method, passages: bool = False
) -> pa.Table:
    """One row for each place where a document has an item, by document, start and item.

    document, start, end (int64; bytes into the text), set, item, score, and question, answer and passage (float32; coverage of
    the best of them there, null where the item has none). Score is the coverage of what decides, one part or several. Words of `suppressed` grams, common phrases, do not count. `passages`: a passage alone is enough.
    """
    sizes = _part_sizes(index, suppressed)
    matches = _matches(hits, index, sizes, method)
    kind, item = index.part_kind[matches.part], index.part_item[matches.part].astype(np.int64)
    asks = (kind == QUESTION) | (kind == PASSAGE) & (passages | (index.part_tail[matches.part] > 0))
    min_tail = np.where(kind == PASSAGE, 0.0 if passages else _MIN_ANSWER_TAIL, method.min_tail)
    asking = np.flatnonzero(asks & (matches.tail >= min_tail) & (matches.coverage > 0))
    score = _alone(matches, asking, sizes, method)
    one, other = _beside(matches, item, asking)
    if method.min_question > 0:
        score = np.maximum(score, _together(matches, asking, one, other, index, sizes, method))
    coverage = np.zeros((3, len(asking)))
    for of_kind in (QUESTION, ANSWER, PASSAGE):
        chosen = kind[other] == of_kind
        np.maximum.at(coverage[of_kind], one[chosen], matches.coverage[other[chosen]])
    decides, coverage, score = asking[score > 0], coverage[:, score > 0], score[score > 0]

    rows, start, end = _merged(matches, item, decides, score)
    best = decides[rows]
    n_parts = [
        np.bincount(index.part_item[index.part_kind == of_kind], minlength=index.n_items) for of_kind in range(3)
    ]
    return pa.table(
        {
            "document": matches.document[best],
            "start": start,
            "end": end,
            "set": index.item_set.take(pa.array(item[best])),
            "item": index.item_name.take(pa.array(item[best])),
            "score": score[rows].astype(np.float32),
        }
        | {
            name: pa.array(coverage[of_kind, rows].astype(np.float32), mask=n_parts[of_kind][item[best]] == 0)
            for of_kind, name in ((QUESTION, "question"), (ANSWER, "answer"), (PASSAGE, "passage"))
        }
    )


def _alone(matches: "_Matches", asking: NDArray[np.int64], sizes: "_PartSizes", method: Method) -> NDArray[np.float64]:
    """The coverage of these matches where it is enough by itself, else 0."""
    part, coverage = matches.part[asking], matches.coverage[asking]
    n_words = sizes.words[part]
    enough = (n_words >= method.min_part_words) & (coverage >= method.threshold(n_words) - _EXACT)
    enough &= sizes.bits[part] >= method.min_bits
    if method.in_bits:
        enough &= (n_words > method.short) | (matches.longest[asking] >= n_words)
    return np.where(enough, coverage, 0.0)


def _together(
    matches: "_Matches",
    asking: NDArray[np.int64],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    index: EvaluationIndex,
    sizes: "_PartSizes",
    method: Method,
) -> NDArray[np.float64]:
    """The coverage of a question and what belongs to it near by, where that is enough, else 0.

    What belongs to it is one answer, all answers, the passage, or the passage and all answers. `one`, `other`: see `_beside`.
    """
    n_parts = np.int64(max(1, len(sizes.words)))
    of_kind = index.part_kind[matches.part[other]]
    beside = of_kind != QUESTION
    keys, of_pair = np.unique(one[beside] * n_parts + matches.part[other[beside]], return_inverse=True)
    row, part = keys // n_parts, keys % n_parts  # of `asking`, of the index
    coverage = np.zeros(len(keys))
    np.maximum.at(coverage, of_pair, matches.coverage[other[beside]])
    words, bits, found = sizes.words[part], sizes.bits[part], coverage * sizes.bits[part]

    item = index.part_item[matches.part[asking]]
    is_answer = index.part_kind == ANSWER
    all_words, all_bits = (
        np.bincount(index.part_item[is_answer], of_part[is_answer], index.n_items)[item]
        for of_part in (sizes.words, sizes.bits)
    )
    answer, passage = index.part_kind[part] == ANSWER, index.part_kind[part] == PASSAGE
    all_found = np.bincount(row[answer], found[answer], len(asking))
    every, with_passage = np.arange(len(asking)), row[passage]
    rows = np.concatenate([row, every, with_passage])  # one answer or passage; all answers; a passage and all answers
    words, bits, found = (
        np.concatenate([of_one, of_all, of_one[passage] + of_all[with_passage]])
        for of_one, of_all in ((words, all_words), (bits, all_bits), (found, all_found))
    )

    own = matches.part[asking[rows]]
    words, bits = words + sizes.words[own], bits + sizes.bits[own]
    coverage = (found + matches.coverage[asking[rows]] * sizes.bits[own]) / np.maximum(bits, _EXACT)
    enough = (words >= method.min_part_words) & (coverage >= method.threshold(words) - _EXACT)
    enough &= (bits >= method.min_bits) & (matches.coverage[asking[rows]] >= method.min_question)
    score = np.zeros(len(asking))
    np.maximum.at(score, rows[enough], coverage[enough])
    return score


def item_statuses(
    index: EvaluationIndex, suppressed: NDArray[np.bool_], method: Method, passages: bool = False
) -> pa.Table:
    """One row an item: set, item, words and common (int64; of the parts that can decide, how many words, and how many of them do
    not count), status.

    status: `unmatchable` (nothing of it is long or distinctive enough to be looked for: nothing is known), `suspect` (it would be, but
    for its common phrases: it may well be in the corpus), else `matchable`.
    """
    before = _part_sizes(index, np.zeros_like(suppressed))
    after = _part_sizes(index, suppressed)
    asks = (index.part_kind == QUESTION) | (index.part_kind == PASSAGE) & (passages | (index.part_tail > 0))
    owner = index.part_item

    def matchable(sizes: "_PartSizes") -> NDArray[np.bool_]:
        together = method.min_question > 0
        words, bits = np.zeros(index.n_items), np.zeros(index.n_items)
        for of_kind in (QUESTION, ANSWER, PASSAGE):  # the best question, all answers, the best passage
            chosen = (index.part_kind == of_kind) & (asks | together)
            add = np.add if of_kind == ANSWER else np.maximum
            for of_part, of_item in ((sizes.words, words), (sizes.bits, bits)):
                best = np.zeros(index.n_items)
                add.at(best, owner[chosen], of_part[chosen])
                of_item += best
        counting = asks if not together else np.ones_like(asks)
        seeded = np.bincount(owner[sizes.seeded & counting & (sizes.words > 0)], minlength=index.n_items) > 0
        asked = np.bincount(owner[asks & (sizes.words > 0)], minlength=index.n_items) > 0
        return seeded & asked & (words >= method.min_part_words) & (bits >= method.min_bits)

    status = np.where(matchable(after), "matchable", np.where(matchable(before), "suspect", "unmatchable"))
    words = np.bincount(owner[asks], before.words[asks], index.n_items).astype(np.int64)
    left = np.bincount(owner[asks], after.words[asks], index.n_items).astype(np.int64)
    columns = {"set": index.item_set, "item": index.item_name, "words": words, "common": words - left}
    return pa.table(columns | {"status": status})


# --- parts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _PartSizes:
    """What counts of each part."""

    common: NDArray[np.bool_]  # of each word of the index: it does not count
    words: NDArray[np.int64]
    bits: NDArray[np.float64]
    seeded: NDArray[np.bool_]  # a match can begin in it


def _part_sizes(index: EvaluationIndex, suppressed: NDArray[np.bool_]) -> _PartSizes:
    lengths = np.diff(index.part_words)
    common = np.zeros(len(index.words), np.bool_)
    grams = np.flatnonzero(suppressed)
    common[spread(grams, np.minimum(GRAM_WORDS, lengths[_part_of(index, grams)]))[1]] = True
    part = np.repeat(np.arange(len(lengths)), lengths)
    words = np.bincount(part, ~common, len(lengths)).astype(np.int64)
    bits = np.bincount(part, index.bits * ~common, len(lengths)) / BITS_UNIT
    seeded = np.bincount(_part_of(index, index.seeds), minlength=len(lengths)) > 0
    return _PartSizes(common, words, bits, seeded)


def _part_of(index: EvaluationIndex, word: NDArray[np.int64] | NDArray[np.int32]) -> NDArray[np.int64]:
    return np.searchsorted(index.part_words, word, "right") - 1


# --- matches ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Matches:
    """One row a match: by document, part and place."""

    document: NDArray[np.int64]
    part: NDArray[np.int64]
    at: NDArray[np.int64]  # words of the document, from `at` to before `at_end`
    at_end: NDArray[np.int64]
    start: NDArray[np.int64]  # bytes
    end: NDArray[np.int64]
    coverage: NDArray[np.float64]
    tail: NDArray[np.float64]  # coverage of the part's last words
    longest: NDArray[np.int64]  # words of its longest run


def _matches(hits: Hits, index: EvaluationIndex, sizes: _PartSizes, method: Method) -> _Matches:
    if method.max_differences:
        hits = hits.where(_in_stretches(hits, method))
    length = np.minimum(method.unit, np.diff(index.part_words)[hits.part])
    hits = hits.where(hits.n_words >= length)
    hits = hits.where(np.lexsort((hits.at, hits.part, hits.document)))
    first, reach, match = _runs(hits)
    document, part = hits.document[first], hits.part[first]
    n = len(first)

    weight = index.bits.astype(np.float64) if method.in_bits else np.ones(len(index.words))
    weight[sizes.common] = 0
    words = _distinct(match, *spread(hits.word, hits.n_words), index)
    tail_begin = index.part_words[part + 1] - index.part_tail[part]
    in_tail = words[1] >= tail_begin[words[0]]
    tail_row, tail_word = spread(tail_begin, index.part_tail[part])
    tail_total = np.bincount(tail_row, weight[tail_word], n)
    tail = np.bincount(words[0][in_tail], weight[words[1][in_tail]], n) / np.where(tail_total > 0, tail_total, 1)
    tail[tail_total == 0] = 1.0

    if method.unit > 1:  # a unit that is common in part counts
        length = np.minimum(method.unit, np.diff(index.part_words)[hits.part])
        words = _distinct(match, *spread(hits.word, hits.n_words - length + 1), index)
        whole_part = spread(index.part_words[part], np.diff(index.part_words)[part] - length[first] + 1)
        n_counting = np.concatenate([[0], np.cumsum(weight)])
        counts = n_counting[np.minimum(np.arange(len(weight)) + method.unit, len(weight))] - n_counting[:-1]
        weight = (counts > 0).astype(np.float64)
    else:
        whole_part = spread(index.part_words[part], np.diff(index.part_words)[part])
    total = np.bincount(whole_part[0], weight[whole_part[1]], n)
    coverage = np.bincount(words[0], weight[words[1]], n) / np.where(total > 0, total, 1)
    end = np.zeros(n, np.int64)
    np.maximum.at(end, match, hits.end)
    longest = np.zeros(n, np.int64)
    np.maximum.at(longest, match, hits.n_words)
    return _Matches(document, part, hits.at[first], reach, hits.start[first], end, coverage, tail, longest)


def _runs(hits: Hits) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(first hit of each match, word of the document before which it ends, the match of each hit) of hits in order."""
    same = np.zeros(len(hits.at), np.bool_)
    same[1:] = (hits.document[1:] == hits.document[:-1]) & (hits.part[1:] == hits.part[:-1])
    ends = hits.at + hits.n_words
    group = np.cumsum(~same)  # ends below are made to rise from group to group
    stride = int(ends.max(initial=0)) + 1
    reach = np.maximum.accumulate(ends + group * stride) - group * stride if len(ends) else ends
    same[1:] &= hits.at[1:] <= reach[:-1] + MAX_GAP_WORDS
    first = np.flatnonzero(~same)
    last = np.append(first[1:], len(hits.at))[: len(first)] - 1
    return first, reach[last], np.cumsum(~same) - 1


def _distinct(
    match: NDArray[np.int64], hit: NDArray[np.int64], word: NDArray[np.int64], index: EvaluationIndex
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each (match, word) once."""
    n = np.int64(max(1, len(index.words)))
    pairs = np.unique(match[hit] * n + word)
    return pairs // n, pairs % n


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


def _beside(
    matches: _Matches, item: NDArray[np.int64], decides: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(i, match): all matches of the same item near the match decides[i], itself included."""
    key = matches.document * np.int64(item.max(initial=0) + 1) + item
    order = np.argsort(key, kind="stable")
    begin, end = (np.searchsorted(key[order], key[decides], side) for side in ("left", "right"))
    one, at = spread(begin, end - begin)
    other = order[at]
    mine = decides[one]
    near = (matches.at[other] <= matches.at_end[mine] + BESIDE_WORDS) & (
        matches.at[mine] <= matches.at_end[other] + BESIDE_WORDS
    )
    return one[near], other[near]


def _merged(
    matches: _Matches, item: NDArray[np.int64], decides: NDArray[np.int64], score: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(which of `decides`, start, end): the best of each item where several overlap, and what they cover together."""
    rows: list[int] = []
    spans: list[tuple[int, int]] = []
    last: tuple[int, int] | None = None
    order = np.lexsort((matches.start[decides], item[decides], matches.document[decides]))
    for row in order.tolist():
        match = decides[row]
        start, end, key = (
            int(matches.start[match]),
            int(matches.end[match]),
            (int(matches.document[match]), int(item[match])),
        )
        if key == last and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            if score[row] > score[rows[-1]]:
                rows[-1] = row
        else:
            rows.append(row)
            spans.append((start, end))
        last = key
    chosen, extents = np.array(rows, np.int64), np.array(spans, np.int64).reshape(-1, 2)
    by_place = np.lexsort((item[decides[chosen]], extents[:, 0], matches.document[decides[chosen]]))
    return chosen[by_place], extents[by_place, 0], extents[by_place, 1]
