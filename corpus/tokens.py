"""One boundary scan of text with three views: tokens, words, fields.

- A *field* is a run of characters between white space (all of Unicode's).
- A *token* is a part of a field: words and punctuation marks apart, as spaCy's blank English pipeline and NLTK do.
  Opening and closing marks are peeled off the ends of a field, one token each; a run of dots is one token. The full stop
  stays with a single letter ("J."), with letters and dots ("e.g.", "U.S.") and with the abbreviations. The contractions n't
  's 'm 'd 'll 've 're are tokens, and so is a unit after its number ("10km", "50%", "3am"). Inside a field, dashes, commas
  and : / < > = between letters separate and are tokens; numbers (3.5, 10,000) stay whole, and so do web and e-mail
  addresses. A symbol (©, €, an emoji) and a CJK mark is always a token.
- A character of a script without spaces (`corpus.unicode.ALONE`), with the combining marks that follow it, is one token.
- A *word* is a token with a letter or a digit.

Every byte that is not white space lies in one token. On 1,824 English texts (17 MB, 3.2 million tokens) 99.8% of the tokens
are spaCy 3.8's and 99.9% of spaCy's are ours. What differs is what spaCy lists one by one: contractions without an
apostrophe ("dont" → do nt, "cannot" → can not, even "id" → i d), emoticons, "and/or"; and kana, of which it makes runs.

The scan is done once per batch (`tokens_of`) and shared; it holds 21 bytes a token, about four times the text.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.hashing import NO_CHANGE, hash_bytes
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.sentences import ends_sentence
from corpus.text import Texts
from corpus.token_boundaries import closing, is_address, opening, separator
from corpus.token_characters import ALONE, ASCII, DIGIT, FOLLOWS, LETTER, PUNCTUATION, SPACE, class_of
from corpus.unicode import decode, sequence_length

# Bits of `Tokens.flags`.
HAS_LETTER, HAS_DIGIT, OPENS_FIELD, ENDS_SENTENCE, ONLY_PUNCTUATION = (np.uint8(1 << bit) for bit in range(5))
IS_WORD = np.uint8(HAS_LETTER | HAS_DIGIT)


class Tokens(NamedTuple):
    """The tokens of all texts, end to end; those of text i are first[i]:first[i + 1].

    `starts`, `ends`: int32, bytes from the text's first; `characters`: int32, code points; `hashes`: uint64 of the token's
    bytes as they are; `flags`: uint8 of HAS_LETTER, HAS_DIGIT, OPENS_FIELD (first token of a field), ENDS_SENTENCE (one
    mark that can end a sentence), ONLY_PUNCTUATION. Kernels take it whole, as TOKENS.
    """

    first: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    characters: NDArray[np.int32]
    flags: NDArray[np.uint8]


_COLUMNS = (types.uint64[::1], types.int32[::1], types.int32[::1], types.int32[::1], types.uint8[::1])
TOKENS = types.NamedTuple((types.int64[::1], *_COLUMNS), Tokens)


@helper
def _emit(data, start, n_bytes, characters, flags, base, columns, n):
    """Token `n` is the `n_bytes` bytes at `start`; returns n + 1. `columns`: those of `Tokens`, without `first`."""
    hashes, starts, ends, lengths, all_flags = columns
    hashes[n] = hash_bytes(data, start, n_bytes, NO_CHANGE, np.uint64(0))
    starts[n] = start - base
    ends[n] = start - base + n_bytes
    lengths[n] = characters
    all_flags[n] = flags
    return n + 1


@helper
def _emit_characters(data, at, classes, left, right, base, columns, n):
    """Token `n` is characters left … right - 1 of the field; returns n + 1."""
    seen = 0
    punctuation = PUNCTUATION
    for i in range(left, right):
        seen |= classes[i]
        punctuation &= classes[i]
    flags = np.uint8(0)
    if seen & LETTER:
        flags |= HAS_LETTER
    if seen & DIGIT:
        flags |= HAS_DIGIT
    if punctuation:
        flags |= ONLY_PUNCTUATION
        if right - left == 1 and ends_sentence(decode(data, at[left], at[right] - at[left])):
            flags |= ENDS_SENTENCE
    if left == 0:
        flags |= OPENS_FIELD
    return _emit(data, at[left], at[right] - at[left], right - left, flags, base, columns, n)


@helper
def _split_inside(data, at, classes, left, right, base, columns, n):
    """Tokens of characters left … right - 1, whose ends are peeled; returns how many tokens there are then."""
    token = left
    i = left
    while i < right:
        width = separator(classes, i, left, right)
        if width == 0 and classes[i] & ALONE:
            width = 1
            while i + width < right and classes[i + width] & FOLLOWS:
                width += 1
        if width == 0:
            i += 1
            continue
        if token < i:
            n = _emit_characters(data, at, classes, token, i, base, columns, n)
        n = _emit_characters(data, at, classes, i, i + width, base, columns, n)
        i += width
        token = i
    if token < right:
        n = _emit_characters(data, at, classes, token, right, base, columns, n)
    return n


@helper
def _split(data, start, end, base, at, classes, cuts, columns, n):
    """Tokens of the field that begins at `start`; returns (where it ends, how many tokens there are then)."""
    right = 0
    while start < end:
        length = sequence_length(data[start])
        bits = ASCII[data[start]] if length == 1 else np.int32(class_of(decode(data, start, length)))
        if bits & SPACE:
            break
        at[right] = start
        classes[right] = bits
        start += length
        right += 1
    at[right] = start
    left = 0
    while left < right:
        width = opening(classes, left, right)
        if width == 0:
            break
        n = _emit_characters(data, at, classes, left, left + width, base, columns, n)
        left += width
    n_cuts = 0
    while left < right:
        width = closing(data, at, classes, left, right)
        if width == 0:
            break
        cuts[n_cuts] = right
        n_cuts += 1
        right -= width
    if left < right:
        if is_address(data, at, classes, left, right):
            n = _emit_characters(data, at, classes, left, right, base, columns, n)
        else:
            n = _split_inside(data, at, classes, left, right, base, columns, n)
    for cut in range(n_cuts - 1, -1, -1):
        n = _emit_characters(data, at, classes, right, cuts[cut], base, columns, n)
        right = cuts[cut]
    return start, n


@kernel(types.int64(BYTES, OFFSETS))
def _capacity(data, offsets):
    """At least as many as there are tokens: a token begins after another kind of byte than a letter, or is a unit."""
    n = len(offsets) - 1
    for i in range(offsets[0], offsets[-1]):
        n += 2 - (ASCII[data[i]] & LETTER) * 2
    return n


@kernel(types.void(BYTES, OFFSETS, types.int64, types.int64[::1], types.Tuple(_COLUMNS)))
def _tokenize(data, offsets, longest, first, columns):
    positions = np.empty(longest + 1, np.int64)
    classes = np.empty(longest + 1, np.int32)
    cuts = np.empty(longest + 1, np.int64)
    n = 0
    for document in range(len(offsets) - 1):
        base, end = offsets[document], offsets[document + 1]
        first[document] = n
        at = base
        while at < end:
            if ASCII[data[at]] & SPACE:
                at += 1
                continue
            word_end = at
            while word_end < end and ASCII[data[word_end]] & LETTER:
                word_end += 1
            n_bytes = word_end - at
            if n_bytes and (word_end == end or ASCII[data[word_end]] & SPACE):
                n = _emit(data, at, n_bytes, n_bytes, HAS_LETTER | OPENS_FIELD, base, columns, n)
                at = word_end
                continue
            length = sequence_length(data[at])
            if length > 1 and class_of(decode(data, at, length)) & SPACE:
                at += length
            else:
                at, n = _split(data, at, end, base, positions, classes, cuts, columns, n)
    first[len(offsets) - 1] = n


def _scan(texts: Texts) -> Tokens:
    capacity = _capacity(texts.data, texts.offsets)
    starts, ends, characters = (np.empty(capacity, np.int32) for _ in range(3))
    columns = (np.empty(capacity, np.uint64), starts, ends, characters, np.empty(capacity, np.uint8))
    first = np.empty(len(texts) + 1, np.int64)
    _tokenize(texts.data, texts.offsets, texts.longest, first, columns)
    return Tokens(first, *(column[: first[-1]] for column in columns))


def tokens_of(texts: Texts) -> Tokens:
    """The tokens of `texts`, scanned at the first call and kept with them."""
    return texts.once(_scan)
