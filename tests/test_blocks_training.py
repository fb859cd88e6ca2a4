"""Training the learned extractor: a model from a few pages made up here, where LightGBM is installed, and what a user is told."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

from corpus.errors import InputError
from pipeline.blocks import fitting
from pipeline.blocks.gold import GoldPage, folds, read_pages
from pipeline.blocks.model import Model
from pipeline.blocks.scores import word_f1

N_PAGES = 12


def page(number: int) -> GoldPage:
    story = [f"Paragraph {n} of story {number} says that the lamp was lit in the year {n + 1900}." for n in range(20)]
    menu = "".join(f"<li><a href='/{n}'>Topic {n} of site {number}</a>" for n in range(20))
    html = f"<ul class=nav>{menu}</ul><div class=article>{''.join(f'<p>{text}' for text in story)}</div>"
    return GoldPage(str(number), "made up", "en", "article", html.encode(), None, "\n".join(story), (), (), str(number))


def test_a_model_learned_from_a_few_pages_tells_a_story_from_a_menu(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightgbm", reason="training needs LightGBM: pip install -e '.[train]'")
    monkeypatch.setattr(fitting, "N_TREES", 10)
    pages = [page(number) for number in range(N_PAGES)]
    examples = [fitting.read_example(each) for each in pages]
    lessons = [lesson for n, example in enumerate(examples) for lesson in fitting.lessons_of(n, example, "")]
    matrices, found = fitting.two_passes(examples, lessons, folds(pages))
    texts = [fitting.text_of(example, p)[0] for example, p in zip(examples, found, strict=True)]
    for text, each in zip(texts, pages, strict=True):
        assert word_f1(text, each.gold or "") > 0.9
        assert "Topic" not in text
    model, again = (
        Model(fitting.fit([example.features for example in examples], lessons), fitting.fit(matrices, lessons))
        for _ in range(2)
    )
    for one, other in ((model.first, again.first), (model.second, again.second)):
        for name, values in one.arrays().items():
            np.testing.assert_array_equal(values, other.arrays()[name])
    probabilities = model.probabilities(examples[0].features, examples[0].blocks)
    assert word_f1(fitting.text_of(examples[0], probabilities)[0], pages[0].gold or "") > 0.9


def test_a_folder_that_holds_no_such_pages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no gold\.jsonl\.gz; pages to learn from are"):
        read_pages(tmp_path)
    row = {"warc_record_id": "<urn:1>", "url": "https://a.example/", "gold_text": "Text"}
    (tmp_path / "gold.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    with pytest.raises(InputError, match=r"no page of gold\.jsonl\.gz is in an archive"):
        read_pages(tmp_path)


def test_the_command_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.blocks.train", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert run.returncode in (2, 3)  # LightGBM, or the pages
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
