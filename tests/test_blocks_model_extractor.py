"""The learned extractor as a user meets it: its text, its place in a recipe, and the quality it may not lose."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import SAMPLES, run, sample_recipe

from corpus.errors import ConfigError
from pipeline.blocks.assembly import assemble
from pipeline.blocks.page import read_blocks
from pipeline.config import stage_recipe
from pipeline.extractors import blocks, chosen
from pipeline.extractors.sandbox import Extraction


def everything(html: str) -> str:
    page = read_blocks(np.frombuffer(html.encode(), np.uint8))
    return assemble(page, np.ones(len(page.rows), bool))


def test_each_block_is_a_line_and_words_do_not_run_together() -> None:
    html = "<h1>Title</h1><div>One<p>two <b>th</b>ree</p>four<br>five</div><div>six</div>"
    assert everything(html) == "Title\nOne\ntwo three\nfour\nfive\nsix"


def test_list_items_are_marked_once_whatever_they_hold() -> None:
    html = "<ul><li>one<li><p>two</p><p>more of two</p><li>three</ul><p>after</p>"
    assert everything(html) == "- one\n- two\nmore of two\n- three\nafter"


def test_cells_of_a_table_stand_on_one_line_a_row() -> None:
    html = "<table><tr><th>Ferry<th>Platform</tr><tr><td>noon<td>four</tr></table>"
    assert everything(html) == "Ferry | Platform\nnoon | four"


def test_a_table_that_is_layout_gives_lines() -> None:
    html = "<table><tr><td><p>Menu</p><p>Home</p></td><td><p>Story one</p><p>Story two</p></td></tr></table>"
    assert everything(html) == "Menu\nHome\nStory one\nStory two"


def test_a_long_block_is_not_repeated_and_a_short_one_is() -> None:
    long = "A sentence that the page has once more for small screens."
    assert everything(f"<p>{long}</p><p>Yes</p><p>{long}</p><p>Yes</p>") == f"{long}\nYes\nYes"


def test_preformatted_text_keeps_its_lines_and_indents() -> None:
    assert everything("<p>Code:</p><pre>def f():\n    return 1\n</pre>") == "Code:\ndef f():\n    return 1"


class Sure:
    """An extractor of fixed text and confidence that counts its pages."""

    def __init__(self, text: str, confidence: float | None, reason: str | None = None) -> None:
        self.found = Extraction(text, reason, confidence=confidence)
        self.n_pages = 0

    def extract(self, html: bytes, charset: str | None, url: str | None) -> Extraction:
        self.n_pages += 1
        return self.found


@pytest.mark.parametrize(("confidence", "text"), [(0.9, "first"), (0.8, "first"), (0.79, "second")])
def test_only_pages_of_which_the_first_extractor_is_not_sure_go_to_the_fallback(confidence: float, text: str) -> None:
    fallback = Sure("second", None)
    found = chosen.Cascade(Sure("first", confidence), fallback, 0.8).extract(b"", None, None)
    assert (found.text, found.confidence) == (text, confidence)
    assert fallback.n_pages == (text == "second")


def test_a_page_in_which_the_fallback_finds_nothing_keeps_the_first_text() -> None:
    found = chosen.Cascade(Sure("first", 0.1), Sure("", None, "empty"), 0.8).extract(b"", None, None)
    assert (found.text, found.reason) == ("first", None)


def test_a_first_extractor_that_is_never_unsure_is_refused(blocklist: Path) -> None:
    setting = "extract.extractor={first: resiliparse, fallback: trafilatura, min_confidence: 0.5}"
    with pytest.raises(ConfigError, match="nothing would go to the fallback; name `blocks`"):
        sample_recipe(blocklist, setting)


def test_the_ledger_says_how_sure_the_model_was_of_each_page(tmp_path: Path) -> None:
    recipe = stage_recipe("extract", None, ["extract.extractor=blocks", "extract.language=null", "cluster.workers=0"])
    run(recipe, tmp_path, str(SAMPLES / "crawl" / "sample-00000.warc.gz"), packed=False)
    ledger = pq.read_table(next(tmp_path.rglob("ledger")))
    kept = ledger.filter(ledger["reason"].is_null())
    confidence = kept["confidence"].drop_null().to_numpy()
    assert len(confidence) >= 20
    assert ((confidence > 0) & (confidence <= 1)).all()


@pytest.mark.parametrize("html", [b"", b"<html></html>", b"\xff\xfe\x00<", b"<p>" * 100_000, b"<p>\xff\xc3</p>"])
def test_any_bytes_give_a_text_and_a_confidence(html: bytes) -> None:
    text, confidence = blocks.extract_bytes(html, None, {})
    assert text.encode() is not None
    assert 0 <= confidence <= 1
