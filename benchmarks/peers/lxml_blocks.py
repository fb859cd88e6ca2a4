"""The blocks of a page from lxml's tree, in plain Python: what the reader of `pipeline.blocks` is compared with.

The definitions are those of `pipeline.blocks`; the parser is libxml2's, whose ideas of what an unclosed element means are older
than the HTML Living Standard in places.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import lxml.etree
import lxml.html

from pipeline.blocks.keywords import GROUPS, HIDDEN
from pipeline.blocks.open_elements import ANCESTORS, DEPTH, END, KEYWORDS, LINK_CHARACTERS, NEAREST, START, TAG
from pipeline.blocks.page import Blocks
from pipeline.blocks.tags import ANCESTORS as ANCESTOR_NAMES
from pipeline.blocks.tags import BLOCKS, NAMES, RAW_ELEMENTS, SKIPPED_ELEMENTS

_BLOCKS, _LEFT_OUT = frozenset(BLOCKS), frozenset([*SKIPPED_ELEMENTS, *RAW_ELEMENTS])
_DISPLAY_NONE = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


@dataclass(frozen=True, slots=True)
class Context:
    tag: str = "body"
    keywords: int = 0
    nearest: int = 0
    ancestors: int = 0
    depth: int = 0


@dataclass(slots=True)
class PlainBlock:
    """A block, and how many of its characters that are no white space are in links."""

    text: str
    link_characters: int
    context: Context


@dataclass(slots=True)
class _Walk:
    blocks: list[PlainBlock] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    link_characters: int = 0

    def write(self, text: str | None, in_link: bool) -> None:
        if text:
            self.parts.append(text)
            if in_link:
                self.link_characters += sum(not character.isspace() for character in text)

    def end_block(self, context: Context) -> None:
        text = " ".join("".join(self.parts).split())
        if text:
            self.blocks.append(PlainBlock(text, self.link_characters, context))
        self.parts.clear()
        self.link_characters = 0


def keywords_of(element: Any) -> int:
    said = " ".join(element.get(name) or "" for name in ("class", "id", "role")).lower()
    bits = sum(1 << bit for bit, words in enumerate(GROUPS.values()) if any(word in said for word in words.split()))
    if (
        element.get("hidden") is not None
        or (element.get("aria-hidden") or "").lower() == "true"
        or _DISPLAY_NONE.search(element.get("style") or "")
    ):
        bits |= HIDDEN
    return bits


def blocks_on_lxml(html: str) -> list[PlainBlock]:
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    html = _XML_DECLARATION.sub("", html).replace("\0", "")
    try:
        root = lxml.html.document_fromstring(html.encode("utf-8", "replace"), parser=parser)
    except lxml.etree.ParserError:  # nothing there
        return []
    body = root.find("body")
    walk = _Walk()
    _visit(walk, root if body is None else body, Context(), False)
    walk.end_block(Context())
    return walk.blocks


def _visit(walk: _Walk, element: Any, context: Context, in_link: bool) -> None:
    """Depth first, without recursion: pages nest deeper than Python's stack."""
    stack: list[tuple[Any, Context, bool, bool]] = [(element, context, in_link, False)]
    while stack:
        element, context, in_link, is_done = stack.pop()
        inside, inside_link = context, in_link
        if isinstance(element.tag, str) and element.tag not in _LEFT_OUT and element.tag != "title":
            is_block = element.tag in _BLOCKS
            if is_block:
                bits = keywords_of(element)
                ancestor = 1 << ANCESTOR_NAMES.index(element.tag) if element.tag in ANCESTOR_NAMES else 0
                inside = Context(
                    element.tag,
                    context.keywords | bits,
                    bits or context.nearest,
                    context.ancestors | ancestor,
                    context.depth + 1,
                )
                walk.end_block(inside if is_done else context)
            inside_link = (in_link or element.get("href") is not None) if element.tag == "a" else in_link
            if not is_done:
                if element.tag == "br":
                    walk.write(" ", False)
                walk.write(element.text, inside_link)
                stack.append((element, context, in_link, True))
                stack.extend((child, inside, inside_link, False) for child in reversed(element))
                continue
        walk.write(element.tail, in_link)


@dataclass(slots=True)
class Agreement:
    """How many blocks two readers have, have both (by text), and how many of those agree in each respect."""

    theirs: int = 0
    ours: int = 0
    both: int = 0
    link_characters: int = 0
    keywords: int = 0
    nearest: int = 0
    ancestors: int = 0
    tag: int = 0
    depth: int = 0

    def add(self, page: Blocks, plain: list[PlainBlock]) -> None:
        """The k-th block with a text is compared with the other reader's k-th."""
        seen: Counter[str] = Counter()
        of_theirs: dict[tuple[str, int], PlainBlock] = {}
        for block in plain:
            of_theirs[block.text, seen[block.text]] = block
            seen[block.text] += 1
        seen.clear()
        for row in page.rows:
            text = " ".join(bytes(page.text[row[START] : row[END]]).decode("utf-8", "replace").split())
            found = of_theirs.get((text, seen[text]))
            seen[text] += 1
            if found is None:
                continue
            self.both += 1
            self.link_characters += found.link_characters == row[LINK_CHARACTERS]
            self.keywords += found.context.keywords == row[KEYWORDS]
            self.nearest += found.context.nearest == row[NEAREST]
            self.ancestors += found.context.ancestors == row[ANCESTORS]
            self.tag += found.context.tag == NAMES[row[TAG] - 1]
            self.depth += found.context.depth == row[DEPTH]
        self.theirs += len(plain)
        self.ours += len(page.rows)
