"""Verdicts of the rule sets beside those of datatrove 0.10.1 on 1,824 real English texts.

The floors are what was reached when they were written. They go up when a rule comes closer, and down only together with a
sentence in the rule set's docstring that says which definition was chosen otherwise, and how many documents that moves.
"""

import gzip
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from measuring import documents

from corpus.rules import decide
from filters import c4, fineweb, gopher_quality, gopher_repetition

RULE_OF = {
    "dup_para_frac": "max_duplicate_paragraph_fraction",
    "dup_para_char_frac": "max_duplicate_paragraph_character_fraction",
    "dup_line_frac": "max_duplicate_line_fraction",
    "dup_line_char_frac": "max_duplicate_line_character_fraction",
    **{f"top_{n}_gram": f"max_top_{n}gram_character_fraction" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"max_duplicate_{n}gram_character_fraction" for n in range(5, 11)},
    "gopher_short_doc": "min_words",
    "gopher_long_doc": "max_words",
    "gopher_below_avg_threshold": "min_mean_word_length",
    "gopher_above_avg_threshold": "max_mean_word_length",
    "gopher_too_many_hashes": "max_hashes_per_word",
    "gopher_too_many_ellipsis": "max_ellipses_per_word",
    "gopher_too_many_bullets": "max_bullet_line_fraction",
    "gopher_too_many_end_ellipsis": "max_ellipsis_line_fraction",
    "gopher_below_alpha_threshold": "min_alphabetic_word_fraction",
    "gopher_enough_stop_words": "min_stop_words",
    "lorem_ipsum": "max_lorem_ipsum",
    "curly_bracket": "max_curly_brackets",
    "too_few_sentences": "min_sentences",
    "line_punct_ratio": "min_punctuated_line_fraction",
    "short_line_ratio": "max_short_line_fraction",
    "char_dup_ratio": "max_duplicate_line_character_fraction",
    "list_ratio": "max_newlines_per_word",
}
OPTIONS: dict[str, dict[str, Any]] = {"c4": {"require_terminal_punctuation": False}}


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> list[dict[str, Any]]:
    with gzip.open(shared_data / "verdicts" / "datatrove.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def name_of(ruleset: ModuleType) -> str:
    return ruleset.__name__.rpartition(".")[2]


def both(ruleset: ModuleType, rows: list[dict[str, Any]]) -> tuple[list[str | None], list[str | None]]:
    """(our first failing rule, theirs) of each text; None = kept."""
    name = name_of(ruleset)
    options = {**getattr(ruleset, "OPTIONS", {}), **OPTIONS.get(name, {})}
    signals = ruleset.measure(documents([row["text"] for row in rows]), options).signals
    named = {f"{name}.{signal}": values for signal, values in signals.items()}
    reasons = decide({name: ruleset.RULES}, named, len(rows)).reason.to_pylist()
    ours = [reason and reason.partition(".")[2] for reason in reasons]
    return ours, [RULE_OF[reason] if (reason := row["verdicts"][name]) else None for row in rows]


FLOORS = {  # documents of 1,824 with the same verdict (kept or not)
    gopher_repetition: 1822,
    gopher_quality: 1824,
    c4: 1824,
    fineweb: 1817,
}


@pytest.mark.parametrize("ruleset", FLOORS, ids=name_of)
def test_verdicts_agree_with_datatrove(ruleset: ModuleType, rows: list[dict[str, Any]]) -> None:
    ours, theirs = both(ruleset, rows)
    assert len(rows) == 1824
    assert sum((a is None) == (b is None) for a, b in zip(ours, theirs, strict=True)) >= FLOORS[ruleset]


@pytest.mark.parametrize("ruleset", FLOORS, ids=name_of)
def test_every_frequent_reason_has_precision_and_recall(ruleset: ModuleType, rows: list[dict[str, Any]]) -> None:
    ours, theirs = both(ruleset, rows)
    frequent = {reason for reason in theirs if reason and theirs.count(reason) >= 20}
    assert frequent
    for reason in frequent:
        common = sum(a == b == reason for a, b in zip(ours, theirs, strict=True))
        assert common / ours.count(reason) >= 0.95, (reason, "precision")
        assert common / theirs.count(reason) >= 0.95, (reason, "recall")


def test_the_text_that_c4_leaves_is_theirs(rows: list[dict[str, Any]]) -> None:
    measured = c4.measure(documents([row["text"] for row in rows]), {**c4.OPTIONS, **OPTIONS["c4"]})
    edited = measured.columns["text"].to_pylist()
    kept = [
        (ours, row["verdicts"]["c4_text"])
        for ours, row in zip(edited, rows, strict=True)
        if row["verdicts"]["c4"] is None
    ]
    assert len(kept) == 1742
    assert sum(ours == theirs for ours, theirs in kept) == 1742
