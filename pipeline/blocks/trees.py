"""Gradient-boosted trees as plain arrays, evaluated over all blocks of a page at once.

Method: QuickScorer (Lucchese et al. 2015), vectorised over rows. The leaves of a tree are the bits of a word, left to right;
a test that is false clears the leaves of its left side, and what is left of the tree after all tests is the lowest bit that
stands. So there are no branches to predict, and 32 blocks are tested at once: 300 trees of 31 leaves take 0.3 ms a page where
walking them takes 3.0. It does the work of all nodes instead of the few on the path, which pays up to some 32 leaves a tree.

A threshold is the largest float32 below LightGBM's double, so that tests come out as LightGBM's; leaf values and sums are
float32.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.kernels import kernel
from corpus.simd import add_chosen_32, and_32_columns

ROWS = 32  # blocks evaluated at once; a feature matrix has a multiple of it
MAX_LEAVES = 32

_BIT_WORDS = types.Array(types.uint32, 1, "C", readonly=True)
_FLOATS = types.Array(types.float32, 1, "C", readonly=True)
_SHORTS = types.Array(types.uint16, 1, "C", readonly=True)
_INTS = types.Array(types.int32, 1, "C", readonly=True)


@dataclass(frozen=True)
class Forest:
    """Tests of all trees, one tree behind the other; `leaf_values` of tree t start at 32 t."""

    features: NDArray[np.uint16]  # a test: value of this feature <= threshold
    thresholds: NDArray[np.float32]
    kept_if_false: NDArray[np.uint32]  # leaves that are still possible where it is false
    starts: NDArray[np.int32]  # first test of each tree, and the number of tests
    leaf_values: NDArray[np.float32]

    def __post_init__(self) -> None:
        for field in fields(self):
            getattr(self, field.name).flags.writeable = False

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def probabilities(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of every column of a (features, blocks) matrix: the logistic function of its score."""
        n_blocks = matrix.shape[1]
        if n_blocks % ROWS:
            matrix = np.pad(matrix, ((0, 0), (0, -n_blocks % ROWS)))
        return np.float32(1) / (np.float32(1) + np.exp(-self.scores(matrix)[:n_blocks]))

    def scores(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sum over the trees for every column of a (features, blocks) matrix; its width is a multiple of ROWS."""
        out = np.empty(matrix.shape[1], np.float32)
        bits = np.empty(ROWS, np.uint32)
        _add_trees(matrix, self.features, self.thresholds, self.kept_if_false, self.starts, self.leaf_values, bits, out)
        return out


def forest_of(dump: Mapping[str, Any]) -> Forest:
    """From what `lightgbm.Booster.dump_model` gives: binary, numerical features, no missing values."""
    tests: list[tuple[int, float, int]] = []
    starts = [0]
    leaf_values = np.zeros(len(dump["tree_info"]) * MAX_LEAVES, np.float32)
    for number, tree in enumerate(dump["tree_info"]):
        leaves: list[float] = []
        tests.extend(_tests(tree["tree_structure"], leaves))
        starts.append(len(tests))
        leaf_values[number * MAX_LEAVES :][: len(leaves)] = leaves
    return Forest(
        np.array([feature for feature, _, _ in tests], np.uint16),
        _round_down(np.array([threshold for _, threshold, _ in tests], np.float64)),
        np.array([kept for _, _, kept in tests], np.uint32),
        np.array(starts, np.int32),
        leaf_values,
    )


def _tests(node: Mapping[str, Any], leaves: list[float]) -> Iterator[tuple[int, float, int]]:
    """(feature, threshold, leaves kept if false) of a node and those below it; appends the leaves' values."""
    if "split_feature" not in node:
        leaves.append(node["leaf_value"])
        return
    first = len(leaves)
    below = list(_tests(node["left_child"], leaves))
    left_leaves = (1 << len(leaves)) - (1 << first)
    yield node["split_feature"], node["threshold"], ~left_leaves & 0xFFFFFFFF
    yield from below
    yield from _tests(node["right_child"], leaves)


def _round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype(np.float64) > thresholds, below, nearest)


@kernel(
    types.void(
        types.Array(types.float32, 2, "C"), _SHORTS, _FLOATS, _BIT_WORDS, _INTS, _FLOATS, types.uint32[::1], types.float32[::1]
    )
)  # fmt: skip
def _add_trees(matrix, features, thresholds, kept_if_false, starts, leaf_values, bits, out):
    for first in range(0, matrix.shape[1], ROWS):
        for row in range(ROWS):
            out[first + row] = np.float32(0)
        for tree in range(starts.shape[0] - 1):
            start, end = np.int64(starts[tree]), np.int64(starts[tree + 1])
            and_32_columns(matrix, first, features, thresholds, kept_if_false, start, end, bits)
            add_chosen_32(bits, leaf_values, tree * MAX_LEAVES, out, first)
