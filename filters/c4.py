"""C4's cleaning (Raffel et al. 2020, arXiv 1910.10683, section 2.2), as in the code of TensorFlow Datasets. It edits the text.

A line goes if it has fewer than `min_line_words` words or a word of more than `max_word_characters` characters, if it has
one of the `line_phrases` ("javascript", cookie and privacy notices), or, unless that is switched off as FineWeb does, if it
does not end in terminal punctuation. Citation marks ([1], [], [edit], [citation needed]) are cut from the lines that stay.
What stays is joined by line feeds, white space around each line removed.

- Words are *fields*: runs between white space.
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
from corpus.lines import LINES, count_characters, lines_of, previous, trim
from corpus.rules import Measurement, Rule
from corpus.sentences import ends_sentence
from corpus.tokens import ENDS_SENTENCE, ONLY_PUNCTUATION, OPENS_FIELD, TOKENS, tokens_of
from corpus.unicode import decode
from filters.kernels.edited import copy, edited_column
from filters.kernels.phrases import PHRASES, Phrases, phrases_in

_SOURCE = "C4 (arXiv 1910.10683), section 2.2"

RULES = (
    Rule("max_lorem_ipsum", 0, _SOURCE),
    Rule("max_curly_brackets", 0, _SOURCE),
    Rule("min_sentences", 5, _SOURCE),
)
OPTIONS: dict[str, object] = {
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
_OPEN, _CLOSE, _CURLY, _DOT = ord("["), ord("]"), ord("{"), ord(".")
_CITATIONS = np.frombuffer(b"edit]citation needed]", np.uint8)
_EDIT_BYTES = 5


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
def _copy_without_citations(data, start, end, out, at):
    while start < end:
        cut = _citation(data, start, end)
        if cut:
            start += cut
        else:
            out[at] = data[start]
            at += 1
            start += 1
    return at


@helper
def _line_tokens(data, base, token, last, line_end, tokens):
    """(fields, characters of the longest, sentences, next token) of the tokens from `token` on that begin before `line_end`."""
    starts, ends, flags = tokens.starts, tokens.ends, tokens.flags
    fields = 0
    longest = 0
    sentences = 0
    closed = True  # the next token that is not punctuation begins a sentence
    field_start = 0
    while token < last and starts[token] < line_end:
        if flags[token] & OPENS_FIELD:
            fields += 1
            field_start = starts[token]
        if ends[token] - field_start > longest:
            longest = max(longest, count_characters(data, base + field_start, base + ends[token]))
        if sentences == 0 or (closed and flags[token] & ONLY_PUNCTUATION == 0):
            sentences += 1
            closed = False
        if flags[token] & ENDS_SENTENCE:
            closed = True
        token += 1
    return fields, longest, sentences, token


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        LINES,
        TOKENS,
        PHRASES,
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
    phrases,
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
        token, last_token = tokens.first[document], tokens.first[document + 1]
        text_start = at
        out_offsets[document] = at
        lorem_ipsum = 0
        curly_brackets = 0
        sentences = 0
        for line in range(lines.first[document], lines.first[document + 1]):
            start, end = trim(data, base + lines.starts[line], base + lines.ends[line])
            words, longest, line_sentences, token = _line_tokens(data, base, token, last_token, end - base, tokens)
            if words < min_line_words or longest > max_word_characters:
                continue
            written = at
            if at > text_start:
                out[at] = 10
                written += 1
            line_start = written
            written = _copy_without_citations(data, start, end, out, line_start)
            if require_terminal_punctuation and not _has_terminal_punctuation(out, line_start, written):
                continue
            found = phrases_in(out, line_start, written, phrases)
            if found & ~_LOREM_IPSUM:
                continue
            lorem_ipsum += found != 0
            for i in range(line_start, written):
                curly_brackets += out[i] == _CURLY
            sentences += line_sentences
            at = written
        text_start, at = trim(out, text_start, at)
        if text_start > out_offsets[document]:
            at = copy(out, text_start, at, out, out_offsets[document])
        signals[0, document] = lorem_ipsum
        signals[1, document] = curly_brackets
        signals[2, document] = sentences
    out_offsets[len(offsets) - 1] = at


def measure(documents: Documents, options: Mapping[str, Any]) -> Measurement:
    texts = documents.texts
    phrases = Phrases.of(["lorem ipsum", *options["line_phrases"]], "c4.line_phrases")
    signals = np.empty((len(RULES), len(texts)), np.float32)
    out = np.empty(int(texts.byte_lengths.sum()), np.uint8)
    out_offsets = np.empty(len(texts) + 1, np.int64)
    _measure(
        texts.data,
        texts.offsets,
        lines_of(texts),
        tokens_of(texts),
        phrases,
        options["require_terminal_punctuation"],
        options["min_line_words"],
        options["max_word_characters"],
        signals,
        out,
        out_offsets,
    )
    columns = {"text": edited_column(out, out_offsets)}
    return Measurement({rule.signal: signals[row] for row, rule in enumerate(RULES)}, columns)
