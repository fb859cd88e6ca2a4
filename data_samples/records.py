"""What the sample crawl contains: a row for each page, with its fate and the reason why it is here."""

import re
from dataclasses import dataclass

from site_html import gallery_html, links_html, nested_html, page_html, readings_html

KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Page:
    """One response. `text` names a file of `pages/`; without it, `html` is the page."""

    text: str
    url: str | None
    fate: str
    why: str
    site: str = "magazine"
    lang: str = "en"
    edits: tuple[tuple[str, str], ...] = ()  # replacements in the text
    blocks: int | None = None  # only so many blocks of the text
    html: str = ""
    extra: str = ""  # HTML at the end of the article
    status: str = "200 OK"
    content_type: str = "text/html; charset=utf-8"
    encoding: str = "utf-8"
    declared: bool = True  # whether the page names its encoding in a <meta>
    coding: str = ""  # of the body: gzip, deflate, br, chunked, or broken (gzip that ends in rubbish)
    record_id_of: str = ""  # takes the record id of this page
    damage: str = ""  # cut: half of the gzip member is missing. long: Content-Length claims too much

    @property
    def kind(self) -> str:
        return self.text or self.why.split(":")[0]

    def body(self, texts: dict[str, str]) -> bytes:
        """The bytes of the page, before any content coding."""
        if not self.text:
            return self.html.encode(self.encoding)
        page = page_html(self.edited(texts), self.site, self.url or "", self.lang, self.extra)
        if not self.declared:
            page = re.sub("<meta[^>]*charset[^>]*>", "", page)
        return page.encode(self.encoding)

    def edited(self, texts: dict[str, str]) -> str:
        text = texts[self.text]
        for old, new in self.edits:
            if old not in text:
                raise ValueError(f"pages/{self.text}.txt does not contain {old!r}, which should be replaced")
            text = text.replace(old, new)
        return "\n\n".join(text.split("\n\n")[: self.blocks])


NOTES = "https://harbour-notes.example"
GARDEN = "http://www.back-garden.example"

ORDINARY = [
    Page("lighthouse", f"{NOTES}/history/gull-point", KEPT, "history; the first of a near-duplicate group"),
    Page("tides", f"{NOTES}/science/tides", KEPT, "science; the first of a near-duplicate group"),
    Page(
        "ryebread",
        f"{GARDEN}/2024/02/rye-loaf",
        KEPT,
        "recipe with a list; the first of three identical texts",
        "weblog",
    ),
    Page("nighttrain", f"{NOTES}/travel/vereda", KEPT, "travel, with direct speech"),
    Page("wheel", "https://fixit.example/wiki/true-a-wheel", KEPT, "repair instructions", "docs"),
    Page("football", f"{NOTES}/sport/oakhurst-millbrook", KEPT, "sport report, with scores and names"),
    Page("compost", f"{GARDEN}/2024/01/compost", KEPT, "gardening", "weblog"),
    Page(
        "draughtforum",
        "https://fixit.example/viewtopic?t=4711",
        KEPT,
        "forum thread: the posts are the content",
        "forum",
    ),
    Page(
        "backupdocs",
        "https://larder-backup.example/docs/3/schedules",
        KEPT,
        "documentation with code and a list",
        "docs",
    ),
    Page("pianotuner", f"{NOTES}/culture/piano-tuner", KEPT, "interview, questions in bold"),
    Page("swifts", f"{GARDEN}/2023/05/swifts", KEPT, "nature essay", "weblog"),
    Page("containers", f"{NOTES}/history/containers", KEPT, "economic history, the longest page"),
    Page("bookreview", f"{NOTES}/culture/the-inventory", KEPT, "book review"),
    Page("fog", f"{NOTES}/latest", KEPT, "field guide with headings; its URL is crawled a second time"),
    Page("choir", f"{GARDEN}/2024/02/choir", KEPT, "accents, curly quotes and an emoji", "weblog"),
    Page("deutsch", "https://obstgarten.example/winterschnitt", "extract.language", "German", "weblog", "de"),
    Page("francais", "https://marche.example/jeudi", "extract.language", "French, curly apostrophes", "magazine", "fr"),
    Page("espanol", "https://lluvia.example/abuelo", "extract.language", "Spanish", "weblog", "es"),
    Page("russkij", "https://melnica.example/poisk", "extract.language", "Russian, UTF-8", "magazine", "ru"),
    Page("zhongwen", "https://doufu.example/waipo", "extract.language", "Chinese: no spaces", "weblog", "zh"),
    Page("loremipsum", "https://new-site.example/", "extract.language", "placeholder text: Latin, of a sort"),
    Page("thin", "https://shop.example/holidays", "filter.gopher_quality", "38 words: under 50"),
    Page("jsnotice", "https://app.example/", "filter.gopher_quality", "JavaScript notice: under 50 words"),
    Page("", "https://shop.example/sitemap", "extract.empty", "menu: links and nothing else", html=links_html(60)),
    Page("repeated", "https://hotel.example/rooms", "filter.gopher_repetition", "one paragraph seven times"),
    Page("stuffed", "https://furniture.example/cheap", "filter.gopher_repetition", "keyword stuffing", "weblog"),
    Page(
        "rivertable",
        "https://weir.example/level",
        "filter.gopher_quality",
        "mostly numbers: too few alphabetic words",
        "weblog",
        extra=readings_html(48),
    ),
    Page("ellipsis", f"{NOTES}/region", "filter.gopher_quality", "teasers: every line ends with an ellipsis"),
    Page(
        "casino",
        "https://win.casino-spam.example/tables",
        "extract.url.max_blocklist_matches",
        "below a listed domain",
    ),
    Page(
        "casino",
        "https://potions.example/buy-via.gra-now",
        "extract.url.max_strict_words",
        "a strict word, broken up",
    ),
    Page("casino", "https://pictures.example/porn/index.html", "extract.url.max_hard_words", "one hard word: porn"),
    Page(
        "casino",
        "https://talk.example/casino/roulette",
        "extract.url.max_soft_words",
        "two soft words: casino, roulette",
    ),
    Page(
        "encyclopedia",
        "https://en.wikipedia.org/wiki/Sample_page_of_refine",
        "extract.url.max_curated_matches",
        "address of a curated source (the text is ours)",
    ),
    Page("notfound", f"{NOTES}/old-address", "extract.http_status", "404 with a page", status="404 Not Found"),
]

