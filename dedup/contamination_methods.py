"""What counts as a match: the published methods and ours, as data, and the one function that applies them.

A *match* is what a stretch of a document has of one part of an item; its *coverage* the share of the part that is there, once
however often. `method.unit` words in a row count together: with 1, coverage counts aligned words; with n, n-grams.

    gpt3      one 13-gram, or a whole text of 8 words and more         Brown et al. 2020, appendix C
    palm      70% of the 8-grams                                       Chowdhery et al. 2022, section 8
    llama2    80% of the words lie in stretches of more than 10,       Touvron et al. 2023, A.6
              in each of which up to 4 may differ
    default   aligned words by what they are worth in bits: all up to 12 words, 75% from 20 words on

Deviations: all work on normalised words, where PaLM and Llama 2 have tokens; coverage is that of one stretch of a document,
where PaLM and Llama 2 ask whether n-grams were seen anywhere, since it is documents that are to be cleaned; and all see only
what `dedup.evaluation_hits` aligns: a 13-gram without a single seed is not seen.

The default asks for more than coverage. Answers alone are no match, they are what the web is about. What is found must be
worth `min_bits`: "Which of the following is true?" is no evidence by itself, with its choices it is. Half of the question's
last words must be there: one that quotes a famous text and then asks is not in every page with the quotation. Question and
choices count together, so that a word replaced in a short question does not hide an item of fifty words. In 76 MB of text from
2,843 real pages neither it nor PaLM's nor Llama 2's rule flagged anything, GPT-3's one page, which
MMLU quotes. OLMo 3's decon has one threshold on question, answer and passage added up, 0.8 rising to 1.0 below 50 tokens.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.errors import ConfigError
from dedup.evaluation_hits import Hits, spread
from dedup.evaluation_index import ANSWER, PASSAGE, QUESTION, EvaluationIndex
from dedup.evaluation_matches import Matches, Method, PartSizes, find_matches, part_sizes

BESIDE_WORDS = 300  # of the document between a question and what belongs to it
_MIN_ANSWER_TAIL = 0.5  # of the answer in which a passage ends, whatever the method
_MIN_FOUND = 0.5  # of what is beside a question, for the two to count together
_EXACT = 1e-9


METHODS = {
    "default": Method(
        min_coverage=0.75, min_coverage_short=1.0, exact=12, in_bits=True, min_bits=60, min_question=0.5, min_tail=0.5
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

    document, start, end (int64; bytes into the text), set, item, score, and question, answer and passage (float32; coverage
    of the best of them there, null where the item has none). Score is the coverage of what decides, one part or several.
    Words of `suppressed` grams, common phrases, do not count. `passages`: a passage alone is enough.
    """
    sizes = part_sizes(index, suppressed)
    matches = find_matches(hits, index, sizes, method)
    asks = (matches.kind == QUESTION) | (matches.kind == PASSAGE) & (passages | (index.part_tail[matches.part] > 0))
    has_answer = (matches.kind == QUESTION) | passages | (matches.tail >= _MIN_ANSWER_TAIL)
    asking = np.flatnonzero(asks & has_answer & (matches.coverage > 0))
    score = _alone(matches, asking, method)
    asking_of, beside = _beside(matches, asking)
    if method.min_question > 0:
        score = np.maximum(score, _together(matches, asking, asking_of, beside, index, sizes, method))
    coverage = np.zeros((3, len(asking)))
    np.maximum.at(coverage, (matches.kind[beside], asking_of), matches.coverage[beside])

    rows, start, end = _merged(matches, asking, score)
    best = asking[rows]
    item = matches.item[best]
    part_row, part = spread(index.item_parts[item], np.diff(index.item_parts)[item])
    n_parts = np.zeros((3, len(best)), np.int64)
    np.add.at(n_parts, (index.part_kind[part], part_row), 1)
    return pa.table(
        {
            "document": matches.document[best],
            "start": start,
            "end": end,
            "set": index.item_set.take(pa.array(item)),
            "item": index.item_name.take(pa.array(item)),
            "score": score[rows].astype(np.float32),
        }
        | {
            name: pa.array(coverage[kind, rows].astype(np.float32), mask=n_parts[kind] == 0)
            for kind, name in ((QUESTION, "question"), (ANSWER, "answer"), (PASSAGE, "passage"))
        }
    )


def _alone(matches: Matches, asking: NDArray[np.int64], method: Method) -> NDArray[np.float64]:
    """The coverage of these matches where it is enough by itself, else 0."""
    words, coverage = matches.words[asking], matches.coverage[asking]
    enough = (words >= method.min_part_words) & (coverage >= method.threshold(words) - _EXACT)
    enough &= (matches.bits[asking] >= method.min_bits) & (matches.tail[asking] >= method.min_tail)
    enough &= (words > method.exact) | (matches.longest[asking] >= words)
    return np.where(enough, coverage, 0.0)


