"""Claim: all text rules together, every signal measured, run at a speed that extraction does not notice.

Each rule set alone, and then all five over the same batch, where they share the views of the text (lines, tokens); one process,
one thread. Every round begins with fresh documents, so that no view is kept from the round before.
Checked: signals are the same alone and together.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa

from benchmarks.inputs import column, described, english_texts, megabytes
from benchmarks.measure import Findings, Work, compare
from corpus.documents import Documents
from corpus.rules import Signals
from filters import c4, fineweb, gopher_quality, gopher_repetition, refinedweb_lines

RULESETS = (gopher_repetition, gopher_quality, c4, fineweb, refinedweb_lines)


def measure(rulesets: Sequence[ModuleType], batch: pa.RecordBatch) -> Signals:
    documents = Documents(batch)
    signals: Signals = {}
    for ruleset in rulesets:
        measured = ruleset.measure(documents, getattr(ruleset, "OPTIONS", {}))
        signals |= {f"{ruleset.__name__}.{name}": values for name, values in measured.signals.items()}
    return signals


def run(data: Path, seconds: float) -> Findings:
    texts = english_texts(data)
    size = megabytes(texts)
    batch = pa.record_batch({"text": column(texts)})
    work: Work = {"all five": (partial(measure, RULESETS, batch), size)}
    work |= {ruleset.__name__.split(".")[-1]: (partial(measure, [ruleset], batch), size) for ruleset in RULESETS}
    findings = Findings(described(data, len(texts), "English texts", size), compare(work, "MB/s", seconds))
    together = measure(RULESETS, batch)
    alone: Signals = {}
    for ruleset in RULESETS:
        alone |= measure([ruleset], batch)
    findings.facts = {
        "signals": len(together),
        "same_signals_alone": together.keys() == alone.keys()
        and all(np.array_equal(together[name], alone[name], equal_nan=True) for name in together),
    }
    return findings
