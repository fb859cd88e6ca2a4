"""Filter: every signal of every rule set for every document, then the verdict; see `filters.ruleset.apply`."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.documents import Documents
from corpus.modules import short_name, source_digest
from filters.ruleset import Ruleset, apply
from pipeline.outcome import Outcome, map_documents, outcome
from pipeline.steps import Made, Plan, Step
from pipeline.tokens import Tokenizer

OUTPUT_VERSION = 1


def rulesets(section: dict[str, Any]) -> list[Ruleset]:
    return [Ruleset.load(name, section[short_name(name)]) for name in section["rulesets"]]


@lru_cache(maxsize=2)
def _loaded(section_json: str) -> list[Ruleset]:
    return rulesets(json.loads(section_json))


def identity(section: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, ruleset in zip(section["rulesets"], rulesets(section), strict=True):
        found |= {f"{ruleset.name}: {key}": value for key, value in ruleset.identity().items()} | source_digest(name)
    return found


def process(plan: Plan, shard: int, rows: pa.Array, batch: pa.RecordBatch, tokenizer: Tokenizer) -> Outcome:
    documents, signals, verdicts = apply(_loaded(json.dumps(plan.section)), Documents(batch))
    columns = {name: pa.array(values, pa.float32()) for name, values in signals.items()}
    return outcome(rows, batch, documents.batch, verdicts, columns, tokenizer)


def write_documents(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    return map_documents(plan, shard, files, process)


STEP = Step("documents", ("documents", "ledger"), write_documents)
