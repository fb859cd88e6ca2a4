"""A sketch is the minimum it claims to be, and its places and bands collide as MinHash's do.

Bounds are Z standard errors of what is measured; seeds are fixed.
"""

from fractions import Fraction
from functools import cache
from itertools import chain
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dedup.sketch import MAX_PLACES, sketches

Z = 4.5  # one of 150,000 measurements strays further
SEED = 7
SIZES = [60, 300, 1500, 9000]
SIMILARITIES = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9]
N_PAIRS = 600
N_SMALL_PAIRS = 20_000
MASK = 2**64 - 1


def mixed(value: int) -> int:
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ value >> 33) * multiplier & MASK
    return value ^ value >> 33


def line(shingle: int, prime: int, seed: int) -> tuple[int, int, int, int]:
    """(start, stride, multiplier, increment) of a shingle, in Python integers."""
    bits = mixed(seed << 32 | shingle)
    start = (bits & 0xFFFFFFFF) * prime >> 32
    stride = ((bits >> 32) * (prime - 1) >> 32) + 1
    multiplier = -(-(pow(stride, -1, prime) << 32) // prime)
    tie_break = ((bits * 0x9E3779B97F4A7C15 & MASK) >> 32) * ((1 << 32) // prime - 2 * prime) >> 32
    return start, stride, multiplier, tie_break + prime - start * multiplier


def prime_from(n: int) -> int:
    return next(p for p in range(max(n, 2), 2 * n + 2) if all(p % d for d in range(2, int(sqrt(p)) + 1)))


def by_definition(shingles: list[int], n_places: int, seed: int) -> list[int]:
    """Every shingle looked at in every bin."""
    prime = prime_from(n_places)
    bins = np.arange(prime, dtype=np.uint64)
    values = np.full(prime, 2**32 - 1, np.uint64)
    for shingle in set(shingles):
        _, _, multiplier, increment = line(shingle, prime, seed)
        values = np.minimum(values, (bins * np.uint64(multiplier) + np.uint64(increment % 2**32)) % np.uint64(2**32))
    return values[np.random.RandomState(seed).permutation(prime)[:n_places]].tolist()


def sketch(shingles: list[int] | NDArray[np.uint32], n_places: int, seed: int = SEED) -> list[int]:
    values = np.array(shingles, np.uint32)
    return sketches(values, np.array([0, len(values)]), n_places, seed)[0].tolist()


SHINGLES = st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 3) | st.sampled_from([4096, 2**32 - 1]), max_size=40)


