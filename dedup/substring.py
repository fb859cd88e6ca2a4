"""Exact substrings: spans of at least `min_tokens` tokens that occur more than once in the corpus.

RefinedWeb (Penedo et al. 2023, appendix G.3.2) after Lee et al. 2022 (Deduplicating training data makes language models
better), who build a suffix array. Here windows of `min_tokens` tokens are counted, which finds the same spans:

    minimizers   shard   the n-grams that say which windows can repeat (dedup/windows.py)
    occurrences  range   which of them occur more than once in the corpus (dedup/occurrences.py)
    windows      shard   128-bit hashes of the windows that these do not rule out
    occurrences  range   which of them occur more than once
    spans        shard   the tokens that repeated windows cover; what becomes of them is dedup/spans.py

Each of the two rounds writes a shard's keys, for the exchange, and their *places*, which stay with the shard and say for each
key where it is in the text and in the file of keys. So the second round reads only documents with a repeated minimizer, and
spans are found without text.

A run can be compared with *earlier* ones by what they left: the minimizers and their places, and the tokens of their documents
(`dedup.token_files`, where that was asked for). Windows of theirs are hashed only where a minimizer is one of this run's, too.

The paper compares GPT-2's tokens, as do we with `tokenizer` (`dedup.units`). Where we deviate is the default: our own tokens,
words and punctuation marks. White space is in none of them, so two copies that differ in white space only are copies, and how
a word is written decides nothing beside it; GPT-2's tokens have the space before a word and single line feeds in them.

Cost: 7 times as fast as building a suffix array with LCPs in C (pydivsufsort, 17 MB), and no memory wall: 4.5 GB of text in 60
shards take 0.8 GB of memory in one process, 26 MB/s of CPU time, and 2.8 GB of files (20 bytes for each window that can repeat).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus.errors import ConfigError
from dedup.occurrences import (
    FIRST,
    LATER,
    ONCE,
    Identity,
    KeyFile,
    Keys,
    count_occurrences,
    read_occurrences,
    write_keys,
    write_occurrences,
)
from dedup.token_files import Shard
from dedup.units import Tokenizer, unit_of
from dedup.windows import Runs, Tokens, covered, minimizers, window_keys

OUTPUT_VERSION = 2
"""Raised when the keys of a text change: older key files are then refused."""

ACTIONS = ("cut", "cut_later", "mask", "drop_partial", "drop_any")

Parts = Iterator[tuple[Keys, Runs]]
"""Keys of a shard and their places; each part has those of some documents, in order."""

_PLACES = pa.schema([(name, pa.uint32()) for name in ("row", "start", "stop", "entry")])


@dataclass(frozen=True, slots=True)
class SubstringSettings:
    """Defaults are RefinedWeb's but for the tokens, which are GPT-2's there. What the actions do is said in dedup/spans.py.

    `tokenizer`: None for the tokens of `corpus.tokens`.
    """

    min_tokens: int = 50
    action: str = "cut"
    max_duplicate_fraction: float = 0.2
    min_characters_left: int = 20
    tokenizer: Tokenizer | None = None

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ConfigError(f"substring.action is {self.action!r}: give one of {', '.join(ACTIONS)}")
        for name, low, high in (
            ("min_tokens", 1, 10**6),
            ("max_duplicate_fraction", 0, 1),
            ("min_characters_left", 0, 10**9),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"substring.{name} is {value}: give a number from {low} to {high}")

    @property
    def keeps_tokens(self) -> bool:
        """Whether tokens are kept from the first round on, with where they lie."""
        return self.tokenizer is not None and self.tokenizer.slow

    def identity(self, keys: str) -> Identity:
        """All that the "minimizers" or the "windows" depend on."""
        return {
            "keys": keys,
            "min_tokens": self.min_tokens,
            "unit": unit_of(self.tokenizer),
            "output_version": OUTPUT_VERSION,
        }


@dataclass(frozen=True, slots=True)
class Exchange:
    """One round: what its files have in common."""

    n_ranges: int
    identity: Identity

    def write(self, keys: KeyFile, places: KeyFile | None, parts: Parts) -> None:
        """Write a shard's keys and their places, if these are wanted."""
        columns: list[list[NDArray[Any]]] = [[], [], [], [], []]
        for of_keys, of_runs in parts:
            of_part: tuple[NDArray[Any], ...] = (*of_keys, *of_runs)
            for column, values in zip(columns, of_part, strict=True):
                column.append(values)
        rows, starts, stops = (_joined(column, np.uint32) for column in columns[2:])
        joined = Keys(*(_joined(column, np.uint64) for column in columns[:2]))
        entries = write_keys(keys, joined, self.n_ranges, self.identity)
        if places is None:
            return
        pq.write_table(
            pa.table([rows, starts, stops, entries], schema=_PLACES),
            places,
            compression="none",
            use_dictionary=False,
            column_encoding=dict.fromkeys(("row", "start", "stop"), "DELTA_BINARY_PACKED"),
            write_statistics=False,
        )

    def count(self, reply: KeyFile, files: Iterable[KeyFile], number: int, n_earlier: int = 0) -> None:
        """Answer range `number` of all shards' keys, given in order; the first `n_earlier` are of earlier runs."""
        write_occurrences(reply, count_occurrences(files, number, self.n_ranges, self.identity, n_earlier))