def _together(
    matches: Matches,
    asking: NDArray[np.int64],
    asking_of: NDArray[np.int64],
    beside: NDArray[np.int64],
    index: EvaluationIndex,
    sizes: PartSizes,
    method: Method,
) -> NDArray[np.float64]:
    """The coverage of a question and what belongs to it near by, where that is enough, else 0.

    What belongs to it is one answer, all answers, the passage, or the passage and all answers. `asking_of`, `beside`: pairs of
    a row of `asking` and a match beside it.
    """
    other = matches.kind[beside] != QUESTION
    n_parts = np.int64(len(index.part_kind) + 1)
    pairs = asking_of[other] * n_parts + matches.part[beside[other]]
    keys, of_pair = np.unique(pairs, return_inverse=True)
    row, part = keys // n_parts, keys % n_parts
    coverage = np.zeros(len(keys))
    np.maximum.at(coverage, of_pair, matches.coverage[beside[other]])
    found = coverage * sizes.bits[part]

    item = matches.item[asking]
    owner, every_part = spread(index.item_parts[item], np.diff(index.item_parts)[item])
    is_answer = index.part_kind[every_part] == ANSWER
    owner, every_part = owner[is_answer], every_part[is_answer]
    answer, passage = index.part_kind[part] == ANSWER, index.part_kind[part] == PASSAGE
    all_words = np.bincount(owner, sizes.words[every_part], len(asking))
    all_bits = np.bincount(owner, sizes.bits[every_part], len(asking))
    all_found = np.bincount(row[answer], found[answer], len(asking))

    behind = row[passage]
    rows = np.concatenate([row, np.arange(len(asking)), behind])  # one part; all answers; a passage and all answers
    words, bits, found = (
        np.concatenate([of_one, of_all, of_one[passage] + of_all[behind]])
        for of_one, of_all in ((sizes.words[part], all_words), (sizes.bits[part], all_bits), (found, all_found))
    )
    own = asking[rows]
    there = found > _MIN_FOUND * bits
    words, bits = words + matches.words[own], bits + matches.bits[own]
    coverage = (found + matches.coverage[own] * matches.bits[own]) / np.maximum(bits, _EXACT)
    enough = (words >= method.min_part_words) & (coverage >= method.threshold(words) - _EXACT)
    in_passage = np.concatenate([passage, np.zeros(len(asking), np.bool_), np.ones(len(behind), np.bool_)])
    least = np.where(in_passage, method.min_coverage, method.min_question)  # the passage is web text
    enough &= there & (bits >= method.min_bits) & (matches.coverage[own] >= least)
    score = np.zeros(len(asking))
    np.maximum.at(score, rows[enough], coverage[enough])
    return score


def _beside(matches: Matches, asking: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(i, match): all matches of the same item near the match asking[i], itself included."""
    key = matches.document * np.int64(matches.item.max(initial=0) + 1) + matches.item
    order = np.argsort(key, kind="stable")
    begin, end = (np.searchsorted(key[order], key[asking], side) for side in ("left", "right"))
    row, at = spread(begin, end - begin)
    other, mine = order[at], asking[row]
    near = matches.at[other] <= matches.at_end[mine] + BESIDE_WORDS
    near &= matches.at[mine] <= matches.at_end[other] + BESIDE_WORDS
    return row[near], other[near]


def _merged(
    matches: Matches, asking: NDArray[np.int64], score: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(which of `asking`, start, end): of those with a score, the best of each item where several overlap, and what all cover."""
    rows: list[int] = []
    spans: list[tuple[int, int]] = []
    of_item: list[tuple[int, int]] = []
    order = np.lexsort((matches.start[asking], matches.item[asking], matches.document[asking]))
    for row in order[score[order] > 0].tolist():
        match = asking[row]
        key, start, end = (matches.document[match], matches.item[match]), matches.start[match], matches.end[match]
        if of_item and key == of_item[-1] and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            rows[-1] = max(rows[-1], row, key=lambda one: (score[one], -one))
        else:
            rows.append(row)
            spans.append((start, end))
            of_item.append(key)
    chosen, extents = np.array(rows, np.int64), np.array(spans, np.int64).reshape(-1, 2)
    by_place = np.lexsort((matches.item[asking[chosen]], extents[:, 0], matches.document[asking[chosen]]))
    return chosen[by_place], extents[by_place, 0], extents[by_place, 1]


# --- what can be found ------------------------------------------------------------------------------------------------


def item_statuses(
    index: EvaluationIndex, suppressed: NDArray[np.bool_], method: Method, passages: bool = False
) -> pa.Table:
    """One row an item: set, item, words and common (int64; of the parts that can decide, how many words, and how many of
    them do not count), status.

    status: `unmatchable` (too short or too common by itself: nothing is known), `suspect` (what is left without its common
    phrases is: it may well be in the corpus), else `matchable`.
    """
    asks = (index.part_kind == QUESTION) | (index.part_kind == PASSAGE) & (passages | (index.part_tail > 0))
    owner = np.repeat(np.arange(index.n_items), np.diff(index.item_parts))

    def of_items(chosen: NDArray[np.bool_], values: NDArray[Any], *, add: bool = False) -> NDArray[np.float64]:
        """The sum, or else the largest, of the values of an item's chosen parts."""
        result = np.zeros(index.n_items)
        (np.add if add else np.maximum).at(result, owner[chosen], values[chosen])
        return result

    def matchable(sizes: PartSizes) -> NDArray[np.bool_]:
        left = sizes.words > 0
        words, bits = of_items(asks, sizes.words), of_items(asks, sizes.bits)
        if method.min_question > 0:
            for kind in (ANSWER, PASSAGE):
                beside = (index.part_kind == kind) & ~asks
                words += of_items(beside, sizes.words, add=kind == ANSWER)
                bits += of_items(beside, sizes.bits, add=kind == ANSWER)
        counting = left & (asks | (method.min_question > 0))
        begins, asked = of_items(counting, index.part_seeded) > 0, of_items(asks, left) > 0
        return begins & asked & (words >= method.min_part_words) & (bits >= method.min_bits)

    before, after = part_sizes(index, np.zeros_like(suppressed)), part_sizes(index, suppressed)
    status = np.where(matchable(after), "matchable", np.where(matchable(before), "suspect", "unmatchable"))
    words, left = (of_items(asks, sizes.words, add=True).astype(np.int64) for sizes in (before, after))
    columns = {"set": index.item_set, "item": index.item_name, "words": words, "common": words - left}
    return pa.table(columns | {"status": status})
