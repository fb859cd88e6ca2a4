"""Web archives: healthy ones of every kind, a museum of damaged ones, and what is found in each."""

import gzip
import io
import tracemalloc
from collections.abc import Callable
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import brotli
import fastwarc
import fsspec
import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from corpus.errors import InputError
from pipeline import warc
from pipeline.archive import damaged, healthy, stored
from pipeline.warc import Capture, crawl_name, read_capture_at, read_captures

HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n"


def page(number: int, size: int = 3000) -> bytes:
    """Text that compresses only to a third, so that members are as long as real ones."""
    return b"<p>%d</p>" % number + bytes(Random(number).choices(b"abcdefgh \n", k=size))


def record(
    number: int, *, kind: str = "response", block: bytes | None = None, length: object = None, line_end: bytes = b"\r\n"
) -> bytes:
    block = HTTP + page(number) if block is None else block
    header = [
        b"WARC/1.0",
        b"WARC-Type: " + kind.encode(),
        b"WARC-Record-ID: <urn:uuid:%d>" % number,
        b"WARC-Date: 2024-02-20T21:10:55Z",
        b"WARC-Target-URI: http://site.test/%d" % number,
        b"Content-Length: " + str(len(block) if length is None else length).encode(),
    ]
    return line_end.join(header) + line_end * 2 + block + line_end * 2


def arc(url: bytes, block: bytes, date: bytes = b"20100102030405") -> bytes:
    return url + b" 93.184.216.34 " + date + b" text/html %d\n" % len(block) + block + b"\n"


VERSION_BLOCK = b"1 0 CommonCrawl\nURL IP-address Archive-date Content-type Archive-length\n"
FILEDESC = b"filedesc://1.arc.gz 0.0.0.0 20100102030405 text/plain %d\n" % len(VERSION_BLOCK) + VERSION_BLOCK + b"\n"
RECORDS = [record(number) for number in range(4)]
MEMBERS = [gzip.compress(each) for each in RECORDS]


@pytest.fixture
def archive(tmp_path: Path) -> "Archive":
    return Archive(tmp_path / "crawl.warc.gz")


