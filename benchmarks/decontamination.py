"""Claim: looking for every item of every evaluation set at once runs at 180 MB/s a core; 1M items take an index under 1 GB.

The probe alone, then with what `decontaminate` does after it (document frequencies, spans, verdicts; action `drop`), over English
texts against all sets of the folder. Index size and build time are facts, measured once. No peer: we know of
none that looks for all items at once.
"""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.contamination_recall import add_recall
from benchmarks.inputs import column, described, english_texts, megabytes
from benchmarks.measure import Claim, Findings, Work, compare, distance, one_pass
from benchmarks.peers import Peers
from corpus.text import Texts
from dedup.contamination import ContaminationSettings, Decontaminated, decontaminate
from dedup.contamination_methods import METHODS, item_statuses
from dedup.evaluation_hits import document_frequency, find_hits
from dedup.evaluation_index import EvaluationIndex, build_index
from dedup.evaluation_sets import read_evaluation_sets

LARGE = 1_000_000
MAX_DOCUMENT_FREQUENCY = 10
SETTINGS = ContaminationSettings(max_document_frequency=MAX_DOCUMENT_FREQUENCY)
READ_BY_EYE = (
    "Flags of the default on the 2,843 pages (the 1,824 texts of trafilatura, the gold texts and all visible text of every "
    "page; 76 MB), read by eye: none. Near misses: `Why is the sky blue` (vercel.com; MMLU; a common question, false) and "
    "`how to start a blog` (theminimalists.com; PIQA; a common phrase, false) are worth less than 60 bits; `Which one of the "
    "following words is the odd one out` (angelfire.com; MMLU; a template, false) is not exact. gpt3 flags one page "
    "(army.mil, pd-c-01.htm) for four items of MMLU, which quote it (a quotation)."
)


def large_index(data: Path, n_items: int) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.large_index", str(data / "evals"), str(n_items)]
    facts: dict[str, int] = json.loads(subprocess.check_output(command, cwd=Path(__file__).parent.parent))
    return {f"large index, {name}": value for name, value in facts.items()}


def judge(texts: Texts, index: EvaluationIndex) -> Decontaminated:
    hits = find_hits(texts, index)
    suppressed = document_frequency(hits, index) > MAX_DOCUMENT_FREQUENCY
    return decontaminate(texts, hits, index, suppressed, SETTINGS)


def run(data: Path, seconds: float, peers: Peers) -> Findings:
    started = time.perf_counter()
    items = read_evaluation_sets([str(data / "evals")]).items
    read = time.perf_counter()
    index = build_index(items)
    built = time.perf_counter()
    english = english_texts(data)
    texts, size = Texts.of(column(english)), megabytes(english)
    work: Work = {
        "probe": (partial(find_hits, texts, index), size),
        "with verdicts": (partial(judge, texts, index), size),
    }
    statuses = item_statuses(index, np.zeros(index.n_grams, np.bool_), METHODS["default"])["status"].to_pylist()
    findings = Findings(
        described(data, len(english), "English texts", size),
        compare(work | one_pass(texts.data), "MB/s", seconds),
        {
            "sets": len(set(index.item_set.to_pylist())),
            "items": len(items),
            "unmatchable_items": statuses.count("unmatchable"),
            "seeds": len(index.seeds),
            "index_mb": round(index.nbytes / 1e6, 1),
            "read_seconds": round(read - started, 2),
            "build_seconds": round(built - read, 2),
            "hits": len(find_hits(texts, index).at),
            "contaminated": len(english) - judge(texts, index).reason.null_count,
        },
    )
    add_recall(findings, data / "evals", english)
    findings.facts |= large_index(data, LARGE if seconds >= 1 else 100)
    findings.claim_speed("decontamination probe", "probe", 180)
    large_mb = float(findings.facts["large index, index_mb"])
    findings.claims.append(Claim("index of 1M items", "MB", large_mb, 1000, at_most=True))
    findings.notes = (
        f"The probe takes the time of {distance(findings.speeds, 'probe'):.0f} passes over the bytes. Finding words and hashing "
        "them is about half of it; a fifth is one look-up a word in a table that is larger than the second-level cache, asked "
        "for ahead; the rest is what two runs a kilobyte lead to. " + READ_BY_EYE
    )
    return findings
