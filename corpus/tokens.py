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
from corpus.sentences import SENTENCE_ENDS, ends_sentence
from corpus.simd import BLOCK, CONTINUATION, LETTERS, WHITE_SPACE, count_bits, first_bit, first_bits, masks
from corpus.text import Texts
from corpus.token_boundaries import closing, is_address, opening, separator
from corpus.token_characters import (
    ALONE,
    ASCII,
    DIGIT,
    FOLLOWS,
    IN_ADDRESS,
    LETTER,
    PUNCTUATION,
    SEPARATES,
    SPACE,
    class_of,
)
from corpus.token_windows import find_tokens
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
def _emit(start, end, characters, flags, columns, n):
    """Token `n` is the bytes start … end - 1 of its text; returns n + 1. `columns`: those of `Tokens`, without `first`."""
    _, starts, ends, lengths, all_flags = columns
    place = np.uint64(n)  # unsigned: Numba need not look for negative indices
    starts[place] = start
    ends[place] = end
    lengths[place] = characters
    all_flags[place] = flags
    return n + 1


@helper
def _hash_tokens(data, base, first, last, columns):
    """The hashes of tokens first … last - 1, which are of the text at `base`."""
    hashes, starts, ends, _, _ = columns
    for token in range(np.uint64(first), np.uint64(last)):
        start = starts[token]
        hashes[token] = hash_bytes(data, base + start, ends[token] - start, NO_CHANGE, np.uint64(0))


@helper
def _flags(data, at, classes, left, right):
    """Flags of the token that is characters left … right - 1 of its field."""
    seen = 0
    punctuation = PUNCTUATION
    for i in range(left, right):
        seen |= classes[i]
        punctuation &= classes[i]
    flags = OPENS_FIELD if left == 0 else np.uint8(0)
    if seen & LETTER:
        flags |= HAS_LETTER
    if seen & DIGIT:
        flags |= HAS_DIGIT
    if punctuation:
        flags |= ONLY_PUNCTUATION
        if right - left == 1 and ends_sentence(decode(data, at[left], at[right] - at[left])):
            flags |= ENDS_SENTENCE
    return flags


@helper
def _classify(data, start, end, at, classes):
    """Where each character of the field that begins at `start` lies, and its class; returns (how many, bits that occur)."""
    n = 0
    seen = 0
    while start < end:
        length = sequence_length(data[start])
        bits = ASCII[data[start]] if length == 1 else np.int32(class_of(decode(data, start, length)))
        if bits & SPACE:
            break
        at[n] = start
        classes[n] = bits
        seen |= bits
        start += length
        n += 1
    at[n] = start
    return n, seen


@helper
def _cut_inside(classes, left, right, cuts, n_cuts):
    """Cut characters left … right - 1, whose ends are peeled; returns how many cuts there are then."""
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
            cuts[n_cuts] = i
            n_cuts += 1
        i += width
        cuts[n_cuts] = i
        n_cuts += 1
        token = i
    if token < right:
        cuts[n_cuts] = right
        n_cuts += 1
    return n_cuts


@helper
def _cut(data, at, classes, right, seen, cuts, peeled):
    """Fill `cuts` with the end of each token of a field of `right` characters; returns how many. `peeled` is scratch.

    `seen`: bits of all of them, which say of most fields that there is no address and nothing to cut inside.
    """
    n_cuts = 0
    left = 0
    while left < right:
        width = opening(classes, left, right)
        if width == 0:
            break
        left += width
        cuts[n_cuts] = left
        n_cuts += 1
    n_peeled = 0
    while left < right:
        width = closing(data, at, classes, left, right)
        if width == 0:
            break
        peeled[n_peeled] = right
        n_peeled += 1
        right -= width
    if left < right:
        if seen & SEPARATES == 0 or (seen & IN_ADDRESS and is_address(data, at, classes, left, right)):
            cuts[n_cuts] = right
            n_cuts += 1
        else:
            n_cuts = _cut_inside(classes, left, right, cuts, n_cuts)
    for i in range(n_peeled - 1, -1, -1):
        cuts[n_cuts] = peeled[i]
        n_cuts += 1
    return n_cuts


@helper
def _split(data, start, end, base, scratch, columns, n):
    """Tokens of data[start:end], which has no ASCII white space; returns how many tokens there are then."""
    at, classes, cuts, peeled = scratch
    while start < end:
        n_characters, seen = _classify(data, start, end, at, classes)
        if n_characters == 0:  # white space beyond ASCII
            start += sequence_length(data[start])
            continue
        left = 0
        for cut in range(_cut(data, at, classes, n_characters, seen, cuts, peeled)):
            right = cuts[cut]
            flags = _flags(data, at, classes, left, right)
            n = _emit(at[left] - base, at[right] - base, right - left, flags, columns, n)
            left = right
        start = at[n_characters]
    return n


