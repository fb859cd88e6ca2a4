"""Runs of words that a text shares with an item: the one around a seed, those beyond it, those of the item's other parts.

After a difference the two are alike again where the next two words are equal, at most MAX_SKIP words further in either: a
word replaced, put in or left out ends nothing. (OLMo 3's decon ends after 11 misses in a row.) Where half of a part is found,
the item's other short parts, which may have no seed, are searched for near it.

Helpers of the kernel in `dedup.evaluation_hits`. A run and all that hangs on it takes about a microsecond.
"""

import numpy as np

from corpus.kernels import helper
from dedup.evaluation_index import PART_STRIDE

MAX_SKIP = 4
SHORT_PART_WORDS = 24  # parts that are searched for near another part of their item: they may have no seed
SEARCHED_WORDS = 120  # how near

_DIAGONALS = 1024  # at - word, modulo this, is where the last run is remembered
# its diagonal, its first word in the document and the one after its last; all zeros when a document begins
KNOWN_SHAPE = (3, _DIAGONALS)


@helper
def equal_words(words, word, text, at, step, most):
    """How many words in a row are equal, in the direction of `step`."""
    n = 0
    while n < most and words[np.uint64(word + step * n)] == np.uint32(text[np.uint64(at + step * n)]):
        n += 1
    return n


@helper
def _alike(words, word, item_left, text, at, document_left, step, i, j):
    """Whether the two are equal i and j words further, for two words (one, where the part ends)."""
    if i >= item_left or j >= document_left:
        return False
    if words[np.uint64(word + step * i)] != np.uint32(text[np.uint64(at + step * j)]):
        return False
    if i + 1 == item_left:
        return True
    return j + 1 < document_left and (
        words[np.uint64(word + step * (i + 1))] == np.uint32(text[np.uint64(at + step * (j + 1))])
    )


@helper
def _skip(words, word, item_left, text, at, document_left, step):
    """(words of the item, of the document) to skip until they are alike again; (0, 0) if they are not soon."""
    for most in range(1, MAX_SKIP + 1):
        if _alike(words, word, item_left, text, at, document_left, step, most, most):
            return most, most
        for fewer in range(most):
            if _alike(words, word, item_left, text, at, document_left, step, fewer, most):
                return fewer, most
            if _alike(words, word, item_left, text, at, document_left, step, most, fewer):
                return most, fewer
    return 0, 0


@helper
def _add(found, n_found, document, part, word, n_words, at, starts, ends):
    """Write a run as far as there is room; returns n_found + 1."""
    if n_found < found.shape[1]:
        found[0, n_found] = document
        found[1, n_found] = part
        found[2, n_found] = word
        found[3, n_found] = n_words
        found[4, n_found] = at
        found[5, n_found] = starts[at]
        found[6, n_found] = ends[at + n_words - 1]
    return n_found + 1


@helper
def is_known(known, word, at):
    """Whether the last run on that diagonal has the two."""
    slot = np.uint64(at - word) & np.uint64(_DIAGONALS - 1)
    return known[1, slot] <= at < known[2, slot] and known[0, slot] == at - word


@helper
def _remember(known, word, at, n_words):
    slot = np.uint64(at - word) & np.uint64(_DIAGONALS - 1)
    known[0, slot], known[1, slot], known[2, slot] = at - word, at, at + n_words


@helper
def _grow(
    words, word, item_left, text, at, document_left, step,
    found, n_found, document, part, starts, ends, known,
):  # fmt: skip
    """Add the runs beyond a run, in the direction of `step`; `word` and `at` are the first that differ.

    Returns (n_found, how many words of the part are left beyond).
    """
    while item_left > 0 and document_left > 0:
        i, j = _skip(words, word, item_left, text, at, document_left, step)
        if i + j == 0:
            break
        if i == j:  # single words that are equal between those that are not
            for k in range(1, i):
                if words[word + step * k] == np.uint32(text[at + step * k]):
                    n_found = _add(found, n_found, document, part, word + step * k, 1, at + step * k, starts, ends)
        word, at, item_left, document_left = word + step * i, at + step * j, item_left - i, document_left - j
        n = equal_words(words, word, text, at, step, min(item_left, document_left))
        back = n - 1 if step < 0 else 0
        n_found = _add(found, n_found, document, part, word - back, n, at - back, starts, ends)
        if step > 0:
            _remember(known, word, at, n)
        word, at, item_left, document_left = word + step * n, at + step * n, item_left - n, document_left - n
    return n_found, item_left


