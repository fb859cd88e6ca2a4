"""Text blocks of a page: what a reader of the page would see as one, whatever its markup is like."""

import html
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import types

from benchmarks.peers.lxml_blocks import Agreement, blocks_on_lxml
from corpus.kernels import BYTES, kernel
from corpus.simd import find_byte
from pipeline.blocks.encoding import _is_plain, utf8_page
from pipeline.blocks.keywords import GROUPS
from pipeline.blocks.open_elements import (
    ANCESTORS,
    CELL,
    CONTAINER_OF,
    CONTAINER_TAG,
    DEPTH,
    END,
    ITEM,
    KEYWORDS,
    LINK_CHARACTERS,
    LINKS,
    NEAREST,
    PARENT,
    ROW,
    START,
    TAG,
)
from pipeline.blocks.page import MAX_BLOCKS, MAX_DEPTH, Blocks, read_blocks
from pipeline.blocks.tags import ANCESTORS as ANCESTOR_NAMES
from pipeline.blocks.tags import NAMES
from pipeline.warc import read_captures


def read(page: str | bytes) -> Blocks:
    return read_blocks(np.frombuffer(page.encode() if isinstance(page, str) else page, np.uint8))


def texts(page: str | bytes) -> list[str]:
    found = read(page)
    return [found.block_text(i) for i in range(len(found.rows))]


def tagged(page: str) -> list[str]:
    found = read(page)
    return [f"{NAMES[row[TAG] - 1]}: {found.block_text(i)}" for i, row in enumerate(found.rows)]


def words_of(bits: int, names: list[str]) -> set[str]:
    return {name for bit, name in enumerate(names) if bits >> bit & 1}


def keywords(page: str) -> set[str]:
    (row,) = read(page).rows
    return words_of(row[KEYWORDS], list(GROUPS))


@pytest.mark.parametrize(
    ("page", "blocks"),
    [
        pytest.param("<p>One<p>Two", ["p: One", "p: Two"], id="unclosed paragraphs"),
        pytest.param("<ul><li>a<li>b<ul><li>c</ul>d</ul>e", ["li: a", "li: b", "li: c", "li: d", "body: e"], id="unclosed items"),
        pytest.param("<dl><dt>a<dd>b<dt>c</dl>d", ["dt: a", "dd: b", "dt: c", "body: d"], id="unclosed terms"),
        pytest.param(
            "<table><tr><td>a<td>b<tr><th>c<table><tr><td>d</table>e</table>f",
            ["td: a", "td: b", "th: c", "td: d", "th: e", "body: f"],
            id="unclosed cells and rows, a table in a cell",
        ),
        pytest.param("<select><option>a<option>b</select>c", ["body: c"], id="unclosed options"),
        pytest.param("<div>a</p>b</span></div></div>c", ["div: a", "div: b", "body: c"], id="stray end tags"),
        pytest.param("<table><tr><td>a</div>b</td></tr></table>", ["td: ab"], id="an end tag that is not its cell's"),
        pytest.param("<h1>a</h2>b", ["h1: a", "body: b"], id="one heading's end tag for another"),
        pytest.param("<p>a <b>bold</b>er <i>b</i></p>", ["p: a bolder b"], id="formatting"),
        pytest.param("<p>a<hr>b", ["p: a", "body: b"], id="a rule"),
        pytest.param("<p>a <!-- <p>x --> b <!--> c <!---> d <!-- --!> e", ["p: a b c d e"], id="comments"),
        pytest.param("<p>a <![CDATA[ x ]]> b <?xml y ?> c <!doctype z> d </ > e </> f", ["p: a b c d e f"], id="declarations"),
        pytest.param("<p>1 < 2 <3 a<", ["p: 1 < 2 <3 a"], id="signs that begin no tag"),
        pytest.param("a<script>'</p>' if (a</b) <!-- </SCRIPT >b", ["body: ab"], id="script"),
        pytest.param("a<textarea><p>x</textarea>b<noscript><p>x</noscript>c<style>p>a{}</style>", ["body: abc"], id="raw text"),
        pytest.param("<P Class=a ID='b'>a</P ><DIV\n/>b", ["p: a", "body: b"], id="case, blanks and XHTML"),
        pytest.param("<p title='>' data-x=\">\" y = > a", ["p: a"], id="greater-than signs in values"),
        pytest.param("<p =x>a<p a=b=c/>b", ["p: a", "p: b"], id="odd attributes"),
        pytest.param("<svg><title>t</title><text>x</text></svg>a<label>x<input></label>", ["body: a"], id="drawings and labels"),
        pytest.param("<div><label>x</div>a", ["body: a"], id="an unclosed label ends with what it is in"),
        pytest.param("<p>a <custom-tag>b</custom-tag> c", ["p: a b c"], id="elements nobody knows"),
        pytest.param("<p>first</p><div class='x", ["p: first"], id="the page ends in a tag"),
        pytest.param("<p>first</p><!-- x", ["p: first"], id="the page ends in a comment"),
        pytest.param("", [], id="nothing"),
    ],
)  # fmt: skip
def test_blocks_are_what_a_browser_shows_apart(page: str, blocks: list[str]) -> None:
    assert tagged(page) == blocks


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>\n\t a \r\n  b\u00a0\u3000&nbsp;&#x20;c &emsp; </p>", "a b c"),
        ("<p>one<br>two <br/> three<br><br><br>four<br>", "one\ntwo\nthree\n\nfour"),
        ("<pre>\n  a\r\n\tb\rc &lt;d>\n\n  </pre>", "  a\n\tb\nc <d>"),
        ("<p>\0a\0b &#0; &#x80;&#151; &#xD800; &#99999999;", "ab \ufffd €— \ufffd \ufffd"),
        (
            "&eacute &notit; &amp;lt; &AMP &ampx &#233 &#xe9x &; &# &#x; &foo; & b",
            "é ¬it; &lt; & &x é éx &; &# &#x; &foo; & b",
        ),
        ("&CounterClockwiseContourIntegral;&nGt;&fjlig;", "∳≫⃒fj"),
    ],
)
def test_text_is_as_it_is_shown(page: str, text: str) -> None:
    assert texts(page) == [text]


