"""What each HTML element is to the block reader, as data: number, flags, what its start closes, what its end cannot cross.

Source: the HTML Living Standard, §13.2.6 (tree construction) and §13.1.2.4 (optional tags), reduced to what moves text from one
block to another. Elements that only format (b, span, font …) are not listed: they neither begin a block nor close one, so the
reader looks at their attributes only to find where the tag ends. An element that is not listed costs no stack entry.

A rule names *groups* of elements. The reader keeps the topmost open element of every group, so that "close an open li unless a
list is in between" is a comparison of two numbers, whatever the depth: that is what makes the reader linear.
"""

import numpy as np
from numpy.typing import NDArray

from corpus.hashing import GOLDEN, load_bytes
from corpus.kernels import helper

# Flags of an element.
BLOCK, SKIPPED, RAW, VOID, CONTAINER, PRE = (1 << bit for bit in range(6))

BLOCKS = [
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main",
    "menu", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
    "title",  # whose text is kept apart
]  # fmt: skip
CONTAINERS = [
    "article", "aside", "blockquote", "body", "div", "dl", "footer", "form", "header", "main", "nav", "ol", "section",
    "table", "td", "ul",
]  # fmt: skip
# Not main text wherever it stands: controls, fallbacks for what a browser shows itself, drawings.
SKIPPED_ELEMENTS = [
    "audio", "button", "canvas", "datalist", "label", "map", "object", "select", "svg", "template", "video",
]  # fmt: skip
# Their content is no markup, up to their own end tag; none of it is main text.
RAW_ELEMENTS = ["iframe", "noembed", "noframes", "noscript", "script", "style", "textarea", "xmp"]
VOIDS = [
    "area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
]  # fmt: skip
HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]

NAMES = sorted({*BLOCKS, *SKIPPED_ELEMENTS, *RAW_ELEMENTS, *VOIDS, "a"})
NUMBERS = {name: number for number, name in enumerate(NAMES, 1)}  # 0 is any other element
N_TAGS = len(NAMES) + 1

# Ancestors that a block's bit set tells of, bit by bit.
ANCESTORS = [
    "nav", "footer", "header", "aside", "form", "table", "ul", "article", "main", "section", "blockquote", "figure", "dl",
]  # fmt: skip

# Groups. An element belongs to one at most.
_MEMBERS = {
    "cell": ["td", "th", "caption"],
    "row": ["tr"],
    "part": ["tbody", "thead", "tfoot"],
    "table": ["table"],
    "item": ["li"],
    "list": ["ul", "ol", "menu", "dir"],
    "term": ["dt", "dd"],
    "terms": ["dl"],
    "paragraph": ["p"],
    "heading": HEADINGS,
}
_SECTIONS = [name for name in BLOCKS if not any(name in members for members in _MEMBERS.values())]
GROUPS = ["none", *_MEMBERS, "section"]
N_GROUPS = len(GROUPS)
TABLE_CELL, PARAGRAPH, HEADING = (GROUPS.index(name) for name in ("cell", "paragraph", "heading"))


def _bits(*names: str) -> int:
    return sum(1 << GROUPS.index(name) for name in names)


_IN_CELL = _bits("cell", "table")  # nothing inside a cell closes what is outside it

# What the start of an element closes: (elements, groups closed, groups that protect what is below them).
_STARTS = (
    ([name for name in BLOCKS if name not in ("body", "caption", "tbody", "td", "tfoot", "th", "thead", "tr")],
     _bits("paragraph"), _IN_CELL),
    (["li"], _bits("paragraph", "item"), _IN_CELL | _bits("list", "section")),
    (["dt", "dd"], _bits("paragraph", "term"), _IN_CELL | _bits("terms", "section")),
    (["td", "th"], _bits("cell"), _bits("table")),
    (["tr"], _bits("cell", "row"), _bits("table")),
    (["tbody", "thead", "tfoot"], _bits("cell", "row", "part"), _bits("table")),
)  # fmt: skip
# What an end tag cannot cross to reach the element it closes.
_ENDS = (
    (NAMES, _IN_CELL),
    (["li"], _IN_CELL | _bits("list")),
    (["td", "th", "caption", "tr", "tbody", "thead", "tfoot"], _bits("table")),
    (["table"], 0),
)


