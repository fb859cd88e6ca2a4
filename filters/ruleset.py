"""A rule set with its thresholds and options, and what several of them do to documents.

A rule set is a module with RULES (thresholds as data, each with its source), `measure(documents, options)`, and optionally
OPTIONS (other options and their defaults) and `identity(options)` (digests of the models and lists that decide; ConfigError
where one is missing). It is measured on a whole column at once, and never decides: `corpus.rules` does, for all alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.arena import Arena
from corpus.documents import Documents
from corpus.errors import ConfigError
from corpus.modules import load_module, short_name
from corpus.rules import Measurement, Rule, Signals, Verdicts, decide, with_thresholds
from corpus.text import Texts

_PIECE_BYTES = 2**21  # of text


@dataclass(frozen=True)
class Ruleset:
    """`rules` have the thresholds in force; `options` every option."""

    name: str
    module: ModuleType
    rules: tuple[Rule, ...]
    options: Mapping[str, Any]

    @classmethod
    def load(cls, name: str, settings: Mapping[str, Any]) -> "Ruleset":
        """`settings`: thresholds by rule name and options; what is left out has its default. Raises ConfigError."""
        module = load_module("filters", name)
        for needed in ("RULES", "measure"):
            if not hasattr(module, needed):
                raise ConfigError(f"{name}: a rule set needs {needed}; see 'Adding a filter' in the README")
        defaults = getattr(module, "OPTIONS", {})
        known = {rule.name for rule in module.RULES} | set(defaults)
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ConfigError(f"{short_name(name)}.{unknown[0]}: unknown; known are {', '.join(sorted(known))}")
        options = {key: settings.get(key, default) for key, default in defaults.items()}
        return cls(short_name(name), module, with_thresholds(module.RULES, settings), options)

    def measure(self, documents: Documents) -> Measurement:
        """Signals named `ruleset.signal`, and the document columns that the rule set sets."""
        measured: Measurement = self.module.measure(documents, self.options)
        return Measurement({f"{self.name}.{key}": values for key, values in measured.signals.items()}, measured.columns)

    def identity(self) -> dict[str, str]:
        found = getattr(self.module, "identity", None)
        return dict(found(self.options)) if found else {}


def apply(rulesets: Sequence[Ruleset], documents: Documents) -> tuple[Documents, Signals, Verdicts]:
    """Measure all rule sets in order, then decide. One that edits the text changes what the next one measures.

    Some documents at a time: their tokens and lines take memory that was used before, and are still in the cache when the
    next rule set reads them.
    """
    parts, measured = [], []
    for part in pieces(documents):
        parts.append(part)
        measured.append(_measure(rulesets, part))
    signals = {name: np.concatenate([found[name] for found, _ in measured]) for name in measured[0][0]}
    types = {name: values.type for _, columns in measured for name, values in columns.items()}
    edited = {
        name: pa.concat_arrays(
            [
                columns.get(name, part.column(name)).cast(of_type)
                for part, (_, columns) in zip(parts, measured, strict=True)
            ]
        )
        for name, of_type in types.items()
    }
    rules = {ruleset.name: ruleset.rules for ruleset in rulesets}
    return documents.replace(edited), signals, decide(rules, signals, len(documents))


def _measure(rulesets: Sequence[Ruleset], documents: Documents) -> tuple[Signals, dict[str, pa.Array]]:
    """The signals of all rule sets, and the columns that they set."""
    signals: Signals = {}
    columns: dict[str, pa.Array] = {}
    for ruleset in rulesets:
        measured = ruleset.measure(documents)
        signals |= measured.signals
        columns |= measured.columns
        documents = documents.replace(dict(measured.columns))
    return signals, columns


def pieces(documents: Documents) -> Iterator[Documents]:
    """Runs of documents of about _PIECE_BYTES of text, each of one at least; the documents themselves if they are few.

    To be measured one after another: all use the same memory."""
    arena = Arena()
    ends = documents.texts.offsets[1:] - documents.texts.offsets[0]
    start = 0
    while start == 0 or start < len(documents):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + _PIECE_BYTES, side="right")), start + 1)
        arena.clear()
        if stop - start >= len(documents):
            yield documents
        else:
            yield Documents(documents.batch.slice(start, stop - start), arena)
        start = stop


def apply_by_language(
    rulesets: Mapping[str | None, Sequence[Ruleset]], documents: Documents
) -> tuple[Documents, Signals, Verdicts]:
    """`apply` to each document the rule sets of its language; those of None where its language has none of its own."""
    languages = [*filter(None, rulesets), None]
    places = pc.index_in(documents.column("language"), pa.array(languages, pa.string()))
    group_of = pc.fill_null(places, len(languages) - 1).to_numpy()
    present = np.unique(group_of)
    if len(present) <= 1:
        return apply(rulesets[languages[present[0]] if len(present) else None], documents)
    rows = [np.flatnonzero(group_of == group) for group in present]
    groups = [Documents(documents.batch.take(pa.array(of_group))) for of_group in rows]
    parts = [apply(rulesets[languages[i]], group) for i, group in zip(present, groups, strict=True)]
    order = np.argsort(np.concatenate(rows))
    batch = pa.concat_batches([edited.batch for edited, _, _ in parts]).take(pa.array(order))
    signals = {name: np.concatenate([found[name] for _, found, _ in parts])[order] for name in parts[0][1]}
    verdicts = [of_part for _, _, of_part in parts]
    reason, failed = (
        pa.concat_arrays([getattr(of_part, column) for of_part in verdicts]).take(pa.array(order))
        for column in ("reason", "failed")
    )
    return Documents(batch), signals, Verdicts(reason, failed)


def filter_texts(
    texts: pa.Array | pa.ChunkedArray | Sequence[str | None], rulesets: Sequence[str], **settings: Mapping[str, Any]
) -> pa.Table:
    """A row per text: `text` (edited where a rule set edits), `reason` (null = kept), `failed`, and every signal as float32.

    `settings`: thresholds and options of a rule set by its name, such as `gopher_quality={"min_words": 30}`.
    """
    column = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.large_string())
    batch = pa.RecordBatch.from_pydict({"text": Texts.of(column).column})
    active = [Ruleset.load(name, settings.get(short_name(name), {})) for name in rulesets]
    documents, signals, verdicts = apply(active, Documents(batch))
    columns = {"text": documents.column("text"), "reason": verdicts.reason, "failed": verdicts.failed}
    return pa.table(columns | {name: pa.array(values, pa.float32()) for name, values in signals.items()})
