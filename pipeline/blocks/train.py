"""Train the model of `blocks`, and say how good it is: `python -m pipeline.blocks.train FOLDER`.

FOLDER as in `gold.py`. Needs LightGBM (the extra `train`). Written beside this file: `model.npz`, from all pages that may
train, and `scores.json`, in which every page is scored by a model that has seen no page of its group (five folds).

Labels are hand-made gold text; where a page has only pieces of it, those and what trafilatura takes for main text, at half
weight. A block counts by the square root of its share of its page's words. The second pass is trained on what the first says
of pages it was not trained on: it would trust it too much otherwise. Of a page's blocks at most MAX_BLOCKS train. Seeds,
threads and LightGBM's `deterministic` are fixed: the same pages and versions give the same bytes.
"""

import argparse
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import labels
from pipeline.blocks.assembly import assemble
from pipeline.blocks.encoding import utf8_page
from pipeline.blocks.features import features_of
from pipeline.blocks.gold import TRAINABLE, GoldPage, folds, read_pages
from pipeline.blocks.model import MODEL_FILE, WORDS, Model, choose, context_of
from pipeline.blocks.page import Blocks, read_blocks
from pipeline.blocks.quality import SCORES_FILE, gate_pages, pages_digest, scores_of, summary
from pipeline.blocks.trees import MAX_LEAVES, Forest, forest_of
from pipeline.extractors import trafilatura
from pipeline.extractors._child import decode

N_FOLDS = 5
MAX_BLOCKS = 100
WEAK = 0.5  # weight of labels that are not from gold text
N_TREES = 200
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
    "num_threads": 2,
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


Probabilities = list[NDArray[np.float32]]
"""Of every page, of each of its blocks."""


def read_example(page: GoldPage) -> Example:
    blocks = read_blocks(utf8_page(page.html, page.charset))
    return Example(page, blocks, features_of(blocks))


def teach(page: GoldPage) -> str:
    return trafilatura.extract(decode(page.html, page.charset), None, {"favor": "recall"})


def lessons_of(number: int, example: Example, teacher: str) -> list[Lesson]:
    """`teacher`: trafilatura's text of a page without gold text."""
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


def fit(matrices: Sequence[NDArray[np.float32]], lessons: Sequence[Lesson]) -> Forest:
    """Trees from the lessons; `matrices` of every page, (features, blocks)."""
    values = np.vstack([matrices[lesson.page].T[lesson.blocks] for lesson in lessons])
    good = np.concatenate([lesson.good for lesson in lessons]).astype(np.float32)
    weights = np.concatenate([lesson.weights for lesson in lessons])
    data = lightgbm.Dataset(values, good, weight=weights / weights.mean())
    return forest_of(lightgbm.train(PARAMETERS, data, N_TREES).dump_model())


def cross_fit(
    matrices: Sequence[NDArray[np.float32]], lessons: Sequence[Lesson], fold_of: NDArray[np.int64]
) -> Probabilities:
    """Probabilities of every page by trees that saw no page of its fold."""
    found: Probabilities = [np.zeros(0, np.float32)] * len(matrices)
    for fold in range(N_FOLDS):
        forest = fit(matrices, [lesson for lesson in lessons if fold_of[lesson.page] != fold])
        for page in np.nonzero(fold_of == fold)[0].tolist():
            found[page] = forest.probabilities(matrices[page])
    return found


def with_context(examples: Sequence[Example], first: Probabilities) -> list[NDArray[np.float32]]:
    return [
        np.vstack([example.features, context_of(p, example.features, example.blocks)])
        for example, p in zip(examples, first, strict=True)
    ]


def text_of(example: Example, probabilities: NDArray[np.float32]) -> tuple[str, float]:
    if not len(probabilities):
        return "", 0.0
    chosen, confidence = choose(probabilities, example.features[WORDS])
    return assemble(example.blocks, chosen), confidence


def judge(examples: Sequence[Example], probabilities: Probabilities) -> dict[str, Any]:
    judged = [each for each in zip(examples, probabilities, strict=True) if each[0].gold.gold is not None]
    scores = [scores_of(example.gold, *text_of(example, p)) for example, p in judged]
    return summary([example.gold for example, _ in judged], scores)


def train(folder: Path, trainable: Sequence[str]) -> tuple[Model, dict[str, Any]]:
    pages = read_pages(folder)
    examples = [read_example(page) for page in pages]
    may_train = [number for number, page in enumerate(pages) if page.dataset in trainable]
    without_gold = [number for number in may_train if pages[number].gold is None]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        texts = pool.map(teach, [pages[number] for number in without_gold], chunksize=20)
    teacher = dict(zip(without_gold, texts, strict=True))
    lessons = [
        lesson for number in may_train for lesson in lessons_of(number, examples[number], teacher.get(number, ""))
    ]
    fold_of = folds(pages, N_FOLDS)
    features = [example.features for example in examples]
    first = cross_fit(features, lessons, fold_of)
    matrices = with_context(examples, first)
    second = cross_fit(matrices, lessons, fold_of)
    model = Model(fit(features, lessons), fit(matrices, lessons))
    strangers = [read_example(page) for page in gate_pages(pages)]
    shipped = [model.probabilities(example.features, example.blocks) for example in strangers]
    return model, {
        "pages": pages_digest(folder),
        "cross_validated": judge(examples, second),
        "shipped": judge(strangers, shipped),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the model of the extractor `blocks`.")
    parser.add_argument("folder", type=Path, help="*.warc.gz and gold.jsonl.gz")
    parser.add_argument("--sets", default=",".join(TRAINABLE), help="data sets that may supply labels")
    arguments = parser.parse_args()
    model, scores = train(arguments.folder, arguments.sets.split(","))
    model.write(MODEL_FILE)
    SCORES_FILE.write_text(json.dumps(scores, indent=1) + "\n", "utf-8")
    print(json.dumps(scores["cross_validated"]["mean_of_sets"]))


if __name__ == "__main__":
    main()
