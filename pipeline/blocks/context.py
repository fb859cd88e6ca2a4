"""What the second pass sees of the first: how probable main text is around a block, as further rows of the feature matrix.

A paragraph between main text is main text, a comment form ends it: a page is one text, so the probabilities of the neighbours say
more than most features of the block itself. Means are weighted by length. With this second pass the score on pages of sites
not seen in training rises by about 0.01.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.kernels import kernel

_REACH = 4  # neighbours each way
_WINDOWS = np.array([2, 5, 15, 40], np.int64)  # blocks each way of the running means
_LEVELS = 3  # nearest containers
_STRONG, _LONG = 0.7, 100.0  # a strong block: more probable and longer (characters) than this

CONTEXT = (
    "probability",
    *(f"probability_{offset:+d}" for offset in range(-_REACH, _REACH + 1) if offset),
    *(f"mean_probability_{n_blocks}" for n_blocks in _WINDOWS),
    *(f"container_{level}_mean_probability" for level in range(_LEVELS)),
    "blocks_since_first_strong",
    "blocks_until_last_strong",
    "page_main_characters",
    "page_main_share",
    "page_max_probability",
)


def write_context(
    probabilities: NDArray[np.float32],
    lengths: NDArray[np.float32],
    containers: NDArray[np.int32],
    parents: NDArray[np.int32],
    rows: NDArray[np.float32],
) -> None:
    """Fill `rows`, (len(CONTEXT), blocks). `containers`: each block's nearest; `parents`: each container's, before it, or -1."""
    sums = np.zeros((max(len(parents), len(lengths) + 1), 2), np.float64)
    _write(probabilities, lengths, containers, parents, _WINDOWS, sums, rows)


@kernel(
    types.void(
        types.float32[::1], types.float32[::1], types.int32[::1], types.int32[::1], types.Array(types.int64, 1, "C"),
        types.float64[:, ::1], types.float32[:, ::1],
    )
)  # fmt: skip
def _write(probabilities, lengths, containers, parents, windows, sums, rows):
    n = lengths.shape[0]
    for i in range(n):
        rows[0, i] = probabilities[i]
    row = 1
    for offset in range(-_REACH, _REACH + 1):
        if offset != 0:
            for i in range(n):
                rows[row, i] = probabilities[i + offset] if 0 <= i + offset < n else np.float32(0)
            row += 1
    highest, first, last = np.float32(0), -1, -1
    for i in range(n):  # sums[i] are of the blocks before i
        sums[i + 1, 0] = sums[i, 0] + np.float64(probabilities[i]) * lengths[i]
        sums[i + 1, 1] = sums[i, 1] + lengths[i]
        highest = max(highest, probabilities[i])
        if probabilities[i] > _STRONG and lengths[i] > _LONG:
            first = i if first < 0 else first
            last = i
    main, total = sums[n, 0], sums[n, 1]
    for w in range(windows.shape[0]):
        for i in range(n):
            start, end = max(i - windows[w], 0), min(i + windows[w] + 1, n)
            rows[row, i] = (sums[end, 0] - sums[start, 0]) / (sums[end, 1] - sums[start, 1] + 1.0)
        row += 1
    sums[:] = 0.0
    for i in range(n):
        sums[containers[i], 0] += np.float64(probabilities[i]) * lengths[i]
        sums[containers[i], 1] += lengths[i]
    for container in range(parents.shape[0] - 1, 0, -1):
        sums[parents[container], 0] += sums[container, 0]
        sums[parents[container], 1] += sums[container, 1]
    for i in range(n):
        container = containers[i]
        for level in range(_LEVELS):
            rows[row + level, i] = sums[container, 0] / (sums[container, 1] + 1.0)
            container = max(parents[container], 0)
    row += _LEVELS
    for i in range(n):
        rows[row, i] = i - first if first >= 0 else i
        rows[row + 1, i] = last - i if first >= 0 else n
        rows[row + 2, i] = main
        rows[row + 3, i] = main / (total + 1.0)
        rows[row + 4, i] = highest