@helper
def _membership(bits, word):
    """1 if the word can be one of those that are marked in `bits`, else 0."""
    return bits >> (np.uint64(word) & np.uint64(63)) & np.uint64(1)


@helper
def _most_alike(words, begin, n, text, low, high):
    """Where in [low, high) most of the part's `n` words, and more than half, are equal to the text's; -1 if nowhere.

    Words are compared one by one only where enough of the text's are marked as words of the part.
    """
    n = np.uint64(n)
    most, best = n // np.uint64(2), -1
    bits = possible = np.uint64(0)
    for k in range(n):
        bits |= np.uint64(1) << (np.uint64(words[begin + k]) & np.uint64(63))
    for at in range(np.uint64(low), np.uint64(low) + n - np.uint64(1)):
        possible += _membership(bits, text[at])
    for at in range(np.uint64(low), np.uint64(high)):
        possible += _membership(bits, text[at + n - np.uint64(1)])
        if possible > most:
            equal = np.uint64(0)
            for k in range(n):
                equal += np.uint64(words[begin + k] == np.uint32(text[at + k]))
            if equal > most:
                most, best = equal, np.int64(at)
        possible -= _membership(bits, text[at])
    return best


@helper
def _search_beside(
    words, part_words, part, first_part, end_part, text, n_words, low, high,
    found, n_found, document, starts, ends,
):  # fmt: skip
    """Add, of the other short parts of the item, the place near text[low:high] that most of its words are equal to."""
    for other in range(first_part, end_part):
        begin, n = part_words[other], part_words[other + 1] - part_words[other]
        first, end = max(0, low - SEARCHED_WORDS), min(n_words - n, high + SEARCHED_WORDS) + 1
        if other == part or n == 0 or n > SHORT_PART_WORDS or first >= end:
            continue
        best = _most_alike(words, np.uint64(begin), n, text, first, end)
        done = 0 if best >= 0 else n
        while done < n:
            run = equal_words(words, begin + done, text, best + done, 1, n - done)
            if run > 0:
                n_found = _add(found, n_found, document, other, begin + done, run, best + done, starts, ends)
            done += run + 1
    return n_found


@helper
def _owner(first, inner):
    """The i with first[i] <= inner < first[i + 1]."""
    low, high = 0, len(first) - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if first[middle] <= inner:
            low = middle
        else:
            high = middle
    return low


@helper
def add_around(
    words, part_words, part_near, item_parts, word, text, n_words, at,
    found, n_found, document, starts, ends, known,
):  # fmt: skip
    """Add the run around a seed, those beyond it, those of the item's other parts near it; returns how many there are then."""
    part = np.int64(part_near[np.uint64(word) // np.uint64(PART_STRIDE)])
    while part_words[np.uint64(part + 1)] <= word:
        part += 1
    begin, end = part_words[np.uint64(part)], part_words[np.uint64(part + 1)]
    before = equal_words(words, word - 1, text, at - 1, -1, min(word - begin, at))
    first, first_at = word - before, at - before
    n = before + equal_words(words, word, text, at, 1, min(end - word, n_words - at))
    n_found = _add(found, n_found, document, part, first, n, first_at, starts, ends)
    _remember(known, first, first_at, n)
    left = 0
    for step in (-1, 1):
        n_found, beyond = _grow(
            words, first - 1 if step < 0 else first + n, first - begin if step < 0 else end - first - n,
            text, first_at - 1 if step < 0 else first_at + n,
            first_at if step < 0 else n_words - first_at - n, step,
            found, n_found, document, part, starts, ends, known,
        )  # fmt: skip
        left += beyond
    if 2 * left <= end - begin:
        item = _owner(item_parts, part)
        n_found = _search_beside(
            words, part_words, part, item_parts[item], item_parts[item + 1], text, n_words,
            first_at - (first - begin), first_at + end - first, found, n_found, document, starts, ends,
        )  # fmt: skip
    return n_found
