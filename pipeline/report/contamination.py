"""Contamination as a person sees it: totals for each evaluation set, and spans beside the items that they are of.

Ledgers hold places and coverages, no text: an item is read again from its file, which must still be the one of the run, and
a span from the documents that the stage received. What cannot be had is said in its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow.compute as pc
from rich.table import Table
from rich.text import Text

from corpus import storage
from corpus.errors import RefineError
from dedup.evaluation_sets import EvaluationItem, read_evaluation_sets
from pipeline.contamination_table import EVALS, STATUSES, json_file
from pipeline.report import Stage, place, read_row, received_text, scan, visible

CONTEXT_BYTES = 200
SHOWN_ITEM_CHARACTERS = 1_000
SHOWN_SPANS_OF_A_SET = 3
PARTS = ("question", "answer", "passage")


@dataclass(frozen=True, slots=True)
class Span:
    """A contaminated span with the text around it (empty where the text is gone), beside its item's text (or why not)."""

    set: str
    item: str
    score: float
    coverage: Mapping[str, float]  # of the item's parts that were looked for
    before: str
    matched: str
    after: str
    item_text: str

    @property
    def label(self) -> str:
        parts = "".join(f", {part} {share:.0%}" for part, share in self.coverage.items())
        return f"contains {self.set}: {self.item} (score {self.score:.2f}{parts})"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A document that the report shows for a set."""

    name: str
    place: str
    span: Span
    missing: str  # why its text is not to be had


def spans_of(stages: Sequence[Stage], at: int, shard: int, ledger: Mapping[str, Any]) -> tuple[tuple[Span, ...], str]:
    """(the spans of a ledger row of stage number `at`, why their text is missing)"""
    if not ledger.get("spans"):
        return (), ""
    text, missing = received_text(stages, at, shard, ledger["source_row"])
    data = text.encode()
    spans = []
    for span in ledger["spans"]:
        start, end = span["start"], span["end"]
        places = (slice(max(0, start - CONTEXT_BYTES), start), slice(start, end), slice(end, end + CONTEXT_BYTES))
        before, matched, after = (data[where].decode(errors="ignore") for where in places)
        coverage = {part: span[part] for part in PARTS if span.get(part) is not None}
        item_text = _item_text(stages[at], span["set"], span["item"])
        spans.append(Span(span["set"], span["item"], span["score"], coverage, before, matched, after, item_text))
    return tuple(spans), missing


def _item_text(stage: Stage, name: str, item: str) -> str:
    section = stage.manifest.get("config", {})
    if not section.get("evals"):
        return ""
    try:
        identity, items = _items(tuple(section["evals"]), section["fields"])
    except RefineError as error:
        return f"(its text is not to be had: {error})"
    file = f"{name}/{item.rpartition(':')[0]}"
    if (name, item) not in items or identity[file] != stage.manifest["versions"].get(EVALS + file):
        return f"(its text is not to be had: {file} is not the file of this run any more)"
    found = items[name, item]
    lines = [*found.passage, *found.question[:1], *(f"- {answer}" for answer in found.answer)]
    whole = "\n".join(lines)
    return whole[:SHOWN_ITEM_CHARACTERS] + " …" * (len(whole) > SHOWN_ITEM_CHARACTERS)


@lru_cache(maxsize=2)
def _items(
    paths: tuple[str, ...], fields: str | None
) -> tuple[Mapping[str, str], Mapping[tuple[str, str], EvaluationItem]]:
    sets = read_evaluation_sets(paths, fields)
    return sets.identity, {(item.set, item.item): item for item in sets.items}


def span_view(span: Span) -> Table:
    """The span in its text on the left, the item on the right."""
    view = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    view.add_column("in the document", ratio=1)
    view.add_column("the item", ratio=1)
    parts = (visible(span.before), (visible(span.matched), "bold reverse"), visible(span.after))
    view.add_row(Text.assemble("… ", *parts, " …"), Text(visible(span.item_text)))
    return view


def read_contamination(stage: Stage) -> dict[str, Any] | None:
    """The table of a stage that looked for evaluation sets and is complete."""
    path = json_file(stage.folder)
    found: dict[str, Any] | None = storage.read_json(path) if stage.manifest and storage.exists(path) else None
    return found


def contamination_view(table: Mapping[str, Any]) -> Table:
    """Totals for each set, for a terminal or a log."""
    keys = columns_of_table(table)
    view = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold", caption_justify="left")
    view.add_column("evaluation set", overflow="fold")
    for key in keys:
        view.add_column(key.replace("_", " "), justify="right")
    for name, row in table["sets"].items():
        view.add_row(visible(name), *(f"{row[key]:,}" for key in keys))
    view.caption = Text(
        f"{table['total']['documents']:,} of {table['documents_in']:,} documents have an item, by method {table['method']}; "
        "suspect and unmatchable items are not clean: nothing is known of them"
    )
    return view


def columns_of_table(table: Mapping[str, Any]) -> tuple[str, ...]:
    """What is worth showing of each set: tokens only where some were removed."""
    removed = ("tokens_removed",) if table["total"]["tokens_removed"] else ()
    return ("items", *STATUSES, "documents", "words", *removed)


def evidence(stages: Sequence[Stage], at: int) -> list[Evidence]:
    """The first spans of each set, in the order of the run."""
    stage = stages[at]
    table = read_contamination(stage)
    wanted = {name: SHOWN_SPANS_OF_A_SET for name, row in (table or {"sets": {}})["sets"].items() if row["documents"]}
    found: list[Evidence] = []
    for shard, row in _rows_with_spans(stage) if wanted else ():
        ledger = read_row(stage.folder.file("ledger", shard), row)
        spans, missing = spans_of(stages, at, shard, ledger)
        for span in spans:
            if wanted.get(span.set, 0) > 0:
                wanted[span.set] -= 1
                found.append(
                    Evidence(ledger["url"] or ledger["id"] or "", place(stage.name, shard, row), span, missing)
                )
        if not any(wanted.values()):
            break
    return sorted(found, key=lambda one: one.span.set)


def _rows_with_spans(stage: Stage) -> Iterator[tuple[int, int]]:
    for shard in stage.ledger_shards:
        for first, batch in scan(stage.folder.file("ledger", shard), ["spans"]):
            for row in pc.indices_nonzero(pc.is_valid(batch.column("spans"))).to_pylist():
                yield shard, first + row
