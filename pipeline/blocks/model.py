"""The trained model: two forests, the second of which sees what the first says of a block's neighbours.

`model.npz` beside this file is made by `python -m pipeline.blocks.train`; MODEL_CARD.md says from what and how good it is.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from corpus.errors import ConfigError
from pipeline.blocks.context import CONTEXT, write_context
from pipeline.blocks.features import FEATURES
from pipeline.blocks.open_elements import CONTAINER_OF, PARENT
from pipeline.blocks.page import Blocks
from pipeline.blocks.trees import ROWS, Forest

CHARACTERS, WORDS = FEATURES.index("characters"), FEATURES.index("words")
SHARPNESS = (
    1.6  # probabilities are learned with blocks weighted by the root of their words; to this power they fit words
)
MODEL_FILE = Path(__file__).with_name("model.npz")
_NAMES = "features"


@dataclass(frozen=True)
class Model:
    first: Forest
    second: Forest

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> "Model":
        return cls.read(MODEL_FILE)

    @classmethod
    def read(cls, path: Path) -> "Model":
        """Raises ConfigError for a model of other features."""
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        if arrays.pop(_NAMES).tolist() != [*FEATURES, *CONTEXT]:
            raise ConfigError(f"{path}: made for other features; python -m pipeline.blocks.train FOLDER makes it anew")
        forests: list[dict[str, Any]] = [{}, {}]
        for name, values in arrays.items():
            number, field = name.split("_", 1)
            forests[int(number)][field] = values
        return cls(*(Forest(**fields) for fields in forests))

    def write(self, path: Path) -> None:
        arrays: dict[str, Any] = {
            f"{number}_{name}": values
            for number, forest in enumerate((self.first, self.second))
            for name, values in forest.arrays().items()
        }
        arrays[_NAMES] = np.array([*FEATURES, *CONTEXT])
        np.savez_compressed(path, **arrays)

    def probabilities(self, features: NDArray[np.float32], page: Blocks) -> NDArray[np.float32]:
        """How probably each block is main text. `features`: what `features_of` says of the page."""
        n_features, n_blocks = features.shape
        matrix = np.empty((n_features + len(CONTEXT), -(-n_blocks // ROWS) * ROWS), np.float32)
        matrix[:n_features, :n_blocks] = features
        first = self.first.probabilities(matrix)[:n_blocks]
        matrix[n_features:, :n_blocks] = context_of(first, features, page)
        return self.second.probabilities(matrix)[:n_blocks]


def context_of(probabilities: NDArray[np.float32], features: NDArray[np.float32], page: Blocks) -> NDArray[np.float32]:
    """What the second pass sees beside the features: float32[len(CONTEXT), blocks]."""
    rows = np.empty((len(CONTEXT), features.shape[1]), np.float32)
    containers, parents = page.rows[:, CONTAINER_OF].copy(), page.containers[:, PARENT].copy()
    write_context(probabilities, features[CHARACTERS], containers, parents, rows)
    return rows


def choose(probabilities: NDArray[np.float32], words: NDArray[np.float32]) -> tuple[NDArray[np.bool_], float]:
    """The blocks whose text can be expected to score best, and the score (F1 by words) that can be expected of it.

    There is no threshold to set: for blocks in falling order of probability, F1 = 2 · expected good words among the chosen /
    (chosen words + expected good words of the page) has one maximum. What it is there says how sure the model is of the page.
    """
    words = words + 1  # marks alone count, too
    probabilities = probabilities**SHARPNESS
    order = (-probabilities).argsort(kind="stable")
    good = (probabilities * words)[order].cumsum(dtype=np.float64)
    scores = 2 * good / (words[order].cumsum(dtype=np.float64) + good[-1])
    best = int(scores.argmax())
    chosen = np.zeros(len(order), np.bool_)
    chosen[order[: best + 1]] = True
    return chosen, float(scores[best])


def identity() -> str:
    return xxhash.xxh3_128_hexdigest(MODEL_FILE.read_bytes())
