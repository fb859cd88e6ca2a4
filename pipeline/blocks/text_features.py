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
        is_last = at >= end
        if not is_last:
            length = min(sequence_length(text[at]), end - at)  # bytes that are no UTF-8 may promise more than there is
            code_point = min(decode(text, at, length), N_CODE_POINTS - 1)
            bits = kind(code_point)
            at += length
        if word_length and (bits & _IN_WORD == 0 or bits & ALONE):
            words[n_words] = word
            n_words += 1
            short += word_length <= SHORT_WORD
            word_length = 0
        if is_last:
            break
        if bits & SPACE:
            breaks += code_point == 10
            continue
        n += 1
        if bits & ALONE:
            words[n_words] = combine(np.uint64(0), np.uint64(code_point))
            n_words += 1
            is_ended = False
        elif bits & _IN_WORD:
            lower = code_point | 32 if code_point < 128 else fold(code_point, 0)
            word = combine(word if word_length else np.uint64(0), np.uint64(lower))
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
