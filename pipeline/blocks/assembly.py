"""The text of a page from the blocks that were chosen: in reading order, a line a block.

A list item begins with "- ", as it does in trafilatura's text. The cells of a table's row stand on one line, " | " between
them, if each is one block; a row with more than that in a cell is layout, and its blocks are lines. The line breaks of `<br>`
and `<pre>` stay. A long block that says what one above it said is left out: pages hold copies for small screens. No words run
together: the reader ends a block wherever a browser would begin a new line.

Lines without a letter or digit (icons, bullets, rules of dashes) are left out, except in tables and code; and so is what nobody
sees: private use (icon fonts), zero-width spaces, soft hyphens, byte order marks. One development page in twelve has such
characters. Joiners stay, since Persian, Indic scripts and emoji are spelled with them.
"""

import re

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks.open_elements import CELL, END, ITEM, KIND, ROW, START
from pipeline.blocks.page import Blocks
from pipeline.blocks.tags import PRE

_ITEM_MARK, _CELL_MARK = b"- ", b" | "
_LONG_BYTES = 40  # of a block that is not repeated; shorter ones are rows of tables, answers, refrains
_UNSEEN = "[\xad\u200b\u2060\ue000-\uf8ff\ufeff]+"
_WITH_SPACE = re.compile(rf" {_UNSEEN}(?=\n|\Z)|(?:(?<=[ \n])|\A){_UNSEEN} ?|{_UNSEEN}")


def assemble(page: Blocks, chosen: NDArray[np.bool_]) -> str:
    """`chosen`: whether each block of the page is part of the text."""
    is_cell = _are_cells(page.rows)
    text = page.text.tobytes()
    pieces: list[bytes] = []
    long_blocks: set[bytes] = set()
    last_row = last_item = 0
    at = np.nonzero(chosen)[0]
    for (start, end, row, item, kind), is_whole_cell in zip(
        page.rows[at][:, [START, END, ROW, ITEM, KIND]].tolist(), is_cell[at].tolist(), strict=True
    ):
        block = text[start:end]
        row = row if is_whole_cell else 0
        if len(block) >= _LONG_BYTES:
            if block in long_blocks:
                continue
            long_blocks.add(block)
        elif not (row or kind & PRE or _has_word(block)):
            continue
        if pieces:
            pieces.append(_CELL_MARK if row and row == last_row else b"\n")
        if item and item != last_item:
            pieces.append(_ITEM_MARK)
        pieces.append(block)
        last_row, last_item = row, item
    whole = b"".join(pieces).decode("utf-8", "replace")
    if whole.replace("\n", "").isprintable():  # most pages; a look costs a tenth of a search
        return whole
    return _WITH_SPACE.sub("", whole)


def _has_word(block: bytes) -> bool:
    return block.isalnum() or any(map(str.isalnum, block.decode("utf-8", "replace")))


def _are_cells(rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether each block is all the text of its cell, and so are the other blocks of its row."""
    row, cell = rows[:, ROW], rows[:, CELL]
    if not cell.any():
        return np.zeros(len(rows), np.bool_)
    blocks_of_cell = np.bincount(cell)[cell]
    is_alone = (cell > 0) & (row > 0) & (blocks_of_cell == 1)
    n_of_row, n_alone = np.bincount(row)[row], np.bincount(row, weights=is_alone)[row]
    return is_alone & (n_of_row == n_alone)
