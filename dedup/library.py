"""Deduplication of texts in memory, as a library: the same steps as the pipeline's, in one process.

One copy per URL, then one per text, then one per cluster of near-duplicates; each step sees what the one before it left.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.errors import ConfigError, InputError
from corpus.text import Texts
from corpus.words import text_digests
from dedup.bands import match_range, ranges_for, write_bands
from dedup.clusters import Survivors, clusters, document_numbers, group_equal
from dedup.minhash import MinHashSettings, band_keys
from dedup.urls import url_digests

KEEP = ("first", "longest")
REASONS = ("dedup.urls", "dedup.exact", "dedup.minhash")

_DOCUMENTS_PER_FILE = 10_000  # whose texts and band keys are in memory once more
_MATCHING_BYTES = 2**30


def dedup_texts(
    texts: pa.Array | pa.ChunkedArray | Sequence[str | None],
    urls: pa.Array | pa.ChunkedArray | Sequence[str | None] | None = None,
    *,
    bands: int = 14,
    rows: int = 8,
    ngram: int = 5,
    seed: int = 1,
    keep: str = "first",
) -> pa.Table:
    """A row per text: `duplicate_of` (int64), `reason` (string), `cluster_size` (int64).

    `reason` is the step that removed the text, null if it stays; `duplicate_of` is then the row of the text that stays in
    its place. `cluster_size` counts the texts that one stands for, itself included. `keep`: of equals, the "first" or the
    "longest" in UTF-8 bytes stays. Band keys are exchanged through a temporary folder, so memory is the texts, about
    100 bytes for each, and at most some 1.5 GB more. ConfigError for a value out of range, InputError if there are not as
    many URLs as texts.
    """
    settings = MinHashSettings(bands, rows, ngram, seed)
    documents = Texts.of(_column(texts))
    if keep not in KEEP:
        raise ConfigError(f"keep is {keep!r}: give one of {', '.join(KEEP)}")
    lengths = documents.byte_lengths.astype(np.float64)
    survivors = Survivors(lengths if keep == "longest" else np.zeros_like(lengths))

    if urls is not None:
        url_column = _column(urls)
        if len(url_column) != len(documents):
            raise InputError(
                f"{len(url_column)} urls for {len(documents)} texts: give one for each, null where none is known"
            )
        survivors.remove(0, group_equal(url_digests(url_column)))
    digests, _ = text_digests(documents)
    survivors.remove(1, group_equal(digests[survivors.left]))
    survivors.remove(2, _near_duplicates(documents, survivors.left, settings))

    stays = survivors.removed_by < 0
    return pa.table(
        {
            "duplicate_of": pa.array(survivors.kept, mask=stays),
            "reason": pa.array(REASONS).take(pa.array(survivors.removed_by, mask=stays)),
            "cluster_size": survivors.cluster_sizes(),
        }
    )


def _column(values: pa.Array | pa.ChunkedArray | Sequence[str | None]) -> pa.Array | pa.ChunkedArray:
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.large_string())


def _near_duplicates(documents: Texts, left: NDArray[np.int64], settings: MinHashSettings) -> NDArray[np.int64]:
    """representative int64[len(left)]: the near-duplicate clusters of the documents `left`, counted within `left`."""
    n_ranges = ranges_for(len(left), settings.bands, _MATCHING_BYTES)
    first = np.append(np.arange(0, len(left), _DOCUMENTS_PER_FILE), len(left))
    with TemporaryDirectory(prefix="refine-bands-") as folder:
        files = [(shard, Path(folder, f"{shard}.parquet")) for shard in range(len(first) - 1)]
        for shard, file in files:
            part = Texts(documents.column.take(pa.array(left[first[shard] : first[shard + 1]])))
            keys, has_words = band_keys(part, settings)
            rows = np.flatnonzero(has_words).astype(np.uint32)
            write_bands(file, keys[has_words], rows, settings, n_ranges)
        return clusters(len(left), _edges(files, first, n_ranges, settings))


def _edges(
    files: list[tuple[int, Path]], first: NDArray[np.int64], n_ranges: int, settings: MinHashSettings
) -> Iterator[NDArray[np.int64]]:
    for number in range(n_ranges):
        yield document_numbers(match_range(files, number, n_ranges, settings), first)
