"""One record of a web archive, and how its header is read; whoever frames the record, the header is read here.

Sources: ISO 28500 (WARC 1.0, 1.1; drafts 0.17, 0.18), the Internet Archive's ARC formats 1 and 2.
"""

import re
from dataclasses import dataclass

MAX_RECORD_BYTES = 16 << 20  # more of one record is not kept: three times the longest that Common Crawl stores
HEADER_BYTES = 64 << 10  # a record header or ARC line longer than this is none
NO_RECORD = "no record"
TOO_LONG = "too long"

BLANK_LINE = re.compile(rb"\n\r?\n")  # with the end of the line before
_WARC_LINE = re.compile(rb"WARC/[01]\.\d{1,2}[ \t]*\r?\n")
_BLANKS = re.compile(rb"\s*")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]{1,15}:")
_ADDRESS = re.compile(rb"[0-9.]{7,15}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_ARC_NAMES = (b"warc-target-uri", b"warc-ip-address", b"warc-date", b"warc-identified-payload-type", b"content-length")

Headers = dict[bytes, bytes]


@dataclass(slots=True)
class Record:
    """A record of any type; without headers: bytes between records that are none."""

    offset: int
    length: int
    headers: Headers  # the archive's, names lowercased; an ARC line under the WARC names
    block: bytes  # empty for types that nobody reads
    damage: str | None
    http: bytes = b""  # what the block begins with, where it was read apart: to the blank line of an HTTP header


def read_header(content: bytes | bytearray) -> tuple[Headers, int] | None:
    """The record header that `content` begins with and where the block starts; None if it is none.

    A header that `content` does not hold to its end is taken to end with it.
    """
    if _WARC_LINE.match(content):
        blank = BLANK_LINE.search(content, 0, HEADER_BYTES)
        if blank is None and len(content) >= HEADER_BYTES:
            return None
        end = blank.end() if blank else len(content)
        _, _, lines = bytes(content[:end]).partition(b"\n")
        return dict(reversed(read_fields(lines))), end  # of repeated fields the first counts
    if arc := _arc_fields(content, 0):
        headers = dict(zip(_ARC_NAMES, arc, strict=True))
        headers[b"warc-type"] = b"warcinfo" if arc[0].startswith(b"filedesc:") else b"response"
        return headers, content.find(b"\n") + 1
    return None


def declared_length(headers: Headers) -> int | None:
    """The Content-Length in bytes, if it is a number."""
    declared = headers.get(b"content-length", b"")
    return int(declared) if declared.isdigit() and len(declared) < 19 else None


def begins_record(content: bytes | bytearray, at: int = 0) -> bool:
    """Whether a WARC record header or an ARC line starts here."""
    return _WARC_LINE.match(content, at) is not None or bool(_arc_fields(content, at))


def after_blanks(content: bytes | bytearray, at: int = 0) -> int:
    """The next position that holds no white space: that, newlines mostly, is what parts records."""
    blanks = _BLANKS.match(content, at)
    assert blanks  # it matches nothing, too
    return blanks.end()


def read_fields(lines: bytes) -> list[tuple[bytes, bytes]]:
    """(lowercased name, value) of each header field, folded lines joined; lines without a colon are passed over."""
    if b"\n " in lines or b"\n\t" in lines:
        lines = _FOLD.sub(b" ", lines)
    parts = (line.partition(b":") for line in lines.split(b"\n"))
    return [(name.strip().lower(), value.strip()) for name, colon, value in parts if colon]


def _arc_fields(content: bytes | bytearray, at: int) -> list[bytes]:
    """URL, address, date, type and length of an ARC line (format 1 or 2), else nothing. The URL may hold spaces."""
    line_end = content.find(b"\n", at, at + HEADER_BYTES)
    if line_end < 0 or not _SCHEME.match(content, at):
        return []
    line = bytes(content[at:line_end]).rstrip()
    for fields in (line.rsplit(b" ", 4), line.rsplit(b" ", 9)):
        if len(fields) >= 5 and _ADDRESS.fullmatch(fields[1]) and (fields[2].isdigit() or fields[-1].isdigit()):
            return [*fields[:4], fields[-1]]
    return []
