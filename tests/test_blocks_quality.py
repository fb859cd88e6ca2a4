"""The quality gate of the extractor `blocks`: no change may lower its scores unless the floors below are lowered by hand."""

import json
from pathlib import Path

from pipeline.blocks import card
from pipeline.blocks.gold import read_pages
from pipeline.blocks.quality import SCORES_FILE, gate_pages, pages_digest, scores_of, summary
from pipeline.extractors.blocks import extract_bytes

STORED = json.loads(SCORES_FILE.read_text("utf-8"))
# Mean word-level F1, cross-validated by site: what a new model has to reach.
FLOORS = {
    "wcxb": 0.884,
    "daniel": 0.890,
    "cleaneval-final": 0.937,
    "scrapinghub": 0.949,
    "readability": 0.936,
    "cleanportaleval": 0.929,
}
FLOOR_OF_MEAN = 0.921
ROUNDING = 0.0005


def test_the_stored_scores_are_not_below_the_floors() -> None:
    found = STORED["cross_validated"]
    assert found["mean_of_sets"]["words"] >= FLOOR_OF_MEAN
    assert [name for name, floor in FLOORS.items() if found["set"][name]["words"] < floor] == []


def test_the_shipped_model_scores_what_is_stored_on_pages_of_sets_that_did_not_train(shared_data: Path) -> None:
    """Whatever changes on the way from bytes to text shows here: reader, features, trees, choice, assembly."""
    folder = shared_data / "pages"
    assert STORED["pages"] == pages_digest(folder), "other pages: python -m pipeline.blocks.train FOLDER"
    pages = gate_pages(read_pages(folder))
    scores = [scores_of(page, *extract_bytes(page.html, page.charset, {})) for page in pages]
    found, stored = summary(pages, scores)["set"], STORED["shipped"]["set"]
    lower = {
        (name, measure): (found[name][measure], stored[name][measure])
        for name in stored
        for measure in ("words", "characters", "order")
        if found[name][measure] < stored[name][measure] - ROUNDING
    }
    assert lower == {}


def test_the_tables_of_the_model_card_are_of_the_stored_scores() -> None:
    text = card.CARD_FILE.read_text("utf-8")
    assert card.with_tables(text, card.tables(json.loads(SCORES_FILE.read_text("utf-8")))) == text