def _joined(parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
    """The parts as one array; the parts themselves are let go, so that only one column is in memory twice."""
    joined = np.concatenate([np.empty(0, dtype), *parts])
    parts.clear()
    return joined


def read_places(places: KeyFile, replies: Iterable[KeyFile], position: int) -> tuple[Runs, NDArray[np.uint8]]:
    """The repeated ones of a shard's places, and for each ONCE … LATER; of equal ones in the shard one at most is FIRST.

    `replies`: those of all ranges, in order; `position`: which of the files that were counted was this shard's.
    """
    row, start, stop, entry = (column.to_numpy() for column in pq.read_table(places).columns)
    found = read_occurrences(replies, position)
    occurrence = found[entry]
    place = np.arange(len(entry), dtype=np.uint32)
    first_place = np.empty(len(found), np.uint32)
    first_place[entry[::-1]] = place[::-1]  # of several, the last assigned stays
    occurrence[(occurrence == FIRST) & (first_place[entry] != place)] = LATER
    repeated = occurrence != ONCE
    return Runs(row[repeated], start[repeated], stop[repeated]), occurrence[repeated]


def minimizer_parts(batches: Iterable[Tokens], min_tokens: int) -> Parts:
    for tokens in batches:
        yield minimizers(tokens, min_tokens)


def window_parts(runs: Runs, batches: Iterable[Tokens], min_tokens: int) -> Parts:
    """The windows of `runs`, given the documents that these are in."""
    for tokens in batches:
        yield window_keys(tokens, runs.of(tokens.rows), min_tokens)


Repeated = Callable[[int], tuple[Runs, NDArray[np.uint8]]]
"""What `read_places` says of a shard."""


def find_spans(
    shards: Sequence[Shard], settings: SubstringSettings, folder: Path, n_ranges: int = 1, n_earlier: int = 0
) -> Iterator[Runs]:
    """The spans of each shard, in tokens; all steps in one process, with their files in `folder`.

    The first `n_earlier` shards are of earlier runs: the others are compared with them, and their own spans are not given.
    Memory: the documents that a shard reads at a time, the keys and places of one shard, the keys of one range.
    """
    n = settings.min_tokens
    of_shards: Iterable[Parts] = (minimizer_parts(read(None), n) for read in shards)
    grams = _exchanged(folder, Exchange(n_ranges, settings.identity("minimizers")), of_shards, n_earlier)
    found = (grams(shard)[0] for shard in range(len(shards)))
    of_shards = (window_parts(runs, read(np.unique(runs.rows)), n) for read, runs in zip(shards, found, strict=True))
    windows = _exchanged(folder, Exchange(n_ranges, settings.identity("windows")), of_shards, n_earlier)
    for shard in range(n_earlier, len(shards)):
        yield covered(*windows(shard), n, settings.action == "cut_later")


def _exchanged(folder: Path, exchange: Exchange, parts: Iterable[Parts], n_earlier: int) -> Repeated:
    kind = exchange.identity["keys"]
    keys, places, replies = [], [], []
    for shard, of_shard in enumerate(parts):
        keys.append(folder / f"{kind}-{shard}.parquet")
        places.append(folder / f"{kind}-places-{shard}.parquet")
        exchange.write(keys[-1], places[-1], of_shard)
    for number in range(exchange.n_ranges):
        replies.append(folder / f"{kind}-replies-{number}.parquet")
        exchange.count(replies[-1], keys, number, n_earlier)
    return lambda shard: read_places(places[shard], replies, shard)