def _flags_of_byte(byte: int) -> int:
    """Flags of a token of a plain field that begins with this byte and is no contraction."""
    bits = ASCII[byte]
    flags = int(HAS_LETTER) if bits & LETTER else 0
    flags |= int(HAS_DIGIT) if bits & DIGIT else 0
    flags |= int(ONLY_PUNCTUATION) if bits & PUNCTUATION or byte >= 128 else 0
    return flags | (int(ENDS_SENTENCE) if chr(byte) in SENTENCE_ENDS else 0)


_FLAGS = np.array([_flags_of_byte(byte) for byte in range(256)], np.uint8)


@helper
def _emit_plain(data, at, base, tokens, stops, opens, columns, n):
    """The tokens that begin at the bits `tokens` of the window at `at`, as if they were ASCII and no contractions.

    Their ends are the lowest bits of `stops`. Returns (how many tokens there are then, the bits of `stops` that are left).
    """
    one = np.uint64(1)
    while tokens:
        place, stop = first_bit(tokens), first_bit(stops)
        flags = _FLAGS[data[np.uint64(at + place)]] | (opens >> np.uint64(place) & one) * OPENS_FIELD
        n = _emit(at - base + place, at - base + stop, stop - place, flags, columns, n)
        tokens &= tokens - one
        stops &= stops - one
    return n, stops


@helper
def _correct(first, tokens, contractions, within, columns):
    """What is else of the plain tokens at the bits `tokens` of a window, of which the lowest is token `first`."""
    _, _, _, lengths, all_flags = columns
    one = np.uint64(1)
    while contractions:
        bit = contractions & (~contractions + one)
        contractions ^= bit
        all_flags[first + count_bits(tokens & (bit - one))] = HAS_LETTER
    while within:
        bit = within & (~within + one)
        within ^= bit
        lengths[first - 1 + count_bits(tokens & (bit - one))] -= 1


_bounds = masks(WHITE_SPACE, LETTERS, CONTINUATION)


@kernel(types.int64(BYTES, OFFSETS))
def _capacity(data, offsets):
    """At least as many as there are tokens: one a field, and two more for each character that is no letter."""
    n = len(offsets) - 1  # a text begins a field even where the one before it ends without white space
    inside = np.uint64(0)
    for block in range(offsets[0], offsets[-1], BLOCK):
        space, letters, continuation = _bounds(data, block)
        solid = ~space & first_bits(offsets[-1] - block)
        n += count_bits(solid & ~(solid << np.uint64(1) | inside)) + 2 * count_bits(solid & ~letters & ~continuation)
        inside = solid >> np.uint64(BLOCK - 1)
    return n


@kernel(types.void(BYTES, OFFSETS, types.int64, types.int64[::1], types.Tuple(_COLUMNS)))
def _tokenize(data, offsets, longest, first, columns):
    positions = np.empty(longest + 1, np.int64)
    classes = np.empty(longest + 1, np.int32)
    scratch = positions, classes, np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    one = np.uint64(1)
    n = 0
    for document in range(len(offsets) - 1):
        base, end = offsets[document], offsets[document + 1]
        first[document] = n
        at = base
        while at < end:
            width, starts, stops, opens, contractions, others, within = find_tokens(data, at, end)
            while starts:
                before_other = (others & (~others + one)) - one  # all bits if there is no other
                plain = starts & before_other
                first_plain = n
                n, stops = _emit_plain(data, at, base, plain, stops, opens, columns, n)
                from_plain = ~((plain & (~plain + one)) - one)
                _correct(first_plain, plain, contractions & plain, within & before_other & from_plain, columns)
                starts &= ~before_other
                if starts:
                    stop = first_bit(stops) if stops else width
                    n = _split(data, at + first_bit(starts), at + stop, base, scratch, columns, n)
                    starts &= starts - one
                    stops &= stops - one
                    others &= others - one
            at += width
        _hash_tokens(data, base, first[document], n, columns)
    first[len(offsets) - 1] = n


def _scan(texts: Texts) -> Tokens:
    capacity = _capacity(texts.data, texts.offsets)
    dtypes = (np.uint64, np.int32, np.int32, np.int32, np.uint8)
    columns = tuple(texts.arena.empty(capacity, dtype) for dtype in dtypes)
    first = np.empty(len(texts) + 1, np.int64)
    _tokenize(texts.data, texts.offsets, texts.longest, first, columns)
    return Tokens(first, *(column[: first[-1]] for column in columns))


def tokens_of(texts: Texts) -> Tokens:
    """The tokens of `texts`, scanned at the first call and kept with them."""
    return texts.once(_scan)