@given(SHINGLES, st.sampled_from([1, 2, 3, 4, 112, 113, 300]), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_sketch_is_the_minimum_over_all_shingles_in_every_bin(shingles: list[int], n_places: int, seed: int) -> None:
    assert sketch(shingles, n_places, seed) == by_definition(shingles, n_places, seed)


@pytest.mark.parametrize(
    ("n_shingles", "n_places"),
    [(1, 9000), (9, 9000), (60, 9000), (1500, 9000), (9001, 9000), (300, MAX_PLACES), (100_000, 112), (50_000, 1)],
)
def test_a_sketch_of_few_or_many_shingles_is_the_minimum_too(n_shingles: int, n_places: int) -> None:
    shingles = np.random.default_rng(n_shingles).integers(0, 2**32, n_shingles, np.uint32).tolist()
    assert sketch(shingles, n_places) == by_definition(shingles, n_places, SEED)


@pytest.mark.parametrize("prime", [2, 3, 113, 9001, MAX_PLACES])
def test_a_shingle_is_smaller_in_each_bin_of_its_progression_than_any_shingle_in_the_next(prime: int) -> None:
    rounds = np.arange(prime)
    lowest, highest = np.full(prime, 2**32), np.full(prime, -1)
    for shingle in range(200):
        start, stride, multiplier, increment = line(shingle, prime, SEED)
        values = ((start + rounds * stride) % prime * multiplier + increment) % 2**32
        lowest, highest = np.minimum(lowest, values), np.maximum(highest, values)
    assert (highest[:-1] < lowest[1:]).all()
    assert highest[-1] < 2**32 - 1


@given(SHINGLES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_neither_the_order_of_shingles_nor_repeating_them_changes_a_sketch(shingles: list[int], random) -> None:
    repeated = shingles + shingles[::2] * 3
    random.shuffle(repeated)
    assert sketch(repeated, 112) == sketch(shingles, 112)


@pytest.mark.parametrize("n_distinct", [1, 20, 5000])
def test_a_page_of_few_shingles_many_times_has_the_sketch_of_those_few(n_distinct: int) -> None:
    random = np.random.default_rng(n_distinct)
    distinct = random.integers(0, 2**32, n_distinct, np.uint32)
    repeated = random.permutation(np.tile(distinct, 100_000 // n_distinct))
    assert sketch(repeated, 9000) == sketch(distinct, 9000)


@given(st.lists(SHINGLES, max_size=5))
@settings(deadline=None)
def test_a_document_has_the_same_sketch_in_any_company(documents: list[list[int]]) -> None:
    offsets = np.cumsum([0, *map(len, documents)])
    together = sketches(np.array(list(chain(*documents)), np.uint32), offsets, 40, SEED)
    assert together.tolist() == [sketch(shingles, 40) for shingles in documents]


def test_only_a_document_without_shingles_has_places_of_all_ones() -> None:
    nothing, one, many = [], [5], list(range(1000))
    assert set(sketch(nothing, 9000)) == {2**32 - 1}
    assert 2**32 - 1 not in {*sketch(one, 9000), *sketch(many, 9000)}


def test_another_seed_gives_another_sketch() -> None:
    shingles = list(range(300))
    same = np.array(sketch(shingles, 9000, 1)) == np.array(sketch(shingles, 9000, 2))
    assert same.mean() < 0.001


# How often two documents collide


class Pairs:
    """Pairs of documents of `n_shingles` each and one Jaccard similarity: equal places and equal bands of each pair."""

    def __init__(self, n_shingles: int, similarity: float, bands: int, rows: int, n_pairs: int) -> None:
        n_shared = round(2 * n_shingles * similarity / (1 + similarity))
        n_union = 2 * n_shingles - n_shared
        self.similarity = n_shared / n_union  # the one that this many shingles can have
        self.bands, self.rows, self.n_places = bands, rows, bands * rows
        random = np.random.default_rng([n_shingles, round(100 * similarity)])
        equal_places, equal_bands = [], []
        for n in [100] * (n_pairs // 100):
            union = random.integers(0, 2**32, (n, n_union), np.uint32)
            offsets = np.arange(n + 1) * n_shingles
            left, right = union[:, :n_shingles], union[:, n_union - n_shingles :]
            same = np.equal(*(sketches(side.ravel(), offsets, self.n_places, SEED) for side in (left, right)))
            equal_places.append(same.sum(axis=1))
            equal_bands.append(same.reshape(n, bands, rows).all(axis=2).sum(axis=1))
        self.equal_places, self.equal_bands = np.concatenate(equal_places), np.concatenate(equal_bands)
        self.n_pairs = len(self.equal_places)

    def deviation_of_places(self) -> float:
        """Observed − expected number of equal places, in standard errors of the mean of a binomial."""
        s, k = self.similarity, self.n_places
        return float((self.equal_places.mean() - k * s) / sqrt(k * s * (1 - s) / self.n_pairs))

    def variance_ratio(self) -> float:
        """Variance of the number of equal places over that of MinHash, which is binomial."""
        return float(self.equal_places.var(ddof=1) / (self.n_places * self.similarity * (1 - self.similarity)))

    def collided(self) -> float:
        return float((self.equal_bands > 0).mean())

    def formula(self) -> float:
        return 1 - (1 - self.similarity**self.rows) ** self.bands

    def error(self, variance: float) -> float:
        """Z standard errors of a mean over the pairs; one pair in all of them is never too many."""
        return Z * sqrt(max(variance, 1 / self.n_pairs) / self.n_pairs)


@cache
def pairs(n_shingles: int, similarity: float, bands: int = 450, rows: int = 20, n_pairs: int = N_PAIRS) -> Pairs:
    return Pairs(n_shingles, similarity, bands, rows, n_pairs)


every_size_and_similarity = pytest.mark.parametrize(
    ("n_shingles", "similarity"), [(size, similarity) for size in SIZES for similarity in SIMILARITIES]
)
small_settings = pytest.mark.parametrize(
    ("n_shingles", "similarity"), [(10, 0.65), (60, 0.5), (60, 0.8), (112, 0.7), (300, 0.8), (2000, 0.7)]
)


@every_size_and_similarity
def test_pairs_collide_at_450_by_20_as_often_as_the_formula_says(n_shingles: int, similarity: float) -> None:
    found = pairs(n_shingles, similarity)
    expected = found.formula()
    assert abs(found.collided() - expected) < found.error(expected * (1 - expected))


@every_size_and_similarity
def test_as_many_bands_are_equal_as_the_formula_says(n_shingles: int, similarity: float) -> None:
    found = pairs(n_shingles, similarity)
    band = found.similarity**found.rows
    assert abs(found.equal_bands.mean() - found.bands * band) < found.error(found.bands * band * (1 - band))


@every_size_and_similarity
def test_the_share_of_equal_places_is_the_jaccard_similarity(n_shingles: int, similarity: float) -> None:
    assert abs(pairs(n_shingles, similarity).deviation_of_places()) < Z


@every_size_and_similarity
def test_the_share_of_equal_places_strays_less_than_minhash(n_shingles: int, similarity: float) -> None:
    error = Z * sqrt(2 / N_PAIRS)  # relative standard error of a variance
    assert 0.5 * (1 - error) < pairs(n_shingles, similarity).variance_ratio() < 1 + error


@pytest.mark.parametrize("n_shingles", SIZES)
@pytest.mark.parametrize("similarity", [s for s in SIMILARITIES if s >= 0.7])  # below, hardly a band is equal
def test_the_number_of_equal_bands_strays_as_minhashs_or_a_little_less(n_shingles: int, similarity: float) -> None:
    found = pairs(n_shingles, similarity)
    band = found.similarity**found.rows
    binomial = found.bands * band * (1 - band)
    error = Z * sqrt((2 + 1 / binomial) / N_PAIRS)  # relative standard error of the variance of a binomial
    # places that stray half as much take a sixth of the bands' variance at s = 0.9, less below
    assert 5 / 6 - error < found.equal_bands.var(ddof=1) / binomial < 1 + error


@small_settings
def test_small_settings_collide_nearly_as_often_as_the_formula_says(n_shingles: int, similarity: float) -> None:
    found = pairs(n_shingles, similarity, 14, 8, N_SMALL_PAIRS)
    error = Z * sqrt(2 / N_SMALL_PAIRS)
    assert abs(found.deviation_of_places()) < Z
    assert 0.5 * (1 - error) < found.variance_ratio() < 1 + error
    expected = found.formula()
    assert abs(found.collided() - expected) < 0.015 + found.error(expected * (1 - expected))


@cache
def collision_given(equal_places: int, bands: int, rows: int) -> float:
    """P(at least one band is all equal) for so many equal places, anywhere alike; by inclusion and exclusion."""
    places = bands * rows
    ways = [
        (-1) ** (n + 1) * comb(bands, n) * comb(places - n * rows, equal_places - n * rows)
        for n in range(1, equal_places // rows + 1)
    ]
    return float(Fraction(sum(ways), comb(places, equal_places)))


@small_settings
def test_equal_places_lie_in_bands_as_if_thrown_at_random(n_shingles: int, similarity: float) -> None:
    found = pairs(n_shingles, similarity, 14, 8, N_SMALL_PAIRS)
    expected = np.mean([collision_given(int(equal), 14, 8) for equal in found.equal_places])
    assert abs(found.collided() - expected) < found.error(expected * (1 - expected))


@pytest.mark.parametrize("n_places", [1, 2, 3])
@pytest.mark.parametrize("n_shingles", [1, 3, 60])
def test_a_single_place_is_equal_with_probability_jaccard(n_places: int, n_shingles: int) -> None:
    found = pairs(n_shingles, 0.5, n_places, 1, N_SMALL_PAIRS)
    assert np.equal(found.equal_places, found.equal_bands).all()
    if found.similarity in (0, 1):
        assert set(found.equal_places) == {found.similarity * n_places}
    else:
        assert abs(found.deviation_of_places()) < Z