def _flags() -> NDArray[np.int32]:
    flags = np.zeros(N_TAGS, np.int32)
    for names, flag in (
        (BLOCKS, BLOCK), (SKIPPED_ELEMENTS, SKIPPED), (RAW_ELEMENTS, RAW), (VOIDS, VOID), (CONTAINERS, CONTAINER),
        (["pre"], PRE),
    ):  # fmt: skip
        flags[[NUMBERS[name] for name in names]] |= flag
    return flags


def _by_tag(rules: tuple[tuple[list[str], int], ...]) -> NDArray[np.int32]:
    """The last rule that names an element counts."""
    values = np.zeros(N_TAGS, np.int32)
    for names, value in rules:
        values[[NUMBERS[name] for name in names]] = value
    return values


FLAGS = _flags()
GROUP_OF = _by_tag(
    tuple(([*members], GROUPS.index(group)) for group, members in {**_MEMBERS, "section": _SECTIONS}.items())
)
ANCESTOR_BIT = _by_tag(tuple(([name], 1 << bit) for bit, name in enumerate(ANCESTORS)))
STARTS_CLOSE = _by_tag(tuple((names, closed) for names, closed, _ in _STARTS)).astype(np.uint64)
STARTS_BARRED_BY = _by_tag(tuple((names, barrier) for names, _, barrier in _STARTS)).astype(np.uint64)
ENDS_BARRED_BY = _by_tag(_ENDS).astype(np.uint64)

A, BODY, BR, P, TABLE, TITLE, LI, TR = (
    NUMBERS[name] for name in ("a", "body", "br", "p", "table", "title", "li", "tr")
)

_SLOT_BITS = 9
_LOWER = 0x2020202020202020  # letters in lower case; digits (h1) have that bit


def _key(name: bytes) -> tuple[int, int]:
    """First and last eight bytes; no name is longer than sixteen, so they are all of it."""
    return int.from_bytes(name[:8], "little"), int.from_bytes(name[-8:], "little")


def _hash_table() -> tuple[int, NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int32]]:
    """(odd multiplier, first bytes, last bytes, numbers): a table in which every name has a slot of its own."""
    multiplier = 1
    while True:
        multiplier = multiplier * int(GOLDEN) % (1 << 64)
        slots = {(_key(name.encode())[0] * multiplier % (1 << 64)) >> (64 - _SLOT_BITS): name for name in NAMES}
        if len(slots) == len(NAMES):
            break
    first, last = np.zeros(1 << _SLOT_BITS, np.uint64), np.zeros(1 << _SLOT_BITS, np.uint64)
    numbers = np.zeros(1 << _SLOT_BITS, np.int32)
    for slot, name in slots.items():
        first[slot], last[slot] = _key(name.encode())
        numbers[slot] = NUMBERS[name]
    return multiplier, first, last, numbers


_multiplier, _FIRST, _LAST, _NUMBER = _hash_table()
_MULTIPLIER = np.uint64(_multiplier)
_SHIFT = np.uint64(64 - _SLOT_BITS)
_LOW_BYTES = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)


@helper
def tag_number(data, start, end):
    """Number of the element whose name is data[start:end], in either case; 0 if it is not listed."""
    n = min(end - start, 8)
    mask = np.uint64(_LOWER) & _LOW_BYTES[np.uint64(n)]
    first = load_bytes(data, start, n) | mask
    slot = (first * _MULTIPLIER) >> _SHIFT
    if _FIRST[slot] != first or load_bytes(data, end - n, n) | mask != _LAST[slot]:
        return 0
    return np.int64(_NUMBER[slot])
