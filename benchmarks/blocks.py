"""Claim: HTML becomes blocks and their features at 300 MB/s, any page at 50, and the blocks are those of lxml's tree.

Every page of the archives, as UTF-8. The other inputs are made to hurt: 2 MB each of what a reader could be slow at. Where
that is more than `MAX_BLOCKS` blocks, the reader stops there: that bound is part of why no page takes long.
Checked on a sample of the pages: the same text for 99.5% of lxml's blocks; of those, link characters, keywords and ancestors
equal for 98%. What differs is mostly where libxml2 has its own idea of what an unclosed element means.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import archives, described, spread
from benchmarks.measure import Claim, Findings, Work, compare, distance, one_pass
from benchmarks.peers import Peers
from benchmarks.peers.lxml_blocks import Agreement, blocks_on_lxml
from pipeline.blocks.encoding import utf8_page
from pipeline.blocks.features import features_of
from pipeline.blocks.page import Blocks, read_blocks
from pipeline.warc import read_captures

Page = NDArray[np.uint8]
COMPARED_PAGES = 200
HARD_BYTES = 2_000_000

AIMS = {
    "blocks with lxml's text": 0.995,
    "link_characters as lxml's": 0.98,
    "keywords as lxml's": 0.98,
    "ancestors as lxml's": 0.98,
}
HARD = {
    "open elements": "<div>",
    "open lists": "<ul><li>",
    "open tables": "<table><tr><td>",
    "nested text": "<div>x",
    "stray ends": "</div></p></td></ul></h1>",
    "stray ends far up": "<table>" + "<div>" * 300 + "\n" + "</p></td></li></section>",
    "ends of what is too deep": "<div>" * 300 + "\n" + "<section><p></section>",
    "unclosed cells": "<td>x<tr>",
    "unclosed items": "<li>x",
    "links": "<a href=x>y",
    "line breaks": "x<br>",
    "ampersands": "&",
    "names that are none": "&counterclockwisecontourintegrax",
    "old names": "&notit;",
    "long numbers": "&#" + "9" * 500,
    "lesser-than signs": "<",
    "lesser-than signs in a script": "<script>\n</",
    "ends of other raw text": "<script>\n</style>",
    "greater-than signs in a comment": "<!--\n>",
    "comments": "<!---->",
    "spaces": " ",
    "ideographic spaces": "\u3000",
    "line ends": "\r\n",
    "white space in pre": "<pre>\n\r\n \t",
    "attributes": "<p \na=b ",
    "attributes without values": "<p \na ",
    "empty values": "<div \nclass='' id=\"\"",
    "equals signs": "<p \n=",
    "a long class": '<p class="\ncomment-',
    "styles": '<p style="\nnone:none ',
    "blanks in a style": '<p style="display:\n ',
    "open quotes": "<p a=\"<p a='",
    "kana": "かな。",
    "letters one by one": "a ",
    "no UTF-8": "\udcff\udcc3",
    "NULs": "\0",
}


def hard_page(pattern: str) -> Page:
    """The part before the first newline once, then the rest over and over."""
    before, _, again = pattern.rpartition("\n") if "\n" in pattern.strip("\r\n") else ("", "", pattern)
    head, part = before.encode("utf-8", "surrogateescape"), again.encode("utf-8", "surrogateescape")
    return np.frombuffer(head + part * (HARD_BYTES // len(part)), np.uint8)


def read_with_features(pages: list[Page]) -> None:
    for page in pages:
        features_of(read_blocks(page))


def read_only(pages: list[Page]) -> list[Blocks]:
    return [read_blocks(page) for page in pages]


def agreement(pages: list[Page]) -> Agreement:
    found = Agreement()
    for page in spread(pages, COMPARED_PAGES):
        found.add(read_blocks(page), blocks_on_lxml(page.tobytes().decode("utf-8", "replace")))
    return found


def run(data: Path, seconds: float, peers: Peers) -> Findings:
    captures = [c for path in archives(data) for c in read_captures(path) if c.kind == "response"]
    pages = [page for c in captures if len(page := utf8_page(c.payload(), c.charset))]
    size = sum(map(len, pages)) / 1e6
    hard = {name: hard_page(pattern) for name, pattern in HARD.items()}
    work: Work = {
        "blocks and features": (partial(read_with_features, pages), size),
        "blocks": (partial(read_only, pages), size),
        **{name: (partial(read_with_features, [page]), len(page) / 1e6) for name, page in hard.items()},
        **one_pass(np.concatenate(pages)),
    }
    findings = Findings(described(data, len(pages), "pages (UTF-8)", size), compare(work, "MB/s", seconds))
    compared = agreement(pages)
    shares = {
        "blocks with lxml's text": compared.both / compared.theirs,
        **{
            f"{name} as lxml's": float(getattr(compared, name) / compared.both)
            for name in ("link_characters", "keywords", "nearest", "ancestors", "tag", "depth")
        },
    }
    slowest = min(findings.speeds, key=lambda speed: speed.cpu if speed.name in hard else np.inf)
    findings.facts = {
        "blocks": sum(len(page.rows) for page in read_only(pages)),
        "compared_blocks": compared.theirs,
        "slowest_input": slowest.name,
        **{name.replace(" ", "_").replace("'", ""): round(share, 5) for name, share in shares.items()},
    }
    findings.claim_speed("blocks and their features", "blocks and features", 300)
    findings.claims.append(Claim("the slowest of the inputs made to hurt", "MB/s", slowest.cpu, 50))
    findings.claims += [Claim(name, "of 1", shares[name], least) for name, least in AIMS.items()]
    findings.notes = (
        f"Blocks and features take the time of {distance(findings.speeds, 'blocks and features'):.0f} passes over the bytes: "
        "a page is mostly markup, and each of its tags and attributes ends where a look at the bytes before says so."
    )
    return findings
