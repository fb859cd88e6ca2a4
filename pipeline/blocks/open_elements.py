"""The stack of open elements: what a start tag closes, what an end tag closes, and the context that an element passes on.

The topmost open element of every kind (`open_at`, by tag) and of every group of kinds (`group_at`) is known, so that no tag
searches the stack: on a real page, which is at most 45 deep, that is as fast as searching, and on a hostile one it stays so.
"""

from corpus.kernels import helper
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
    N_GROUPS,
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

KEYWORD_BITS = (1 << len(KEYWORD_GROUPS)) - 1


@helper
def _topmost(group_at, groups):
    """Stack index of the topmost open element of any of the groups; 0 = none."""
    top = 0
    for group in range(1, N_GROUPS):
        if groups >> group & 1:
            top = max(top, group_at[group])
    return top


@helper
def closed_by_start(group_at, tag, depth):
    """Stack index of the lowest element that the start of this one closes; depth + 1 = none."""
    closed = STARTS_CLOSE[tag]
    barrier = _topmost(group_at, STARTS_BARRED_BY[tag])
    lowest = depth + 1
    for group in range(1, N_GROUPS):
        if closed >> group & 1 and group_at[group] > barrier:
            lowest = min(lowest, group_at[group])
    return lowest


@helper
def closed_by_end(open_at, group_at, tag, depth):
    """Stack index of the element that this end tag closes, as `closed_by_start`. Any heading's end tag closes any heading."""
    group = GROUP_OF[tag]
    found = group_at[group] if group == HEADING else open_at[tag]
    return found if found > _topmost(group_at, ENDS_BARRED_BY[tag]) else depth + 1


@helper
def pop(stack, depth, level, open_at, group_at):
    """Close the elements from `level` on; returns the depth then."""
    while depth >= level:
        tag = stack[depth, _OPEN]
        open_at[tag] = stack[depth, _BEFORE]
        group_at[GROUP_OF[tag]] = stack[depth, _BEFORE_IN_GROUP]
        depth -= 1
    return depth


@helper
def push(stack, depth, tag, says, open_at, group_at, containers, counts):
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
        bits = says & KEYWORD_BITS
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
