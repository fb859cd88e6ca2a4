"""Three views of a text: its tokens, its words, its fields. Which of them a rule counts decides how strict it is.

The papers say "words" throughout. Where one leaves open what that is, a rule set has the option `view`:

- `tokens`: words and punctuation marks apart (`corpus.tokens`), as spaCy and NLTK make them; so does datatrove.
- `words`: tokens with a letter or a digit, so that punctuation marks count for nothing.
- `fields`: what stands between white space, as `str.split()`, so that marks belong to the word they touch.

All three are `Tokens`, so a kernel counts any of them alike. On 1,824 English texts (17 MB) there are 3.23 million tokens,
2.72 million words and 2.71 million fields; Gopher's rule on alphabetic words rejects 333, 17 or 65 of the texts.
"""

from enum import StrEnum

import numpy as np
from numba import types

from corpus.errors import ConfigError
from corpus.hashing import NO_CHANGE, hash_bytes
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.text import Texts
from corpus.tokens import ENDS_SENTENCE, IS_WORD, ONLY_PUNCTUATION, OPENS_FIELD, TOKENS, Tokens, tokens_of


class View(StrEnum):
    TOKENS = "tokens"
    WORDS = "words"
    FIELDS = "fields"


def view_of(texts: Texts, view: View | str) -> Tokens:
    """Raises ConfigError for a view that is none."""
    return _VIEWS[_known(view)](texts)


def counted_flags(view: View | str) -> np.uint8:
    """Flags of tokens, one of which says that the view counts the token (0: it counts all), for a kernel that has the tokens
    and only counts. Raises ConfigError for a view that is none."""
    return _COUNTED[_known(view)]


@helper
def counted_tokens(flags, words, opening):
    """Of masks of tokens, that of the tokens that the view with the flags `counted_flags` counts."""
    return ~np.uint64(0) if flags == 0 else words if flags == IS_WORD else opening


def _known(view: View | str) -> View:
    if view not in _VIEWS:
        raise ConfigError(f"view: {view!r} should be one of {', '.join(View)}")
    return View(view)


def words_of(texts: Texts) -> Tokens:
    """The tokens with a letter or a digit; OPENS_FIELD is that of the token, so a field that opens with a mark has none."""
    return texts.once(_words)


def fields_of(texts: Texts) -> Tokens:
    """Flags are those of any of a field's tokens, but ENDS_SENTENCE and ONLY_PUNCTUATION are those of all of them."""
    return texts.once(_fields)


_OF_ALL = np.uint8(ENDS_SENTENCE | ONLY_PUNCTUATION)
_VIEWS = {View.TOKENS: tokens_of, View.WORDS: words_of, View.FIELDS: fields_of}
_COUNTED = {View.TOKENS: np.uint8(0), View.WORDS: IS_WORD, View.FIELDS: OPENS_FIELD}


def _words(texts: Texts) -> Tokens:
    tokens = tokens_of(texts)
    rows = np.flatnonzero(tokens.flags & IS_WORD)
    return Tokens(
        first=np.searchsorted(rows, tokens.first),
        hashes=tokens.hashes[rows],
        starts=tokens.starts[rows],
        ends=tokens.ends[rows],
        characters=tokens.characters[rows],
        flags=tokens.flags[rows],
    )


@kernel(types.void(BYTES, OFFSETS, TOKENS))
def _hash(data, offsets, fields):
    for document in range(len(offsets) - 1):
        for i in range(fields.first[document], fields.first[document + 1]):
            start = offsets[document] + fields.starts[i]
            fields.hashes[i] = hash_bytes(data, start, fields.ends[i] - fields.starts[i], NO_CHANGE, np.uint64(0))


def _fields(texts: Texts) -> Tokens:
    tokens = tokens_of(texts)
    rows = np.flatnonzero(tokens.flags & OPENS_FIELD)  # the first token of each field
    if not len(rows):
        return tokens
    of_any, of_all = (np.asarray(merge.reduceat(tokens.flags, rows)) for merge in (np.bitwise_or, np.bitwise_and))
    fields = Tokens(
        first=np.searchsorted(rows, tokens.first),
        hashes=np.empty(len(rows), np.uint64),
        starts=tokens.starts[rows],
        ends=tokens.ends[np.append(rows[1:], len(tokens.ends)) - 1],
        characters=np.add.reduceat(tokens.characters, rows, dtype=np.int32),
        flags=of_any & ~_OF_ALL | of_all & _OF_ALL,
    )
    _hash(texts.data, texts.offsets, fields)
    return fields