class Archive:
    """One file, read whole, then each capture read again by its own bytes alone."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def read_once(self, content: bytes) -> list[Capture]:
        Path(self.path).write_bytes(content)
        return list(read_captures(self.path))

    def read(self, content: bytes) -> list[Capture]:
        captures = self.read_once(content)
        assert captures == framed(self.path)
        for capture in captures:
            assert read_capture_at(self.path, capture.offset, capture.length) == capture
        keys = [(capture.offset, capture.length) for capture in captures]
        assert keys == sorted(set(keys))
        return captures


def framed(path: str) -> list[Capture]:
    """What our own framing finds in the whole file, without any library."""
    with fsspec.open(path) as file:
        records = damaged.records(stored.Stored(stored.Window(file, path), 0), 0)
        return list(warc._captures(records, path, is_archive=False))


def by_library(path: str) -> int:
    """How many records are not left to our framing."""
    with fsspec.open(path) as file:
        return sum(1 for _ in healthy.records(stored.Window(file, path)))


def numbers(captures: list[Capture]) -> list[int]:
    """Of the whole responses; their body must be the page."""
    whole = [capture for capture in captures if capture.kind == "response" and capture.damage is None]
    found = [int((capture.url or "").rpartition("/")[2]) for capture in whole]
    assert [capture.body for capture in whole] == [page(number) for number in found]
    return found


def damage(captures: list[Capture]) -> list[tuple[str, str | None]]:
    return [(capture.kind, capture.damage) for capture in captures if capture.damage]


# Healthy archives


@pytest.mark.parametrize(
    "content",
    [
        b"".join(MEMBERS),
        b"".join(RECORDS),
        b"".join(map(lz4.frame.compress, RECORDS)),
        gzip.compress(b"".join(RECORDS)),
        gzip.compress(b"".join(RECORDS[:2])) + gzip.compress(b"".join(RECORDS[2:])),
        b"".join(gzip.compress(b"".join(RECORDS)[start : start + 1000]) for start in range(0, 12_800, 1000)),
        b"".join(record(number, line_end=b"\n") for number in range(4)),
        b"".join(RECORDS).replace(b"WARC/1.0", b"WARC/0.17"),
        b"".join(RECORDS).replace(b"WARC/1.0", b"WARC/1.1"),
        b"\r\n" + b"".join(MEMBERS[:0]) + b"".join(each.rstrip(b"\r\n") + b"\r\n" for each in RECORDS),
    ],
    ids=[
        "gzip",
        "plain",
        "lz4",
        "one-stream",
        "two-a-member",
        "blocks",
        "newlines",
        "0.17",
        "1.1",
        "one-newline-between",
    ],
)
def test_every_packing_gives_the_same_pages(archive: Archive, content: bytes) -> None:
    captures = archive.read(content)
    assert numbers(captures) == [0, 1, 2, 3]
    assert damage(captures) == []


def test_a_record_is_told_in_full(archive: Archive) -> None:
    body = brotli.compress(page(7))
    http = b"HTTP/1.1 404 Not Found\r\nCONTENT-TYPE: Text/HTML ; Charset='ISO-8859-1'\r\ncontent-encoding: br\r\n\r\n"
    content = gzip.compress(record(6)) + gzip.compress(record(7, block=http + body))
    assert archive.read(content)[1] == Capture(
        kind="response",
        offset=len(gzip.compress(record(6))),
        length=len(gzip.compress(record(7, block=http + body))),
        record_id="<urn:uuid:7>",
        url="http://site.test/7",
        date=datetime(2024, 2, 20, 21, 10, 55, tzinfo=UTC),
        status=404,
        content_type="text/html",
        charset="iso-8859-1",
        http_headers={b"content-type": b"Text/HTML ; Charset='ISO-8859-1'", b"content-encoding": b"br"},
        body=body,
    )
    assert archive.read(content)[1].payload() == page(7)


def test_other_record_types_are_passed_over(archive: Archive) -> None:
    kinds = ["warcinfo", "request", "metadata", "revisit", "resource", "continuation", "unheard-of"]
    content = b"".join(gzip.compress(record(9, kind=kind)) for kind in kinds)
    assert archive.read(content) == []
    assert numbers(archive.read(content + MEMBERS[1])) == [1]


def test_wet_text_is_a_conversion(archive: Archive) -> None:
    text = "Grüße aus Köln\n".encode()
    content = record(1, kind="conversion", block=text).replace(
        b"Content-Length", b"Content-Type: text/plain\r\nContent-Length"
    )
    (capture,) = archive.read(gzip.compress(content))
    assert (capture.kind, capture.url, capture.payload()) == ("conversion", "http://site.test/1", text)
    assert (capture.status, capture.content_type) == (None, "text/plain")


def test_arc_records_are_responses(archive: Archive) -> None:
    first, second = arc(b"http://site.test/a b", HTTP + b"<p>one"), arc(b"dns:site.test", b"20100102030405\n1.2.3.4")
    for content in (FILEDESC + first + second, b"".join(map(gzip.compress, (FILEDESC, first, second)))):
        captures = archive.read(content)
        assert [(each.kind, each.url, each.status, each.body) for each in captures] == [
            ("response", "http://site.test/a b", 200, b"<p>one"),
            ("response", "dns:site.test", None, b"20100102030405\n1.2.3.4"),
        ]
        assert captures[0].date == datetime(2010, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert captures[0].damage is captures[1].damage is captures[0].record_id is None


def test_arc_format_2_lines_are_read(archive: Archive) -> None:
    line = b"http://site.test/ 93.184.216.34 20100102030405 text/html 200 - - 0 1.arc %d\n" % len(HTTP + b"<p>two")
    (capture,) = archive.read(FILEDESC + line + HTTP + b"<p>two\n")
    assert (capture.url, capture.body, capture.damage) == ("http://site.test/", b"<p>two", None)


def test_wget_brackets_spaces_lower_case_names_and_folded_lines(archive: Archive) -> None:
    content = RECORDS[0].replace(b"http://site.test/0", b"<http://site.test/a b/0>")
    assert archive.read(content)[0].url == "http://site.test/a b/0"
    content = RECORDS[0].replace(b"WARC-Type", b"warc-type").replace(b"Content-Length:", b"content-length :")
    assert numbers(archive.read(content)) == [0]
    content = RECORDS[0].replace(b"WARC-Target-URI: ", b"WARC-Target-URI:\r\n  ")
    assert numbers(archive.read(content)) == [0]


def test_a_record_without_url_or_id_or_date_is_read(archive: Archive) -> None:
    lines = RECORDS[0].split(b"\r\n")
    (capture,) = archive.read(
        b"\r\n".join(line for line in lines if not line.startswith((b"WARC-R", b"WARC-D", b"WARC-Ta")))
    )
    assert (capture.record_id, capture.url, capture.date, capture.body) == (None, None, None, page(0))


def test_repeated_ids_are_separate_captures(archive: Archive) -> None:
    captures = archive.read(MEMBERS[0] + MEMBERS[0])
    assert [capture.record_id for capture in captures] == ["<urn:uuid:0>"] * 2
    assert [capture.offset for capture in captures] == [0, len(MEMBERS[0])]


def test_the_identified_type_stands_in_for_a_missing_content_type(archive: Archive) -> None:
    content = record(1, block=b"HTTP/1.0 200\r\n\r\nhello").replace(
        b"Content-Length",
        b"Content-Type: application/http\r\nWARC-Identified-Payload-Type: text/HTML\r\nContent-Length",
    )
    (capture,) = archive.read(content)
    assert (capture.status, capture.content_type, capture.body) == (200, "text/html", b"hello")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"2024-02-20T23:10:55.987654321+02:00", datetime(2024, 2, 20, 21, 10, 55, tzinfo=UTC)),
        (b"20240220211055", datetime(2024, 2, 20, 21, 10, 55, tzinfo=UTC)),
        (b"2024-02-20", datetime(2024, 2, 20, tzinfo=UTC)),
        (b"0001-01-01T00:00:00+09:00", None),
        (b"yesterday \xff", None),
    ],
)
def test_dates_are_utc_seconds_or_none(archive: Archive, written: bytes, expected: datetime | None) -> None:
    assert archive.read(RECORDS[0].replace(b"2024-02-20T21:10:55Z", written))[0].date == expected


def test_reading_goes_on_after_any_capture(archive: Archive) -> None:
    for content in (b"".join(MEMBERS), b"".join(RECORDS), gzip.compress(b"".join(RECORDS))):
        captures = archive.read(content)
        for index, last in enumerate(captures):
            rest = list(read_captures(archive.path, last.offset))
            assert [each for each in rest if (each.offset, each.length) > (last.offset, last.length)] == captures[
                index + 1 :
            ]


def test_an_archive_on_another_file_system_is_read() -> None:
    fsspec.filesystem("memory").pipe("/crawl/CC-MAIN-2024-10/1.warc.gz", b"".join(MEMBERS))
    path = "memory://crawl/CC-MAIN-2024-10/1.warc.gz"
    captures = list(read_captures(path))
    assert numbers(captures) == [0, 1, 2, 3]
    assert read_capture_at(path, captures[2].offset, captures[2].length) == captures[2]
    assert crawl_name(path) == "CC-MAIN-2024-10"


def test_the_crawl_is_what_warcinfo_says_else_what_the_path_says(tmp_path: Path) -> None:
    info = record(0, kind="warcinfo", block=b"software: Nutch\r\nisPartOf: CC-MAIN-2013-20\r\n")
    for name, content, expected in [
        ("1.warc", info, "CC-MAIN-2013-20"),
        ("CC-MAIN-2024-10.warc.gz", gzip.compress(info), "CC-MAIN-2013-20"),
        ("CC-MAIN-20240220211055-20240221001055-00000.warc.gz", MEMBERS[0], None),
        ("CC-MAIN-2009-2010.arc", FILEDESC, "CC-MAIN-2009-2010"),
        ("CC-NEWS-20240101013854-00000.warc", RECORDS[0], "CC-NEWS"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert crawl_name(str(tmp_path / name)) == expected


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lz4.frame.compress])
def test_libraries_read_a_healthy_archive_but_for_its_last_two_records(
    archive: Archive, compress: Callable[[bytes], bytes]
) -> None:
    for records in (RECORDS, [FILEDESC, *(arc(b"http://site.test/", HTTP + page(number)) for number in range(3))]):
        if compress is not lz4.frame.compress or records is RECORDS:  # no library reads ARC in LZ4
            archive.read(b"".join(map(compress, records)))
            assert by_library(archive.path) == 2


@pytest.mark.parametrize(
    "packing",
    [
        lambda records: [records[0] + records[1], *records[2:]],  # FastWARC gives the second the place of the third
        lambda records: [*records[:2], b"", *records[2:]],  # the file ends here for FastWARC
        lambda records: [*records[:2], b"\r\n", *records[2:]],
        lambda records: [records[0], b"\r\n" + records[1], *records[2:]],
        lambda records: [records[0].replace(b"\r\n", b"\n"), *records[1:]],
        lambda records: [records[0].replace(b"Length: 3067\r\n", b"Length: 3067\n"), *records[1:]],
        lambda records: [records[0].replace(b"Length: 3067", b"Length: 6293"), *records[1:]],  # all of the next one
        lambda records: [records[0].replace(b"Length: 3067", b"Length: +3067"), *records[1:]],
        lambda records: [records[0] + b" \t\r\n", *records[1:]],
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress, lz4.frame.compress])
def test_what_libraries_misread_is_framed(
    archive: Archive, packing: Callable[[list[bytes]], list[bytes]], compress: Callable[[bytes], bytes]
) -> None:
    records = [record(number) for number in range(8)]
    captures = archive.read(b"".join(map(compress, packing(records))))
    assert numbers(captures[-5:]) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "end", [b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n", b"", b"\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"]
)
@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 200 OK\r\nA: b\r\n c", b"HTTP/1.1 200\nA: b", b"GET / HTTP/1.0", b"HTTP/1.0 abc"]
)
def test_http_headers_are_parted_from_bodies_alike(archive: Archive, line: bytes, end: bytes) -> None:
    content = b"".join(gzip.compress(record(number, block=line + end + page(number))) for number in range(4))
    assert len(archive.read(content)) == 4
    assert by_library(archive.path) == 2


# The museum of damage


def test_truncated_member_in_the_middle_costs_only_itself(archive: Archive) -> None:
    captures = archive.read(MEMBERS[0] + MEMBERS[1][:900] + MEMBERS[2] + MEMBERS[3])
    assert numbers(captures) == [0, 2, 3]
    assert damage(captures) == [("response", "truncated")]
    assert (captures[1].offset, captures[1].length) == (len(MEMBERS[0]), 900)
    assert captures[1].url == "http://site.test/1"
    assert page(1).startswith(captures[1].body)
    assert len(captures[1].body) > 1000


def test_a_stored_member_that_swallows_the_next_ones_gives_them_back(archive: Archive) -> None:
    stored = gzip.compress(RECORDS[0], compresslevel=0)
    captures = archive.read(stored[:500] + MEMBERS[1] + MEMBERS[2] + MEMBERS[3])
    assert numbers(captures) == [1, 2, 3]
    assert captures[0].length == 500


def test_a_member_cut_in_its_first_bytes_is_a_damaged_place(archive: Archive) -> None:
    captures = archive.read(MEMBERS[0] + MEMBERS[1][:20] + MEMBERS[2])
    assert numbers(captures) == [0, 2]
    assert [(each.kind, each.offset, each.length) for each in captures if each.damage] == [
        ("damaged", len(MEMBERS[0]), 20)
    ]


@pytest.mark.parametrize("where", [0, 3, 12, 700, -6])
def test_a_flipped_byte_costs_only_its_member(archive: Archive, where: int) -> None:
    broken = bytearray(MEMBERS[1])
    broken[where] ^= 0xFF
    captures = archive.read(MEMBERS[0] + bytes(broken) + MEMBERS[2])
    assert numbers(captures) == [0, 2]
    assert len(damage(captures)) == 1


def test_a_wrong_checksum_keeps_the_page_and_says_so(archive: Archive) -> None:
    broken = bytearray(MEMBERS[1])
    broken[-6] ^= 0xFF
    captures = archive.read(bytes(broken) + MEMBERS[2])
    assert captures[0].kind == "response"
    assert captures[0].damage in ("corrupt", "truncated")
    assert page(1).startswith(captures[0].body)
    assert len(captures[0].body) > 2900


def test_noise_between_members_is_reported(archive: Archive) -> None:
    captures = archive.read(MEMBERS[0] + b"noise" * 9 + MEMBERS[1] + bytes(500))
    assert [(each.kind, each.offset, each.length) for each in captures] == [
        ("response", 0, len(MEMBERS[0])),
        ("damaged", len(MEMBERS[0]), 45),
        ("response", len(MEMBERS[0]) + 45, len(MEMBERS[1])),
        ("damaged", len(MEMBERS[0]) + 45 + len(MEMBERS[1]), 500),
    ]


def test_a_truncated_lz4_frame_costs_only_itself(archive: Archive) -> None:
    frames = list(map(lz4.frame.compress, RECORDS))
    assert numbers(archive.read(frames[0] + frames[1][:900] + frames[2])) == [0, 2]


@pytest.mark.parametrize("length", [5000, 500, 0, -1, "many", 10**30, 10**12, ""])
def test_a_wrong_content_length_costs_only_its_record(archive: Archive, length: object) -> None:
    wrong = record(1, length=length)
    for content in (RECORDS[0] + wrong + RECORDS[2], b"".join(map(gzip.compress, (RECORDS[0], wrong, RECORDS[2])))):
        captures = archive.read(content)
        assert numbers(captures) == [0, 2]
        assert [(each.kind, each.url, each.body) for each in captures if each.damage] == [
            ("response", "http://site.test/1", page(1))
        ]


def test_a_request_with_a_wrong_length_does_not_hide_the_response(archive: Archive) -> None:
    captures = archive.read(record(5, kind="request", length=9000) + RECORDS[1] + RECORDS[2])
    assert numbers(captures) == [1, 2]
    assert damage(captures) == [("damaged", "truncated")]


def test_a_broken_version_line_costs_only_its_record(archive: Archive) -> None:
    broken = RECORDS[1].replace(b"WARC/1.0", b"XARC/1.0")
    for content in (RECORDS[0] + broken + RECORDS[2], b"".join(map(gzip.compress, (RECORDS[0], broken, RECORDS[2])))):
        captures = archive.read(content)
        assert numbers(captures) == [0, 2]
        assert damage(captures) == [("damaged", "no record")]


def test_a_broken_first_record_does_not_hide_the_rest(archive: Archive) -> None:
    assert numbers(archive.read(b"X" + RECORDS[0] + RECORDS[1])) == [0, 1]
    assert numbers(archive.read(b"X" + MEMBERS[0][1:] + MEMBERS[1])) == [1]


def test_a_header_without_end_costs_only_its_record(archive: Archive) -> None:
    endless = b"WARC/1.0\r\nWARC-Type: response\r\nX: " + b"x" * 200_000 + b"\r\n"
    captures = archive.read(RECORDS[0] + endless + RECORDS[2])
    assert numbers(captures) == [0, 2]
    assert damage(captures) == [("damaged", "no record")]


def test_the_last_record_may_be_cut_anywhere(archive: Archive) -> None:
    for content, cut in [(MEMBERS, 900), (RECORDS, 1500)]:
        captures = archive.read(content[0] + content[1][:cut])
        assert numbers(captures) == [0]
        assert damage(captures) == [("response", "truncated")]
        assert page(1).startswith(captures[1].body)


def test_damage_inside_one_gzip_stream_costs_its_rest_only(archive: Archive) -> None:
    stream = gzip.compress(b"".join(record(number) for number in range(100)))
    captures = archive.read(stream[: len(stream) // 2] + gzip.compress(record(100)))
    assert numbers(captures) == [*range(len(captures) - 2), 100]
    assert len(captures) > 45
    assert damage(captures) == [("response", "truncated")]


def test_a_damaged_arc_record_costs_only_itself(archive: Archive) -> None:
    bad = b"http://site.test/bad 1.2.3.4 null text/html 680\nHTTP/1.1 200 OK\r\n\r\n<p>bad"
    captures = archive.read(FILEDESC + bad + b"\n" + arc(b"http://site.test/good", HTTP + b"<p>good"))
    assert [(each.url, each.body, each.damage) for each in captures] == [
        ("http://site.test/bad", b"<p>bad", "truncated"),
        ("http://site.test/good", b"<p>good", None),
    ]


def test_a_record_without_type_is_reported(archive: Archive) -> None:
    captures = archive.read(RECORDS[0].replace(b"WARC-Type: response\r\n", b"") + RECORDS[1])
    assert [(each.kind, each.url, each.damage) for each in captures] == [
        ("damaged", "http://site.test/0", "no WARC-Type"),
        ("response", "http://site.test/1", None),
    ]


def test_giant_records_are_cut_at_the_limit(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthy, "MAX_RECORD_BYTES", 100_000)
    monkeypatch.setattr(damaged, "MAX_RECORD_BYTES", 100_000)
    monkeypatch.setattr(damaged, "_KEPT_BYTES", 200_000)
    giant = record(1, block=HTTP + page(1, 1_000_000))
    for content in (RECORDS[0] + giant + RECORDS[2], b"".join(map(gzip.compress, (RECORDS[0], giant, RECORDS[2])))):
        captures = archive.read(content)
        assert numbers(captures) == [0, 2]
        assert captures[1].damage == "too long"
        assert captures[1].body == page(1, 1_000_000)[: 100_000 - len(HTTP)]


def test_a_giant_record_is_not_held_in_memory(archive: Archive) -> None:
    giant = record(1, kind="resource", block=bytes(200 << 20))
    archive.read_once(gzip.compress(giant, compresslevel=1))
    tracemalloc.start()
    try:
        assert list(read_captures(archive.path)) == []
        assert tracemalloc.get_traced_memory()[1] < 150 << 20
    finally:
        tracemalloc.stop()


# What is no archive


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"id,url\n1,http://site.test/\n",
        gzip.compress(b'{"text": "WARC"}\n' * 99, mtime=0),
        bytes(range(256)) * 999,
    ],
)
def test_a_file_that_is_no_archive_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        list(read_captures(str(path)))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_a_folder_and_an_unknown_protocol_are_input_errors(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none.warc.gz"), str(tmp_path), "nothing://crawl/1.warc.gz"):
        with pytest.raises(InputError, match=path):
            list(read_captures(path))


def test_asking_for_a_record_where_there_is_none_is_an_input_error(archive: Archive) -> None:
    archive.read(b"".join(MEMBERS))
    for offset, length in [(0, len(MEMBERS[0]) + 5), (10**6, 500), (0, 0)]:
        with pytest.raises(InputError, match=f"offset {offset} with length {length}"):
            read_capture_at(archive.path, offset, length)


def test_a_place_within_a_member_holds_no_record(archive: Archive) -> None:
    archive.read(b"".join(MEMBERS))
    first, second = len(MEMBERS[0]), len(MEMBERS[1])
    for offset, length in [(5, 100), (5, first - 5), (first + 1, second - 1), (0, first - 5), (0, first + second)]:
        with pytest.raises(InputError, match=f"offset {offset} with length {length}"):
            read_capture_at(archive.path, offset, length)


# Arbitrary damage

SMALL = [gzip.compress(record(number, block=HTTP + page(number, 300))) for number in range(3)]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "delete", "insert", "truncate"]),
        st.integers(0, 2),
        st.integers(0, 400),
        st.binary(max_size=40),
    ),
    min_size=1,
    max_size=3,
)


def edited(member: bytes, action: str, where: int, noise: bytes) -> bytes:
    where %= len(member) + 1
    if action == "flip":
        return member[:where] + bytes(byte ^ 0x55 for byte in member[where : where + 1]) + member[where + 1 :]
    if action == "delete":
        return member[:where] + member[where + len(noise) :]
    return member[:where] + noise + (member[where:] if action == "insert" else b"")


ODD_RECORDS = st.builds(
    lambda number, kind, before, after, line_end, extra: (
        before
        + record(
            number,
            kind=kind,
            block=HTTP + page(number, 100),
            length=len(HTTP + page(number, 100)) + extra,
            line_end=line_end,
        )
        + after
    ),
    number=st.integers(0, 9),
    kind=st.sampled_from(["response"] * 3 + ["conversion", "request", "unheard-of"]),
    before=st.sampled_from([b""] * 9 + [b"\r\n", b" ", b"\x0b\n", b"x"]),
    after=st.sampled_from([b""] * 9 + [b"\r\n", b" \r\n", b"\n" * 20, b"x\r\n"]),
    line_end=st.sampled_from([b"\r\n"] * 9 + [b"\n"]),
    extra=st.sampled_from([0] * 9 + [-4, -1, 1, 2, 4, 370]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(ODD_RECORDS, min_size=1, max_size=2), min_size=1, max_size=7),
    st.sampled_from([bytes, gzip.compress, lz4.frame.compress]),
    st.lists(
        st.tuples(st.sampled_from(["flip", "delete", "insert"]), st.integers(0, 4000), st.binary(max_size=9)),
        max_size=1,
    ),
)
def test_libraries_with_framing_after_them_find_what_framing_alone_does(
    units: list[list[bytes]], compress: Callable[[bytes], bytes], edits: list[tuple[str, int, bytes]]
) -> None:
    content = b"".join(compress(b"".join(unit)) for unit in units)
    for action, where, noise in edits:
        content = edited(content, action, where, noise)
    fsspec.filesystem("memory").pipe("/odd.warc", content)
    try:
        expected = framed("memory://odd.warc")
    except InputError:
        with pytest.raises(InputError):
            list(read_captures("memory://odd.warc"))
        return
    assert list(read_captures("memory://odd.warc")) == expected


@settings(max_examples=400, deadline=None)
@given(EDITS)
def test_no_damage_raises_and_untouched_members_are_found(edits: list[tuple[str, int, int, bytes]]) -> None:
    members = list(SMALL)
    for action, index, where, noise in edits:
        members[index] = edited(members[index], action, where, noise)
    untouched = {number for number in range(3) if members[number] == SMALL[number]}
    fsspec.filesystem("memory").pipe("/damaged.warc.gz", b"".join(members))
    try:
        captures = list(read_captures("memory://damaged.warc.gz"))
    except InputError:
        assert not untouched
        return
    assert captures == framed("memory://damaged.warc.gz")
    bodies = [capture.body for capture in captures if capture.kind == "response"]
    assert all(page(number, 300) in bodies for number in untouched)
    for capture in captures:
        assert read_capture_at("memory://damaged.warc.gz", capture.offset, capture.length) == capture


PIECES = [
    b"WARC/1.0\r\n",
    b"\r\n",
    b"WARC-Type: response\r\n",
    b"Content-Length: 9\r\n",
    b"\x1f\x8b\x08",
    SMALL[0][:90],
    b"http://site.test/ 1.2.3.4 20100102030405 text/html 5\n",
    b"HTTP/1.1 2",
    b"x",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_arbitrary_pieces_of_archives_yield_or_are_an_input_error(pieces: list[bytes]) -> None:
    fsspec.filesystem("memory").pipe("/pieces.warc", b"".join(pieces))
    try:
        captures = list(read_captures("memory://pieces.warc"))
    except InputError:
        return
    keys = [(capture.offset, capture.length) for capture in captures]
    assert keys == sorted(set(keys))


def test_overlapping_false_starts_take_linear_work(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every 76 bytes a member begins that decompresses to the end of the file and fails there."""
    fed = 0
    make_codec = stored.codec_for

    class Counted:
        def __init__(self, content: bytes) -> None:
            self._codec = make_codec(content)

        eof = property(lambda self: self._codec.eof)
        unused_data = property(lambda self: self._codec.unused_data)

        def decompress(self, data: memoryview) -> bytes:
            nonlocal fed
            fed += len(data)
            return self._codec.decompress(data)

    monkeypatch.setattr(damaged, "codec_for", Counted)
    monkeypatch.setattr(stored, "_REREAD_SLACK_BYTES", 0)
    header, text = gzip.compress(b"")[:10], b"WARC/1.0\r\nWARC-Type: response\r\n\r\nhello there"
    starts = header + stored_block(len(text)) + text
    content = (starts + stored_block(len(starts))) * 2000
    captures = archive.read_once(content)
    assert captures[0].damage == "bad Content-Length"
    assert fed < 10 * len(content)


