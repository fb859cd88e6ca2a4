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
from pipeline.blocks.keywords import GROUPS as KEYWORD_GROUPS
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
from pipeline.blocks.tags import (
    ANCESTOR_BIT,
    BLOCK,
    BODY,
    BR,
    CONTAINER,
    ENDS_BARRED_BY,
    FLAGS,
    GROUP_OF,
    HEADING,
    LI,
    N_GROUPS,
    N_TAGS,
    PRE,
    RAW,
    SKIPPED,
    STARTS_BARRED_BY,
    STARTS_CLOSE,
    TABLE,
    TABLE_CELL,
    TITLE,
    TR,
    VOID,
    A,
    P,
    tag_number,
)

MAX_DEPTH = 256  # real pages: 45
MAX_BLOCKS = 32_000  # five times as many as the fullest of 2,843 real pages has

# Columns of a block, int32. Those up to INHERITED are the context in which its text stands, which open elements pass on:
# TAG of the innermost block element; KEYWORDS of all its ancestors, itself included (bits of `keywords.GROUPS`), NEAREST those of
# the innermost that has any; ANCESTORS, bits of `tags.ANCESTORS`; CONTAINER, the innermost (a row of `containers`); DEPTH in block
# elements; ROW, CELL and ITEM, serial numbers of the innermost table row, table cell and list item, 0 = none; KIND, flags PRE or 0.
TAG, KEYWORDS, NEAREST, ANCESTORS, CONTAINER_OF, DEPTH, ROW, CELL, ITEM, KIND, INHERITED = range(11)
# Then its own: bytes of the text where it starts and ends; characters in links (white space not counted); links that start in it.
START, END, LINK_CHARACTERS, LINKS, N_COLUMNS = range(INHERITED, INHERITED + 5)
# An open element has instead of those: its number, and the element of its kind (its group) that was topmost before.
_OPEN, _BEFORE, _BEFORE_IN_GROUP = range(INHERITED, INHERITED + 3)

PARENT, CONTAINER_TAG = range(2)  # columns of a container; the parent of the first is -1

_KEYWORD_BITS = (1 << len(KEYWORD_GROUPS)) - 1
_INT32S = types.int32[::1]
_TABLE = types.int32[:, ::1]

_count_unseen = counter((*WHITE_SPACE, *CONTINUATION))  # bytes that are white space or do not begin a character


class Blocks(NamedTuple):
    """The text blocks of a page in reading order.

    `text`: UTF-8, uint8; block i is text[rows[i, START]:rows[i, END]], without white space at its ends. Newlines in it are those
    of `<br>` and `<pre>`. `rows`: int32[n, N_COLUMNS]; `containers`: int32[m, 2], parents before children; `title`: where
    the page's title starts and ends in `text`.
    """

    text: NDArray[np.uint8]
    rows: NDArray[np.int32]
    containers: NDArray[np.int32]
    title: tuple[int, int]

    def block_text(self, i: int) -> str:
        return bytes(self.text[self.rows[i, START] : self.rows[i, END]]).decode("utf-8", "replace")


@helper
def _topmost(group_at, groups):
    """Stack index of the topmost open element of any of the groups; 0 = none."""
    top = 0
    for group in range(1, N_GROUPS):
        if groups >> group & 1:
            top = max(top, group_at[group])
    return top


@helper
def _closed_by_start(group_at, tag, depth):
    """Stack index of the lowest element that the start of this one closes; depth + 1 = none."""
    closed = STARTS_CLOSE[tag]
    barrier = _topmost(group_at, STARTS_BARRED_BY[tag])
    lowest = depth + 1
    for group in range(1, N_GROUPS):
        if closed >> group & 1 and group_at[group] > barrier:
            lowest = min(lowest, group_at[group])
    return lowest


