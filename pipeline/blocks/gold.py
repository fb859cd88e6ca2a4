"""Pages with their main text: what the model is trained on and judged by.

A folder has `*.warc.gz` and `gold.jsonl.gz`, a line a page: `warc_record_id`, `url`, `dataset`, `lang`, `page_type`,
`gold_text`, or `with` and `without`, pieces of text that belong to the main text and that do not.

Pages are grouped so that a group lies on one side of every split: those of one site (WCXB's own split shares sites, which
flatters by 0.03), and near copies (an agency's report on two sites), which share half of their rarest word 8-grams.
"""

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import xxhash
from numpy.typing import NDArray

from corpus.errors import InputError
from pipeline.blocks.scores import words
from pipeline.warc import read_captures

# Sets whose licence allows it may supply labels, hand-made or of a teacher; the others only judge.
TRAINABLE = ("wcxb", "scrapinghub", "trafilatura", "readability")

N_FOLDS = 5

_SKETCH = 16  # smallest hashes of a page's 8-grams
_SHARED = 8
_NGRAM = 8
_SECOND_LEVEL = frozenset(("ac", "co", "com", "edu", "gob", "gov", "net", "or", "org"))


@dataclass(frozen=True)
class GoldPage:
    id: str
    dataset: str
    language: str
    page_type: str  # "" where the set does not say
    html: bytes
    charset: str | None  # of the HTTP header
    gold: str | None  # None: only pieces are known
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    group: str  # the id of the first page of its group


def read_pages(folder: Path) -> list[GoldPage]:
    """All pages of a folder, in the order of its archives."""
    try:
        with gzip.open(folder / "gold.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    except FileNotFoundError:
        raise InputError(
            f"{folder} has no gold.jsonl.gz; pages to learn from are *.warc.gz with it beside them"
        ) from None
    by_id = {row["warc_record_id"]: (row, group) for row, group in zip(rows, groups(rows), strict=True)}
    pages = []
    for path in sorted(folder.glob("*.warc.gz")):
        for capture in read_captures(str(path)):
            if capture.record_id in by_id:
                row, group = by_id[capture.record_id]
                pages.append(_page(row, group, capture.payload(), capture.charset))
    if not pages:
        raise InputError(f"{folder}: no page of gold.jsonl.gz is in an archive *.warc.gz there")
    return pages


def _page(row: dict[str, Any], group: str, html: bytes, charset: str | None) -> GoldPage:
    return GoldPage(
        id=row["warc_record_id"],
        dataset=row["dataset"],
        language=row["lang"],
        page_type=row.get("page_type") or "",
        html=html,
        charset=charset,
        gold=row["gold_text"],
        wanted=tuple(row.get("with") or ()),
        unwanted=tuple(row.get("without") or ()),
        group=group,
    )


def groups(rows: list[dict[str, Any]]) -> list[str]:
    """For every page the id of the first page of its group."""
    parents = list(range(len(rows)))

    def root(page: int) -> int:
        while parents[page] != page:
            parents[page] = parents[parents[page]]
            page = parents[page]
        return page

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        parents[high] = low

    first_of_site: dict[str, int] = {}
    by_hash: dict[int, list[int]] = defaultdict(list)
    for page, row in enumerate(rows):
        site = _site(row["url"] or "")
        if site:
            join(page, first_of_site.setdefault(site, page))
        for value in _sketch(row["gold_text"] or "\n".join(row.get("with") or ())):
            by_hash[value].append(page)
    shared = Counter(pair for pages in by_hash.values() for pair in combinations(pages[:50], 2))
    for (one, other), n_shared in sorted(shared.items()):
        if n_shared >= _SHARED:
            join(one, other)
    return [rows[root(page)]["warc_record_id"] for page in range(len(rows))]


def _site(url: str) -> str:
    """The registered domain, by a rule that is right for the sites here: co.uk and its like have three labels."""
    labels = (urlsplit(url).hostname or "").split(".")
    n_labels = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-n_labels:])


def _sketch(text: str) -> list[int]:
    tokens = words(text)
    ngrams = {" ".join(tokens[at : at + _NGRAM]) for at in range(len(tokens) - _NGRAM + 1)}
    return sorted(xxhash.xxh3_64_intdigest(ngram.encode()) for ngram in ngrams)[:_SKETCH]


def folds(pages: Sequence[GoldPage]) -> NDArray[np.int64]:
    """The fold of every page: whole groups, by a hash of the group's first page, so that a new page moves no other."""
    return np.array([xxhash.xxh3_64_intdigest(page.group.encode()) % N_FOLDS for page in pages], np.int64)
