"""Frames the records of a damaged archive: a damaged record costs itself, not the rest of the file.

Libraries give up at the first fault, with the rest of the file unread; to go on one has to know the borders of records
and storage units. A record is *whole* when only white space parts it from the next record header or the unit's
end. If not, its length is wrong and it ends at the next record header. A unit that does not decompress ends where the
next one begins: at the first later gzip or LZ4 magic whose content starts with a record header. It is then decompressed
again, in small steps and up to that border only, for what can be had of it. What such searches read twice is limited,
in total, to what was read once: work is linear. Memory is bounded by MAX_RECORD_BYTES and what one block decompresses
to.
"""

import re
from collections.abc import Generator, Iterator
from itertools import islice

from pipeline.archive.record import (
    BLANK_LINE,
    HEADER_BYTES,
    MAX_RECORD_BYTES,
    NO_RECORD,
    TOO_LONG,
    Headers,
    Record,
    after_blanks,
    begins_record,
    declared_length,
    read_header,
)
from pipeline.archive.stored import (
    BLOCK_BYTES,
    CODEC_ERRORS,
    MAGIC,
    MAGIC_OR_WARC,
    PROBE_BYTES,
    BrokenError,
    Careful,
    Codec,
    Plain,
    Stored,
    begins_unit,
    codec_for,
)

_LINE_START = re.compile(rb"\n(?=WARC/[01]\.|[A-Za-z][A-Za-z0-9+.\-]{1,15}:)")
_LINE_START_BYTES = 32  # longer than what _LINE_START matches
_KEPT_BYTES = HEADER_BYTES + MAX_RECORD_BYTES
_READ_TYPES = (b"response", b"conversion", b"warcinfo")


def records(stored: Stored, position: int) -> Iterator[Record]:
    """Every record and every stretch of junk from `position` on, in order and without gaps."""
    pattern = MAGIC_OR_WARC
    while magic := stored.read(position, 4):
        if MAGIC.match(magic):
            pattern = MAGIC  # in a compressed file, what looks like a WARC header is stored text of some member
            position = yield from _compressed_records(stored, position)
        elif pattern is MAGIC_OR_WARC and begins_record(stored.read(position, BLOCK_BYTES).lstrip()):
            yield from _Unit(stored, position).records()
            return
        else:
            border = stored.next_unit(position + 1, pattern)
            yield Record(position, border - position, {}, b"", NO_RECORD)
            position = border


def _compressed_records(stored: Stored, start: int) -> Generator[Record, None, int]:
    """The records of the unit that starts here; returns where the next one does.

    The length of a record that is not alone in its unit says how far one must read for it. That is a whole number of
    blocks, so that it does not depend on where reading stops.
    """
    length = done = 0
    suspect = start + 1  # where the next unit can be, should this one break
    unit = _Unit(stored, start)
    try:
        for record in unit.records():
            end = unit.position if done == 0 and unit.exhausted else _block_end(unit.position)
            length = max(end - start, length + 1)
            done += 1
            suspect = max(suspect, unit.block_start)
            record.offset, record.length = start, length
            yield record
        return unit.position
    except BrokenError:
        border = stored.border_after(suspect, unit.position)
    last: Record | None = None  # takes all bytes up to the border
    unit = _CarefulUnit(stored, start, border)
    for record in islice(unit.records(), done, None):
        if last:
            yield last
            length = last.length
        last = record
        last.offset, last.length = start, max(_block_end(unit.position) - start, length + 1)
    if last and last.damage is None:
        yield last
        length = last.length
        last = None
    if last is None:
        last = Record(start, 0, {}, b"", NO_RECORD)
    last.length = max(border - start, length + 1)
    yield last
    return border