@helper
def _closed_by_end(open_at, group_at, tag, depth):
    """Stack index of the element that this end tag closes, as `_closed_by_start`. Any heading's end tag closes any heading."""
    group = GROUP_OF[tag]
    found = group_at[group] if group == HEADING else open_at[tag]
    return found if found > _topmost(group_at, ENDS_BARRED_BY[tag]) else depth + 1


@helper
def _pop(stack, depth, level, open_at, group_at):
    """Close the elements from `level` on; returns the depth then."""
    while depth >= level:
        tag = stack[depth, _OPEN]
        open_at[tag] = stack[depth, _BEFORE]
        group_at[GROUP_OF[tag]] = stack[depth, _BEFORE_IN_GROUP]
        depth -= 1
    return depth


@helper
def _push(stack, depth, tag, says, open_at, group_at, containers, counts):
    """Open an element on top; returns the depth then. `counts`: containers, rows, cells, items so far."""
    for column in range(INHERITED):
        stack[depth + 1, column] = stack[depth, column]
    depth += 1
    group = GROUP_OF[tag]
    stack[depth, _OPEN] = tag
    stack[depth, _BEFORE] = open_at[tag]
    stack[depth, _BEFORE_IN_GROUP] = group_at[group]
    open_at[tag] = depth
    group_at[group] = depth
    flags = FLAGS[tag]
    stack[depth, KIND] |= flags & (SKIPPED | PRE)
    if flags & BLOCK:
        bits = says & _KEYWORD_BITS
        stack[depth, TAG] = tag
        stack[depth, KEYWORDS] |= bits
        if bits:
            stack[depth, NEAREST] = bits
        stack[depth, ANCESTORS] |= ANCESTOR_BIT[tag]
        stack[depth, DEPTH] += 1
        if flags & CONTAINER and counts[0] < len(containers):
            containers[counts[0], PARENT] = stack[depth, CONTAINER_OF]
            containers[counts[0], CONTAINER_TAG] = tag
            stack[depth, CONTAINER_OF] = counts[0]
            counts[0] += 1
        if tag == TABLE:
            stack[depth, ROW] = 0
            stack[depth, CELL] = 0
        elif tag == TR:
            counts[1] += 1
            stack[depth, ROW] = counts[1]
        elif group == TABLE_CELL:
            counts[2] += 1
            stack[depth, CELL] = counts[2]
            stack[depth, ITEM] = 0
        elif tag == LI:
            counts[3] += 1
            stack[depth, ITEM] = counts[3]
    return depth


@helper
def _end_block(text, start, to, context, blocks, n, link_characters, links):
    """The block text[start:to] ends; returns (its end without white space, number of blocks then)."""
    while to > start and is_space(text[to - 1]):
        to -= 1
    if context[KIND] & PRE:
        while start < to and (text[start] == 10):
            start += 1
    if to > start and n < len(blocks):
        for column in range(INHERITED):
            blocks[n, column] = context[column]
        blocks[n, START] = start
        blocks[n, END] = to
        blocks[n, LINK_CHARACTERS] = link_characters
        blocks[n, LINKS] = links
        n += 1
    return to, n


