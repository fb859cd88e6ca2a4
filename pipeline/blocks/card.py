"""The tables of MODEL_CARD.md, from `scores.json` and, for speed, from what `python -m benchmarks --only blocks_quality` found.

`python -m pipeline.blocks.card` writes them again; training does, too. A table stands behind `<!-- its name -->`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.blocks.quality import MIN_PAGES, SCORES_FILE

CARD_FILE = SCORES_FILE.with_name("MODEL_CARD.md")
SPEEDS_FILE = SCORES_FILE.parents[2] / "benchmarks" / "results" / "blocks_quality.json"
_MIN_PAGES_SHOWN = 5


def tables(scores: Mapping[str, Any]) -> dict[str, str]:
    curve = {**scores["training_pages"], "all": scores["cross_validated"]}
    return {
        "sets": _compared(scores, "set"),
        "page types": _compared(scores, "page_type"),
        "languages": _compared(scores, "language"),
        "training pages": _table(
            ["pages that train", "words", "characters", "order"],
            [[n, *_f1(found["mean_of_sets"], "words", "characters", "order")] for n, found in curve.items()],
        ),
    }


def fallback(scores: Mapping[str, Any], speeds_file: Path) -> str:
    """Speed as a multiple of trafilatura's, where the benchmark has been run."""
    speeds = {}
    if speeds_file.exists():
        speeds = {speed["name"]: speed["cpu_ratio"] for speed in json.loads(speeds_file.read_text("utf-8"))["speeds"]}
    rows = []
    for percent, found in scores["fallback"].items():
        ratio = speeds.get("blocks" if percent == "0" else f"blocks, fallback {percent}%")
        times = "not measured" if ratio is None else f"{ratio:.1f} ×"
        rows.append(
            [f"{percent}%", f"{found['min_confidence']:.2f}", *_f1(found, "words", "characters", "order"), times]
        )
    return _table(["to trafilatura", "`min_confidence`", "words", "characters", "order", "speed"], rows)


def _compared(scores: Mapping[str, Any], by: str) -> str:
    ours, left_out, theirs = (scores[name] for name in ("cross_validated", "left_out", "trafilatura"))
    rows = [
        [name, str(row["pages"]), *_row(row, left_out[by][name], theirs[by][name])]
        for name, row in sorted(ours[by].items(), key=lambda item: -item[1]["pages"])
        if row["pages"] >= _MIN_PAGES_SHOWN
    ]
    if by == "set":
        means = (found["mean_of_sets"] for found in (ours, left_out, theirs))
        rows.append([f"**mean of sets of {MIN_PAGES} pages and more**", "", *_row(*means)])
    header = [by.replace("_", " "), "pages", "blocks", "its set left out", "trafilatura", "characters", "order"]
    return _table(header, rows)


def _row(ours: Mapping[str, float], left_out: Mapping[str, float], theirs: Mapping[str, float]) -> list[str]:
    return [*_f1(ours, "words"), *_f1(left_out, "words"), *_f1(theirs, "words"), *_f1(ours, "characters", "order")]


def _f1(row: Mapping[str, float], *measures: str) -> list[str]:
    return [f"{row[measure]:.3f}" for measure in measures]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_tables(text: str, found: Mapping[str, str]) -> str:
    for name, table in found.items():
        before, mark, after = text.partition(f"<!-- {name} -->\n")
        rows_before = re.match(r"(\|.*\n)*", after)
        text = before + mark + table + after[rows_before.end() if rows_before else 0 :]
    return text


def write(scores: Mapping[str, Any]) -> None:
    SCORES_FILE.write_text(json.dumps(scores, indent=1) + "\n", "utf-8")
    found = {**tables(scores), "fallback": fallback(scores, SPEEDS_FILE)}
    CARD_FILE.write_text(with_tables(CARD_FILE.read_text("utf-8"), found), "utf-8")


if __name__ == "__main__":
    write(json.loads(SCORES_FILE.read_text("utf-8")))
