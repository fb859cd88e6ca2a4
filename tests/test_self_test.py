"""Self-test of decontamination: alterations, planting, intervals, and the whole on a small corpus."""

import json
import re
from collections import Counter
from random import Random

import pytest
from conftest import SAMPLE_SETTINGS, SAMPLES, refine
from hypothesis import given
from hypothesis import strategies as st

from dedup.alterations import ALTERATIONS, WRAPPED_WORDS, planted, written
from dedup.evaluation_sets import EvaluationItem
from pipeline.self_test import LENGTHS, SelfTest, Tally, length_of

TIDES = EvaluationItem(
    "quiz", "quiz.jsonl:1",
    ('Why does the keeper say "the sea comes twice" & not \'thrice\', on a well-known coast with one-sided tides?',),
    ("two bulges of water", "the moon's mood", "a leap second", "habit"), (),
)  # fmt: skip
VOCABULARY = ["lantern", "gravel", "meadow"]
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)


def hashes(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@pytest.mark.parametrize("name", ["verbatim", "re-wrapped at 8 words", "case and punctuation"])
@pytest.mark.parametrize("seed", range(5))
def test_an_alteration_of_form_keeps_every_word(name, seed):
    altered = ALTERATIONS[name](TIDES, Random(seed), VOCABULARY)
    assert hashes(altered) == hashes(written(TIDES))


def test_rewrapped_lines_have_eight_words():
    lines = ALTERATIONS["re-wrapped at 8 words"](TIDES, Random(0), VOCABULARY).split("\n")
    assert {len(line.split()) for line in lines[:-1]} == {WRAPPED_WORDS}


def test_quotes_and_entities_are_typographic_or_escaped():
    altered = {ALTERATIONS["quotes and entities"](TIDES, Random(seed), VOCABULARY) for seed in range(20)}
    assert sorted(text[:69] for text in altered) == [
        "Why does the keeper say &quot;the sea comes twice&quot; &amp; not &#3",
        "Why does the keeper say “the sea comes twice” & not ’thrice’, on a we",
    ]


@pytest.mark.parametrize(("name", "changed"), [("1% of words", {0, 1}), ("3% of words", {0, 1}), ("10% of words", {3})])
def test_that_share_of_the_words_is_substituted(name, changed):
    before = written(TIDES).split()
    found = set()
    for seed in range(40):
        after = ALTERATIONS[name](TIDES, Random(seed), VOCABULARY).split()
        assert len(after) == len(before) == 30
        found.add(sum(a != b for a, b in zip(before, after, strict=True)))
    assert found == changed


def test_choices_are_reordered_and_all_there():
    lines = ALTERATIONS["choices reordered"](TIDES, Random(1), VOCABULARY).split("\n")
    assert lines[0] == TIDES.question[0]
    assert sorted(lines[1:]) == sorted(TIDES.answer)
    assert lines[1:] != list(TIDES.answer)


def test_an_item_without_choices_cannot_be_reordered_or_lose_its_answer():
    passage = EvaluationItem("lambada", "l:1", (), (), ("A long walk home in the rain.",))
    assert ALTERATIONS["choices reordered"](passage, Random(1), VOCABULARY) is None
    assert ALTERATIONS["question only"](passage, Random(1), VOCABULARY) is None


@given(st.text(max_size=80), st.lists(words, max_size=4), st.integers(0, 99))
def test_planted_text_lies_where_it_is_said_to_lie(host, inserted, seed):
    text, spans = planted(host, inserted, Random(seed))
    encoded = text.encode("utf-8", "surrogatepass")
    assert [encoded[start:end].decode("utf-8", "surrogatepass") for start, end in spans] == inserted
    left = Counter(text)
    left.subtract("".join(inserted) + "\n" * 4 * len(inserted))
    assert left + Counter() == Counter(host)


def test_intervals_are_those_of_clopper_and_pearson():
    low, high = Tally(20, 20).interval
    assert (round(low, 4), high) == (0.8316, 1.0)  # 0.025 ** (1 / 20)
    assert [round(end, 4) for end in Tally(10, 5).interval] == [0.1871, 0.8129]


def test_false_positives_are_bounded_by_the_rule_of_three():
    bound = SelfTest({}, 1000, 0, {}).max_false_positive_rate
    assert bound == pytest.approx(1 - 0.05 ** (1 / 1000), rel=1e-6)
    assert SelfTest({}, 299, 0, {}).max_false_positive_rate is None


def test_tallies_add_up_over_sets_and_lengths():
    tallies = {
        ("verbatim", "a", "20 to 49"): Tally(4, 3),
        ("verbatim", "b", "under 5"): Tally(6, 1),
        ("x", "a", "under 5"): Tally(1, 1),
    }
    test = SelfTest(tallies, 0, 0, {})
    assert test.tally("verbatim") == Tally(10, 4)
    assert test.tally(set="a") == Tally(5, 4)
    assert test.tally("verbatim", lengths=["under 5"]) == Tally(6, 1)


@pytest.mark.parametrize(
    ("n_words", "name"), [(4, "under 5"), (5, "5 to 12"), (12, "5 to 12"), (13, "13 to 19"), (50, "50 and more")]
)
def test_lengths_are_those_of_the_whole_item(n_words, name):
    assert length_of(EvaluationItem("s", "i", ("word " * (n_words - 1),), ("answer",), ())) == name
    assert name in LENGTHS


def test_self_test_of_the_sample_evaluation_set(tmp_path):
    """All of the command: verbatim items of eight words and more are found, and the report says so."""
    pages = [path.read_text() for path in sorted((SAMPLES / "pages").glob("*.txt")) if "quiz" not in path.name]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps({"text": page}) + "\n" for page in pages))
    result = refine(
        "decontaminate", tmp_path / "pages.jsonl", "--out", tmp_path / "out", "--self-test",
        "--set", SAMPLE_SETTINGS[0], "--set", SAMPLE_SETTINGS[1],
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "out" / "self_test.json").read_text())
    assert report["documents"] == len(pages)
    assert report["flagged_documents"] == 0
    assert report["max_false_positive_rate"] is None
    for name in ("verbatim", "re-wrapped at 8 words", "case and punctuation", "in 100 kB", "several in one"):
        cells = [cell for cell in report["recall"] if cell["alteration"] == name]
        assert sum(cell["found"] for cell in cells) == sum(cell["planted"] for cell in cells) == 12, name
    assert "insufficient data for a false-positive rate" in result.stdout
