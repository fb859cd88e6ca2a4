"""What a corpus has of every evaluation item, as files: for a person the totals, for an evaluator the clean part.

    contamination.json   totals for each set, and its items by status
    contamination.csv    a row an item: set, item, status, best score, documents that have it

An item is *dirty* where a document has it; *suspect* where it would not be found, since what tells it apart are common phrases
here; *unmatchable* where it is too short or too common to be looked for; else *clean*. Suspect and unmatchable are not clean:
nothing is known of them. Items take 300 bytes of memory each while they are counted, documents none.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import storage
from corpus.dataset import StageFolder
from pipeline.steps import Plan

EVALS = "evaluation set: "  # begins the names of evaluation files, SET/FILE, among the versions of a plan or manifest
STATUSES = ("dirty", "suspect", "unmatchable", "clean")

Table = dict[str, Any]


def json_file(folder: StageFolder) -> str:
    return storage.join(folder.url, "contamination.json")


def csv_file(folder: StageFolder) -> str:
    return storage.join(folder.url, "contamination.csv")


def forget_contamination(folder: StageFolder) -> None:
    """Remove the files of an earlier configuration."""
    for path in (json_file(folder), csv_file(folder)):
        storage.remove(path)


def write_contamination(plan: Plan, statuses: pa.Table) -> None:
    """Both files, from the stage's ledgers and the items' `statuses` (set, item, status: matchable, suspect, unmatchable)."""
    folder = plan.stage_folder
    receipts = folder.receipts()
    documents: defaultdict[tuple[str, str], int] = defaultdict(int)
    scores: defaultdict[tuple[str, str], float] = defaultdict(float)
    sets: dict[str, Table] = {
        name: dict.fromkeys(("items", *STATUSES, "documents", "words", "tokens_removed"), 0)
        for name in sorted(set(statuses["set"].to_pylist()))
    }
    total = {"documents": 0, "tokens_removed": 0}
    for shard in sorted(receipts):
        for row in _touched(folder.file("ledger", shard)):
            total["documents"] += 1
            total["tokens_removed"] += row["tokens_removed"] or 0
            for of_set in row["covered"]:
                sets[of_set["set"]]["documents"] += 1
                sets[of_set["set"]]["words"] += of_set["words"]
                sets[of_set["set"]]["tokens_removed"] += row["tokens_removed"] or 0
            for item in {(span["set"], span["item"]) for span in row["spans"]}:
                documents[item] += 1
            for span in row["spans"]:
                item = (span["set"], span["item"])
                scores[item] = max(scores[item], span["score"])
    items: dict[str, dict[str, list[str]]] = {name: {status: [] for status in STATUSES[:-1]} for name in sets}
    rows = []
    for name, item, known in zip(*(statuses[column].to_pylist() for column in ("set", "item", "status")), strict=True):
        status = "dirty" if (name, item) in documents else "clean" if known == "matchable" else known
        sets[name]["items"] += 1
        sets[name][status] += 1
        if status != "clean":
            items[name][status].append(item)
        score = f"{scores[name, item]:.4f}" if status == "dirty" else ""
        rows.append((name, item, status, score, documents.get((name, item), 0)))
    _write_csv(csv_file(folder), rows)
    storage.write_json(
        json_file(folder),
        {
            "documents_in": sum(receipt.rows_in for receipt in receipts.values()),
            "method": plan.section["method"],
            "total": total,
            "sets": sets,
            "items": items,
        },
    )


def _touched(path: str) -> Iterator[dict[str, Any]]:
    """The rows of a ledger that have spans."""
    with storage.open_input(path) as file:
        for batch in pq.ParquetFile(file).iter_batches(columns=["spans", "covered", "tokens_removed"]):
            yield from batch.filter(pc.is_valid(batch.column("spans"))).to_pylist()


def _write_csv(final: str, rows: list[tuple[Any, ...]]) -> None:
    with storage.attempt(final) as (local, attempted), local.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("set", "item", "status", "score", "documents"))
        writer.writerows(rows)
    storage.promote(attempted, final)
