"""A MinHash signature of k places at cost O(shingles + k log k): MinHash's affine functions, their roles exchanged.

    MinHash    signature[place] = min over shingles of  multiplier[place] · shingle + increment[place]   (mod 2^32)
    here       signature[place] = min over shingles of  multiplier[shingle] · bin + increment[shingle]   (mod 2^32)

The bins, as many as the first prime ≥ k, are the places in a random order. A shingle draws a start and a stride, and its
multiplier is 2^32 / prime · (stride⁻¹ mod prime), rounded up: its values then grow along the bins start, start + stride,
start + 2 · stride … (mod prime), one bin a *round*, and all of a round are below all of the next, for every shingle. So
shingles visit bins in that order, and once no bin is empty no later visit can matter. When few are empty, it is cheaper to
compute them outright than to wait for a visit.

After Dahlgaard, Knudsen and Thorup, *Fast Similarity Sketching* (FOCS 2017), where the bin of each round is a hash of its
own: about 4 times the time of this. Proven here as there: in one bin the values of shingles are independent and alike, so
each shingle of two documents is as likely to have the smallest, and a place is equal with probability Jaccard (+ 10^-5:
two shingles may have equal values). Since places are shuffled bins, which bands are equal depends on nothing but how
*many* places are, as in MinHash. What their proof covers and this does not is how far that number strays from its mean, so
tests measure it: its variance is 0.5 to 1 times MinHash's, as theirs is, because a shingle's bins are all different.

So the collision curve is a little steeper than 1 − (1 − s^rows)^bands: not seen at 450 × 20, at most 0.015 at 14 × 8.
450 × 20 with words, shingles and keys: 5,000 to 7,500 English documents of 9.3 kB a second and core, where MinHash signs 600
to 900 on the same machine, more or less busy.
"""

from functools import cache

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.hashing import GOLDEN, mix
from corpus.kernels import OFFSETS, helper, kernel

MAX_PLACES = 32_749
"""The largest prime below 2^15: up to it, the rounds' ranges of values stay apart in 32 bits, with room for a tie-break."""

_EMPTY = np.uint32(0xFFFFFFFF)  # larger than any value
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_VISIT_COST = 8  # of a visit, in evaluations of a multiplier and an increment that are next to each other
_SEEN = 4096  # shingles that are remembered, to leave repeated ones out

_UINT32S = types.Array(types.uint32, 1, "C", readonly=True)


def _prime_from(n: int) -> int:
    while n < 2 or any(n % divisor == 0 for divisor in range(2, int(n**0.5) + 1)):
        n += 1
    return n


@cache
def _multipliers(prime: int) -> NDArray[np.uint32]:
    """uint32[prime]: of each stride; no stride is 0."""
    return np.array([0] + [-(-(pow(stride, -1, prime) << 32) // prime) for stride in range(1, prime)], np.uint32)


@cache
def _shuffled_bins(prime: int, n_places: int, seed: int) -> NDArray[np.uint32]:
    """uint32[n_places]: the bin of each place; the few that are too many are in none."""
    shuffled = np.random.RandomState(seed).permutation(prime)  # NumPy keeps this generator's numbers for good
    return shuffled[:n_places].astype(np.uint32)


@helper
def _lines(shingles, start, end, seed, multiplier_of, seen, bins, strides, multipliers, increments):
    """Fill in the first bin, stride, multiplier and increment of each of shingles[start:end]; returns how many there are.

    A shingle seen lately is left out: a page of one sentence a thousand times must not visit with each of them.
    """
    prime = np.uint64(len(multiplier_of))
    width = (np.uint64(1) << _HALF) // prime  # of a round's range of values
    room = width - np.uint64(2) * prime  # for the tie-break: a rounded multiplier moves a value by less than prime
    seen[:] = 0
    seen[0] = 1  # shingle 0 has this slot and was not seen either
    n = 0
    for i in range(start, end):
        shingle = shingles[i]
        slot = shingle % np.uint32(_SEEN)
        if seen[slot] == shingle:
            continue
        seen[slot] = shingle
        bits = mix(seed << _HALF | np.uint64(shingle))
        first = np.uint32((bits & _LOW_HALF) * prime >> _HALF)
        stride = np.uint32((bits >> _HALF) * (prime - np.uint64(1)) >> _HALF) + np.uint32(1)
        tie_break = (bits * GOLDEN >> _HALF) * room >> _HALF
        bins[n] = first
        strides[n] = stride
        multipliers[n] = multiplier_of[stride]
        increments[n] = np.uint32(tie_break + prime - np.uint64(first) * np.uint64(multipliers[n]))
        n += 1
    return n


@helper
def _visit(n, n_rounds, prime, bins, strides, multipliers, increments, values):
    """The next `n_rounds` rounds of all shingles; `bins` is then where each goes on."""
    for i in range(n):
        at, ahead, multiplier, increment = bins[i], strides[i], multipliers[i], increments[i]
        back = np.uint32(prime - ahead)
        for _ in range(n_rounds):
            values[at] = min(values[at], np.uint32(at * multiplier + increment))
            at = min(np.uint32(at + ahead), np.uint32(at - back))  # modulo prime: the wrong one is larger
        bins[i] = at


@helper
def _fill(n, multipliers, increments, values):
    """Give each empty bin its value by looking at all shingles."""
    for at in range(len(values)):
        if values[at] == _EMPTY:
            lowest = _EMPTY
            for i in range(n):
                lowest = min(lowest, np.uint32(np.uint32(at) * multipliers[i] + increments[i]))
            values[at] = lowest


@kernel(types.void(_UINT32S, OFFSETS, types.int64, types.uint64, _UINT32S, _UINT32S, types.uint32[:, ::1]))
def _sketches(shingles, offsets, longest, seed, multiplier_of, shuffled_bins, signatures):
    bins = np.empty(longest, np.uint32)
    strides = np.empty(longest, np.uint32)
    multipliers = np.empty(longest, np.uint32)
    increments = np.empty(longest, np.uint32)
    seen = np.empty(_SEEN, np.uint32)
    prime = len(multiplier_of)
    values = np.empty(prime, np.uint32)
    for document in range(len(offsets) - 1):
        values[:] = _EMPTY
        n = _lines(
            shingles, offsets[document], offsets[document + 1], seed, multiplier_of,
            seen, bins, strides, multipliers, increments,
        )  # fmt: skip
        n_empty = prime
        while n_empty * n > _VISIT_COST * prime:
            # a round leaves exp(-n / prime) of the empty bins empty
            n_rounds = np.int64(np.log(n_empty * n / (_VISIT_COST * prime)) * prime / n) + 1
            _visit(n, n_rounds, np.uint32(prime), bins, strides, multipliers, increments, values)
            n_empty = 0
            for at in range(prime):
                n_empty += values[at] == _EMPTY
        _fill(n, multipliers, increments, values)
        for place in range(len(shuffled_bins)):
            signatures[document, place] = values[shuffled_bins[place]]


def sketches(shingles: NDArray[np.uint32], offsets: NDArray[np.int64], n_places: int, seed: int) -> NDArray[np.uint32]:
    """uint32[n, n_places]: the signature of each document, whose shingles are shingles[offsets[i]:offsets[i + 1]].

    All ones for a document without shingles, and for no other. At most MAX_PLACES places.
    """
    prime = _prime_from(n_places)
    result = np.empty((len(offsets) - 1, n_places), np.uint32)
    longest = int(np.diff(offsets).max(initial=0))
    bins = _shuffled_bins(prime, n_places, seed)
    _sketches(shingles, offsets, longest, np.uint64(seed), _multipliers(prime), bins, result)
    return result
