"""Words in an element's class, id and role that say what it is for, in groups; found in one pass over the value.

The groups are those with which the learned extractor was first tried (word-level F1 0.90 with ancestors' keywords, 0.86
without). A word counts anywhere in the value, so that `post-comments` is a comment and a post. Authors of pages in all
languages write these names in English, so nothing here depends on the language of the text.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from corpus.kernels import helper

GROUPS = {
    "comment": "comment disqus reply respond discuss",
    "sidebar": "sidebar side-bar widget rail aside sidecol secondary",
    "nav": "nav menu breadcrumb pagination pager tabs",
    "footer": "foot copyright legal colophon",
    "header": "header masthead banner topbar logo toolbar",
    "share": "share social follow subscribe newsletter signup login tweet facebook",
    "related": "related recommend more- also popular trending latest recent similar teaser card promo",
    "ad": "advert sponsor ads ad- -ad dfp gpt",
    "content": "content article post entry story main body text detail description",
    "meta": "meta byline author date time tag category info caption credit",
    "cookie": "cookie consent gdpr popup modal overlay notice",
    "hidden": "hidden hide sr-only screen-reader visually",
}
# Set by the attributes `hidden` and `aria-hidden`, and by `display: none`, too.
HIDDEN = 1 << list(GROUPS).index("hidden")

_N_CLASSES = 32  # of bytes: 1 … 26 a letter in either case, 27 a hyphen, 0 any other
_CLASS = np.zeros(256, np.uint8)
_CLASS[ord("-")] = 27
for _letter in range(26):
    _CLASS[[ord("a") + _letter, ord("A") + _letter]] = _letter + 1


def _automaton() -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Aho and Corasick's: (next state of each state and class of byte, end to end; bits of the groups seen at a state).

    The number of a state is where its row starts in the first.
    """
    children: list[dict[int, int]] = [{}]
    found = [0]
    for bit, words in enumerate(GROUPS.values()):
        for word in words.split():
            state = 0
            for byte in word.encode():
                state = children[state].setdefault(int(_CLASS[byte]), len(children))
                if state == len(children):
                    children.append({})
                    found.append(0)
            found[state] |= 1 << bit
    step = np.zeros((len(children), _N_CLASSES), np.uint16)
    fallback = [0] * len(children)
    queue = deque([0])
    while queue:
        state = queue.popleft()
        found[state] |= found[fallback[state]]
        step[state] = step[fallback[state]]
        for byte_class, child in children[state].items():
            fallback[child] = int(step[state, byte_class]) if state else 0
            step[state, byte_class] = child
            queue.append(child)
    return step.reshape(-1) * np.uint16(_N_CLASSES), np.array(found, np.int32)


_STEP, _FOUND = _automaton()


@helper
def keywords_in(data, start, end):
    """Bits of the groups that have a word in data[start:end]."""
    state = np.uint64(0)
    bits = 0
    for at in range(np.uint64(start), np.uint64(end)):
        state = np.uint64(_STEP[state + np.uint64(_CLASS[data[at]])])
        bits |= _FOUND[state // np.uint64(_N_CLASSES)]
    return bits
