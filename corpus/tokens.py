"""One boundary scan of text with three views: tokens, words, fields.

- A *field* is a run of characters between white space (all of Unicode's).
- A *token* is a part of a field: words and punctuation marks apart, as spaCy's blank English pipeline and NLTK do.
  Opening and closing marks are peeled off the ends of a field, one token each; a run of dots is one token. The full stop
  stays with a single letter ("J."), with letters and dots ("e.g.", "U.S.") and with the ABBREVIATIONS. The contractions n't
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

from dataclasses import dataclass

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.hashing import NO_CHANGE, hash_bytes, load_bytes
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.sentences import ends_sentence
from corpus.text import Texts
from corpus.unicode import ALONE, DIGIT, LETTER, MARK, PUNCTUATION, SPACE, SYMBOL, UPPER, decode, kind, sequence_length

# Bits of `Tokens.flags`.
HAS_LETTER, HAS_DIGIT, OPENS_FIELD, ENDS_SENTENCE, ONLY_PUNCTUATION = (np.uint8(1 << bit) for bit in range(5))
IS_WORD = np.uint8(HAS_LETTER | HAS_DIGIT)

_ABBREVIATIONS = """
    Adm. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. Capt. Co. Col. Colo. Conn. Corp. Dec. Del. Dr. Feb. Fla. Ga. Gen. Gov. Inc.
    Ind. Jan. Jr. Jul. Jun. Kan. Kans. Ky. La. Lt. Ltd. Mar. Mass. Md. Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. Mt.
    Neb. Nev. Nov. Oct. Okla. Ore. Pa. Prof. Rep. Rev. Sen. Sep. Sept. Sgt. Sr. St. Tenn. Va. Wash. Wis. co. vs."""
_UNITS = "am pm km m cm mm ha nm yd in ft kg g mg t lb oz kmh mph hPa Pa mb MB kb KB gb GB tb TB T G M K"
ABBREVIATIONS, UNITS = _ABBREVIATIONS.split(), _UNITS.split()  # each of at most eight bytes

# What a character is to the scan.
_LETTER, _UPPER, _DIGIT, _SPACE, _ALONE = 1, 2, 4, 8, 16
_OPENS, _CLOSES = 32, 64  # a token apart at the start (at the end) of a field
_BREAKS = 128  # a token apart anywhere
_DASH, _JOINER, _COMMA, _DOT, _APOSTROPHE = 256, 512, 1024, 2048, 4096
_OPERATOR = 8192  # a token apart between digits
_PUNCTUATION = 16384
_AFTER_DIGIT = 32768  # a token apart at the end of a field after a digit
_FOLLOWS = 65536  # a mark or an invisible joiner: goes with what stands before


def _ascii_classes() -> NDArray[np.int32]:
    classes = np.zeros(256, np.int32)
    for byte in range(128):
        character = chr(byte)
        bits = 0
        if character.isalpha():
            bits |= _LETTER | (_UPPER if character.isupper() else 0)
        elif character.isdigit():
            bits |= _DIGIT
        elif character.isspace():
            bits |= _SPACE
        for characters, bit in (
            ("%=,:;!?()[]{}<>_#*&'\"`$+", _OPENS),
            (",:;!?()[]{}<>_#*&'\"`", _CLOSES),
            ("-~", _DASH),
            (":<>=/", _JOINER),
            (",", _COMMA),
            (".", _DOT),
            ("'", _APOSTROPHE),
            ("+-*^", _OPERATOR),
            ("!\"#%&'()*,-./:;?@[\\]_{}", _PUNCTUATION),
            ("+%$", _AFTER_DIGIT),
        ):
            if character in characters:
                bits |= bit
        classes[byte] = bits
    return classes


_ASCII = _ascii_classes()
_ABBREVIATION_SLOTS = 1024
_KEY_MIX = np.uint64(0x9E3779B97F4A7C15)


def _key_table(strings: list[str]) -> NDArray[np.uint64]:
    """Open-addressing table of strings of up to eight ASCII bytes, as little-endian words; 0 = free."""
    table = np.zeros(_ABBREVIATION_SLOTS, np.uint64)
    for string in strings:
        key = int.from_bytes(string.encode(), "little")
        slot = (key * int(_KEY_MIX) & (1 << 64) - 1) >> 54
        while table[slot]:
            slot = (slot + 1) % _ABBREVIATION_SLOTS
        table[slot] = key
    return table


_ABBREVIATION_KEYS = _key_table(ABBREVIATIONS)
_UNIT_KEYS = _key_table(UNITS)


@helper
def _is_listed(table, data, start, end):
    if end - start > 8 or end <= start:
        return False
    key = load_bytes(data, start, end - start)
    slot = np.int64((key * _KEY_MIX) >> np.uint64(54))
    while table[slot] != 0:
        if table[slot] == key:
            return True
        slot = (slot + 1) % _ABBREVIATION_SLOTS
    return False


@helper
def _class_of(code_point):
    """The scan's bits of a character beyond ASCII."""
    bits = kind(code_point)
    if bits & LETTER:
        return _LETTER | (_UPPER if bits & UPPER else 0) | (_ALONE if bits & ALONE else 0)
    if bits & DIGIT:
        return _DIGIT
    if bits & SPACE:
        return _SPACE
    if (
        bits & MARK
        or code_point == 0xAD
        or 0x200B <= code_point <= 0x200F
        or code_point == 0x2060
        or code_point == 0xFEFF
    ):
        return _FOLLOWS
    if bits & SYMBOL or code_point == 0x2026 or code_point >= 0x3000:
        return _BREAKS | (_PUNCTUATION if bits & PUNCTUATION else 0)
    if code_point == 0x2013 or code_point == 0x2014:
        return _OPENS | _CLOSES | _DASH | _PUNCTUATION
    if code_point == 0x2019:
        return _OPENS | _CLOSES | _APOSTROPHE | _PUNCTUATION
    if 0x2010 <= code_point <= 0x2015:
        return _PUNCTUATION
    return _OPENS | _CLOSES | _PUNCTUATION


