"""Claim: a small learned model gives trafilatura's quality at 25 times its speed, and better than it with its help on a few
pages.

HTML bytes to text in one process, encoding included, on pages of sets from which the model learned nothing: trafilatura in
its best mode by this measure (recall), the extractor `blocks`, and `blocks` with trafilatura as the fallback for the least
sure 2, 5 and 10% of the pages. Then the whole extract stage, language identification and token counts included, on an archive
of those pages. Scores: means over pages of word-level F1, of characters, and of words in order (`pipeline.blocks.scores`).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.inputs import archives, described, gold_rows, spread
from benchmarks.measure import Findings, Work, compare
from benchmarks.peers import Peers
from pipeline.blocks.gold import TRAINABLE
from pipeline.blocks.scores import character_f1, order_f1, word_f1
from pipeline.config import resolve
from pipeline.extractors import blocks, trafilatura
from pipeline.extractors._child import decode
from pipeline.extractors.chosen import Cascade, Extractor, InProcess
from pipeline.extractors.sandbox import EMPTY, Extraction
from pipeline.stages import extract
from pipeline.tokens import Tokenizer
from pipeline.warc import Capture, read_captures

N_PAGES = 120
FALLBACK_PERCENT = (2, 5, 10)
TRAFILATURA = {"favor": "recall"}


@dataclass(frozen=True)
class Bare:
    """trafilatura in this process."""

    def extract(self, html: bytes, charset: str | None, url: str | None) -> Extraction:
        text = trafilatura.extract(decode(html, charset), url, TRAFILATURA)
        return Extraction(text, None if text else EMPTY)


def stranger_pages(data: Path) -> tuple[list[Capture], list[str]]:
    """Pages of the sets that did not train, spread over all archives, and their gold texts."""
    gold = {row["warc_record_id"]: row["gold_text"] for row in gold_rows(data) if row.get("dataset") not in TRAINABLE}
    wanted = set(spread(list(gold), N_PAGES))
    pages = [
        capture for path in archives(data) for capture in read_captures(path)
        if capture.record_id in wanted and capture.status == 200
    ]  # fmt: skip
    return pages, [gold[page.record_id] for page in pages if page.record_id]


def all_pages(extractor: Extractor, pages: list[tuple[bytes, str | None]]) -> list[Extraction]:
    return [extractor.extract(html, charset, None) for html, charset in pages]


def stage(chosen: object, pages: list[Capture]) -> Callable[[], object]:
    """The extract stage over these pages, its output left where it is."""
    raw = {"extractor": chosen, "trafilatura": TRAFILATURA, "language": {"keep": ["en"]}}
    section = resolve({"stages": [{"extract": raw}]}, [], "benchmark").stages[0].section
    tools, tokenizer = extract.load_tools(json.dumps(section)), Tokenizer.load("gpt2")
    rows = pa.array(range(len(pages)), pa.int64())
    return partial(extract.extract, "pages.warc.gz", None, rows, pages, tools, tokenizer)


def run(data: Path, seconds: float, peers: Peers) -> Findings:
    captures, gold = stranger_pages(data)
    pages = [(capture.payload(), capture.charset) for capture in captures]
    ours = InProcess(blocks, blocks.OPTIONS)
    confidence = [found.confidence or 0.0 for found in all_pages(ours, pages)]
    extractors: dict[str, Extractor] = {"trafilatura": Bare(), "blocks": ours}
    for percent in FALLBACK_PERCENT:
        extractors[f"blocks, fallback {percent}%"] = Cascade(
            ours, Bare(), float(np.quantile(confidence, percent / 100))
        )
    findings = Findings(
        described(data, len(pages), "pages of sets that did not train", sum(len(html) for html, _ in pages) / 1e6)
    )
    work: Work = {name: (partial(all_pages, extractor, pages), len(pages)) for name, extractor in extractors.items()}
    findings.speeds += compare(work, "pages/s", seconds / 2)
    for name, extractor in extractors.items():
        texts = [found.text for found in all_pages(extractor, pages)]
        for measure, f1 in (("words", word_f1), ("characters", character_f1), ("order", order_f1)):
            scores = [f1(text, wanted) for text, wanted in zip(texts, gold, strict=True)]
            findings.facts[f"{measure} {name}"] = round(float(np.mean(scores)), 4)
    stages: Work = {f"extract stage, {name}": (stage(name, captures), len(pages)) for name in ("trafilatura", "blocks")}
    findings.speeds += compare(stages, "pages/s", seconds / 2)
    findings.claim_ratio("blocks beside trafilatura", "blocks", "trafilatura", 25)
    findings.claim_ratio(
        "the extract stage with blocks beside the one with trafilatura",
        "extract stage, blocks",
        "extract stage, trafilatura",
        12,
    )
    findings.notes = (
        "Of the time of `blocks`, reader and features are a third, the two passes of trees another. A fallback for a share f of "
        "the pages bounds the gain to 1/f: 10% of trafilatura is most of the time."
    )
    return findings
