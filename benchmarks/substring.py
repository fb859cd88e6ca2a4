"""Claim: repeated spans of 50 tokens are found several times as fast as a suffix array with LCPs is built in C, and the same.

refine: texts → tokens → all rounds, with the exchange through files → spans. pydivsufsort (libdivsufsort and Kasai): suffix array
and LCPs of the same tokens as bytes, made ready beforehand; what reads the spans off it is not on its bill. Half of the texts
are as they are, half have a span of another one planted. Checked: the same spans.

Claim: with GPT-2's tokens, which are made anew in every round, all rounds still go at more than 0.8 times the speed of a
tokenizer that does nothing else: tiktoken, once over the same texts as Python strings. With those of Hugging Face's `tokenizers`,
which are made once and kept, so do all rounds and the spans in bytes.
"""

from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import column, described, english_texts, megabytes, spread
from benchmarks.measure import Findings, Work, compare, distance, one_pass
from benchmarks.peers import Peers
from benchmarks.tokens import N_TEXTS, count, huggingface_gpt2
from corpus.text import Texts
from corpus.tokens import tokens_of
from dedup.spans import byte_runs
from dedup.substring import SubstringSettings, find_spans
from dedup.token_files import KeptTokens, read_located
from dedup.units import tokens_at
from dedup.windows import Runs, Tokens
from pipeline.tokens import Tokenizer, _load_gpt2

SETTINGS = SubstringSettings()
N_SHARDS = 4
BATCH_DOCUMENTS = 1000
_DOCUMENT, _TOKEN = b"\xfe", b"\xff"  # bytes that UTF-8 does not have


def planted(texts: list[str]) -> list[str]:
    """Every other text with 20 to 200 words of its neighbour in its middle."""
    random = Random(1)
    result = []
    for text, neighbour in zip(texts, texts[1:] + texts[:1], strict=True):
        words = neighbour.split()
        start, middle = random.randrange(len(words)), len(text) // 2
        span = words[start : start + random.randint(20, 200)]
        result.append(" ".join([text[:middle], *span, text[middle:]]) if len(result) % 2 else text)
    return result


class TextShard:
    """Texts read in batches and tokenised at every reading, as from a file."""

    def __init__(self, texts: list[str], tokenizer: Tokenizer | None = None) -> None:
        self.column = column(texts)
        self.tokenizer = tokenizer

    def __call__(self, rows: NDArray[np.uint32] | None) -> Iterable[Tokens]:
        wanted = np.arange(len(self.column), dtype=np.uint32) if rows is None else rows
        for start in range(0, len(wanted), BATCH_DOCUMENTS):
            part = wanted[start : start + BATCH_DOCUMENTS]
            located = self.tokenizer is not None and self.tokenizer.slow
            yield tokens_at(part, Texts(self.column.take(part)), self.tokenizer, located)


def by_refine(shards: list[TextShard]) -> list[Runs]:
    with TemporaryDirectory() as folder:
        return list(find_spans(shards, SETTINGS, Path(folder)))


def by_refine_once(shards: list[TextShard]) -> list[Runs]:
    """In bytes; tokens are made once and kept."""
    with TemporaryDirectory() as folder:
        kept = [KeptTokens(read, Path(folder, f"tokens-{number}.parquet")) for number, read in enumerate(shards)]
        found = zip(kept, list(find_spans(kept, SETTINGS, Path(folder))), strict=True)
        return [byte_runs(runs, read_located(shard.file, np.unique(runs.rows))) for shard, runs in found]


def encode(texts: list[str]) -> list[list[int]]:
    encoding = _load_gpt2().encoding
    return [encoding.encode_ordinary(text) for text in texts]


def tokens_as_bytes(texts: list[str]) -> tuple[NDArray[np.uint8], list[NDArray[np.int64]]]:
    """(the tokens of all texts, each between two marks; for each text, where the marks are)."""
    parts, marks = [], []
    length = 0
    tokens = tokens_of(Texts.of(column(texts)))
    for text, (start, stop) in zip(texts, pairwise(tokens.first.tolist()), strict=True):
        content = text.encode()
        words = [content[a:b] for a, b in zip(tokens.starts[start:stop], tokens.ends[start:stop], strict=True)]
        marks.append(length + 1 + np.cumsum([0, *(len(word) + 1 for word in words)]))
        parts.append(_DOCUMENT + _TOKEN + b"".join(word + _TOKEN for word in words))
        length += len(parts[-1])
    return np.frombuffer(b"".join(parts), np.uint8).copy(), marks


