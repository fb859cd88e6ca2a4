"""Main text by a small learned model over the text blocks of a page: `pipeline.blocks`, and MODEL_CARD.md there.

The page is read by a kernel in linear time and bounded memory whatever its bytes, so no sandbox is needed and none of its
costs are paid.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.blocks import model
from pipeline.blocks.assembly import assemble
from pipeline.blocks.features import features_of
from pipeline.blocks.shown import read_page

OPTIONS: dict[str, object] = {}


def extract_bytes(html: bytes, charset: str | None, options: Mapping[str, Any]) -> tuple[str, float]:
    """The text, and the score that can be expected of it (`model.choose`)."""
    page = read_page(html, charset)
    if not len(page.rows):
        return "", 0.0
    features = features_of(page)
    chosen, confidence = model.choose(model.Model.load().probabilities(features, page), features[model.WORDS])
    return assemble(page, chosen), confidence


def identity(options: Mapping[str, Any]) -> dict[str, str]:
    return {"model": model.identity()}
