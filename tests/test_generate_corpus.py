"""The corpora that dedup is measured with: what is planted is there, and the same each time."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.generate_corpus import MAX_RUNS, MIN_RUNS, RUN_WORDS, PlantedCorpus

WORDS = [f"word{i}" for i in range(1_000)]


@pytest.fixture(scope="module")
def corpus() -> PlantedCorpus:
    return PlantedCorpus(WORDS, 3_000)


def test_a_document_is_the_same_whichever_are_made_with_it(corpus: PlantedCorpus, tmp_path: Path) -> None:
    (path,) = corpus.write(tmp_path)
    table = pq.read_table(path)
    some = np.array([2_999, 0, 17])
    assert PlantedCorpus(WORDS, 3_000).texts(some).to_pylist() == [table["text"][int(i)].as_py() for i in some]
    assert PlantedCorpus(WORDS, 3_000, seed=2).texts(some).to_pylist() != corpus.texts(some).to_pylist()
    assert table["token_count"].to_pylist() == [len(text.split()) for text in table["text"].to_pylist()]
    assert table["id"][0].as_py().startswith("<urn:uuid:")
    assert len(set(table["id"].to_pylist())) == len(set(table["url"].to_pylist())) == 3_000


def test_documents_are_runs_of_consecutive_words(corpus: PlantedCorpus) -> None:
    first = int(np.flatnonzero(corpus.share == 0)[0])
    words = corpus.texts(np.array([first]))[0].as_py().split()
    assert MIN_RUNS * RUN_WORDS <= len(words) <= MAX_RUNS * RUN_WORDS
    for start in range(0, len(words), RUN_WORDS):
        at = WORDS.index(words[start])
        assert words[start : start + RUN_WORDS] == WORDS[at : at + RUN_WORDS]


def test_documents_of_a_family_differ_in_the_words_that_are_replaced(corpus: PlantedCorpus) -> None:
    family = int(np.argmax(np.bincount(corpus.family)))
    members = np.flatnonzero(corpus.family == family)
    texts = [text.split() for text in corpus.texts(members).to_pylist()]
    original = next(text for text, share in zip(texts, corpus.share[members], strict=True) if share == 0)
    for text, share in zip(texts, corpus.share[members], strict=True):
        assert len(text) == len(original)
        n_replaced = sum(a != b for a, b in zip(text, original, strict=True))
        assert (n_replaced == 0) if share == 0 else n_replaced < 0.15 * len(text)
    replaced = [sum(a != b for a, b in zip(text, original, strict=True)) / len(text) for text in texts]
    highest = corpus.share[members] == 0.04
    assert np.mean(np.array(replaced)[highest]) == pytest.approx(0.04, abs=0.02)


def test_sizes_of_families_follow_zipfs_law() -> None:
    corpus = PlantedCorpus(WORDS, 200_000)
    sizes = np.bincount(np.bincount(corpus.family), minlength=5)
    assert sizes[1] / sizes.sum() == pytest.approx(1 / 1.341, abs=0.01)
    assert sizes[2] / sizes[1] == pytest.approx(2**-2.5, abs=0.01)
    assert len(corpus) == 200_000
