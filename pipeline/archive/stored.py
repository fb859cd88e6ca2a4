"""A damaged archive's stored bytes: in blocks, decompressed as far as they go, and where a storage unit can begin.

The storage unit is a gzip member (RFC 1952), an LZ4 frame, or a plain file as a whole; a unit holds one record (as the
standard asks) or more. The decompressors are libraries; what no library does is to find the next unit after a fault.
"""

import re
import sys
import zlib
from typing import IO, Protocol

import lz4.frame

from corpus.errors import InputError
from pipeline.archive.record import HEADER_BYTES, begins_record

BLOCK_BYTES = 64 << 10
PROBE_BYTES = 1 << 10  # stored bytes that must show the record header of a unit
_REREAD_SLACK_BYTES = 16 << 20
_SALVAGE_STEP_BYTES = 16

MAGIC = re.compile(rb"\x1f\x8b\x08|\x04\x22\x4d\x18")
MAGIC_OR_WARC = re.compile(rb"\x1f\x8b\x08|\x04\x22\x4d\x18|WARC/[01]\.\d{1,2}\r?\n")


class Codec(Protocol):
    """What zlib's and lz4's decompressors share."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: memoryview, /) -> bytes: ...


class BrokenError(Exception):
    """A unit does not decompress."""


CODEC_ERRORS = (zlib.error, RuntimeError)  # lz4 raises RuntimeError


def codec_for(content: bytes) -> Codec:
    """What decompresses a unit that begins so."""
    if content.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(31)
    if content.startswith(b"\x04\x22"):
        return lz4.frame.LZ4FrameDecompressor()
    return Plain()


class Plain:
    eof = False
    unused_data = b""

    def decompress(self, data: memoryview) -> bytes:
        return bytes(data)


class Careful:
    """Another codec in small steps: an error costs the output of one step and ends the stream after that step."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.failed = False
        self.eof = False
        self.unused_data = b""

    def decompress(self, data: memoryview) -> bytes:
        pieces = []
        for start in range(0, len(data), _SALVAGE_STEP_BYTES):
            end = start + _SALVAGE_STEP_BYTES
            try:
                pieces.append(self._codec.decompress(data[start:end]))
            except CODEC_ERRORS:
                self.failed = True
            if self.failed or self._codec.eof:
                self.eof = True
                self.unused_data = (self._codec.unused_data or b"") + bytes(data[end:])
                break
        return b"".join(pieces)


class Window:
    """A file read forward through a window: what was read since the last `drop` can be read again without the file."""

    def __init__(self, file: IO[bytes], path: str, start: int = 0) -> None:
        self.path = path
        self.kept = bytearray()
        self.start = start  # of `kept`
        self.max_bytes = 0  # 0: nothing is kept
        self._file = file
        self._file_position = 0
        self._position = start

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        self._position = position

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; nothing at the end of the file or when more than `max_bytes` would have to be kept."""
        inside = self._position - self.start
        if 0 <= inside < len(self.kept):
            piece = bytes(self.kept[inside : inside + size if size >= 0 else None])
        elif self.max_bytes and len(self.kept) >= self.max_bytes:
            return b""
        else:
            self._go_to(self._position)
            piece = self._file.read(size)
            self._file_position += len(piece)
            if self.max_bytes:
                self.kept += piece
        self._position += len(piece)
        return piece

    def drop(self, position: int) -> None:
        """Forget what was kept before this position."""
        del self.kept[: position - self.start]
        self.start = position

    def _go_to(self, position: int) -> None:
        if position != self._file_position:
            try:
                self._file.seek(position)
            except ValueError as error:
                problem = f"{self.path}: the server sends no ranges ({error}); download the file first"
                raise InputError(problem) from error
            self._file_position = position


class Stored:
    """The file as stored, from `origin` to `stop`, in blocks at multiples of their size; the latest is kept."""

    def __init__(self, file: "Window", origin: int, stop: int = sys.maxsize) -> None:
        self.origin = origin
        self.stop = stop
        self._file = file
        self._start = self._position = -1
        self._block = memoryview(b"")
        self._reread = 0

    def block(self, position: int) -> memoryview:
        """The bytes from `position` to the end of its block; empty at the end of the file."""
        start = max(position - position % BLOCK_BYTES, self.origin)
        if start != self._start:
            if start != self._position:
                self._file.seek(start)
            missing = min(start - start % BLOCK_BYTES + BLOCK_BYTES, self.stop) - start
            pieces = []
            while missing > 0 and (piece := self._file.read(missing)):
                pieces.append(piece)
                missing -= len(piece)
            self._block = memoryview(b"".join(pieces))
            self._start, self._position = start, start + len(self._block)
        return self._block[position - start :]

    def read(self, position: int, size: int) -> bytes:
        """`size` bytes, at most a block, or fewer at the end of the file."""
        content = bytes(self.block(position)[:size])
        return content + bytes(self.block(position + len(content))[: size - len(content)]) if content else content

    def next_unit(self, position: int, pattern: re.Pattern[bytes]) -> int:
        """Where the next unit begins, at or after `position`, or the end of the file."""
        while block := bytes(self.block(position)):
            block_end = position + len(block)
            content = block + self.read(block_end, PROBE_BYTES)
            for match in pattern.finditer(content):
                if match.start() >= len(block):
                    break
                if begins_unit(content[match.start() : match.start() + PROBE_BYTES]):
                    return position + match.start()
            position = block_end
        return position

    def border_after(self, start: int, end: int) -> int:
        """Where to go on after a broken unit of which [start, end) was tried: the first unit in it or after it.

        What is tried again must not exceed, in total, what was read since the origin: else a file made for it would
        take quadratic time.
        """
        if self._reread + end - start <= _REREAD_SLACK_BYTES + end - self.origin:
            self._reread += end - start
        else:
            start = max(start, end)
        return self.next_unit(start, MAGIC)


def begins_unit(content: bytes) -> bool:
    if content.startswith(b"WARC/"):
        return True
    if content.startswith(b"\x04"):
        try:
            lz4.frame.get_frame_info(content)
        except RuntimeError:
            return False
        return True
    decoder = zlib.decompressobj(31)
    beginning = b""
    for at in range(len(content)):  # byte by byte, since a unit that was cut off may end right after its first line
        try:
            beginning = (beginning + decoder.decompress(content[at : at + 1])).lstrip()
        except zlib.error:
            break
        if b"\n" in beginning or len(beginning) > HEADER_BYTES:
            break
    return begins_record(beginning)