@helper
def _emit(data, start, n_bytes, characters, flags, hashes, starts, ends, lengths, all_flags, base, n):
    """Token `n` is the `n_bytes` bytes at `start`; returns n + 1."""
    hashes[n] = hash_bytes(data, start, n_bytes, NO_CHANGE, np.uint64(0))
    starts[n] = start - base
    ends[n] = start - base + n_bytes
    lengths[n] = characters
    all_flags[n] = flags
    return n + 1


@helper
def _emit_characters(data, at, classes, left, right, hashes, starts, ends, lengths, all_flags, base, n):
    """Token `n` is characters left … right - 1 of the field; returns n + 1."""
    seen = 0
    punctuation = _PUNCTUATION
    for i in range(left, right):
        seen |= classes[i]
        punctuation &= classes[i]
    flags = np.uint8(0)
    if seen & _LETTER:
        flags |= HAS_LETTER
    if seen & _DIGIT:
        flags |= HAS_DIGIT
    if punctuation:
        flags |= ONLY_PUNCTUATION
        if right - left == 1 and ends_sentence(decode(data, at[left], at[right] - at[left])):
            flags |= ENDS_SENTENCE
    if left == 0:
        flags |= OPENS_FIELD
    return _emit(
        data, at[left], at[right] - at[left], right - left, flags, hashes, starts, ends, lengths, all_flags, base, n
    )


@helper
def _dots(classes, left, right):
    """How many full stops stand from `left` on."""
    n = 0
    while left + n < right and classes[left + n] & _DOT:
        n += 1
    return n


@helper
def _contraction(data, at, classes, left, right):
    """Characters of the contraction (n't, 's, 'll …) at the end of the field; 0 = none."""
    n = right - left
    last = data[at[right - 1]] | 32
    if n >= 3 and classes[right - 2] & _APOSTROPHE:
        if last == 116:  # t
            return 3 if n >= 4 and data[at[right - 3]] | 32 == 110 and classes[right - 4] & _LETTER else 0
        if (last == 115 or last == 100 or last == 109) and classes[right - 3] & (_LETTER | _DIGIT):  # s d m
            return 2
    elif n >= 4 and classes[right - 3] & _APOSTROPHE and classes[right - 4] & _LETTER:
        before = data[at[right - 2]] | 32
        if (before == 108 and last == 108) or (last == 101 and (before == 118 or before == 114)):  # ll ve re
            return 3
    return 0


