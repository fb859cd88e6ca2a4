"""From the bytes of a page to its blocks of text, in one pass with a stack of open elements and no tree.

A block is the text between two boundaries of block-level elements (`tags.BLOCKS`). It comes with its context: the innermost
block element, keywords and kinds of all its ancestors, its containers, its place in a table or list.

Time is linear and memory bounded for any bytes: every byte is passed once; the topmost open element of each kind is known, so
no end tag searches the stack; the stack holds MAX_DEPTH elements (those beyond are counted, and their text goes to the innermost
that is on it); a page has at most MAX_BLOCKS blocks, and what would follow is left out.

Source: the HTML Living Standard, §13.2. What differs, since only text in blocks is wanted: formatting elements are no elements;
`<div/>` ends at once (XHTML pages mean it); `</div>` ends a link that began inside; a table is where it is written (a browser
moves text out that stands between its rows). Beside lxml 6 (libxml2 2.14) on 2,843 real pages: see benchmarks/blocks.py.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.kernels import BYTES, helper, kernel
from corpus.simd import BLOCK as MASK_BYTES
from corpus.simd import CONTINUATION, WHITE_SPACE, counter, find_byte
from pipeline.blocks.inline_text import is_space, read_text, write_break
from pipeline.blocks.markup import (
    GREATER,
    HAS_HREF,
    LESS,
    SELF_CLOSING,
    find_end_tag,
    find_name_end,
    read_attributes,
    skip_declaration,
)
from pipeline.blocks.open_elements import (
    CONTAINER_TAG,
    DEPTH,
    END,
    INHERITED,
    KEYWORD_BITS,
    KEYWORDS,
    KIND,
    LINK_CHARACTERS,
    LINKS,
    N_BLOCKS,
    N_BODIES,
    N_COLUMNS,
    N_CONTAINERS,
    N_COUNTS,
    N_LINK_CHARACTERS,
    N_LINKS,
    NEAREST,
    PARENT,
    START,
    TAG,
    TITLE_END,
    TITLE_START,
    closed_by_end,
    closed_by_start,
    pop,
    push,
)
from pipeline.blocks.tags import (
    BLOCK,
    BODY,
    BR,
    FLAGS,
    N_GROUPS,
    N_TAGS,
    PRE,
    RAW,
    SKIPPED,
    TITLE,
    VOID,
    A,
    P,
    tag_number,
)

MAX_DEPTH = 256  # real pages: 45
MAX_BLOCKS = 32_000  # five times as many as the fullest of 2,843 real pages has

_INT32S = types.int32[::1]
_TABLE = types.int32[:, ::1]

_count_unseen = counter((*WHITE_SPACE, *CONTINUATION))  # bytes that are white space or do not begin a character


class Blocks(NamedTuple):
    """The text blocks of a page in reading order.

    `text`: UTF-8, uint8; block i is text[rows[i, START]:rows[i, END]], without white space at its ends. Newlines in it are those
    of `<br>` and `<pre>`. `rows`: int32[n, N_COLUMNS]; `containers`: int32[m, 2], parents before children (the columns are in
    `open_elements`); `title`: where
    the page's title starts and ends in `text`.
    """

    text: NDArray[np.uint8]
    rows: NDArray[np.int32]
    containers: NDArray[np.int32]
    title: tuple[int, int]

    def block_text(self, i: int) -> str:
        return bytes(self.text[self.rows[i, START] : self.rows[i, END]]).decode("utf-8", "replace")


@helper
def _end_block(text, start, to, context, blocks, counts):
    """The block text[start:to] ends; returns its end without white space."""
    while to > start and is_space(text[to - 1]):
        to -= 1
    if context[KIND] & PRE:
        while start < to and text[start] == 10:
            start += 1
    n = counts[N_BLOCKS]
    if to > start and n < len(blocks):
        for column in range(INHERITED):
            blocks[n, column] = context[column]
        blocks[n, START] = start
        blocks[n, END] = to
        blocks[n, LINK_CHARACTERS] = counts[N_LINK_CHARACTERS]
        blocks[n, LINKS] = counts[N_LINKS]
        counts[N_BLOCKS] += 1
    return to


@helper
def _closed_from(tag, is_end, depth, open_at, group_at, unpushed, counts):
    """Stack index of the lowest element that the tag closes; depth + 1 = none, -1 = the tag means nothing."""
    if is_end and unpushed[tag]:
        unpushed[tag] -= 1
        return depth + 1
    if is_end:
        level = closed_by_end(open_at, group_at, tag, depth)
        return level if level <= depth or tag == P else -1  # to browsers, a </p> without its <p> is an empty paragraph
    if tag == BODY:
        counts[N_BODIES] += 1
        return 1 if counts[N_BODIES] == 1 else -1
    return closed_by_start(group_at, tag, depth)


@kernel(types.int64(BYTES, types.uint8[::1], _TABLE, _TABLE, _TABLE, _INT32S, _INT32S, _INT32S, types.int64[::1]))
def _read(data, text, blocks, containers, stack, open_at, group_at, unpushed, counts):
    """Bytes of text; the rest is in `counts`, which begins as zeros, as do the arrays from `stack` on.

    One loop, whose state (position, text written, depth, the open link) all of its steps change.
    """
    end = data.size
    at = 0
    start, to = 0, 0  # of the block at hand, in `text`
    depth = 0
    link_depth = 0  # where the open link stands, counted from 1; 0 = none
    stack[0, TAG] = BODY
    stack[0, DEPTH] = 1
    containers[0, PARENT] = -1
    containers[0, CONTAINER_TAG] = BODY
    counts[N_CONTAINERS] = 1
    while at < end and counts[N_BLOCKS] < len(blocks):
        kind = stack[depth, KIND]
        if kind & SKIPPED:
            at = find_byte(data, at, end, LESS)
        else:
            before = to
            at, to = read_text(data, at, end, kind & PRE, text, start, to)
            if link_depth:
                counts[N_LINK_CHARACTERS] += to - before - _count_unseen(text, before, to)
        if at + 1 >= end:
            break
        if data[at + 1] == 33 or data[at + 1] == 63:  # <! <?
            at = skip_declaration(data, at, end)
            continue
        is_end = data[at + 1] == 47
        name = at + 2 if is_end else at + 1
        if name >= end or not 0 <= (data[name] | 0x20) - 97 < 26:
            if is_end:
                at = min(find_byte(data, name, end, GREATER) + 1, end)
            else:
                if not kind & SKIPPED:
                    text[to] = 60
                    to += 1
                at += 1
            continue
        name_end = find_name_end(data, name + 1, end)
        tag = tag_number(data, name, name_end)
        flags = FLAGS[tag]
        at, says = read_attributes(data, name_end, end, not is_end and (flags & BLOCK or tag == A))
        if flags & (BLOCK | SKIPPED) == 0:
            if tag == A:
                is_link = not is_end and says & (HAS_HREF | SELF_CLOSING) == HAS_HREF
                link_depth = depth + 1 if is_link else 0
                counts[N_LINKS] += is_link and not kind & SKIPPED
            elif flags & RAW and not is_end and says & SELF_CLOSING == 0:
                at = find_end_tag(data, at, end, tag)
            elif tag == BR and not is_end and not kind & SKIPPED:
                to = write_break(text, start, to)
            continue
        level = -1 if is_end and flags & VOID else _closed_from(tag, is_end, depth, open_at, group_at, unpushed, counts)
        if level < 0:
            continue
        if flags & BLOCK and not (kind & SKIPPED and stack[level - 1, KIND] & SKIPPED):
            if stack[depth, TAG] == TITLE and counts[TITLE_END] == 0:
                counts[TITLE_START] = start
                counts[TITLE_END] = to
            else:
                to = _end_block(text, start, to, stack[depth], blocks, counts)
            start = to
            counts[N_LINKS] = 0
            counts[N_LINK_CHARACTERS] = 0
        if level <= depth:
            depth = pop(stack, depth, level, open_at, group_at, unpushed, counts)
            if depth + 1 < link_depth:
                link_depth = 0
        if tag == BODY:
            stack[0, KEYWORDS] = says & KEYWORD_BITS
            stack[0, NEAREST] = says & KEYWORD_BITS
        elif not (is_end or flags & VOID or says & SELF_CLOSING):
            depth = push(stack, depth, tag, says, open_at, group_at, unpushed, containers, counts)
    return _end_block(text, start, to, stack[depth], blocks, counts)


def read_blocks(html: NDArray[np.uint8]) -> Blocks:
    """The blocks of a page of UTF-8. Bytes that are no UTF-8 do no harm; they are copied as they are."""
    n = len(html)
    text = np.empty(n + n // 4 + MASK_BYTES, np.uint8)  # a reference grows by a fifth at most (&nGt;)
    room = min(n // 4 + 2, MAX_BLOCKS)  # each block is a character and a tag of three bytes
    rows = np.empty((room, N_COLUMNS), np.int32)
    containers = np.empty((room, 2), np.int32)
    stack = np.zeros((MAX_DEPTH, N_COLUMNS), np.int32)
    open_at, group_at, unpushed = np.zeros(N_TAGS, np.int32), np.zeros(N_GROUPS, np.int32), np.zeros(N_TAGS, np.int32)
    counts = np.zeros(N_COUNTS, np.int64)
    size = _read(html, text, rows, containers, stack, open_at, group_at, unpushed, counts)
    n_blocks, n_containers = counts[N_BLOCKS], counts[N_CONTAINERS]
    title = int(counts[TITLE_START]), int(counts[TITLE_END])
    return Blocks(text[:size], rows[:n_blocks], containers[:n_containers], title)
