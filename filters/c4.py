"""C4's cleaning (Raffel et al. 2020, arXiv 1910.10683, section 2.2), as in the code of TensorFlow Datasets. It edits the text.

A line goes if it has fewer than `min_line_words` words or a word of more than `max_word_characters` characters, if it has
one of the `line_phrases` ("javascript", cookie and privacy notices), or, unless that is switched off as FineWeb does, if it
does not end in terminal punctuation. Citation marks ([1], [], [edit], [citation needed]) are cut from the lines that stay.
What stays is joined by line feeds, white space around each line removed.

- Words are *fields*: runs between white space. With `view: tokens` or `view: words` both rules on words count these.
- The paper says at least 3 words a line and 5 sentences a page; the code of TensorFlow Datasets has 5 and 3.
- Terminal punctuation is a mark that ends a sentence in any script, or a quotation mark ("'”’); not an ellipsis.
  The code has . ? ! " only.
- Sentences are counted on *tokens*, per line that stays: a token that is a mark which ends sentences closes one, and with it
  what follows up to the next token that is not punctuation, as spaCy's sentencizer does. C4 used NLTK's Punkt, a trained model.
- `{` and "lorem ipsum" are looked for in the lines that stay, much as the code does; the paper says "page".

The word list of C4's authors and the removal of repeated three-sentence spans are not here: the first is a blocklist of their
own, the second is not a rule about one document.

Beside datatrove 0.10.1 on 1,824 English texts (without the rule on line ends, as FineWeb): all verdicts, all reasons and all
1,742 edited texts are the same.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import types

from corpus.documents import Documents
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.line_tokens import LINE_TOKENS, line_tokens_of
from corpus.lines import LINES, lines_of, previous, trim
from corpus.rules import Measurement, Rule
from corpus.sentences import ends_sentence
from corpus.simd import BLOCK, copy_bytes, count_bits, finder, first_bits, masks
from corpus.tokens import ENDS_SENTENCE, IS_WORD, ONLY_PUNCTUATION, OPENS_FIELD, TOKENS, tokens_of
from corpus.unicode import decode
from corpus.views import View, counted_flags, counted_tokens
from filters.kernels.edited import edited_column, move
from filters.kernels.phrases import PHRASES, Phrases, phrases_in

_SOURCE = "C4 (arXiv 1910.10683), section 2.2"

RULES = (
    Rule("max_lorem_ipsum", 0, _SOURCE),
    Rule("max_curly_brackets", 0, _SOURCE),
    Rule("min_sentences", 5, _SOURCE),
)
OPTIONS: dict[str, object] = {
    "view": View.FIELDS,
    "require_terminal_punctuation": True,
    "min_line_words": 3,
    "max_word_characters": 1000,
    "line_phrases": [
        "javascript",
        "terms of use",
        "privacy policy",
        "cookie policy",
        "uses cookies",
        "use of cookies",
        "use cookies",
    ],
}

_LOREM_IPSUM = np.uint64(1)  # the bit of the phrase that is put before `line_phrases`
_OPEN, _CLOSE, _CURLY, _DOT, _SPACE = map(ord, "[]{. ")
_CITATIONS = np.frombuffer(b"edit]citation needed]", np.uint8)
_EDIT_BYTES = 5

_find_bracket = finder(((_OPEN, _OPEN), (_CURLY, _CURLY)))
_token_masks = masks(int(IS_WORD), int(OPENS_FIELD), int(ENDS_SENTENCE), int(ONLY_PUNCTUATION))


@helper
def _has_terminal_punctuation(data, start, end):
    if start == end:
        return False
    final = previous(data, end)
    mark = decode(data, final, end - final)
    if mark == _DOT and end - start >= 3 and data[end - 2] == _DOT and data[end - 3] == _DOT:
        return False
    return ends_sentence(mark) or mark == 0x22 or mark == 0x27 or mark == 0x201D or mark == 0x2019


@helper
def _citation(data, at, end):
    """Bytes of the citation mark that begins at `at`; 0 = none."""
    if data[at] != _OPEN:
        return 0
    stop = at + 1
    while stop < end and 48 <= data[stop] <= 57:
        stop += 1
    if stop < end and data[stop] == _CLOSE:
        return stop + 1 - at
    for low, high in ((0, _EDIT_BYTES), (_EDIT_BYTES, _CITATIONS.size)):
        if at + 1 + high - low <= end:
            same = True
            for i in range(high - low):
                same &= data[at + 1 + i] == _CITATIONS[low + i]
            if same:
                return 1 + high - low
    return 0


@helper
def _write_line(data, start, end, out, at):
    """Write the line data[start:end] without citation marks; returns (next free index of `out`, curly brackets written)."""
    curly_brackets = 0
    while start < end:
        bracket = _find_bracket(data, start, end)
        at = copy_bytes(data, start, bracket - start, out, at)
        if bracket == end:
            break
        cut = _citation(data, bracket, end)
        if cut == 0:
            curly_brackets += data[bracket] == _CURLY
            out[at] = data[bracket]
            at += 1
            cut = 1
        start = bracket + cut
    return at, curly_brackets


@helper
def _count_tokens(flags, first, last, counted):
    """(words, sentences) of the tokens first … last - 1. `counted`: flags of the view, see `corpus.views`."""
    words = 0
    sentences = np.int64(first < last)  # the first token opens one, whatever it is
    ended = np.uint64(0)  # 1: a sentence ended before this block, and no token has begun the next
    for at in range(first, last, BLOCK - 1):
        lettered, opening, ends, marks = _token_masks(flags, at)
        here = first_bits(min(last - at, BLOCK - 1))
        marks &= here
        # The carry of this addition runs from an end through the marks behind it to the first token that is none.
        reached = marks + (ends & here) + ended
        words += count_bits(counted_tokens(counted, lettered, opening) & here)
        sentences += count_bits(reached & ~marks & here)
        ended = reached >> np.uint64(BLOCK - 1)
    return words, sentences


@helper
def _has_long_word(data, start, end, first, last, tokens, most_characters, counted):
    """Whether a word of data[start:end], whose tokens are first … last - 1, has more characters than `most_characters`."""
    while end - start > most_characters:  # skip from space to space: a word this long has none in so many bytes
        space = start + most_characters
        while space >= start and data[space] != _SPACE:
            space -= 1
        if space < start:
            break
        start = space + 1
    if end - start <= most_characters:
        return False
    characters = 0
    for token in range(first, last):
        flags = tokens.flags[token]
        if counted != OPENS_FIELD or flags & OPENS_FIELD:
            characters = 0
        characters += tokens.characters[token]
        if characters > most_characters and (counted != IS_WORD or flags & IS_WORD):
            return True
    return False


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        LINES,
        TOKENS,
        LINE_TOKENS,
        PHRASES,
        types.uint8,
        types.boolean,
        types.int64,
        types.int64,
        types.float32[:, ::1],
        types.uint8[::1],
        types.int64[::1],
    )
)
def _measure(
    data,
    offsets,
    lines,
    tokens,
    line_tokens,
    phrases,
    counted,
    require_terminal_punctuation,
    min_line_words,
    max_word_characters,
    signals,
    out,
    out_offsets,
):
    at = 0
    for document in range(len(offsets) - 1):
        base = offsets[document]
        text_start = at
        out_offsets[document] = at
        lorem_ipsum = 0
        curly_brackets = 0
        sentences = 0
        for line in range(lines.first[document], lines.first[document + 1]):
            start, end = base + lines.text_starts[line], base + lines.text_ends[line]
            first, last = line_tokens[line], line_tokens[line + 1]
            words, line_sentences = _count_tokens(tokens.flags, first, last, counted)
            if words < min_line_words:
                continue
            if _has_long_word(data, start, end, first, last, tokens, max_word_characters, counted):
                continue
            written = at
            if at > text_start:
                out[at] = 10
                written += 1
            line_start = written
            written, line_curly_brackets = _write_line(data, start, end, out, line_start)
            if require_terminal_punctuation and not _has_terminal_punctuation(out, line_start, written):
                continue
            found = phrases_in(out, line_start, written, phrases)
            if found & ~_LOREM_IPSUM:
                continue
            lorem_ipsum += found != 0
            curly_brackets += line_curly_brackets
            sentences += line_sentences
            at = written
        text_start, at = trim(out, text_start, at)
        if text_start > out_offsets[document]:
            at = move(out, text_start, at, out_offsets[document])
        signals[0, document] = lorem_ipsum
        signals[1, document] = curly_brackets
        signals[2, document] = sentences
    out_offsets[len(offsets) - 1] = at


def measure(documents: Documents, options: Mapping[str, Any]) -> Measurement:
    texts = documents.texts
    phrases = Phrases.of(("lorem ipsum", *options["line_phrases"]), "c4.line_phrases")
    signals = np.empty((len(RULES), len(texts)), np.float32)
    out = np.empty(int(texts.byte_lengths.sum()), np.uint8)
    out_offsets = np.empty(len(texts) + 1, np.int64)
    _measure(
        texts.data,
        texts.offsets,
        lines_of(texts),
        tokens_of(texts),
        line_tokens_of(texts),
        phrases,
        counted_flags(options["view"]),
        options["require_terminal_punctuation"],
        options["min_line_words"],
        options["max_word_characters"],
        signals,
        out,
        out_offsets,
    )
    columns = {"text": edited_column(out, out_offsets)}
    return Measurement({rule.signal: signals[row] for row, rule in enumerate(RULES)}, columns)
