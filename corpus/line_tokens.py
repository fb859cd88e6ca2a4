"""Which tokens are in which line: what rules need that judge a line by its tokens.

Tokens never reach over a line feed, so those of line i are first[i] … first[i + 1] - 1, with `first` of one entry more than
there are lines. It is found once per batch (`line_tokens_of`) and shared by the rule sets; it holds 8 bytes a line, 5% of
the text on 1,824 English texts.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.kernels import kernel
from corpus.lines import LINES, lines_of
from corpus.text import Texts
from corpus.tokens import TOKENS, tokens_of

LINE_TOKENS = types.int64[::1]
_STRIDE = 8  # tokens that are skipped at once where all of them are in the line; a line has 28 on average


@kernel(types.void(LINES, TOKENS, LINE_TOKENS))
def _find_line_tokens(lines, tokens, first):
    for document in range(len(lines.first) - 1):
        first_token = tokens.first[document]
        starts = tokens.starts[first_token : tokens.first[document + 1]]
        token = 0
        for line in range(lines.first[document], lines.first[document + 1]):
            first[line] = first_token + token
            end = lines.ends[line]
            while token + _STRIDE <= starts.size and starts[token + _STRIDE - 1] < end:
                token += _STRIDE
            while token < starts.size and starts[token] < end:
                token += 1
    first[lines.first[-1]] = tokens.first[-1]


def _scan(texts: Texts) -> NDArray[np.int64]:
    lines = lines_of(texts)
    first = texts.arena.empty(len(lines.starts) + 1, np.int64)
    _find_line_tokens(lines, tokens_of(texts), first)
    return first


def line_tokens_of(texts: Texts) -> NDArray[np.int64]:
    """The first token of each line of `texts`, and the end; found at the first call and kept with them."""
    return texts.once(_scan)