def spans_of_suffix_array(
    suffixes: NDArray[np.int32], common: NDArray[np.int32], marks: list[NDArray[np.int64]]
) -> set[tuple[int, int, int]]:
    """(text, first token, token behind the last): windows that share all their bytes with a neighbour in the suffix array."""
    shared = np.zeros(len(suffixes), np.int64)
    shared[suffixes] = np.maximum(common, np.concatenate([[0], common[:-1]]))
    spans = set()
    for text, at in enumerate(marks):
        last = at[SETTINGS.min_tokens :]
        begins = np.flatnonzero(shared[at[: len(last)]] > last - at[: len(last)])
        breaks = np.flatnonzero(np.diff(begins) > SETTINGS.min_tokens)
        for run in np.split(begins, breaks + 1) if len(begins) else []:
            spans.add((text, int(run[0]), int(run[-1]) + SETTINGS.min_tokens))
    return spans


def by_huggingface(data: Path) -> Work:
    some = planted(spread(english_texts(data), N_TEXTS))
    with TemporaryDirectory() as folder:
        file = str(Path(folder, "tokenizer.json"))
        huggingface_gpt2().save(file)
        shard = TextShard(some, Tokenizer.load(file))
    return {
        "tokenizers": (partial(count, huggingface_gpt2(), some), megabytes(some)),
        "refine, Hugging Face": (partial(by_refine_once, [shard]), megabytes(some)),
    }


def run(data: Path, seconds: float, peers: Peers) -> Findings:
    texts = planted(english_texts(data))
    size = megabytes(texts)
    bounds = np.linspace(0, len(texts), N_SHARDS + 1).astype(int).tolist()
    shards = [TextShard(texts[start:stop]) for start, stop in pairwise(bounds)]
    of_gpt2 = [TextShard(texts[start:stop], Tokenizer.load("gpt2")) for start, stop in pairwise(bounds)]
    found = {
        (start + row, first, stop)
        for start, runs in zip(bounds, by_refine(shards), strict=False)
        for row, first, stop in zip(*(values.tolist() for values in runs), strict=True)
    }
    findings = Findings(described(data, len(texts), "English texts", size))
    findings.facts = {"spans": len(found), "tokens": sum(stop - first for _, first, stop in found)}
    work: Work = {"refine": (partial(by_refine, shards), size)}
    with TemporaryDirectory() as folder:
        as_bytes, marks = tokens_as_bytes(texts)
        as_bytes.tofile(Path(folder, "data"))
        arrays = Path(folder, "arrays.npz")
        if peer := peers.start("suffix_array", "suffix-array", data=Path(folder, "data"), arrays=arrays):
            work = {"pydivsufsort": (partial(peer.ask, "build"), size), **work}
            peer.ask("save")
            with np.load(arrays) as saved:
                spans = spans_of_suffix_array(saved["suffixes"], saved["common"], marks)
            findings.facts["same_spans"] = found == spans
        findings.speeds = compare(work | one_pass(Texts.of(column(texts)).data), "MB/s", seconds / 3)
    by_token: Work = {"tiktoken": (partial(encode, texts), size), "refine, GPT-2": (partial(by_refine, of_gpt2), size)}
    findings.speeds += compare(by_token, "MB/s", seconds / 3)
    findings.speeds += compare(by_huggingface(data), "MB/s", seconds / 3)
    findings.claim_ratio("exact substrings of GPT-2's tokens, against tiktoken", "refine, GPT-2", "tiktoken", 0.8)
    name = "exact substrings of Hugging Face's tokens, against tokenizers"
    findings.claim_ratio(name, "refine, Hugging Face", "tokenizers", 0.8)
    findings.claim_ratio("exact substrings, against a suffix array with LCPs", "refine", "pydivsufsort", 5)
    findings.notes = (
        f"All rounds take the time of {distance(findings.speeds, 'refine'):.0f} passes over the bytes; tokens are scanned in "
        "each of the rounds, and what is exchanged goes through files."
    )
    return findings
