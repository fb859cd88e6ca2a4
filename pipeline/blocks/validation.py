"""What `scores.json` says of a model: how good it is on pages it has not seen, and what would make it better.

cross_validated    every page by a model that saw no page of its group: folds are made of whole sites
left_out           the same with data sets for folds: pages of kinds, and gold texts by rules, that it has not seen
training_pages     cross-validated again with fewer pages: would more help?
trafilatura        on the same pages
fallback           cross-validated, with trafilatura for the pages of which the model is least sure
shipped            a fourth of the pages of the sets that do not train, by the model that is shipped; what the gate tests
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.blocks.fitting import Example, Lesson, Probabilities, read_example, text_of, two_passes
from pipeline.blocks.gold import GoldPage, folds
from pipeline.blocks.model import Model
from pipeline.blocks.quality import Scores, gate_pages, pages_digest, scores_of, summary

TRAINING_PAGES = (200, 400, 800)
FALLBACK_PERCENT = (0, 2, 5, 10)


def scores(
    folder: Path,
    examples: Sequence[Example],
    lessons: Sequence[Lesson],
    model: Model,
    found: Probabilities,
    others: Sequence[str],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """`found`: the probabilities of cross-validation; `others`: trafilatura's texts of the pages."""
    pages = [example.gold for example in examples]
    judged = [page for page in pages if page.gold is not None]
    ours = _scored(examples, found)
    theirs = [scores_of(page, text, 1.0) for page, text in zip(pages, others, strict=True) if page.gold is not None]
    strangers = [read_example(page) for page in gate_pages(pages)]
    shipped = [model.probabilities(example.features, example.blocks) for example in strangers]
    result: dict[str, Any] = {
        "pages": pages_digest(folder),
        "cross_validated": summary(judged, ours),
        "shipped": summary([example.gold for example in strangers], _scored(strangers, shipped)),
        "trafilatura": summary(judged, theirs),
        "fallback": {str(percent): _with_fallback(judged, ours, theirs, percent) for percent in FALLBACK_PERCENT},
    }
    say("left out, one data set after the other")
    datasets = sorted({pages[lesson.page].dataset for lesson in lessons})
    set_of = np.array([datasets.index(page.dataset) if page.dataset in datasets else -1 for page in pages], np.int64)
    result["left_out"] = summary(judged, _scored(examples, two_passes(examples, lessons, set_of)[1]))
    result["training_pages"] = {}
    for n in TRAINING_PAGES:
        say(f"{n} training pages")
        some = _of_some_pages(lessons, n)
        result["training_pages"][str(n)] = summary(
            judged, _scored(examples, two_passes(examples, some, folds(pages))[1])
        )
    return result


def _scored(examples: Sequence[Example], found: Probabilities) -> list[Scores]:
    """Of the pages that have gold text."""
    return [
        scores_of(example.gold, *text_of(example, p))
        for example, p in zip(examples, found, strict=True)
        if example.gold.gold is not None
    ]


def _of_some_pages(lessons: Sequence[Lesson], n_pages: int) -> list[Lesson]:
    pages = np.unique([lesson.page for lesson in lessons])
    some = set(np.random.default_rng(1).permutation(pages)[:n_pages].tolist())
    return [lesson for lesson in lessons if lesson.page in some]


def _with_fallback(
    pages: Sequence[GoldPage], ours: Sequence[Scores], theirs: Sequence[Scores], percent: float
) -> dict[str, float]:
    """Scores with trafilatura for this share of the pages, and the `min_confidence` that sends them there."""
    least = float(np.quantile([score["confidence"] for score in ours], percent / 100))
    both = [one if one["confidence"] >= least else other for one, other in zip(ours, theirs, strict=True)]
    return {"min_confidence": round(least, 3) if percent else 0.0, **summary(pages, both)["mean_of_sets"]}
