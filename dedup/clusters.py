"""Which documents are one, and which of them stays: union-find, equal digests, keep policy.

A document is known across shards by its 64-bit *key*, `shard << 32 | row`, and within these functions by a dense *number*,
counted over all shards in order, those of earlier runs first. A cluster is known by its *representative*, the smallest number
in it, so the result does not depend on the order of edges. Clusters are transitive: a – b and b – c put a and c together, as
in RefinedWeb.

Memory: 8 bytes a document for union-find, and as much for each array returned; edges are streamed. Speed with 10 million
documents: 7 million random edges/s, 30 million where neighbours are joined.
"""

from collections.abc import Iterable

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.errors import IntegrityError
from corpus.hashing import mix
from corpus.kernels import kernel

_ROW_BITS = np.uint64(32)
_ROW_MASK = np.uint64(0xFFFFFFFF)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_EDGES = types.Array(types.int64, 2, "C", readonly=True)
_DIGESTS = types.Array(types.uint64, 2, "C", readonly=True)
_PRIORITY = types.Array(types.float64, 1, "C", readonly=True)


def document_keys(shard: int, rows: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """uint64[n]: the keys of these rows of a shard."""
    return np.uint64(shard) << _ROW_BITS | rows.astype(np.uint64)


def document_numbers(keys: NDArray[np.uint64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of documents with these keys, same shape. `first`: int64[n_shards + 1], documents before each shard."""
    shards = (keys >> _ROW_BITS).astype(np.int64)
    if shards.size and shards.max() >= len(first) - 1:
        raise IntegrityError(f"a document of shard {shards.max()} is matched, but there are {len(first) - 1} shards")
    numbers = first[shards] + (keys & _ROW_MASK).astype(np.int64)
    beyond = numbers >= first[shards + 1]
    if beyond.any():
        key = int(keys[beyond][0])
        raise IntegrityError(f"row {key & 0xFFFFFFFF} of shard {key >> 32} is matched, but the shard has fewer rows")
    return numbers


@kernel(types.void(types.int64[::1], _EDGES))
def _unite(parents, edges):
    """Path halving; the larger root goes below the smaller, so parents[i] <= i always."""
    for edge in range(len(edges)):
        left, right = edges[edge, 0], edges[edge, 1]
        while parents[left] != left:
            parents[left] = parents[parents[left]]
            left = parents[left]
        while parents[right] != right:
            parents[right] = parents[parents[right]]
            right = parents[right]
        parents[max(left, right)] = min(left, right)


@kernel(types.void(types.int64[::1]))
def _flatten(parents):
    for document in range(len(parents)):
        parents[document] = parents[parents[document]]


def clusters(n_documents: int, edges: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """representative int64[n]: the smallest number in each document's cluster. Each item of `edges` is int64[m, 2]."""
    parents = np.arange(n_documents)
    for some in edges:
        if some.size and not 0 <= some.min() <= some.max() < n_documents:
            raise IntegrityError(f"an edge joins documents {some.min()} … {some.max()}, but there are {n_documents}")
        _unite(parents, np.ascontiguousarray(some))
    _flatten(parents)
    return parents


@kernel(types.void(_DIGESTS, types.int64[::1], types.int64[::1]))
def _first_equal(digests, table, representative):
    """`table`: -1 everywhere, a power of two of slots, more of them than documents."""
    last = len(table) - 1
    for document in range(len(digests)):
        low, high = digests[document, 0], digests[document, 1]
        representative[document] = document
        if low == 0 and high == 0:
            continue
        slot = np.int64(mix(low ^ high)) & last
        while table[slot] >= 0 and (digests[table[slot], 0] != low or digests[table[slot], 1] != high):
            slot = (slot + 1) & last
        if table[slot] < 0:
            table[slot] = document
        representative[document] = table[slot]


def group_equal(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    """representative int64[n] from 128-bit digests uint64[n, 2]: the first document with the same digest.

    The digest (0, 0) stands for "nothing there" (a null URL) and equals no other. Memory: 16 to 32 bytes a document.
    """
    representative = np.empty(len(digests), np.int64)
    table = np.full(1 << (2 * len(digests)).bit_length(), -1, np.int64)
    _first_equal(np.ascontiguousarray(digests), table, representative)
    return representative


@kernel(types.void(_NUMBERS, _PRIORITY, types.int64[::1]))
def _best(representative, priority, best):
    """best[r]: the member of cluster r that stays. Comparisons with NaN are false, so it loses to any number."""
    for document in range(len(representative)):
        cluster = representative[document]
        held = priority[best[cluster]]
        if priority[document] > held or (np.isnan(held) and not np.isnan(priority[document])):
            best[cluster] = document


def choose(representative: NDArray[np.int64], priority: NDArray[np.float64]) -> NDArray[np.int64]:
    """kept int64[n]: for each document the number of the one that stays of its cluster (itself, if it stays).

    The highest priority stays; of equal ones the smallest number; NaN is the lowest. So zeros keep the first, byte lengths
    the longest, seconds since 1970 the newest, and any signal its highest.
    """
    numbers = np.arange(len(representative))
    if not np.array_equal(representative[representative], representative):
        raise IntegrityError("the clusters are not flat: a representative has another representative")
    best = numbers.copy()
    _best(representative, priority, best)
    kept = best[representative]
    if np.count_nonzero(kept == numbers) != np.count_nonzero(representative == numbers):
        raise IntegrityError("a cluster does not keep exactly one document")
    return kept


class Survivors:
    """What stands in for each document while one step after another removes some, each seeing what the last one left.

    `kept`: int64[n], the document that stays in its place (itself, if it stays); `removed_by`: int8[n], number of the step
    that removed it, -1 if it stays. `priority` decides in every step as in `choose`.

    `earlier`: the same two arrays for the first documents, which earlier runs decided. They take part in each step that
    these let them get to, and nothing that happens here removes them; their priorities must be above all others.
    """

    def __init__(
        self,
        priority: NDArray[np.float64],
        earlier: tuple[NDArray[np.int64], NDArray[np.int8]] = (np.empty(0, np.int64), np.empty(0, np.int8)),
    ) -> None:
        self._priority = priority
        self._n_earlier, self._earlier = len(earlier[0]), earlier[1]
        self.kept = np.arange(len(priority))
        self.kept[: self._n_earlier] = earlier[0]
        self.removed_by = np.full(len(priority), -1, np.int8)

    @property
    def left(self) -> NDArray[np.int64]:
        """Ascending numbers of the documents that are still there."""
        return np.flatnonzero(self.removed_by < 0)

    def remove(self, step: int, representative: NDArray[np.int64]) -> NDArray[np.int64]:
        """Leave one document of each cluster; `representative` counts within `left`, one entry for each of these.

        Returns int64[n]: what now stays in each document's place, for earlier ones too.
        """
        left = self.left
        stays = left[choose(representative, self._priority[left])]
        in_place_of = np.arange(len(self.kept))
        in_place_of[left] = stays
        new = slice(self._n_earlier, None)
        self.kept[new] = in_place_of[self.kept[new]]
        self.removed_by[left[stays != left]] = step
        self._restore_earlier(step)
        return in_place_of

    def go_on(self, step: int, kept: NDArray[np.int64], removed_by: NDArray[np.int8]) -> None:
        """Take over what was found of all documents but earlier ones, after `step`."""
        self.kept[self._n_earlier :] = kept
        self.removed_by[self._n_earlier :] = removed_by
        self._restore_earlier(step)

    def _restore_earlier(self, step: int) -> None:
        gone = (self._earlier >= 0) & (self._earlier <= step)
        self.removed_by[: self._n_earlier] = np.where(gone, self._earlier, -1)

    def check(self) -> None:
        """Raises IntegrityError unless every cluster keeps exactly one document, and an earlier one if it has any."""
        numbers, new = np.arange(len(self.kept)), slice(self._n_earlier, None)
        wrong = self.kept[self.kept] != self.kept
        wrong[new] |= (self.removed_by[new] < 0) != (self.kept[new] == numbers[new])
        wrong[: self._n_earlier] |= self.kept[: self._n_earlier] >= self._n_earlier
        if wrong.any():
            number = int(wrong.argmax())
            raise IntegrityError(
                f"{wrong.sum()} documents are not in a cluster that keeps exactly one, first number {number}, "
                f"which {self.kept[number]} was kept for"
            )

    def cluster_sizes(self) -> NDArray[np.int64]:
        """int64[n]: how many documents, itself included, the one kept in a document's place stands for."""
        return np.bincount(self.kept, minlength=len(self.kept))[self.kept]


def largest_cluster(representative: NDArray[np.int64]) -> tuple[int, int]:
    """(representative, number of documents) of the largest cluster, (-1, 0) if there is no document: for the guard."""
    if not len(representative):
        return -1, 0
    counts = np.bincount(representative)
    return int(counts.argmax()), int(counts.max())
