"""What is compared: the units of near-duplicates and of exact substrings, by default words, or a tokenizer's tokens.

Near-duplicates are compared by the normalised words of `corpus.words`; a tokenizer gets them as text, one space between two. So a
text without words has no tokens either. Exact substrings are compared by the tokens of the text as it is: those of
`corpus.tokens` (words and punctuation marks), or a tokenizer's. RefinedWeb (appendices G.3.1 and G.3.2) takes GPT-2's tokens
for both, FineWeb words for its near-duplicates.

GPT-2's tokens depend on what is around them: the space before a word is part of it, and "word" is another token behind a line
feed. So of a copy in other surroundings the first or the last tokens may differ and be left, as with the paper's own code.

Words are found and shingled in one kernel at 200 MB/s. GPT-2's tokens of normalised text are made at 90 MB/s by `pipeline.gpt2`
(tiktoken: 10 to 14), any tokenizer's at 1.5 by `tokenizers`, beside which all else is small. So exact substrings keep what such
a *slow* tokenizer made (`dedup.token_files`); ours and GPT-2's are made again of documents that may have a span, and again of
those that have one.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.hashing import mix
from corpus.kernels import kernel
from corpus.text import Texts
from corpus.tokens import tokens_of
from corpus.words import normalised_texts
from dedup.windows import Tokens

Ids = NDArray[np.int32]
Offsets = NDArray[np.int64]


class Tokenizer(Protocol):
    """`identity`: what decides the ids; `slow`: to make them again costs much more than to read them back.

    `encode`: (ids[m], offsets[n + 1]) of n texts. `encode_with_spans`: (ids, offsets, starts, ends), the last two int32[m], bytes
    from the text's first: of each token the characters that are in no other; one without such ends where it starts, or before.
    """

    @property
    def identity(self) -> Mapping[str, str]: ...

    @property
    def slow(self) -> bool: ...

    def encode(self, texts: Texts) -> tuple[Ids, Offsets]: ...

    def encode_with_spans(self, texts: Texts) -> tuple[Ids, Offsets, NDArray[np.int32], NDArray[np.int32]]: ...


def unit_of(tokenizer: Tokenizer | None) -> str:
    """What is compared, for the identity of keys."""
    return "words" if tokenizer is None else " ".join(tokenizer.identity.values())


@kernel(types.void(types.Array(types.int32, 1, "C", readonly=True), types.uint64[::1]))
def _hashes(ids, hashes):
    for i in range(len(ids)):
        hashes[i] = mix(np.uint64(ids[i]) + np.uint64(1))  # not 0, which a sum of hashes would not notice


def normalised_token_hashes(texts: Texts, tokenizer: Tokenizer) -> tuple[NDArray[np.uint64], Offsets]:
    """(uint64[m], int64[n + 1]): a hash for each token of the normalised texts, and where each text's begin."""
    ids, offsets = tokenizer.encode(normalised_texts(texts))
    hashes = np.empty(len(ids), np.uint64)
    _hashes(ids, hashes)
    return hashes, offsets


def tokens_at(rows: NDArray[np.uint32], texts: Texts, tokenizer: Tokenizer | None, located: bool = False) -> Tokens:
    """The tokens of the texts as they are, of documents at these rows. `located`: with where they lie, which costs time."""
    if tokenizer is None:
        tokens = tokens_of(texts)
        return Tokens(rows, tokens.first, tokens.hashes, tokens.starts, tokens.ends)
    if located:
        ids, first, starts, ends = tokenizer.encode_with_spans(texts)
        return Tokens(rows, first, ids.astype(np.uint64), starts, ends)
    ids, first = tokenizer.encode(texts)
    return Tokens(rows, first, ids.astype(np.uint64))