@helper
def _closing(data, at, classes, left, right):
    """Characters of the token to peel off the end of characters left … right - 1; 0 = none."""
    last = classes[right - 1]
    if last & (_CLOSES | _BREAKS):
        return 1
    if right - left == 1:
        return 0
    before = classes[right - 2]
    if last & _DOT:
        if before & _DOT:
            n = 2
            while n < right - left and classes[right - n - 1] & _DOT:
                n += 1
            return n
        if before & _UPPER:
            return 1 if right - left > 2 and classes[right - 3] & _UPPER else 0
        if before & _LETTER and (right - left == 2 or classes[right - 3] & _DOT):
            return 0
        peeled = before & (_LETTER | _DIGIT | _FOLLOWS | _CLOSES | _BREAKS | _AFTER_DIGIT | _OPERATOR)
        return 1 if peeled and not _is_listed(_ABBREVIATION_KEYS, data, at[left], at[right]) else 0
    if last & _AFTER_DIGIT:
        return 1 if before & _DIGIT else 0
    if last & _LETTER:
        if classes[left] & _DIGIT:
            unit = right - 1
            while unit > left and classes[unit - 1] & _LETTER:
                unit -= 1
            if classes[unit - 1] & _DIGIT and _is_listed(_UNIT_KEYS, data, at[unit], at[right]):
                return right - unit
        return _contraction(data, at, classes, left, right)
    return 0


@helper
def _is_address(data, at, classes, left, right):
    """Whether characters left … right - 1 look like a web or e-mail address: `://`, `www.`, `name@host`, `host.tld/`."""
    in_host = data[at[left]] != 47
    for i in range(left + 1, right - 2):
        byte = data[at[i]]
        in_host &= byte != 47
        if byte == 58 and data[at[i + 1]] == 47 and data[at[i + 2]] == 47:
            return True
        if byte == 64 and classes[i - 1] & (_LETTER | _DIGIT) and classes[i + 1] & (_LETTER | _DIGIT):
            return True
        if byte == 46 and i == left + 3 and data[at[left]] | 32 == 119 and data[at[i - 1]] | 32 == 119:
            return True
        if byte == 46 and in_host and classes[i - 1] & (_LETTER | _DIGIT):
            tld = i + 1
            while tld < right and classes[tld] & (_LETTER | _UPPER) == _LETTER:
                tld += 1
            if tld - i > 2 and (tld == right or data[at[tld]] == 47 or data[at[tld]] == 63):
                return True
    return False


@helper
def _separator(classes, i, left, right):
    """Characters of the token that begins at `i` inside left … right - 1 because it separates; 0 = none."""
    here = classes[i]
    if here & (_LETTER | _DIGIT):
        return 0
    if here & _BREAKS:
        return 1
    if here & _DOT and i + 1 < right and classes[i + 1] & _DOT:
        return _dots(classes, i, right)
    if i == left or i + 1 == right:
        return 0
    before, after = classes[i - 1], classes[i + 1]
    if here & _DASH and before & (_LETTER | _DIGIT):
        n = 1
        while i + n < right and classes[i + n] & _DASH:
            n += 1
        if i + n < right and classes[i + n] & _LETTER:
            return n
    if here & _JOINER and before & (_LETTER | _DIGIT) and after & _LETTER:
        return 1
    if here & _COMMA and before & _LETTER and after & _LETTER:
        return 1
    if here & _DOT and before & (_LETTER | _UPPER) == _LETTER and after & _UPPER:
        return 1
    if here & _OPERATOR and before & _DIGIT and (after & _DIGIT or (after & _OPERATOR and after & _DASH)):
        return 1
    return 0


@helper
def _split_inside(data, at, classes, left, right, hashes, starts, ends, lengths, all_flags, base, n):
    """Tokens of characters left … right - 1, whose ends are peeled; returns how many tokens there are then."""
    token = left
    i = left
    while i < right:
        width = _separator(classes, i, left, right)
        if width == 0 and classes[i] & _ALONE:
            width = 1
            while i + width < right and classes[i + width] & _FOLLOWS:
                width += 1
        if width == 0:
            i += 1
            continue
        if token < i:
            n = _emit_characters(data, at, classes, token, i, hashes, starts, ends, lengths, all_flags, base, n)
        n = _emit_characters(data, at, classes, i, i + width, hashes, starts, ends, lengths, all_flags, base, n)
        i += width
        token = i
    if token < right:
        n = _emit_characters(data, at, classes, token, right, hashes, starts, ends, lengths, all_flags, base, n)
    return n


