"""The blocks of a page as it came: its encoding found, and `<noscript>` read where there is next to nothing beside it.

A browser shows `<noscript>` only where scripts are off, and nearly always it is a counting pixel or a notice. But forums run by
Discourse send a whole thread in it and let a script draw the page: 11 of 81 forum pages of WCXB had no main text without this.
"""

import re

import numpy as np

from pipeline.blocks.encoding import utf8_page
from pipeline.blocks.open_elements import END, START
from pipeline.blocks.page import Blocks, read_blocks

LITTLE_TEXT = 500  # bytes in all blocks of a page
_NOSCRIPT = re.compile(rb"(?i)(</?)noscript\b")


def read_page(html: bytes, charset: str | None) -> Blocks:
    """`charset` is what the HTTP header says."""
    utf8 = utf8_page(html, charset)
    page = read_blocks(utf8)
    if (page.rows[:, END] - page.rows[:, START]).sum() >= LITTLE_TEXT:
        return page
    without_scripts, n_tags = _NOSCRIPT.subn(rb"\1x-shown", utf8.tobytes())  # to the reader an element that is none
    return read_blocks(np.frombuffer(without_scripts, np.uint8)) if n_tags else page
