"""Reads web archives: WARC (also WET) and ARC, plain, gzip or LZ4, whole or damaged, as a stream of captures.

Sources: ISO 28500 (WARC 1.0, 1.1), the Internet Archive's ARC formats 1 and 2, RFC 9112 (HTTP).

Libraries read what is healthy (`pipeline.archive.healthy`). From the first sign of trouble on, and for the last two
records of every file, `pipeline.archive.damaged` frames the rest; it yields for a healthy record what they do.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Literal

import fsspec

from corpus.errors import InputError
from pipeline.archive import damaged, healthy
from pipeline.archive.record import BLANK_LINE, HEADER_BYTES, NO_RECORD, TOO_LONG, Headers, Record, read_fields
from pipeline.archive.stored import BLOCK_BYTES, Stored, Window
from pipeline.payload import MAX_PAYLOAD_BYTES, decode_body

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([^\s\"';,]+)", re.IGNORECASE)
_CRAWL = re.compile(r"CC-(?:MAIN-\d{4}(?:-\d{2,4})?|NEWS)(?!\d)")
_IS_PART_OF = re.compile(rb"^isPartOf:[ \t]*(\S[^\r\n]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class Capture:
    """One record as it was crawled, or (`damaged`) the place of one that could not be had.

    The stored bytes [offset, offset + length) bring it back through `read_capture_at`. (offset, length) grows strictly
    along a file and is a capture's key in it. Where several records share one compressed unit, offset is the unit's, and
    length reaches to the end of the 64 kB block that completes the record (one more than that of the record before if
    that is the same): what must be read for it, not what it occupies.
    """

    kind: Literal["response", "conversion", "damaged"]
    offset: int
    length: int
    record_id: str | None = None  # verbatim, with its angle brackets
    url: str | None = None
    date: datetime | None = None  # UTC, whole seconds
    status: int | None = None
    content_type: str | None = None  # lowercased media type
    charset: str | None = None  # of the HTTP Content-Type
    damage: str | None = None  # None: whole
    http_headers: Headers = field(default_factory=dict)  # names lowercased, repeated ones joined by ", "
    body: bytes = b""  # as sent, codings not removed

    def payload(self, max_bytes: int = MAX_PAYLOAD_BYTES) -> bytes:
        """The body without its codings, at most `max_bytes`; raises PayloadError."""
        headers = self.http_headers
        return decode_body(
            self.body, headers.get(b"content-encoding", b""), headers.get(b"transfer-encoding", b""), max_bytes
        )


def read_captures(path: str, offset: int = 0) -> Iterator[Capture]:
    """The captures of one archive, local or any fsspec URL, from the record or unit that starts at `offset` on.

    To go on after capture `c`: read from `c.offset` and pass over those whose (offset, length) is not greater than c's.
    Raises, at the first step or later, InputError for a file that is missing or, read from 0, holds no record; OSError
    when reading fails.
    """
    with closing(_open(path, read_ahead_bytes=4 << 20)) as file:
        yield from _captures(_records(Window(file, path, offset)), path, is_archive=offset > 0)


def read_capture_at(path: str, offset: int, length: int) -> Capture:
    """The capture with this offset and length, reading only these bytes. Raises InputError when there is none.

    For a damaged capture what follows is read too, and for bytes that are no record all that goes before: only this
    shows whether it begins and ends there.
    """
    key = (offset, length)
    with closing(_open(path, read_ahead_bytes=min(length, 8 << 20))) as file:
        stored = Stored(Window(file, path, offset), offset, offset + length)
        capture = _find(_captures(damaged.records(stored, offset), path, is_archive=True), key)
    if capture and capture.damage is not None:
        capture = _find(read_captures(path, 0 if capture.damage == NO_RECORD else offset), key)
    if capture is None:
        raise InputError(
            f"{path}: no record at offset {offset} with length {length}; is it the file the ledger was made from?"
        )
    return capture


def crawl_name(path: str) -> str | None:
    """The crawl this archive is part of, as its first record, a warcinfo, or its path says. Raises InputError."""
    with closing(_open(path, read_ahead_bytes=BLOCK_BYTES)) as file:
        first = next(damaged.records(Stored(Window(file, path), 0), 0), None)
    is_info = first is not None and first.headers.get(b"warc-type", b"").lower() == b"warcinfo"
    stated = _IS_PART_OF.search(first.block) if first and is_info else None
    if stated:
        return _text(stated[1].strip())
    named = _CRAWL.search(path)
    return named[0] if named else None


def _find(captures: Iterator[Capture], key: tuple[int, int]) -> Capture | None:
    for capture in captures:
        if (capture.offset, capture.length) >= key:
            return capture if (capture.offset, capture.length) == key else None
    return None


def _open(path: str, read_ahead_bytes: int) -> IO[bytes]:
    try:
        file_system, name = fsspec.core.url_to_fs(path)
        file: IO[bytes] = file_system.open(name, "rb", block_size=max(read_ahead_bytes, 1))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError, ImportError) as error:
        # a directory, no permission, an unknown or uninstalled protocol
        raise InputError(f"{path}: cannot be opened ({error}); give a WARC, WET or ARC file") from error
    return file


# From records to captures


def _records(window: Window) -> Iterator[Record]:
    """Every record and every stretch of junk."""
    start = window.tell()
    position = yield from healthy.records(window)
    window.max_bytes = 0
    yield from damaged.records(Stored(window, start), position)


def _captures(records: Iterator[Record], path: str, *, is_archive: bool) -> Iterator[Capture]:
    """Adjacent junk becomes one capture: so a file that is no archive is told from a damaged one in little memory."""
    junk: Capture | None = None
    for record in records:
        if not record.headers:
            junk = junk or Capture("damaged", record.offset, record.length, damage=record.damage)
            junk.length = max(junk.length, record.offset + record.length - junk.offset)
            continue
        is_archive = True
        if junk:
            yield junk
            junk = None
        if capture := _capture(record):
            yield capture
    if not is_archive:
        problem = "no WARC or ARC record in it" if junk else "the file is empty"
        raise InputError(f"{path}: {problem}; give WARC, WET or ARC files (plain, gzip or LZ4)")
    if junk:
        yield junk


def _capture(record: Record) -> Capture | None:
    """None for records of other types, unless their damage can hide something."""
    headers, damage = record.headers, record.damage
    record_type = headers.get(b"warc-type", b"").lower()
    if not record_type:
        damage = "no WARC-Type"
    capture = Capture(
        "damaged",
        record.offset,
        record.length,
        record_id=_text(headers.get(b"warc-record-id")),
        url=_text(headers.get(b"warc-target-uri", b"").removeprefix(b"<").removesuffix(b">")),
        date=_date(headers.get(b"warc-date", b"")),
        damage=damage,
    )
    if record_type == b"response":
        capture.kind = "response"
        _read_http(capture, record)
    elif record_type == b"conversion":
        capture.kind = "conversion"
        capture.body = record.block
        _read_content_type(capture, headers.get(b"content-type", b""))
    elif damage in (None, TOO_LONG):
        return None
    return capture


def _read_http(capture: Capture, record: Record) -> None:
    """Fills in what the HTTP header of a response says; blocks of other protocols have none."""
    http, capture.body = record.http, record.block
    if not http and record.block.startswith(b"HTTP/"):
        blank = BLANK_LINE.search(record.block, 0, HEADER_BYTES)
        end = blank.end() if blank else min(len(record.block), HEADER_BYTES)
        http, capture.body = record.block[:end], record.block[end:]
    if http:
        status_line, _, fields = http.partition(b"\n")
        code = status_line[5:].partition(b" ")[2].strip()[:3]
        capture.status = int(code) if len(code) == 3 and code.isdigit() else None
        values: dict[bytes, list[bytes]] = {}
        for name, value in read_fields(fields):
            values.setdefault(name, []).append(value)
        capture.http_headers = {name: b", ".join(several) for name, several in values.items()}
    _read_content_type(
        capture,
        capture.http_headers.get(b"content-type", b"")
        or record.headers.get(b"warc-identified-payload-type", b"")
        or (b"" if http else record.headers.get(b"content-type", b"")),
    )


def _read_content_type(capture: Capture, value: bytes) -> None:
    capture.content_type = _text(value.partition(b";")[0].partition(b",")[0].strip().lower())
    charset = _CHARSET.search(value)
    capture.charset = _text(charset[1].lower()) if charset else None


def _text(value: bytes | None) -> str | None:
    """Never fails and never makes a surrogate; nothing for no bytes."""
    if not value:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _date(value: bytes) -> datetime | None:
    """ISO 8601 of WARC or the 14 digits of ARC."""
    text = value.decode("latin-1")
    if text.isdecimal():
        text = f"{text[:8]}T{text[8:14]}"
    try:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None
