"""Trees from pages with labels, and what trees that have not seen a page say of it.

Labels are hand-made gold text; where a page has only pieces of it, those and what trafilatura takes for main text, at half
weight. A block counts by the square root of its share of its page's words. The second pass is trained on what the first says
of pages it was not trained on: it would trust it too much otherwise. Of a page's blocks at most MAX_BLOCKS train. Seeds,
threads and LightGBM's `deterministic` are fixed: the same pages and versions give the same bytes.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import labels
from pipeline.blocks.assembly import assemble
from pipeline.blocks.features import features_of
from pipeline.blocks.gold import GoldPage
from pipeline.blocks.model import WORDS, choose, context_of
from pipeline.blocks.page import Blocks
from pipeline.blocks.shown import read_page
from pipeline.blocks.trees import MAX_LEAVES, Forest, forest_of
from pipeline.extractors import trafilatura
from pipeline.extractors._child import decode

MAX_BLOCKS = 100
WEAK = 0.5  # weight of labels that are not from gold text
N_TREES = 200
N_THREADS = 2  # each fits the trees of a fold of its own
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": MAX_LEAVES - 1,
    "learning_rate": 0.08,
    "min_data_in_leaf": 80,
    "max_bin": 63,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "feature_fraction": 0.25,
    "lambda_l2": 5.0,
    "seed": 1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True)
class Example:
    """A page as the model sees it."""

    gold: GoldPage
    blocks: Blocks
    features: NDArray[np.float32]  # (features, blocks)


@dataclass(frozen=True)
class Lesson:
    """Labels of some blocks of one page."""

    page: int
    blocks: NDArray[np.int64]
    good: NDArray[np.bool_]
    weights: NDArray[np.float64]


Matrices = Sequence[NDArray[np.float32]]
"""Of every page, (features, blocks)."""
Probabilities = list[NDArray[np.float32]]
"""Of every page, of each of its blocks."""


def read_example(page: GoldPage) -> Example:
    blocks = read_page(page.html, page.charset)
    return Example(page, blocks, features_of(blocks))


def by_trafilatura(pages: Sequence[GoldPage]) -> list[str]:
    """Its text of each page, in the mode in which its word-level F1 is best."""
    with multiprocessing.get_context("spawn").Pool(N_THREADS) as pool:
        return pool.map(_extract, pages, chunksize=20)


def _extract(page: GoldPage) -> str:
    return trafilatura.extract(decode(page.html, page.charset), None, {"favor": "recall"})


def lessons_of(number: int, example: Example, teacher: str) -> list[Lesson]:
    """`teacher`: trafilatura's text, which counts for a page without gold text."""
    page = example.gold
    texts = [example.blocks.block_text(i) for i in range(len(example.blocks.rows))]
    if page.gold is not None:
        found = [(labels.from_gold(texts, page.gold), 1.0)]
    else:
        found = [
            (labels.from_pieces(texts, page.wanted, page.unwanted), WEAK),
            (labels.from_gold(texts, teacher), WEAK),
        ]
    return [_lesson(number, good, words, weight) for (good, words), weight in found if words.any()]


def _lesson(number: int, good: NDArray[np.bool_], words: NDArray[np.float32], weight: float) -> Lesson:
    known = np.nonzero(words)[0]
    chosen = known
    if len(known) > MAX_BLOCKS:
        chosen = np.sort(np.random.default_rng(number).choice(known, MAX_BLOCKS, replace=False))
    share = np.sqrt(words[chosen]) / np.sqrt(words.sum()) * len(known) / len(chosen)
    return Lesson(number, chosen, good[chosen], share.astype(np.float64) * weight)


def fit(matrices: Matrices, lessons: Sequence[Lesson]) -> Forest:
    import lightgbm  # what uses the model does without

    values = np.vstack([matrices[lesson.page].T[lesson.blocks] for lesson in lessons])
    good = np.concatenate([lesson.good for lesson in lessons]).astype(np.float32)
    weights = np.concatenate([lesson.weights for lesson in lessons])
    data = lightgbm.Dataset(values, good, weight=weights / weights.mean())
    return forest_of(lightgbm.train(PARAMETERS, data, N_TREES).dump_model())


def cross_fit(matrices: Matrices, lessons: Sequence[Lesson], fold_of: NDArray[np.int64]) -> Probabilities:
    """Probabilities of every page by trees that saw no page of its fold."""

    def judge(fold: int) -> None:
        others = [lesson for lesson in lessons if fold_of[lesson.page] != fold]
        if others:  # else all labels are of this one
            forest = fit(matrices, others)
            for page in np.nonzero(fold_of == fold)[0].tolist():
                found[page] = forest.probabilities(matrices[page])

    found: Probabilities = [np.zeros(matrix.shape[1], np.float32) for matrix in matrices]
    with ThreadPoolExecutor(N_THREADS) as threads:
        list(threads.map(judge, np.unique(fold_of).tolist()))
    return found


def with_context(examples: Sequence[Example], first: Probabilities) -> list[NDArray[np.float32]]:
    return [
        np.vstack([example.features, context_of(p, example.features, example.blocks)])
        for example, p in zip(examples, first, strict=True)
    ]


def two_passes(
    examples: Sequence[Example], lessons: Sequence[Lesson], fold_of: NDArray[np.int64]
) -> tuple[list[NDArray[np.float32]], Probabilities]:
    """What the second pass sees of every page, and what a second pass that saw no page of its fold says of it."""
    first = cross_fit([example.features for example in examples], lessons, fold_of)
    matrices = with_context(examples, first)
    return matrices, cross_fit(matrices, lessons, fold_of)


def text_of(example: Example, probabilities: NDArray[np.float32]) -> tuple[str, float]:
    """The text, and how sure the model is of it."""
    if not len(probabilities):
        return "", 0.0
    chosen, confidence = choose(probabilities, example.features[WORDS])
    return assemble(example.blocks, chosen), confidence
