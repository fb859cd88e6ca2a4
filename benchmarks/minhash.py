"""Claim: band keys, with words and shingles, cost a small part of what datasketch takes for the permutations alone.

refine: text → words → shingles → minima → band keys. datasketch (affine32): shingles → minima, from the same 32-bit shingles
ready made as four bytes each, so that neither words nor a base hash are on its bill; on fewer documents, as it is slow.
The ratio is of MB/s, so the different number of documents does not matter. Other languages: refine alone, 14 × 8.
Peers with normalising and shingling on their bill, too: rensa and datasketch (128 permutations), datatrove (112).
Checked: signatures equal datasketch's. Sketch: the same bands and rows by `scheme: sketch`.
"""

from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

from benchmarks.inputs import column, described, english_texts, gold_rows, megabytes, spread, write_lines
from benchmarks.measure import Claim, Findings, Speed, Work, compare, distance, one_pass
from benchmarks.peers import Peers
from corpus.text import Texts
from corpus.words import SCRATCH_BYTES, normalised_words
from dedup.minhash import MinHashSettings, band_keys, signatures

SETTINGS = {"14x8": MinHashSettings(), "16x8": MinHashSettings(16, 8), "450x20": MinHashSettings(450, 20)}
DATASKETCH_DOCUMENTS = {"14x8": 60, "16x8": 60, "450x20": 6}
KEYS_DOCUMENTS = {"14x8": 1824, "16x8": 1824, "450x20": 300}
PEER_DOCUMENTS = 100
DOCUMENTS_AIM = 4500
AIMS = {"en": 200, "el": 90, "pl": 90, "ru": 90, "zh": 90}
MIN_TEXTS = 50  # of a language, unless there are few texts at all
_BASE = 0x9E3779B97F4A7C15


def shingles(text: str, ngram: int) -> list[bytes]:
    """The 32-bit hashes of `dedup.minhash`, spelled out in NumPy: Σ word[i] · BASE^(width − 1 − i) mod 2^64, upper half."""
    data = np.frombuffer(text.encode(), np.uint8)
    words, starts, ends = np.empty(len(data), np.uint64), np.empty(len(data), np.int32), np.empty(len(data), np.int32)
    n_words = normalised_words(data, 0, len(data), words, starts, ends, np.empty(SCRATCH_BYTES, np.uint8))
    width = min(ngram, n_words)
    states = np.zeros(n_words - width + 1, np.uint64)
    for i in range(width):
        states += words[i : n_words - width + 1 + i] * np.uint64(pow(_BASE, width - 1 - i, 2**64))
    return [int(state >> np.uint64(32)).to_bytes(4, "big") for state in states]


def by_datasketch(documents: list[list[bytes]], settings: MinHashSettings) -> NDArray[np.uint32]:
    rows = []
    for document in documents:
        minhash = MinHash(settings.permutations, settings.seed, scheme="affine32", hashfunc=partial(int.from_bytes))
        minhash.update_batch(document)
        rows.append(minhash.hashvalues)
    return np.array(rows)


def run(data: Path, seconds: float, peers: Peers) -> Findings:
    english = english_texts(data)
    findings = Findings(described(data, len(english), "English texts", megabytes(english)))
    for name, settings in SETTINGS.items():
        ours, theirs = spread(english, KEYS_DOCUMENTS[name]), spread(english, DATASKETCH_DOCUMENTS[name])
        prepared = [shingles(text, settings.ngram) for text in theirs]
        work: Work = {
            f"datasketch {name}": (partial(by_datasketch, prepared, settings), megabytes(theirs)),
            f"refine {name}": (partial(band_keys, Texts.of(column(ours)), settings), megabytes(ours)),
            f"refine {name} sketch": (
                partial(band_keys, Texts.of(column(ours)), replace(settings, scheme="sketch")),
                megabytes(ours),
            ),
        }
        speeds = compare(work, "MB/s", seconds / 5)
        findings.speeds += speeds
        for scheme, speed in (("", speeds[1]), ("_sketch", speeds[2])):
            findings.facts[f"documents_per_second_{name}{scheme}"] = round(speed.cpu / megabytes(ours) * len(ours))
        same = np.array_equal(signatures(Texts.of(column(theirs)), settings), by_datasketch(prepared, settings))
        findings.facts[f"same_signatures_{name}"] = same
    findings.speeds += compare(by_language(data, len(english)), "MB/s", seconds / 5)
    findings.speeds += beside_peers(english, seconds / 5, peers)
    found = findings.facts["documents_per_second_450x20_sketch"]
    findings.claims.append(Claim("450 × 20 band keys by sketch, en", "documents/s", found, DOCUMENTS_AIM))
    for language, aim in AIMS.items():
        findings.claim_speed(f"MinHash signatures, 14 × 8, {language}", f"refine 14x8 {language}", aim)
    findings.notes = (
        f"14 × 8 takes the time of {distance(findings.speeds, 'refine 14x8, whole texts'):.0f} passes over the bytes. Its 112 "
        "multiplications and minima a word fill the vector unit; splitting and hashing words is the rest. At 450 × 20 there "
        "are 9,000 a word, and nothing else counts."
    )
    return findings


def by_language(data: Path, n_english: int) -> Work:
    texts = defaultdict(list)
    for row in gold_rows(data):
        texts[row["lang"]].append(row["gold_text"])
    enough = min(MIN_TEXTS, n_english // 10)
    return {
        f"refine 14x8 {name}": (partial(band_keys, Texts.of(column(of_it)), SETTINGS["14x8"]), megabytes(of_it))
        for name, of_it in sorted(texts.items())
        if len(of_it) >= enough
    }


def beside_peers(english: list[str], seconds: float, peers: Peers) -> list[Speed]:
    """Everything on every bill, from text to signature (ours: to band keys)."""
    texts, sample = Texts.of(column(english)), spread(english, PEER_DOCUMENTS)
    work: Work = {"refine 14x8, whole texts": (partial(band_keys, texts, SETTINGS["14x8"]), megabytes(english))}
    work |= one_pass(texts.data)
    with TemporaryDirectory() as folder:
        lines = write_lines(Path(folder, "texts.jsonl"), sample)
        if peer := peers.start("sketches", "sketches", texts=lines):
            for name in ("rensa", "datasketch xxh3", "datasketch sha1"):
                work[f"{name}, 128"] = (partial(peer.ask, name), megabytes(sample))
        if peer := peers.start("datatrove_minhash", "datatrove", texts=lines, folder=folder):
            work["datatrove, 112"] = (partial(peer.ask, "signatures"), megabytes(sample))
        return compare(work, "MB/s", seconds)
