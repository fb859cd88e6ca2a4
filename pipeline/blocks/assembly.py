"""The text of a page from the blocks that were chosen: in reading order, a line a block.

A list item begins with "- ", as it does in trafilatura's text. The cells of a table's row stand on one line, " | " between
them, if each is one block; a row with more than that in a cell is layout, and its blocks are lines. The line breaks of `<br>`
and `<pre>` stay. A long block that says what one above it said is left out: pages hold copies for small screens. No words run
together: the reader ends a block wherever a browser would begin a new line.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks.open_elements import CELL, END, ITEM, ROW, START
from pipeline.blocks.page import Blocks

_ITEM_MARK, _CELL_MARK = b"- ", b" | "
_LONG_BYTES = 40  # of a block that is not repeated; shorter ones are rows of tables, answers, refrains


def assemble(page: Blocks, chosen: NDArray[np.bool_]) -> str:
    """`chosen`: whether each block of the page is part of the text."""
    is_cell = _are_cells(page.rows)
    text = page.text.tobytes()
    pieces: list[bytes] = []
    long_blocks: set[bytes] = set()
    last_row = last_item = 0
    at = np.nonzero(chosen)[0]
    for (start, end, row, item), is_whole_cell in zip(
        page.rows[at][:, [START, END, ROW, ITEM]].tolist(), is_cell[at].tolist(), strict=True
    ):
        block = text[start:end]
        if len(block) >= _LONG_BYTES:
            if block in long_blocks:
                continue
            long_blocks.add(block)
        row = row if is_whole_cell else 0
        if pieces:
            pieces.append(_CELL_MARK if row and row == last_row else b"\n")
        if item and item != last_item:
            pieces.append(_ITEM_MARK)
        pieces.append(block)
        last_row, last_item = row, item
    return b"".join(pieces).decode("utf-8", "replace")


def _are_cells(rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether each block is all the text of its cell, and so are the other blocks of its row."""
    row, cell = rows[:, ROW], rows[:, CELL]
    if not cell.any():
        return np.zeros(len(rows), np.bool_)
    blocks_of_cell = np.bincount(cell)[cell]
    is_alone = (cell > 0) & (row > 0) & (blocks_of_cell == 1)
    n_of_row, n_alone = np.bincount(row)[row], np.bincount(row, weights=is_alone)[row]
    return is_alone & (n_of_row == n_alone)