def _block_end(position: int) -> int:
    return -(-position // BLOCK_BYTES) * BLOCK_BYTES


class _Unit:
    """The decompressed bytes of one storage unit; `data` begins with the current record and grows as it is read.

    Writers that compress blocks, not records, make units that begin within a record: these continue the unit before.
    """

    def __init__(self, stored: Stored, start: int) -> None:
        self.position = start  # of the next stored byte to decompress
        self.block_start = start  # of the stored block that was decompressed last
        self.damage: str | None = None  # of a unit read with care, once its end was met
        self._stored = stored
        self._codec = self._new_codec()
        self._offset = start  # of `data` in a plain file
        self._data: bytes | bytearray = b""  # a bytearray only when a unit takes more than one block or record
        self._elided = 0  # bytes of the current record that were not kept

    @property
    def exhausted(self) -> bool:
        """Whether nothing follows the record that was read last."""
        return not self._data

    def records(self) -> Iterator[Record]:
        """Records and junk, offset and length as in a plain file. Raises BrokenError when decompression fails."""
        while self._skip_blanks():
            found = self._header()
            if found is None:
                yield self._take(self._next_header(1), {}, b"", NO_RECORD)
                continue
            headers, body_start = found
            body_end, end, damage = self._ends(headers, body_start)
            wanted = headers.get(b"warc-type", b"").lower() in _READ_TYPES
            body = bytes(memoryview(self._data)[body_start:body_end]) if wanted else b""
            yield self._take(end, headers, body, damage)

    def _take(self, end: int, headers: Headers, body: bytes, damage: str | None) -> Record:
        record = Record(self._offset, end + self._elided, headers, body, damage)
        self._drop(end)
        return record

    def _drop(self, end: int) -> None:
        self._offset += end + self._elided
        self._elided = 0
        if end == len(self._data):
            self._data = b""
        elif end:
            data = self._growing()
            del data[:end]

    def _growing(self) -> bytearray:
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)
        return self._data

    def _grow(self, content: bytes) -> None:
        if self._data:
            self._growing().extend(content)
        else:
            self._data = content

    def _skip_blanks(self) -> bool:
        """Whether there is anything after them."""
        while True:
            self._drop(after_blanks(self._data, 0))
            if self._data or not self._pull():
                return bool(self._data)

    def _header(self) -> tuple[Headers, int] | None:
        """The record header that `data` begins with and where the body starts, or None if it is none."""
        self._pull_line(0)
        if self._data.startswith(b"WARC/"):
            while not BLANK_LINE.search(self._data, 0, HEADER_BYTES) and len(self._data) < HEADER_BYTES:
                if not self._pull_on():
                    break
        return read_header(self._data)

    def _ends(self, headers: Headers, body_start: int) -> tuple[int, int, str | None]:
        """Where the body ends, as far as it is kept, where the record ends, and what is wrong with it."""
        length = declared_length(headers)
        if length is not None and length <= MAX_RECORD_BYTES and self._pull_to(body_start + length):
            body_end = body_start + length
            if end := self._border_at(body_end):
                return body_end, end, self.damage if end == len(self._data) else None
            if self._data.startswith(b"\r\n\r\n", body_end):  # the length is right, what follows is no record
                return body_end, body_end + 4, None
        end = self._next_header(body_start)
        body_end = min(end, body_start + MAX_RECORD_BYTES)
        tail = self._data[max(body_end - 4, body_start) : body_end]
        body_end -= len(tail) - len(tail.rstrip(b"\r\n"))
        if length is None:
            return body_end, end, "bad Content-Length"
        if length > MAX_RECORD_BYTES:
            return body_end, end, TOO_LONG
        if end + self._elided - body_start < length:
            return body_end, end, "truncated"
        return body_end, end, "longer than its Content-Length"

    def _border_at(self, at: int) -> int:
        """Where the record ends, if only white space, which it takes, parts `at` from a header or the end; else 0."""
        end = at
        while (end := after_blanks(self._data, end)) == len(self._data) < at + HEADER_BYTES:
            if not self._pull():
                return end
        return end if end == len(self._data) or self._record_at(end) else 0

    def _next_header(self, at: int) -> int:
        """Where the next record header after `at` starts, or the end. Drops what no record can need on the way."""
        while True:
            while line := _LINE_START.search(self._data, at):
                at = line.end()
                if self._record_at(at):
                    return at
            at = max(at, len(self._data) - _LINE_START_BYTES)
            if at > _KEPT_BYTES:
                self._elided += at - _KEPT_BYTES
                data = self._growing()
                del data[_KEPT_BYTES:at]
                at = _KEPT_BYTES
            if not self._pull():
                return len(self._data)

    def _record_at(self, at: int) -> bool:
        self._pull_line(at)
        return begins_record(self._data, at)

    def _pull_line(self, at: int) -> None:
        """Makes sure of a whole line from `at` on, unless it is too long for a header."""
        seen = at
        while self._data.find(b"\n", seen, at + HEADER_BYTES) < 0 and len(self._data) < at + HEADER_BYTES:
            seen = len(self._data)
            if not self._pull_on():
                return

    def _pull_to(self, size: int) -> bool:
        while len(self._data) < size:
            if not self._pull_on():
                return False
        return True

    def _pull_on(self) -> bool:
        """Like _pull, but goes on with the next unit if that begins within a record."""
        if self._pull():
            return True
        probe = self._stored.read(self.position, PROBE_BYTES)
        if not self._codec.eof or not MAGIC.match(probe) or begins_unit(probe):
            return False
        self._codec = self._new_codec()
        return self._pull()

    def _pull(self) -> bool:
        """Decompresses one block more; False at the end of the unit. Raises BrokenError."""
        piece = self._stored.block(self.position)
        if self._codec.eof or not piece:
            if not self._codec.eof and not isinstance(self._codec, Plain):
                raise BrokenError
            return False
        try:
            self._grow(self._codec.decompress(piece))
        except CODEC_ERRORS as error:
            raise BrokenError from error
        self.block_start = self.position
        self.position += len(piece) - len(self._codec.unused_data or b"")
        return True

    def _new_codec(self) -> Codec:
        return codec_for(self._stored.read(self.position, 4))


class _CarefulUnit(_Unit):
    """A unit that does not decompress, up to `stop`, where the next one begins: what there is of it."""

    def __init__(self, stored: Stored, start: int, stop: int) -> None:
        self._stop = stop
        super().__init__(stored, start)

    def _pull(self) -> bool:
        codec = self._codec
        assert isinstance(codec, Careful)
        piece = self._stored.block(self.position)[: self._stop - self.position]
        if piece and not codec.eof:
            self._grow(codec.decompress(piece))
            self.position += len(piece) - len(codec.unused_data)
            return True
        if codec.failed or not codec.eof:
            self.damage = "corrupt" if codec.failed else "truncated"
        return False

    def _new_codec(self) -> Codec:
        return Careful(codec_for(self._stored.read(self.position, 4)))