DUPLICATES = [
    Page(
        "ryebread", "https://recipes-mirror.example/rye", "dedup.exact", "the text of a page in another file", "weblog"
    ),
    Page("ryebread", f"{GARDEN}/2024/02/rye-loaf?print=1", "dedup.exact", "the same site under another URL", "weblog"),
    Page("fog", f"{NOTES}/latest", "dedup.urls", "crawled again: shorter now, and an hour later", blocks=7),
    Page(
        "tides",
        "https://sea-science.example/one-tide-or-two",
        "dedup.minhash",
        "near-duplicate: 4% of the words are edited",
        "docs",
        edits=(
            (
                "Start with the simple picture. The Moon pulls a little harder on the near side of the Earth than on its "
                "centre, and a little less on the far side.",
                "Begin with the textbook version. Our Moon attracts the closer half of the globe somewhat more strongly than "
                "its middle, and the opposite half less.",
            ),
        ),
    ),
    Page(
        "lighthouse",
        "https://lamp-and-lens.example/reprints/gull-point",
        "dedup.minhash",
        "near-duplicate: another site, its own header and footer, a line on top",
        "weblog",
        edits=(
            (
                "For a hundred and forty years somebody slept",
                "We reprint this article by kind permission of the editors of Harbour Notes.\n\n"
                "For a hundred and forty years somebody slept",
            ),
        ),
    ),
    Page("shortthanks", "https://shop.example/thanks", "filter.gopher_quality", "four words, the first of three"),
    Page("shortthanks", "https://shop.example/bye", "filter.gopher_quality", "four words, the same as before"),
    Page("shortthanks", "https://hotel.example/bye", "filter.gopher_quality", "four words, the same again", "weblog"),
    Page(
        "quiznight",
        f"{NOTES}/culture/quiz-night",
        "decontaminate.contaminated",
        "five evaluation items verbatim, in prose",
    ),
    Page(
        "quizposter",
        "https://library.example/riddles",
        "decontaminate.contaminated",
        "three items re-wrapped",
        "weblog",
    ),
    Page(
        "quizclean", f"{NOTES}/culture/how-to-quiz", KEPT, "the subjects of the evaluation items, but none of the items"
    ),
    Page(
        "allotment", f"{GARDEN}/2023/10/plot-14b", KEPT, "two flagged lines, 1% of the words: edited and kept", "weblog"
    ),
    Page(
        "sharefeed",
        "https://village.example/fair",
        "filter.refinedweb_lines",
        "counters and capitals: over 5% of the words",
    ),
]

