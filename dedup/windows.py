"""Windows of `min_tokens` consecutive tokens: which can occur twice, their 128-bit hashes, and the spans they cover.

A span that occurs twice is a run of windows that occur twice, so windows are all that has to be counted. Counting all would
exchange three times the text; *minimizers* (Schleimer, Wilkerson, Aiken: Winnowing, SIGMOD 2003) say which cannot repeat.
The minimizer of a window is the n-gram in it with the smallest hash, the last of equal ones. It depends on nothing outside of
the window, so both copies of a window have the same minimizer at the same place; a window whose minimizer is the only one of
its hash in the corpus has no copy. 50 tokens have 31 20-grams, and about every 16th 20-gram is a minimizer. Shorter n-grams make
fewer minimizers but rule out less: with 10-grams files are 7% larger on English pages, 2.7 times on texts with a word of
eight changed, where 20-grams let four times fewer windows through.

All hashes come from prefix sums: with P[i] = Σ token[j] · BASE^(i − 1 − j) over j < i (mod 2^64), the hash of tokens
i … i + n − 1 is P[i + n] − P[i] · BASE^n, two products for each length that is wanted.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.hashing import mix
from corpus.kernels import OFFSETS, helper, kernel
from dedup.occurrences import FIRST, ONCE, Keys

_HIGH_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no token's bits are lost
_LOW_BASE = np.uint64(0xD1342543DE82EF95)

_HASHES = types.Array(types.uint64, 1, "C", readonly=True)
_NUMBERS = types.Array(types.uint32, 1, "C", readonly=True)
_CODES = types.Array(types.uint8, 1, "C", readonly=True)


class Runs(NamedTuple):
    """Runs of things in documents, uint32, in order: `starts` … `stops` − 1, counted from 0 in each, of document `rows`.

    Of windows (known by their first token), or of tokens.
    """

    rows: NDArray[np.uint32]
    starts: NDArray[np.uint32]
    stops: NDArray[np.uint32]

    def of(self, rows: NDArray[np.uint32]) -> "Runs":
        """Those of documents from the first of `rows` (ascending) to the last."""
        low, high = np.searchsorted(self.rows, [rows[0], rows[-1] + 1]) if len(rows) else (0, 0)
        return Runs(*(column[low:high] for column in self))


class Tokens(NamedTuple):
    """Some documents of a shard: `rows` uint32, ascending. The tokens of document d are first[d]:first[d + 1].

    Of each token its hash, equal where tokens are, and where it lies (`dedup.units.Tokenizer` says how); what is not needed
    is empty.
    """

    rows: NDArray[np.uint32]
    first: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    starts: NDArray[np.int32] = np.empty(0, np.int32)
    ends: NDArray[np.int32] = np.empty(0, np.int32)

    @property
    def longest(self) -> int:
        return int(np.diff(self.first).max(initial=0))


def ngram_of(min_tokens: int) -> int:
    """Tokens of the n-grams that are minimizers."""
    return max(1, 2 * min_tokens // 5)


def minimizer_distance(min_tokens: int) -> float:
    """Tokens between one minimizer and the next, on average, where n-grams are not repeated near by."""
    return (min_tokens - ngram_of(min_tokens) + 2) / 2


@helper
def _power(base, exponent):
    result = np.uint64(1)
    for _ in range(exponent):
        result *= base
    return result


@helper
def _fill_prefixes(hashes, start, end, base, prefixes):
    """prefixes[i] = P[i] of tokens `start` … `end` − 1. Tokens are mixed first, as a tokenizer's ids are small numbers."""
    state = np.uint64(0)
    prefixes[0] = state
    for i in range(end - start):
        state = state * base + mix(hashes[start + i])
        prefixes[i + 1] = state


@kernel(
    types.int64(
        OFFSETS, _HASHES, types.int64, types.int64, types.int64,
        types.uint64[::1], types.int64[::1], types.uint32[::1], types.uint32[::1],
    )
)  # fmt: skip
def _minimizers(first, hashes, longest, min_tokens, ngram, keys, documents, starts, stops):
    prefixes = np.empty(longest + 1, np.uint64)
    grams = np.empty(longest, np.uint64)
    lead = _power(_HIGH_BASE, ngram)
    width = min_tokens - ngram + 1  # n-grams of a window
    n = 0
    for document in range(len(first) - 1):
        n_grams = first[document + 1] - first[document] - ngram + 1
        if n_grams < width:
            continue
        _fill_prefixes(hashes, first[document], first[document + 1], _HIGH_BASE, prefixes)
        for i in range(n_grams):
            grams[i] = mix(prefixes[i + ngram] - prefixes[i] * lead)
        smallest = 0
        of_last = -1
        for i in range(n_grams):
            if grams[i] <= grams[smallest]:
                smallest = i
            elif smallest <= i - width:
                smallest = i - width + 1
                for j in range(smallest + 1, i + 1):
                    if grams[j] <= grams[smallest]:
                        smallest = j
            window = i - width + 1
            if window >= 0 and smallest != of_last:
                if of_last >= 0:
                    stops[n - 1] = window
                of_last = smallest
                keys[n] = mix(grams[smallest])  # as minima they would all be in the lowest range
                documents[n] = document
                starts[n] = window
                n += 1
        stops[n - 1] = n_grams - width + 1
    return n


