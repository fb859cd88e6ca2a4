"""Which blocks of a page are main text, told from the page's gold text: the labels the model is trained on.

A block is good if at least half of its word trigrams occur in the gold text; one of one or two words if it is a line of it, or
makes a trigram of it with words of the blocks beside it: gold texts have a row of a table, or a name and its value, on one line.
A word is `\\w+`, and a character by itself in the scripts that write no spaces. Choosing exactly the good blocks gives a
word-level F1 of 0.97 on the development pages: what is lost is inside blocks.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Labels = tuple[NDArray[np.bool_], NDArray[np.float32]]
"""Whether a block is good, and how much the label counts (its words; 0 = not known)."""

_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+")
_NGRAM = 3


def from_gold(blocks: Sequence[str], gold: str) -> Labels:
    trigrams = set(_trigrams(_words(gold)))
    lines = {"".join(_words(line)) for line in gold.split("\n")}
    good = np.zeros(len(blocks), np.bool_)
    weights = np.zeros(len(blocks), np.float32)
    words_of = [_words(block) for block in blocks]
    page = [word for words in words_of for word in words]
    end = 0
    for at, words in enumerate(words_of):
        start, end = end, end + len(words)
        weights[at] = len(words)
        if len(words) < _NGRAM:
            with_neighbours = _trigrams(page[max(end - _NGRAM, 0) : start + _NGRAM])
            good[at] = "".join(words) in lines or not trigrams.isdisjoint(with_neighbours)
        else:
            own = _trigrams(words)
            good[at] = sum(trigram in trigrams for trigram in own) * 2 >= len(own)
    return good, weights


def from_pieces(blocks: Sequence[str], wanted: Sequence[str], unwanted: Sequence[str]) -> Labels:
    """Where only pieces of text are known to belong or not to belong: a label for the blocks that hold them."""
    good = np.zeros(len(blocks), np.bool_)
    weights = np.zeros(len(blocks), np.float32)
    inside, outside = ([" ".join(_words(piece)) for piece in pieces] for pieces in (wanted, unwanted))
    for at, block in enumerate(blocks):
        words = _words(block)
        text = " ".join(words)
        good[at] = any(piece and piece in text for piece in inside)
        if good[at] != any(piece and piece in text for piece in outside):
            weights[at] = max(len(words), 1)
    return good, weights


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _trigrams(words: list[str]) -> list[tuple[str, ...]]:
    return list(zip(words, words[1:], words[2:], strict=False))
