"""Equal 64-bit keys within a document: an open-addressing table of places, cleared for each.

It is int32 of a power of two, and as small as the document, so that clearing it costs less than what is then in the cache.
"""

import numpy as np

from corpus.kernels import helper


@helper
def table_size(n):
    """Slots for `n` keys: the power of two of at least 2 n."""
    size = 64
    while size < 2 * n:
        size *= 2
    return size


@helper
def clear(table, counts, n):
    """Make room for `n` keys: the slots of `table` (int32) that they need, and their counts; returns their last slot."""
    size = table_size(n)
    table[:size] = 0
    counts[:n] = 0
    return size - 1


@helper
def first_equal(table, mask, keys, counts, i):
    """The first of the keys so far that equals keys[i], with its count (int32) one higher. To be called for rising i.

    Whether a key is new is what no processor can predict, so no branch depends on it: a free slot (0) stands for key i itself.
    """
    mask = np.uint64(mask)  # unsigned: Numba need not look for negative indices
    slot = keys[i] & mask
    first = np.int64(table[slot]) - 1
    first += (first < 0) * (i + 1)
    while keys[np.uint64(first)] != keys[i]:
        slot = (slot + np.uint64(1)) & mask
        first = np.int64(table[slot]) - 1
        first += (first < 0) * (i + 1)
    table[slot] = first + 1
    counts[np.uint64(first)] += 1
    return first
