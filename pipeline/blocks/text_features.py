"""What the text of a block is made of: characters by kind, words, and how many of them the title or the whole page has, too.

Nothing here knows a language: characters are classed by Unicode, words are runs of letters and digits (a character each in
scripts without spaces), told apart by a hash of what the first letter of each folds to. In place of stop words there are two
measures that function words move in any script: the share of words of at most SHORT_WORD characters, and the share of words
that are frequent on this very page.
"""

import numpy as np

from corpus.hashing import combine
from corpus.kernels import helper
from corpus.sentences import ends_sentence
from corpus.simd import (
    BEYOND_ASCII,
    DIGITS,
    NEWLINE,
    UPPERCASE,
    Ranges,
    bytes_of,
    count_bits,
    first_bit,
    first_bits,
    masks,
)
from corpus.unicode import (
    ALONE,
    DIGIT,
    LETTER,
    MARK,
    N_CODE_POINTS,
    PUNCTUATION,
    SPACE,
    SYMBOL,
    UPPER,
    decode,
    fold,
    kind,
    kind_of,
    sequence_length,
)

SHORT_WORD = 3  # characters
FREQUENT = 0.005  # of the words of the page

TEXT_FEATURES = [
    "characters", "words", "short_word_share", "punctuation_share", "upper_share", "digit_share", "symbol_share",
    "word_characters", "sentence_ends", "ends_sentence", "breaks", "frequent_word_share", "title_words_found",
    "share_of_words_in_title",
]  # fmt: skip
(
    CHARACTERS, WORDS, _SHORT, _PUNCTUATION, _UPPER, _DIGITS, _SYMBOLS, _WORD_CHARACTERS, _SENTENCE_ENDS, _ENDS_SENTENCE, _BREAKS,
    _FREQUENT, _TITLE_FOUND, _IN_TITLE,
) = range(len(TEXT_FEATURES))  # fmt: skip

TABLE_SLOTS = 4096  # of the tables of the page's and the title's words; words that share a slot count as one
_SLOT = np.uint64(64 - 12)
_IN_WORD = LETTER | DIGIT | MARK
_LAST_BIT = np.uint64(1 << 63)  # 63 characters at once, so that a run of letters ends inside the mask


def _ascii(bits: np.uint8) -> Ranges:
    """The ASCII characters that are of these kinds."""
    return bytes_of(bytes(byte for byte in range(128) if kind_of(chr(byte)) & bits))


_classes = masks(
    _ascii(_IN_WORD),
    _ascii(SPACE),
    UPPERCASE,
    DIGITS,
    _ascii(PUNCTUATION),
    _ascii(SYMBOL),
    bytes_of(b"!.?"),
    NEWLINE,
    BEYOND_ASCII,
)


@helper
def measure_text(text, start, end, values, i, words, n_words):
    """Counts of the characters and words of text[start:end] as column `i` of `values`; appends the words' hashes to `words`.

    Returns how many words there are then.
    """
    first = n_words
    n, upper, digits, punctuation, symbols, short, breaks, sentence_ends = 0, 0, 0, 0, 0, 0, 0, 0
    is_ended = False  # by a mark that ends a sentence, closing quotes and brackets aside
    word = np.uint64(0)
    word_length = 0
    at = start
    while True:
        bits = SPACE
        code_point = 10
        is_last, is_ascii = at >= end, False
        in_words = np.uint64(0)
        if not is_last and text[at] < 128:
            is_ascii = True
            in_words, spaces, uppers, numbers, marks, signs, stops, newlines, beyond = _classes(text, at)
            length = min(end - at, first_bit(beyond | _LAST_BIT))
            here = first_bits(length)
            in_words &= here
            bits = LETTER if in_words & np.uint64(1) else SPACE
        elif not is_last:
            length = min(sequence_length(text[at]), end - at)  # bytes that are no UTF-8 may promise more than there is
            code_point = min(decode(text, at, length), N_CODE_POINTS - 1)
            bits = kind(code_point)
        if word_length and (bits & _IN_WORD == 0 or bits & ALONE):
            words[n_words] = word
            n_words += 1
            short += word_length <= SHORT_WORD
            word, word_length = np.uint64(0), 0
        if is_last:
            break
        if is_ascii:
            n += length - count_bits(spaces & here)
            upper += count_bits(uppers & here)
            digits += count_bits(numbers & here)
            punctuation += count_bits(marks & here)
            symbols += count_bits(signs & here)
            breaks += count_bits(newlines & here)
            stops &= here
            sentence_ends += count_bits(stops)
            others = in_words | signs & here
            if stops | others:
                is_ended = stops > others  # the highest bit, the last of them, decides
            while in_words:
                first_letter = first_bit(in_words)
                in_words |= first_bits(first_letter)
                behind = first_bit(~in_words)
                for place in range(np.uint64(at + first_letter), np.uint64(at + behind)):
                    word = combine(word, np.uint64(text[place] | 32))
                word_length += behind - first_letter
                in_words &= ~first_bits(behind)
                if behind < length:
                    words[n_words] = word
                    n_words += 1
                    short += word_length <= SHORT_WORD
                    word, word_length = np.uint64(0), 0
            at += length
            continue
        at += length
        if bits & SPACE:
            continue
        n += 1
        if bits & ALONE:
            words[n_words] = combine(np.uint64(0), np.uint64(code_point))
            n_words += 1
            is_ended = False
        elif bits & _IN_WORD:
            word = combine(word, np.uint64(fold(code_point, 0)))
            word_length += 1
            upper += bits & UPPER != 0
            digits += bits & DIGIT != 0
            is_ended = False
        elif bits & PUNCTUATION:
            punctuation += 1
            if ends_sentence(code_point):
                sentence_ends += 1
                is_ended = True
        elif bits & SYMBOL:
            symbols += 1
            is_ended = False
    values[CHARACTERS, i] = n
    values[WORDS, i] = n_words - first
    values[_SHORT, i] = short / max(n_words - first, 1)
    values[_PUNCTUATION, i] = punctuation / max(n, 1)
    values[_UPPER, i] = upper / max(n, 1)
    values[_DIGITS, i] = digits / max(n, 1)
    values[_SYMBOLS, i] = symbols / max(n, 1)
    values[_WORD_CHARACTERS, i] = (n - punctuation - symbols) / max(n_words - first, 1)
    values[_SENTENCE_ENDS, i] = sentence_ends
    values[_ENDS_SENTENCE, i] = is_ended
    values[_BREAKS, i] = breaks
    return n_words


@helper
def compare_words(values, first_words, words, title, counts):
    """Title words and frequent words of each block. `title`: a table of the title's words, with the block that had each last."""
    n_title = 0
    for word in words[: first_words[0]]:
        slot = word >> _SLOT
        n_title += title[slot] == 0
        title[slot] = 1
    n_words = first_words[-1] - first_words[0]
    for word in words[first_words[0] : first_words[-1]]:
        counts[word >> _SLOT] += 1
    enough = max(np.float32(FREQUENT) * n_words, np.float32(2))
    for i in range(len(first_words) - 1):
        found, in_title, frequent = 0, 0, 0
        for word in words[first_words[i] : first_words[i + 1]]:
            slot = word >> _SLOT
            frequent += counts[slot] > enough
            if title[slot]:
                in_title += 1
                found += title[slot] != i + 2
                title[slot] = i + 2
        n = first_words[i + 1] - first_words[i]
        values[_FREQUENT, i] = frequent / max(n, 1)
        values[_TITLE_FOUND, i] = found / max(n_title, 1)
        values[_IN_TITLE, i] = in_title / max(n, 1)
