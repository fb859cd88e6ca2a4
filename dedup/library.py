"""Deduplication of texts in memory, as a library: the same steps as the pipeline's, in one process.

One copy per URL, then one per text, then one per cluster of near-duplicates, then exact substrings if asked for; each step sees
what the one before it left.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus.errors import ConfigError, InputError
from corpus.schema import BYTE_SPAN
from corpus.text import Texts
from corpus.words import text_digests
from dedup.bands import match_range, ranges_for, write_bands
from dedup.clusters import Survivors, clusters, group_equal
from dedup.minhash import MinHashSettings, band_keys
from dedup.occurrences import ranges_for as key_ranges
from dedup.pairs import Pairs, merged
from dedup.spans import apply_action, byte_runs, byte_spans, spans_of_rows
from dedup.substring import SubstringSettings, find_spans
from dedup.token_files import KeptTokens, read_located
from dedup.units import tokens_at
from dedup.urls import url_digests
from dedup.verification import jaccard, overlaps, shingle_sets
from dedup.windows import Tokens

KEEP = ("first", "longest")
REASONS = ("dedup.urls", "dedup.exact", "dedup.minhash")

Strings: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str | None]

_FINEWEB = MinHashSettings()

_DOCUMENTS_PER_FILE = 10_000  # whose texts and band keys are in memory once more
_MATCHING_BYTES = 2**30


def dedup_texts(
    texts: Strings,
    urls: Strings | None = None,
    *,
    minhash: MinHashSettings = _FINEWEB,
    keep: str = "first",
    verify: bool = False,
    min_jaccard: float = 0.75,
    max_bucket_documents: int = 16,
    substring: SubstringSettings | None = None,
) -> pa.Table:
    """A row per text: `duplicate_of` (int64), `reason` (string), `cluster_size` (int64).

    `reason` is the step that removed the text, null if it stays; `duplicate_of` is then the row of the text that stays in
    its place. `cluster_size` counts the texts that one stands for, itself included. `keep`: of equals, the "first" or the
    "longest" in UTF-8 bytes stays. `verify`: near-duplicates must have `min_jaccard` as well, by their shingles;
    `max_bucket_documents`: see `dedup.pairs`.

    With `substring` there are two more columns, null where an earlier step removed the text: `duplicate_spans`
    (list<corpus.schema.BYTE_SPAN>), and `text` after the action. A text that this step drops has reason "dedup.substring", and
    no `duplicate_of`. Both `minhash` and `substring` compare words, or tokens where they have a `tokenizer`, such as
    `pipeline.tokens.Tokenizer.load("gpt2")`.

    Band keys are exchanged through a temporary folder, so memory is the texts, about 100 bytes for each, and at most some
    1.5 GB more; to verify, 30 bytes a word of texts that share a band besides. ConfigError for a value out of range, InputError
    if there are not as many URLs as texts.
    """
    _check(keep, min_jaccard, max_bucket_documents)
    documents = Texts.of(_column(texts))
    lengths = documents.byte_lengths.astype(np.float64)
    survivors = Survivors(lengths if keep == "longest" else np.zeros_like(lengths))
    if urls is not None:
        survivors.remove(0, group_equal(url_digests(_one_each(urls, len(documents)))))
    digests, _ = text_digests(documents)
    survivors.remove(1, group_equal(digests[survivors.left]))
    pairs = _candidates(documents, survivors.left, minhash, max_bucket_documents)
    if verify:
        pairs = pairs.where(_exact_jaccard(documents, pairs, minhash) >= np.float32(min_jaccard))
    near = clusters(len(documents), [np.stack([pairs.left, pairs.right], axis=1)])
    survivors.remove(2, np.searchsorted(survivors.left, near[survivors.left]))
    verdicts = _verdicts(survivors)
    return verdicts if substring is None else _with_spans(verdicts, documents, survivors.left, substring)


def _check(keep: str, min_jaccard: float, max_bucket_documents: int) -> None:
    if keep not in KEEP:
        raise ConfigError(f"keep is {keep!r}: give one of {', '.join(KEEP)}")
    if not 0 < min_jaccard <= 1:
        raise ConfigError(f"min_jaccard is {min_jaccard}: give a number above 0 and up to 1")
    if max_bucket_documents < 2:
        raise ConfigError(f"max_bucket_documents is {max_bucket_documents}: give 2 or more")


def _verdicts(survivors: Survivors) -> pa.Table:
    stays = survivors.removed_by < 0
    return pa.table(
        {
            "duplicate_of": pa.array(survivors.kept, mask=stays),
            "reason": pa.array(REASONS).take(pa.array(survivors.removed_by, mask=stays)),
            "cluster_size": survivors.cluster_sizes(),
        }
    )


def _with_spans(verdicts: pa.Table, documents: Texts, left: NDArray[np.int64], settings: SubstringSettings) -> pa.Table:
    """The verdicts with those of exact substrings among the texts `left`."""
    made = _without_spans(documents, left, settings)
    gone = np.ones(len(documents), np.bool_)
    gone[left] = False
    made = made.take(pa.array(np.cumsum(~gone) - 1, mask=gone))
    reason = pc.if_else(pc.fill_null(made["dropped"], False), "dedup.substring", verdicts["reason"])
    verdicts = verdicts.set_column(1, "reason", reason)
    return verdicts.append_column("duplicate_spans", made["spans"]).append_column("text", made["text"])


def _column(values: Strings) -> pa.Array | pa.ChunkedArray:
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.large_string())


def _one_each(urls: Strings, n_texts: int) -> pa.Array | pa.ChunkedArray:
    column = _column(urls)
    if len(column) != n_texts:
        raise InputError(f"{len(column)} urls for {n_texts} texts: give one for each, null where none is known")
    return column


def _candidates(
    documents: Texts, left: NDArray[np.int64], settings: MinHashSettings, max_bucket_documents: int
) -> Pairs:
    """The pairs of the documents `left` that share a band."""
    n_ranges = ranges_for(len(left), settings.bands, _MATCHING_BYTES)
    first = np.append(np.arange(0, len(left), _DOCUMENTS_PER_FILE), len(left))
    with TemporaryDirectory(prefix="refine-bands-") as folder:
        files = [(shard, Path(folder, f"{shard}.parquet")) for shard in range(len(first) - 1)]
        for shard, file in files:
            part = Texts(documents.column.take(pa.array(left[first[shard] : first[shard + 1]])))
            keys, n_shingles = band_keys(part, settings)
            rows = np.flatnonzero(n_shingles).astype(np.uint32)
            write_bands(file, keys[rows], rows, settings, n_ranges)
        of_ranges = (match_range(files, n, n_ranges, settings, max_bucket_documents)[0] for n in range(n_ranges))
        pairs = merged(of_range.numbered(first) for of_range in of_ranges)
    return Pairs(left[pairs.left], left[pairs.right], pairs.bands)


def _exact_jaccard(documents: Texts, pairs: Pairs, settings: MinHashSettings) -> NDArray[np.float32]:
    candidates = np.unique(np.concatenate([pairs.left, pairs.right]))
    texts = Texts(documents.column.take(pa.array(candidates)))
    ((owner, sets),) = shingle_sets(texts, settings, 1)
    offsets = np.searchsorted(owner, np.arange(len(texts) + 1))
    left, right = np.searchsorted(candidates, pairs.left), np.searchsorted(candidates, pairs.right)
    return jaccard(*overlaps(sets, offsets, left, right))


def _without_spans(documents: Texts, left: NDArray[np.int64], settings: SubstringSettings) -> pa.Table:
    """Of the documents `left`: whether the step drops them, their spans, and their text after the action."""

    def parts(rows: NDArray[np.uint32]) -> Iterator[tuple[NDArray[np.uint32], Texts]]:
        for start in range(0, len(rows), _DOCUMENTS_PER_FILE):
            part = rows[start : start + _DOCUMENTS_PER_FILE]
            yield part, Texts(documents.column.take(pa.array(left[part])))

    def read(rows: NDArray[np.uint32] | None) -> Iterator[Tokens]:
        for part, texts in parts(every if rows is None else rows):
            yield tokens_at(part, texts, settings.tokenizer, settings.keeps_tokens)

    every = np.arange(len(left), dtype=np.uint32)
    n_ranges = key_ranges(int(documents.byte_lengths.sum()), _MATCHING_BYTES)  # no token has less than a byte
    with TemporaryDirectory(prefix="refine-substring-") as folder:
        kept = Path(folder, "tokens.parquet")
        (runs,) = find_spans(
            [KeptTokens(read, kept) if settings.keeps_tokens else read], settings, Path(folder), n_ranges
        )
        in_bytes = byte_runs(runs, read_located(kept, np.unique(runs.rows))) if settings.keeps_tokens else None
    schema = pa.schema([("dropped", pa.bool_()), ("spans", pa.list_(BYTE_SPAN)), ("text", pa.large_string())])
    batches = []
    for part, texts in parts(every):
        found = spans_of_rows(part, in_bytes) if in_bytes else byte_spans(texts, part, runs, settings.tokenizer)
        made = apply_action(texts, found, settings)
        columns = [pa.array(made.dropped), found.as_column(), made.text]
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(batches, schema)
