"""Filter: measure every signal of every rule set for every document, then decide.

Rule sets are measured in the order of the recipe. One that edits text (line-wise corrections, C4's lines) changes what the
next one measures; the reason in the ledger is the first rule that failed in that order.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.documents import Documents
from corpus.rules import Signals, decide
from pipeline.config import section_name
from pipeline.outcome import Outcome, map_documents, outcome, replace_texts
from pipeline.rulesets import Ruleset, source_digest
from pipeline.steps import Made, Plan, Step
from pipeline.tokens import Tokenizer

OUTPUT_VERSION = 1


def rulesets(section: dict[str, Any]) -> list[Ruleset]:
    return [Ruleset.load(name, section[section_name(name)]) for name in section["rulesets"]]


@lru_cache(maxsize=2)
def _loaded(section_json: str) -> list[Ruleset]:
    return rulesets(json.loads(section_json))


def identity(section: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, ruleset in zip(section["rulesets"], rulesets(section), strict=True):
        found |= {f"{ruleset.name}: {key}": value for key, value in ruleset.identity().items()} | source_digest(name)
    return found


def process(plan: Plan, shard: int, rows: pa.Array, batch: pa.RecordBatch, tokenizer: Tokenizer) -> Outcome:
    documents = Documents(batch)
    signals: Signals = {}
    active = _loaded(json.dumps(plan.section))
    for ruleset in active:
        measured = ruleset.measure(documents)
        signals |= measured.signals
        documents = documents.replace({name: column for name, column in measured.columns.items() if name != "text"})
        if "text" in measured.columns:
            documents = Documents(replace_texts(documents.batch, measured.columns["text"]))
    verdicts = decide({ruleset.name: ruleset.rules for ruleset in active}, signals, len(documents))
    columns = {name: pa.array(values, pa.float32()) for name, values in signals.items()}
    return outcome(rows, batch, documents.batch, verdicts, columns, tokenizer)


def write_documents(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    return map_documents(plan, shard, files, process)


STEP = Step("documents", ("documents", "ledger"), write_documents)