def stored_block(size: int) -> bytes:
    """The head of a deflate block that holds `size` bytes as they are."""
    return b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")


# Real archives


def count_by_library(path: Path) -> int:
    """Responses that the better of FastWARC and warcio finds before it gives up."""
    counts = [0, 0]
    try:
        for found in fastwarc.ArchiveIterator(str(path)):
            counts[0] += found.record_type == fastwarc.WarcRecordType.response
    except OSError:
        pass
    with path.open("rb") as file, redirect_stderr(io.StringIO()):
        try:
            for found in WarcioIterator(file):
                counts[1] += found.rec_type == "response"
        except Exception:  # noqa: BLE001  it dies of many things
            pass
    return max(counts)


# Responses that no library gets to: LIST.tsv's `by_regex` and what the file shows.
MORE = {"badexample.arc.gz": 5, "IAH-20080430204825-00000-blackbook-truncated.arc": 8}


@pytest.mark.filterwarnings("ignore")
def test_odd_archives_yield_no_fewer_responses_than_either_library(shared_data: Path) -> None:
    paths = sorted(path for path in (shared_data / "warcs").rglob("*") if path.is_file() and path.name != "LIST.tsv")
    assert len(paths) == 72
    for path in paths:
        captures = list(read_captures(str(path)))
        assert captures == framed(str(path)), path
        responses = [capture for capture in captures if capture.kind == "response"]
        assert len(responses) >= MORE.get(path.name, count_by_library(path)), path
        for capture in captures:
            again = read_capture_at(str(path), capture.offset, capture.length)
            assert again == capture, path
            assert again.payload() == capture.payload(), path


def test_real_pages_come_back_by_their_offsets(shared_data: Path) -> None:
    path = str(shared_data / "pages" / "pages-0.warc.gz")
    captures = list(read_captures(path))
    assert len(captures) == 341
    assert captures == framed(path)
    assert by_library(path) == 340  # of 342, with the warcinfo
    assert damage(captures) == []
    for capture in captures[::20]:
        assert read_capture_at(path, capture.offset, capture.length) == capture
