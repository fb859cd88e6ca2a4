"""Extractors, the page's encoding, and what every text goes through afterwards."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from warcio import ArchiveIterator

from corpus.errors import ConfigError
from pipeline.extractors import resiliparse, trafilatura
from pipeline.extractors._child import decode
from pipeline.extractors.tidy import tidy

PARAGRAPHS = [
    "The harbour was built in the nineteenth century, and fishing boats still leave it every morning before sunrise.",
    "Visitors come for the market on Saturdays, where farmers from the valley sell apples, cheese and smoked trout.",
    "In winter the ferry runs only twice a day, so travellers should look at the timetable before they set out.",
]
PAGE = f"""<!doctype html><html><head><title>Harbour</title><script>var x = "not text";</script></head><body>
<nav><ul><li><a href="/a">Home</a></li><li><a href="/b">About us</a></li></ul></nav>
<article><h1>The harbour</h1>{"".join(f"<p>{text}</p>" for text in PARAGRAPHS)}
<table><tr><td>Ferry at noon</td><td>Platform four</td></tr></table>
<img src="x.jpg" alt="alternative text of a photograph"></article>
<section class="comments" id="comments"><div class="comment"><p>First! What a wonderful article this is.</p></div></section>
</body></html>"""
FAVORS = ["precision", "recall", "balanced"]


@pytest.mark.parametrize("favor", FAVORS)
def test_trafilatura_gives_the_article_and_its_table_without_menu_scripts_and_comments(favor: str) -> None:
    text = trafilatura.extract(PAGE, None, {"favor": favor})
    assert [paragraph in text for paragraph in PARAGRAPHS] == [True, True, True]
    assert [part in text for part in ("Ferry at noon", "About us", "not text", "First!")] == [True, False, False, False]


def test_trafilatura_gives_the_same_text_however_often_a_page_was_seen() -> None:
    texts = {trafilatura.extract(PAGE, None, trafilatura.OPTIONS) for _ in range(6)}
    assert len(texts) == 1


def test_resiliparse_main_content_leaves_out_menu_comments_and_alternative_texts() -> None:
    text = resiliparse.extract(PAGE, None, resiliparse.OPTIONS)
    assert [paragraph in text for paragraph in PARAGRAPHS] == [True, True, True]
    assert [part in text for part in ("About us", "First!", "alternative text")] == [False, False, False]


def test_resiliparse_without_main_content_gives_the_menu_too() -> None:
    text = resiliparse.extract(PAGE, None, {"main_content": False})
    assert [part in text for part in ("About us", PARAGRAPHS[0], "not text")] == [True, True, False]


@pytest.mark.parametrize(
    ("extract", "options"), [(trafilatura.extract, trafilatura.OPTIONS), (resiliparse.extract, resiliparse.OPTIONS)]
)
def test_a_page_without_text_gives_an_empty_string(extract, options) -> None:
    assert extract("<html><body></body></html>", None, options).strip() == ""
    assert extract("", None, options).strip() == ""


def test_an_unknown_favor_is_named_with_the_choices() -> None:
    with pytest.raises(ConfigError, match="'precise' is not one of precision, recall, balanced"):
        trafilatura.identity({"favor": "precise"})


def test_identity_names_the_libraries_that_decide_the_text() -> None:
    assert list(trafilatura.identity(trafilatura.OPTIONS)) == ["trafilatura", "lxml", "jusText"]
    assert list(resiliparse.identity(resiliparse.OPTIONS)) == ["resiliparse"]


RUSSIAN = "Проект новой гавани обсуждали жители города, и рыбаки вышли в море рано утром."
JAPANESE = "港は十九世紀に建てられ、漁船は毎朝日の出前に出港します。①番の船は大きいです。"
FRENCH = "Le château fut bâti au siècle dernier, près de la forêt où l’on chassait à l’époque."


def page(text: str, charset: str = "") -> str:
    meta = f'<meta charset="{charset}">' if charset else ""
    return f"<html><head>{meta}</head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(
    ("html", "http_charset", "expected"),
    [
        (page(RUSSIAN).encode("cp1251"), "windows-1251", RUSSIAN),
        (page(RUSSIAN, "windows-1251").encode("cp1251"), None, RUSSIAN),
        (page(RUSSIAN).encode("cp1251"), None, RUSSIAN),
        (page(RUSSIAN, "koi8-r").encode("koi8-r"), "utf-8", RUSSIAN),
        (page(JAPANESE, "shift_jis").encode("cp932"), "ISO-8859-1", JAPANESE),
        (page(JAPANESE, "shift_jis").encode("cp932"), "utf-8", JAPANESE),
        (page(JAPANESE, "x-sjis").encode("cp932")[:-1] + b"\x80", "utf-8", JAPANESE),
        (page(JAPANESE, "iso-2022-jp").encode("iso2022_jp_ext", "ignore"), None, JAPANESE.replace("①", "")),
        (page(FRENCH).encode("cp1252"), "iso-8859-1", FRENCH),
        (page(FRENCH).encode(), "iso-8859-1", FRENCH),
        (page(FRENCH, "iso-8859-1").encode("utf-8-sig"), "iso-8859-1", FRENCH),
        (page(FRENCH, "utf-8").encode("utf-16"), "utf-8", FRENCH),
        (b"\xfe\xff" + page(FRENCH).encode("utf-16-be"), None, FRENCH),
        (page(FRENCH).encode("utf-16-le"), None, FRENCH),
        (page(RUSSIAN, "no-such-charset").encode(), "neither-this", RUSSIAN),
        (page("a\0b").encode(), "utf-8", "ab"),
    ],
)
def test_a_page_is_read_in_its_real_encoding(html: bytes, http_charset: str | None, expected: str) -> None:
    text = decode(html, http_charset)
    assert expected in text
    assert "\0" not in text


def test_utf_8_that_is_cut_or_has_one_wrong_byte_is_still_utf_8() -> None:
    whole = page(RUSSIAN * 3).encode()
    cut = whole[: whole.index("утром".encode()) + 1]
    assert decode(cut, None) == whole[: len(cut) - 1].decode() + "\ufffd"
    damaged = whole.replace(b"</p>", b"\x93</p>")
    assert decode(damaged, "windows-1252") == whole.decode().replace("</p>", "\ufffd</p>")


@given(st.binary(max_size=300), st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["utf-16", "gbk", "big5"])))
def test_any_bytes_decode_to_storable_text(html: bytes, charset: str | None) -> None:
    text = decode(html, charset)
    assert text.encode().decode() == text
    assert "\0" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see http://a.example/b?c=d#e for more", "see for more"),
        ("(see https://a.example/b/c).", "(see )."),
        ("www.example.org is down", "is down"),
        ("FTP://files.example/x and HTTP://Y.example", "and"),
        ("a\nhttp://a.example\nb", "a\n\nb"),
        ("请看http://a.example/的网站", "请看的网站"),
        ("x:http://a.example y", "x: y"),
        ("awww.cute and me@www.example", "awww.cute and me@www.example"),
        ("http:// is a scheme", "http:// is a scheme"),
        ("one\n\n\n\ntwo\n \n \nthree", "one\n\ntwo\n\nthree"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("nul\0 bell\a del\x7f c1\x9f tab\there", "nul bell del c1 tab\there"),
        ("lone \ud800 pair \ud83d\ude00", "lone \ufffd pair \U0001f600"),
        ("end   \n  begin", "end\n  begin"),
        ("   ", ""),
    ],
)
def test_urls_blank_lines_and_control_characters_are_tidied(text: str, expected: str) -> None:
    assert tidy(text) == expected


URL_PARTS = [
    "http://",
    "https://",
    "ftp://",
    "www.",
    "w",
    "/",
    ".",
    ":",
    "a.b",
    "(",
    ")",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    "é",
    "中",
    "\ud800",
]


@given(st.lists(st.one_of(st.sampled_from(URL_PARTS), st.text(max_size=3))).map("".join))
def test_tidy_text_is_storable_and_stays_as_it_is(text: str) -> None:
    once = tidy(text)
    assert tidy(once) == once
    assert once.encode().decode() == once
    assert "\n\n\n" not in once
    assert not re.search(r"(https?|ftp)://[a-z0-9]", once, re.IGNORECASE)


@pytest.mark.parametrize(
    "hostile",
    [
        "http://" + "!" * 10**6,
        "http://" * 10**5,
        "www." * 10**5,
        " " * 10**6 + "x",
        "\n" * 10**6 + "x",
        "\n " * 10**6,
        "http://a) " * 10**5,
    ],
    ids=["no end", "schemes", "www", "spaces", "newlines", "blank lines", "many"],
)
def test_hostile_text_is_tidied_in_linear_time(hostile: str) -> None:
    # a quadratic step would take hours
    assert len(tidy(hostile)) <= len(hostile)


def word_f1(text: str, gold: str) -> float:
    found, wanted = (Counter(re.findall(r"\w+", t.lower())) for t in (text, gold))
    return 2 * (found & wanted).total() / max(found.total() + wanted.total(), 1)


@pytest.mark.parametrize(("extractor", "floor"), [(resiliparse, 0.75), (trafilatura, 0.75)])
def test_real_pages_give_text_that_resembles_what_people_marked(shared_data: Path, extractor, floor: float) -> None:
    with gzip.open(shared_data / "pages" / "gold.jsonl.gz", "rt") as lines:
        gold = {row["warc_record_id"]: row["gold_text"] for row in map(json.loads, lines) if row["gold_text"]}
    scores: list[float] = []
    with (shared_data / "pages" / "pages-0.warc.gz").open("rb") as file:
        for record in ArchiveIterator(file):
            wanted = gold.get(record.rec_headers.get_header("WARC-Record-ID"))
            if wanted:
                html = decode(record.content_stream().read(), None)
                scores.append(word_f1(tidy(extractor.extract(html, None, extractor.OPTIONS)), wanted))
            if len(scores) == 40:
                break
    assert sum(scores) / len(scores) >= floor