def test_every_named_reference_is_the_standards() -> None:
    for name in html.entities.html5:
        for around in (f"x&{name}y", f"x&{name}.", f"x&{name};=", f"x&{name.lower()} 1"):
            assert texts(f"<pre>{around}") == [html.unescape(around)], around


REFERENCES = st.lists(st.sampled_from(["&", "#", "x", ";", "n", "o", "t", "i", "lt", "amp", "41", "66", " ", "é"])).map(
    "".join
)


@given(REFERENCES)
def test_what_is_no_reference_stays(text: str) -> None:
    assert texts(f"<pre>x{text}x") == [html.unescape(f"x{text}x")]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<&")))
def test_white_space_is_one_space_in_any_script(text: str) -> None:
    shown = " ".join(text.replace("\0", "").split())
    assert texts(text) == ([shown] if shown else [])


SPECIAL = [" ", "  ", "\n", "\r\n", "x", "é", "\u00a0", "\u3000", "か", "&", "&amp;", "&nbsp;", "&notit", "\0", "word"]


@given(st.integers(0, 130), st.lists(st.sampled_from(SPECIAL), max_size=60).map("".join))
def test_text_is_read_the_same_wherever_it_stands(n_before: int, text: str) -> None:
    text = "x" * n_before + text
    shown = " ".join(html.unescape(text).replace("\0", "").split())
    assert texts(text) == ([shown] if shown else [])


def test_title_is_kept_apart() -> None:
    page = read("<head><title> Ships &amp;\n sails </title></head><body>a")
    start, end = page.title
    assert bytes(page.text[start:end]).decode().strip() == "Ships & sails"
    assert texts("<title>x</title>a") == ["a"]


def test_links_are_what_can_be_followed() -> None:
    page = read("<div>ab <a href=x>c d</a> <a name=here>e</a> <a href=y>ü<div>f</div>g</a>h")
    assert [(row[LINK_CHARACTERS], row[LINKS]) for row in page.rows] == [(3, 2), (1, 0), (1, 0)]


@pytest.mark.parametrize(
    ("attributes", "groups"),
    [
        ('class="post-Comments"', {"comment", "content"}),
        ("class=menu id='x'", {"nav"}),
        ("id=a class=a role=navigation", {"nav"}),
        ("class=x class=menu", set()),
        ("data-class=menu title=menu", set()),
        ("hidden", {"hidden"}),
        ("style='color:red; DISPLAY : none'", {"hidden"}),
        ("style='display:block;x:none' aria-hidden=false", set()),
        ("aria-hidden=true", {"hidden"}),
    ],
)
def test_attributes_say_what_an_element_is_for(attributes: str, groups: set[str]) -> None:
    assert keywords(f"<div {attributes}>a") == groups