@helper
def _split(data, start, end, base, at, classes, cuts, hashes, starts, ends, lengths, all_flags, n):
    """Tokens of the field that begins at `start`; returns (where it ends, how many tokens there are then)."""
    right = 0
    while start < end:
        length = sequence_length(data[start])
        bits = _ASCII[data[start]] if length == 1 else np.int32(_class_of(decode(data, start, length)))
        if bits & _SPACE:
            break
        at[right] = start
        classes[right] = bits
        start += length
        right += 1
    at[right] = start
    left = 0
    while left < right:
        width = 1
        if classes[left] & _DOT and left + 1 < right and classes[left + 1] & _DOT:
            width = _dots(classes, left, right)
        elif classes[left] & (_OPENS | _BREAKS) == 0:
            break
        elif (
            classes[left] & _OPERATOR
            and classes[left] & _AFTER_DIGIT
            and left + 1 < right
            and classes[left + 1] & _DIGIT
        ):
            break  # +7
        n = _emit_characters(data, at, classes, left, left + width, hashes, starts, ends, lengths, all_flags, base, n)
        left += width
    n_cuts = 0
    while left < right:
        width = _closing(data, at, classes, left, right)
        if width == 0:
            break
        cuts[n_cuts] = right
        n_cuts += 1
        right -= width
    if left < right:
        if _is_address(data, at, classes, left, right):
            n = _emit_characters(data, at, classes, left, right, hashes, starts, ends, lengths, all_flags, base, n)
        else:
            n = _split_inside(data, at, classes, left, right, hashes, starts, ends, lengths, all_flags, base, n)
    for cut in range(n_cuts - 1, -1, -1):
        n = _emit_characters(data, at, classes, right, cuts[cut], hashes, starts, ends, lengths, all_flags, base, n)
        right = cuts[cut]
    return start, n


@kernel(types.int64(BYTES, OFFSETS))
def _capacity(data, offsets):
    """At least as many as there are tokens: a token begins after another kind of byte than a letter, or is a unit."""
    n = len(offsets) - 1
    for i in range(offsets[0], offsets[-1]):
        n += 2 - (_ASCII[data[i]] & _LETTER) * 2
    return n


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        types.int64,
        types.uint64[::1],
        types.int32[::1],
        types.int32[::1],
        types.int32[::1],
        types.uint8[::1],
        types.int64[::1],
    )
)
def _tokenize(data, offsets, longest, hashes, starts, ends, lengths, all_flags, first):
    positions = np.empty(longest + 1, np.int64)
    classes = np.empty(longest + 1, np.int32)
    cuts = np.empty(longest + 1, np.int64)
    n = 0
    for document in range(len(offsets) - 1):
        base, end = offsets[document], offsets[document + 1]
        first[document] = n
        at = base
        while at < end:
            if _ASCII[data[at]] & _SPACE:
                at += 1
                continue
            word_end = at
            while word_end < end and _ASCII[data[word_end]] & _LETTER:
                word_end += 1
            n_bytes = word_end - at
            if n_bytes and (word_end == end or _ASCII[data[word_end]] & _SPACE):
                n = _emit(
                    data,
                    at,
                    n_bytes,
                    n_bytes,
                    HAS_LETTER | OPENS_FIELD,
                    hashes,
                    starts,
                    ends,
                    lengths,
                    all_flags,
                    base,
                    n,
                )
                at = word_end
            else:
                length = sequence_length(data[at])
                if length > 1 and _class_of(decode(data, at, length)) & _SPACE:
                    at += length
                else:
                    at, n = _split(
                        data, at, end, base, positions, classes, cuts, hashes, starts, ends, lengths, all_flags, n
                    )
    first[len(offsets) - 1] = n


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of all texts, end to end; those of text i are first[i]:first[i + 1].

    `starts`, `ends`: int32, bytes from the text's first; `characters`: int32, code points; `hashes`: uint64 of the token's
    bytes as they are; `flags`: uint8 of HAS_LETTER, HAS_DIGIT, OPENS_FIELD (first token of a field), ENDS_SENTENCE (one
    mark that can end a sentence), ONLY_PUNCTUATION.
    """

    first: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    characters: NDArray[np.int32]
    flags: NDArray[np.uint8]


def _scan(texts: Texts) -> Tokens:
    capacity = _capacity(texts.data, texts.offsets)
    hashes = np.empty(capacity, np.uint64)
    starts, ends, characters = (np.empty(capacity, np.int32) for _ in range(3))
    flags = np.empty(capacity, np.uint8)
    first = np.empty(len(texts) + 1, np.int64)
    _tokenize(texts.data, texts.offsets, texts.longest, hashes, starts, ends, characters, flags, first)
    n = first[-1]
    return Tokens(first, hashes[:n], starts[:n], ends[:n], characters[:n], flags[:n])


def tokens_of(texts: Texts) -> Tokens:
    """The tokens of `texts`, scanned at the first call and kept with them."""
    return texts.once(_scan)