def minimizers(tokens: Tokens, min_tokens: int) -> tuple[Keys, Runs]:
    """The hash of each minimizer, as often as it occurs (`low` is 0), and the windows that it is the minimizer of."""
    keys, documents = np.empty(len(tokens.hashes), np.uint64), np.empty(len(tokens.hashes), np.int64)
    starts, stops = np.empty(len(tokens.hashes), np.uint32), np.empty(len(tokens.hashes), np.uint32)
    ngram = ngram_of(min_tokens)
    n = _minimizers(tokens.first, tokens.hashes, tokens.longest, min_tokens, ngram, keys, documents, starts, stops)
    runs = Runs(tokens.rows[documents[:n]], starts[:n].copy(), stops[:n].copy())
    return Keys(keys[:n].copy(), np.zeros(n, np.uint64)), runs


@kernel(
    types.void(
        OFFSETS, _HASHES, types.int64, types.int64,
        OFFSETS, _NUMBERS, _NUMBERS, types.uint64[::1], types.uint64[::1],
    )
)  # fmt: skip
def _window_keys(first, hashes, longest, min_tokens, documents, starts, stops, high, low):
    prefixes, low_prefixes = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.uint64)
    lead, low_lead = _power(_HIGH_BASE, min_tokens), _power(_LOW_BASE, min_tokens)
    filled = -1
    n = 0
    for run in range(len(documents)):
        if documents[run] != filled:
            filled = documents[run]
            _fill_prefixes(hashes, first[filled], first[filled + 1], _HIGH_BASE, prefixes)
            _fill_prefixes(hashes, first[filled], first[filled + 1], _LOW_BASE, low_prefixes)
        for i in range(np.int64(starts[run]), np.int64(stops[run])):
            high[n] = mix(prefixes[i + min_tokens] - prefixes[i] * lead)
            low[n] = low_prefixes[i + min_tokens] - low_prefixes[i] * low_lead
            n += 1


def window_keys(tokens: Tokens, runs: Runs, min_tokens: int) -> tuple[Keys, Runs]:
    """The hash of each window of the `runs`, and each window as a run of its own. All the runs' documents are in `tokens`."""
    lengths = runs.stops - runs.starts
    n = int(lengths.sum(dtype=np.int64))
    keys = Keys(np.empty(n, np.uint64), np.empty(n, np.uint64))
    documents = np.searchsorted(tokens.rows, runs.rows)
    _window_keys(tokens.first, tokens.hashes, tokens.longest, min_tokens, documents, runs.starts, runs.stops, *keys)
    before = np.cumsum(lengths, dtype=np.int64) - lengths
    starts = (np.arange(n) - np.repeat(before - runs.starts, lengths)).astype(np.uint32)
    return keys, Runs(np.repeat(runs.rows, lengths), starts, starts + np.uint32(1))


@kernel(
    types.int64(
        _NUMBERS, _NUMBERS, _CODES, types.int64, types.boolean,
        types.uint32[::1], types.uint32[::1], types.uint32[::1],
    )
)  # fmt: skip
def _covered(rows, at, occurrence, min_tokens, spare_first, span_rows, starts, stops):
    """A token is in a span if a window that goes covers it, and none that stays does."""
    n = 0
    goes_until = stays_until = done = np.int64(0)
    for window in range(len(at) + 1):
        ends_document = window == len(at) or (window > 0 and rows[window] != rows[window - 1])
        reached = goes_until if ends_document else np.int64(at[window])  # no later window changes what lies before
        start, stop = max(done, stays_until), min(reached, goes_until)
        if start < stop:
            row = rows[window - 1]
            if n > 0 and span_rows[n - 1] == row and stops[n - 1] == start:
                stops[n - 1] = stop
            else:
                span_rows[n], starts[n], stops[n] = row, start, stop
                n += 1
        if window == len(at):
            break
        if ends_document:
            goes_until = stays_until = np.int64(0)
        done = np.int64(at[window])
        if spare_first and occurrence[window] == FIRST:
            stays_until = done + min_tokens
        elif occurrence[window] != ONCE:
            goes_until = done + min_tokens
    return n


def covered(windows: Runs, occurrence: NDArray[np.uint8], min_tokens: int, spare_first: bool) -> Runs:
    """The tokens that repeated windows cover; overlapping and touching windows are one span.

    `windows`: each a run of its own; `occurrence`: of each, in the corpus. `spare_first`: a token that the FIRST occurrence
    of any window covers is in no span.
    """
    rows, starts, stops = (np.empty(2 * len(occurrence), np.uint32) for _ in range(3))
    n = _covered(windows.rows, windows.starts, occurrence, min_tokens, spare_first, rows, starts, stops)
    return Runs(rows[:n].copy(), starts[:n].copy(), stops[:n].copy())