@given(
    st.text(st.sampled_from("abcdefhilmnoprstuy-X_ "), max_size=40),
    st.sampled_from(sorted(set(" ".join(GROUPS.values()).split()))),
)
def test_keywords_are_found_anywhere_in_a_class(around: str, word: str) -> None:
    value = around[: len(around) // 2] + word + around[len(around) // 2 :]
    expected = {name for name, words in GROUPS.items() if any(part in value.lower() for part in words.split())}
    assert keywords(f'<div class="{value}">a') == expected


def test_context_is_that_of_all_ancestors() -> None:
    page = read("<body class=main><nav id=menu><ul><li class=x>a</ul></nav><table><tr><td>b<td><ul><li>c")
    first, second, third = page.rows
    assert words_of(first[KEYWORDS], list(GROUPS)) == {"content", "nav"}
    assert words_of(first[NEAREST], list(GROUPS)) == {"nav"}
    assert words_of(first[ANCESTORS], ANCESTOR_NAMES) == {"nav", "ul"}
    assert words_of(third[ANCESTORS], ANCESTOR_NAMES) == {"table", "ul"}
    assert [(row[DEPTH], row[ROW], row[CELL], row[ITEM]) for row in page.rows] == [
        (4, 0, 0, 1),
        (4, 1, 1, 0),
        (6, 1, 2, 2),
    ]
    path = []
    container = third[CONTAINER_OF]
    while container >= 0:
        path.append(NAMES[page.containers[container, CONTAINER_TAG] - 1])
        container = page.containers[container, PARENT]
    assert path == ["ul", "td", "table", "body"]
    assert words_of(second[KEYWORDS], list(GROUPS)) == {"content"}


def test_megabytes_of_nesting_keep_their_text() -> None:
    deep = 100_000
    assert texts("<div>" * deep + "a" + "</div>" * deep + "<p>b") == ["a", "b"]
    assert texts("<p>x</p>" + "<table><tr><td>" * deep + "a") == ["x", "a"]
    page = read("<div>" * deep + "<p>a")
    assert page.rows[0, DEPTH] == MAX_DEPTH
    assert len(read("<p>x" * (MAX_BLOCKS + 5)).rows) == MAX_BLOCKS


def _inline(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("<{0}>{1}</{0}>".format, st.sampled_from(["b", "span", "em class=menu"]), children).map(
        lambda made: made.replace("</em class=menu>", "</em>")
    )


WORDS = st.sampled_from(["one", " two ", "été", "&amp;", "漢字", "", "\n"])
INLINE = st.lists(
    st.one_of(
        WORDS,
        st.sampled_from(["<br>", "<img src=x>", "<!-- p -->", "<a href=x>link text</a>", "<a>no link</a>"]),
        _inline(WORDS),
    ),
    max_size=4,
).map("".join)
ATTRIBUTES = st.sampled_from(
    ["", " class=sidebar", ' id="post-1 nav"', " hidden", " style='display:none'", " role='main' class=x"]
)


def _element(name: str, attributes: str, content: str) -> str:
    return f"<{name}{attributes}>{content}</{name}>"


def _list(attributes: str, items: list[str]) -> str:
    return _element("ul", attributes, "".join(f"<li>{item}</li>" for item in items))


def _table(attributes: str, cells: list[str]) -> str:
    return _element("table", attributes, "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")


def _flow(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    inside = st.lists(children, max_size=3).map("".join)
    sections = st.sampled_from(["div", "section", "article", "nav", "aside", "blockquote"])
    several = st.lists(inside, max_size=3)
    return st.one_of(
        st.builds(_element, sections, ATTRIBUTES, inside),
        st.builds(_list, ATTRIBUTES, several),
        st.builds(_table, ATTRIBUTES, several),
    )


FLOW = st.recursive(
    st.one_of(st.builds(_element, st.sampled_from(["p", "h2", "div", "pre"]), ATTRIBUTES, INLINE), INLINE),
    _flow,
    max_leaves=12,
)


@given(st.lists(FLOW, max_size=4).map("".join))
def test_blocks_of_proper_pages_are_those_of_lxmls_tree(content: str) -> None:
    page, plain = read(f"<body>{content}</body>"), blocks_on_lxml(f"<body>{content}</body>")
    assert [" ".join(page.block_text(i).split()) for i in range(len(page.rows))] == [block.text for block in plain]
    for row, block in zip(page.rows, plain, strict=True):
        context = block.context
        assert (row[KEYWORDS], row[NEAREST], row[ANCESTORS]) == (context.keywords, context.nearest, context.ancestors)
        assert (NAMES[row[TAG] - 1], row[DEPTH], row[LINK_CHARACTERS]) == (
            context.tag,
            context.depth,
            block.link_characters,
        )


def check(page: bytes) -> None:
    found = read(page)
    starts, ends = found.rows[:, START], found.rows[:, END]
    assert (starts < ends).all()
    assert (ends[:-1] <= starts[1:]).all()
    assert len(found.text) <= len(page) * 5 // 4
    assert not len(ends) or ends[-1] <= len(found.text)
    assert (found.containers[1:, PARENT] < np.arange(1, len(found.containers))).all()
    assert ((found.rows[:, CONTAINER_OF] >= 0) & (found.rows[:, CONTAINER_OF] < len(found.containers))).all()
    for start, end in zip(starts, ends, strict=True):
        assert not found.text[end - 1 : end].tobytes().isspace()
        assert not found.text[start:end].tobytes().isspace()


MARKUP = "< > </ <! <!-- --> <? <p <p> </p> <a href= <td> </table> <table> <script> </script <pre> <title> <body> <div"
OTHER = "& &# &#x &lt ; = ' / class= style=display:none x é 9"
PIECES = [*MARKUP.split(), *OTHER.split(), '"', " ", "\n", "\r", "\0", "\u3000"]


@given(
    st.lists(st.one_of(st.sampled_from([piece.encode() for piece in PIECES]), st.binary(max_size=3)), max_size=60).map(
        b"".join
    )
)
def test_any_bytes_can_be_read(page: bytes) -> None:
    check(page)


def test_damaged_real_pages_can_be_read(shared_data: Path) -> None:
    generator = random.Random(0)
    for page in real_pages(shared_data, 60):
        damaged = bytearray(page[:200_000])
        for _ in range(generator.randrange(1, 200)):
            at = generator.randrange(len(damaged) + 1)
            damaged[at : at + generator.randrange(3)] = generator.choice(PIECES).encode()
        check(bytes(damaged))
        check(bytes(damaged[: generator.randrange(len(damaged) + 1)]))


def real_pages(shared_data: Path, n: int) -> list[bytes]:
    captures = [c for c in read_captures(str(shared_data / "pages" / "pages-3.warc.gz")) if c.kind == "response"]
    return [utf8_page(c.payload(), c.charset).tobytes() for c in captures[:: len(captures) // n]]


def test_blocks_of_real_pages_are_those_of_lxmls_tree(shared_data: Path) -> None:
    found = Agreement()
    for page in real_pages(shared_data, 40):
        found.add(read(page), blocks_on_lxml(page.decode("utf-8", "replace")))
    assert found.both >= 0.995 * max(found.theirs, found.ours)
    assert min(found.link_characters, found.keywords, found.nearest, found.ancestors, found.tag) >= 0.98 * found.both


@pytest.mark.parametrize(
    ("page", "charset", "text"),
    [
        ("<p>né".encode(), None, "né"),
        ("\ufeff<p>né".encode(), None, "né"),
        ("<meta charset=windows-1251><p>мир и труд, слово и дело".encode("cp1251"), None, "мир и труд, слово и дело"),
        ("<p>né".encode("latin-1"), "iso-8859-1", "né"),
        ("\ufeff<p>né".encode("utf-16-le"), None, "né"),
        (b"<p>a\0b", None, "ab"),
    ],
)
def test_pages_are_read_in_their_encoding(page: bytes, charset: str | None, text: str) -> None:
    found = read_blocks(utf8_page(page, charset))
    assert [found.block_text(i) for i in range(len(found.rows))] == [text]


CUT = ["a", "é", "漢", "😀", "\x7f", "\u0800", "\ud7ff", "\ue000", "\U00010000", "\U0010ffff"]
NEVER = [
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xc1\xbf",
    b"\xf5\x80\x80\x80",
    b"\x80",
    b"\0",
    b"\x1b",
]


@given(
    st.integers(0, 70),
    st.lists(st.sampled_from(CUT), max_size=30).map("".join),
    st.integers(0, 3),
    st.sampled_from([b"", *NEVER]),
)
def test_bytes_are_utf_8_where_python_says_so(n_before: int, text: str, n_cut: int, odd: bytes) -> None:
    whole = b"a" * n_before + text.encode()
    page = whole[: len(whole) - n_cut] + odd
    try:
        expected = not set("\0\x1b") & set(page.decode())
    except UnicodeDecodeError:
        expected = False
    assert _is_plain(np.frombuffer(page, np.uint8)) == expected


@kernel(types.int64(BYTES, types.int64, types.int64, types.uint8))
def _find_byte(data, start, end, byte):
    return find_byte(data, start, end, byte)


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 255))
def test_a_byte_is_found_where_python_finds_it(data: bytes, start: int, byte: int) -> None:
    start = min(start, len(data))
    found = data.find(bytes([byte]), start)
    assert _find_byte(np.frombuffer(data, np.uint8), start, len(data), byte) == (len(data) if found < 0 else found)
