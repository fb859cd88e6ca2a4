"""Counting equal 64-bit keys within a document: an open-addressing table that is emptied by a new generation number.

A table is three arrays (keys uint64, counts int32, generations int64) of one power-of-two size, used for one document after
another without clearing.
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
def count_key(table, generation, mask, key):
    """Count `key` once more in this generation; returns its slot. `mask` is the number of slots in use minus one."""
    keys, counts, generations = table
    slot = np.int64(key) & mask
    while generations[slot] == generation and keys[slot] != key:
        slot = (slot + 1) & mask
    if generations[slot] != generation:
        generations[slot] = generation
        keys[slot] = key
        counts[slot] = 0
    counts[slot] += 1
    return slot
