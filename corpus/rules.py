"""A rule is data: a signal, a direction, a threshold, a source. One function decides for every rule set alike.

A rule's name is its threshold's name in YAML: `min_words: 50` keeps a document whose signal `words` is at least 50, and its
reason in the ledger is `gopher_quality.min_words`. Every rule of a rule set is decided for every document, so the verdicts
do not depend on the order of the rules; only the *first* reason does.

Comparisons are made in float32 on both sides, the type in which signals are stored: deciding again from a ledger gives the
same verdict. NaN means "cannot be measured" and passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.errors import ConfigError

Signals = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Rule:
    """Keep the document if the signal is >= (`min_…`) or <= (`max_…`) the threshold. None switches the rule off."""

    name: str
    threshold: float | None
    source: str

    def __post_init__(self) -> None:
        if not self.name.startswith(("min_", "max_")):
            raise ConfigError(f"rule {self.name!r}: a rule's name is min_SIGNAL or max_SIGNAL")

    @property
    def signal(self) -> str:
        return self.name[4:]

    def fails(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """bool[n_documents]: which documents this rule rejects."""
        if self.threshold is None:
            return np.zeros(len(values), np.bool_)
        limit = np.float32(self.threshold)
        below = self.name.startswith("min_")
        result: NDArray[np.bool_] = values < limit if below else values > limit
        return result


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a rule set found: `signals` (float32[n_documents] each) and the document columns it sets (edited `text`, say)."""

    signals: Signals
    columns: Mapping[str, pa.Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """`reason`: the first failing rule in the order given, null = kept; `failed`: all of them."""

    reason: pa.StringArray
    failed: pa.ListArray


def with_thresholds(rules: Sequence[Rule], thresholds: Mapping[str, float | None]) -> tuple[Rule, ...]:
    """The rules with the thresholds that a configuration sets."""
    return tuple(replace(rule, threshold=thresholds.get(rule.name, rule.threshold)) for rule in rules)


def decide(rules: Mapping[str, Sequence[Rule]], signals: Signals, n_documents: int) -> Verdicts:
    """Reasons for `n_documents` documents from signals named `ruleset.signal` and the rules of each rule set."""
    names = [f"{ruleset}.{rule.name}" for ruleset, of_set in rules.items() for rule in of_set]
    fails = np.zeros((len(names), n_documents), np.bool_)
    row = 0
    for ruleset, of_set in rules.items():
        for rule in of_set:
            fails[row] = rule.fails(signals[f"{ruleset}.{rule.signal}"])
            row += 1
    first = np.where(fails.any(axis=0), fails.argmax(axis=0), -1) if names else np.full(n_documents, -1)
    dictionary = pa.array(names, pa.string())
    reason = dictionary.take(pa.array(first, pa.int32(), mask=first < 0))
    documents, rule_rows = np.nonzero(fails.T)
    offsets = np.searchsorted(documents, np.arange(n_documents + 1)).astype(np.int32)
    failed = pa.ListArray.from_arrays(pa.array(offsets), dictionary.take(pa.array(rule_rows.astype(np.int32))))
    return Verdicts(reason, failed)