@kernel(
    types.UniTuple(types.int64, 5)(
        BYTES, types.uint8[::1], _TABLE, _TABLE, _TABLE, _INT32S, _INT32S, _INT32S, types.int64[::1]
    )
)
def _read(data, text, blocks, containers, stack, open_at, group_at, unpushed, counts):
    """(bytes of text, blocks, containers, where the title starts and ends in the text). All arrays but `data` begin as zeros.

    One function, since what it keeps while it goes on (position, text written, depth, the open link) is in all of its steps.
    """
    end = data.size
    zero = np.int64(0)  # a literal would have helpers compiled once for it and once for other numbers
    at = zero
    start, to = zero, zero  # of the block at hand, in `text`
    n_blocks, links, link_characters = zero, zero, zero
    title_start, title_end = zero, zero
    depth = zero
    link_depth = zero  # where the open link stands, counted from 1; 0 = none
    n_unpushed = 0
    has_body = False
    stack[0, TAG] = BODY
    stack[0, DEPTH] = 1
    containers[0, PARENT] = -1
    containers[0, CONTAINER_TAG] = BODY
    counts[0] = 1
    while at < end and n_blocks < len(blocks):
        kind = stack[depth, KIND]
        if kind & SKIPPED:
            at = find_byte(data, at, end, LESS)
        else:
            before = to
            at, to = read_text(data, at, end, kind & PRE, text, start, to)
            if link_depth:
                link_characters += to - before - _count_unseen(text, before, to)
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
        if is_end:
            if tag == A:
                link_depth = 0
            if flags & (BLOCK | SKIPPED) == 0 or flags & VOID:
                continue
            if unpushed[tag]:
                unpushed[tag] -= 1
                level = depth + 1
            else:
                level = _closed_by_end(open_at, group_at, tag, depth)
                if level > depth and tag != P:  # to browsers, a </p> without its <p> is an empty paragraph
                    continue
        elif flags & RAW:
            if says & SELF_CLOSING == 0:
                at = find_end_tag(data, at, end, tag)
            continue
        elif tag == A:
            is_link = says & (HAS_HREF | SELF_CLOSING) == HAS_HREF
            link_depth = depth + 1 if is_link else 0
            links += 1 if is_link and not kind & SKIPPED else 0
            continue
        elif tag == BR:
            if not kind & SKIPPED:
                to = write_break(text, start, to)
            continue
        elif tag == BODY:
            if has_body:
                continue
            has_body = True
            level = 1
        elif flags & (BLOCK | SKIPPED) == 0:
            continue
        else:
            level = _closed_by_start(group_at, tag, depth)
        if flags & BLOCK and not (kind & SKIPPED and stack[level - 1, KIND] & SKIPPED):
            if stack[depth, TAG] == TITLE and title_end == 0:
                title_start, title_end, start = start, to, to
            else:
                to, n_blocks = _end_block(text, start, to, stack[depth], blocks, n_blocks, link_characters, links)
                start = to
            links, link_characters = 0, 0
        if level <= depth:
            depth = _pop(stack, depth, level, open_at, group_at)
            if depth + 1 < link_depth:
                link_depth = 0
            if n_unpushed:
                unpushed[:] = 0
                n_unpushed = 0
        if tag == BODY:
            stack[0, KEYWORDS] = says & _KEYWORD_BITS
            stack[0, NEAREST] = says & _KEYWORD_BITS
        elif not (is_end or flags & VOID or says & SELF_CLOSING):
            if depth + 1 < len(stack):
                depth = _push(stack, depth, tag, says, open_at, group_at, containers, counts)
            else:
                unpushed[tag] += 1
                n_unpushed += 1
    to, n_blocks = _end_block(text, start, to, stack[depth], blocks, n_blocks, link_characters, links)
    return to, n_blocks, counts[0], title_start, title_end


def read_blocks(html: NDArray[np.uint8]) -> Blocks:
    """The blocks of a page of UTF-8. Bytes that are no UTF-8 do no harm; they are copied as they are."""
    n = len(html)
    text = np.empty(n + n // 4 + MASK_BYTES, np.uint8)  # a reference grows by a fifth at most (&nGt;)
    room = min(n // 4 + 2, MAX_BLOCKS)  # each block is a character and a tag of three bytes
    rows = np.empty((room, N_COLUMNS), np.int32)
    containers = np.empty((room, 2), np.int32)
    stack = np.zeros((MAX_DEPTH, N_COLUMNS), np.int32)
    open_at, group_at, unpushed = np.zeros(N_TAGS, np.int32), np.zeros(N_GROUPS, np.int32), np.zeros(N_TAGS, np.int32)
    size, n_blocks, n_containers, title_start, title_end = _read(
        html, text, rows, containers, stack, open_at, group_at, unpushed, np.zeros(4, np.int64)
    )
    return Blocks(text[:size], rows[:n_blocks], containers[:n_containers], (title_start, title_end))
