"""The stack of open elements: what a start tag closes, what an end tag closes, and the context that an element passes on.

The topmost open element of every kind (`open_at`, by tag) and of every group of kinds (`group_at`) is known, so that no tag
searches the stack: on a real page, which is at most 45 deep, that is as fast as searching, and on a hostile one it stays so.
"""

import numpy as np

from corpus.kernels import helper
from corpus.simd import first_bit
from pipeline.blocks.keywords import GROUPS as KEYWORD_GROUPS
from pipeline.blocks.tags import (
    ANCESTOR_BIT,
    BLOCK,
    CONTAINER,
    ENDS_BARRED_BY,
    FLAGS,
    GROUP_OF,
    HEADING,
    LI,
    PRE,
    SKIPPED,
    STARTS_BARRED_BY,
    STARTS_CLOSE,
    TABLE,
    TABLE_CELL,
    TR,
)

# Columns of what stands on the stack, and of a block, int32. Those up to INHERITED are the context of a text, which open elements
# pass on: TAG of the innermost block element; KEYWORDS of it and all its ancestors (bits of `keywords.GROUPS`), NEAREST those
# of the innermost that has any; ANCESTORS, bits of `tags.ANCESTORS`; CONTAINER_OF it, the innermost (a row of `containers`);
# DEPTH in block elements; ROW, CELL and ITEM, serial numbers of the innermost table row, table cell and list item, 0 = none;
# KIND, flags PRE and SKIPPED.
TAG, KEYWORDS, NEAREST, ANCESTORS, CONTAINER_OF, DEPTH, ROW, CELL, ITEM, KIND, INHERITED = range(11)
# Then a block has: bytes of the text where it starts and ends; characters in links, without white space; links that start in it.
START, END, LINK_CHARACTERS, LINKS, N_COLUMNS = range(INHERITED, INHERITED + 5)
# An open element has instead of those: its number, and the element of its kind (its group) that was topmost before.
_OPEN, _BEFORE, _BEFORE_IN_GROUP = range(INHERITED, INHERITED + 3)

PARENT, CONTAINER_TAG = range(2)  # columns of a container; the parent of the first is -1

# What has been counted so far. Then: links and characters in links (white space aside) of the block at hand, open elements that
# are not on the stack, and where the title starts and ends in the text.
(
    N_BLOCKS, N_CONTAINERS, N_ROWS, N_CELLS, N_ITEMS, N_BODIES, N_LINKS, N_LINK_CHARACTERS, N_UNPUSHED, TITLE_START, TITLE_END,
    N_COUNTS,
) = range(12)  # fmt: skip

KEYWORD_BITS = (1 << len(KEYWORD_GROUPS)) - 1


@helper
def _topmost(group_at, groups):
    """Stack index of the topmost open element of any of the groups; 0 = none."""
    top = 0
    while groups:
        top = max(top, group_at[first_bit(groups)])
        groups &= groups - np.uint64(1)
    return top


@helper
def closed_by_start(group_at, tag, depth):
    """Stack index of the lowest element that the start of this one closes; depth + 1 = none."""
    closed = STARTS_CLOSE[tag]
    barrier = _topmost(group_at, STARTS_BARRED_BY[tag])
    lowest = depth + 1
    while closed:
        level = group_at[first_bit(closed)]
        if level > barrier:
            lowest = min(lowest, level)
        closed &= closed - np.uint64(1)
    return lowest


@helper
def closed_by_end(open_at, group_at, tag, depth):
    """Stack index of the element that this end tag closes, as `closed_by_start`. Any heading's end tag closes any heading."""
    group = GROUP_OF[tag]
    found = group_at[group] if group == HEADING else open_at[tag]
    return found if found > _topmost(group_at, ENDS_BARRED_BY[tag]) else depth + 1


@helper
def pop(stack, depth, level, open_at, group_at, unpushed, counts):
    """Close the elements from `level` <= depth on; returns the depth then."""
    while depth >= level:
        tag = stack[depth, _OPEN]
        open_at[tag] = stack[depth, _BEFORE]
        group_at[GROUP_OF[tag]] = stack[depth, _BEFORE_IN_GROUP]
        depth -= 1
    if counts[N_UNPUSHED]:
        counts[N_UNPUSHED] = 0
        for tag in range(len(unpushed)):
            unpushed[tag] = 0
    return depth


@helper
def push(stack, depth, tag, says, open_at, group_at, unpushed, containers, counts):
    """Open an element on top; returns the depth then. Where the stack is full it is only counted."""
    if depth + 1 == len(stack):
        unpushed[tag] += 1
        counts[N_UNPUSHED] += 1
        return depth
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
        _add_context(stack[depth], tag, flags, says & KEYWORD_BITS, containers, counts)
    return depth


@helper
def _add_context(context, tag, flags, keywords, containers, counts):
    """What a block element adds to the context that it inherits."""
    context[TAG] = tag
    context[KEYWORDS] |= keywords
    if keywords:
        context[NEAREST] = keywords
    context[ANCESTORS] |= ANCESTOR_BIT[tag]
    context[DEPTH] += 1
    number = counts[N_CONTAINERS]
    if flags & CONTAINER and number < len(containers):
        containers[number, PARENT] = context[CONTAINER_OF]
        containers[number, CONTAINER_TAG] = tag
        context[CONTAINER_OF] = number
        counts[N_CONTAINERS] += 1
    if tag == TABLE:
        context[ROW] = 0
        context[CELL] = 0
    elif tag == TR:
        counts[N_ROWS] += 1
        context[ROW] = counts[N_ROWS]
    elif GROUP_OF[tag] == TABLE_CELL:
        counts[N_CELLS] += 1
        context[CELL] = counts[N_CELLS]
        context[ITEM] = 0
    elif tag == LI:
        counts[N_ITEMS] += 1
        context[ITEM] = counts[N_ITEMS]