ODD = [
    Page("clocks", None, KEPT, "no WARC-Target-URI: judged by its text"),
    Page("papermaking", "https://crafts.example/paper", KEPT, "its record id occurs again", "weblog"),
    Page(
        "knots",
        "https://crafts.example/knots",
        KEPT,
        "the record id of another page",
        "weblog",
        record_id_of="papermaking",
    ),
    Page("bees", f"{GARDEN}/2024/01/bees", KEPT, "Content-Encoding: br", "weblog", coding="br"),
    Page("maps", f"{NOTES}/history/phantom-island", KEPT, "Content-Encoding: deflate", coding="deflate"),
    Page("glaze", "https://crafts.example/glaze", KEPT, "Content-Encoding: gzip", "weblog", coding="gzip"),
    Page("spinning", "https://crafts.example/spindle", KEPT, "Transfer-Encoding: chunked", "weblog", coding="chunked"),
    Page(
        "coffeegrinder",
        f"{GARDEN}/2024/02/grinder",
        KEPT,
        "windows-1252 without any declaration: quotes, dashes and accents must be right",
        content_type="text/html",
        encoding="windows-1252",
        declared=False,
    ),
    Page(
        "cheese",
        "https://alp.example/dairy",
        KEPT,
        "UTF-8 with a byte order mark",
        content_type="text/html",
        encoding="utf-8-sig",
    ),
    Page(
        "povest",
        "https://vokzal.example/chaj",
        "extract.language",
        "windows-1251 that the server calls UTF-8; the ledger's language must be ru",
        lang="ru",
        encoding="windows-1251",
        declared=False,
    ),
    Page(
        "nihongo",
        "https://tokei.example/sofu",
        "extract.language",
        "shift_jis without any declaration; the ledger's language must be ja",
        site="forum",
        lang="ja",
        content_type="text/html",
        encoding="shift_jis",
        declared=False,
    ),
    Page(
        "",
        "https://pictures.example/harbour/all",
        "extract.timeout",
        "hanging: see gallery_html",
        html=gallery_html(6000),
    ),
    Page("", "https://generator.example/deep", "extract.too_deep", "deep: 50,000 nested div", html=nested_html(50_000)),
    Page(
        "casino",
        "https://hotel.example/garbled",
        "extract.payload",
        "a body that says gzip and is damaged",
        coding="broken",
    ),
    Page("", "https://app.example/ping", "extract.empty", "empty: a body of no bytes"),
    Page("", f"{NOTES}/old", "extract.http_status", "redirect: 301 without a page", status="301 Moved Permanently"),
    Page(
        "",
        f"{NOTES}/map.pdf",
        "extract.content_type",
        "pdf: not HTML",
        html="%PDF-1.4\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n",
        content_type="application/pdf",
    ),
    Page(
        "notfound",
        f"{NOTES}/cut",
        "extract.damaged",
        "half a gzip member; the next one is intact",
        damage="cut",
    ),
    Page("coffeegrinder", f"{NOTES}/after-the-cut", "dedup.exact", "intact, right after the cut member", "weblog"),
    Page(
        "notfound",
        f"{NOTES}/too-long",
        "extract.damaged",
        "the last record: Content-Length beyond its end",
        damage="long",
    ),
]

WET = [
    Page("choir", f"{GARDEN}/choir-text", "dedup.exact", "a conversion record: its text is that of an HTML page"),
    Page("deutsch", "https://obstgarten.example/text", "extract.language", "a conversion record in German"),
    Page("thin", "https://shop.example/holidays-text", "filter.gopher_quality", "a conversion record of 38 words"),
]

ARC = [
    Page("canallock", "http://canals.example/locks", KEPT, "ARC, as Common Crawl wrote it before 2013"),
    Page("espanol", "http://canals.example/lluvia", "extract.language", "ARC, Spanish", lang="es"),
    Page("notfound", "http://canals.example/gone", "extract.http_status", "ARC, 404", status="404 Not Found"),
]
