"""How good texts of pages are: three scores a page (`scores.py`), and their means by set, language and page type.

`scores.json` beside this file (`validation.py`) holds what the quality gate, tests/test_blocks_quality.py, compares with.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from pipeline.blocks.gold import TRAINABLE, GoldPage
from pipeline.blocks.model import MODEL_FILE
from pipeline.blocks.scores import character_f1, order_f1, word_f1

SCORES_FILE = MODEL_FILE.with_name("scores.json")
MIN_PAGES = 35  # of a set that counts in the mean of sets

_MEASURES = ("words", "characters", "order", "confidence")

_EVERY = 4

Scores = dict[str, float]


def gate_pages(pages: Sequence[GoldPage]) -> list[GoldPage]:
    """Every fourth page of the sets that do not train, so that the gate takes seconds."""
    return [page for page in pages if page.gold is not None and page.dataset not in TRAINABLE][::_EVERY]


def scores_of(page: GoldPage, text: str, confidence: float) -> Scores:
    gold = page.gold or ""
    return {
        "words": word_f1(text, gold),
        "characters": character_f1(text, gold),
        "order": order_f1(text, gold),
        "confidence": confidence,
    }


def summary(pages: Sequence[GoldPage], scores: Sequence[Scores]) -> dict[str, Any]:
    """Means by set, language and page type, and of the sets' means."""
    groups: dict[str, dict[str, list[Scores]]] = {by: defaultdict(list) for by in ("set", "language", "page_type")}
    for page, score in zip(pages, scores, strict=True):
        groups["set"][page.dataset].append(score)
        groups["language"][page.language].append(score)
        if page.page_type:
            groups["page_type"][page.page_type].append(score)
    means = {
        by: {name: {"pages": len(rows), **_means(rows)} for name, rows in sorted(members.items())}
        for by, members in groups.items()
    }
    sets = means["set"].values()
    large = [row for row in sets if row["pages"] >= MIN_PAGES]
    return {"mean_of_sets": _means(large or list(sets)), **means}


def _means(rows: Sequence[Scores]) -> Scores:
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in _MEASURES}


def pages_digest(folder: Path) -> str:
    return xxhash.xxh3_128_hexdigest((folder / "gold.jsonl.gz").read_bytes())
