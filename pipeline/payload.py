"""The bytes of an HTTP body as the browser's parser would get them: transfer and content codings removed.

Source: RFC 9112 §7.1 (chunked), RFC 9110 §8.4 (content codings), RFC 1950–1952, 7932, 8878.

Crawls lie about codings: crawlers store bodies already decoded and keep the header, servers name a coding they do not
apply. So a coding is believed only as far as the bytes bear it out: a body that does not start as its coding says,
and could be text, is returned as it is. A body that ends early gives what there is of it. A body that breaks in the
middle raises: half a page and then noise is no page. Codings nobody sends any more (compress, sdch) and names that
are no codings ("utf-8") are passed over.
"""

import re
import zlib
from collections.abc import Callable

import brotli
import pyarrow as pa

MAX_PAYLOAD_BYTES = 64 << 20  # twelve times the largest body Common Crawl stores, 5 MiB
_MAX_CODINGS = 5
_MAX_GZIP_MEMBERS = 64  # each costs a copy of the rest
_PIECE_BYTES = 64 << 10
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]{0,1024})?\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))


class PayloadError(Exception):
    """This body cannot be decoded; the message says why. It is a reason in the ledger, so it is no RefineError."""


def decode_body(
    body: bytes, content_encoding: bytes = b"", transfer_encoding: bytes = b"", max_bytes: int = MAX_PAYLOAD_BYTES
) -> bytes:
    """The decoded body, at most `max_bytes` long at every step; the codings are HTTP header values. Raises PayloadError."""
    codings = [coding for coding in _split(content_encoding) + _split(transfer_encoding) if coding in _DECODERS]
    if len(codings) > _MAX_CODINGS:
        raise PayloadError(f"{len(codings)} codings on one body")
    for coding in reversed(codings):
        if body:
            body = _DECODERS[coding](body, max_bytes)
    if len(body) > max_bytes:
        raise PayloadError(f"longer than {max_bytes} bytes")
    return body


def _split(header: bytes) -> list[bytes]:
    return [coding.strip().lower() for coding in header.split(b",")]


def _dechunk(body: bytes, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    position = 0
    while size_line := _CHUNK_SIZE.match(body, position):
        size = int(size_line[1], 16)
        if size == 0:
            return b"".join(chunks)
        end = size_line.end() + size
        line_end = _LINE_END.match(body, end)
        if line_end is None and end < len(body) - 1:  # not followed by a line end: no chunk
            break
        chunks.append(body[size_line.end() : end])
        position = line_end.end() if line_end else len(body)
    # Nothing or only part of it was chunked. The rest is kept as it is: servers that miscount mostly do so once.
    return b"".join(chunks) + body[position:]


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    members: list[bytes] = []
    rest = body
    while rest.startswith(b"\x1f\x8b\x08") and len(members) < _MAX_GZIP_MEMBERS:
        try:
            member, rest = _inflate(rest, 31, max_bytes - sum(map(len, members)))
        except zlib.error as error:
            if members:
                break  # noise after a whole stream
            raise PayloadError(f"gzip: {error}") from error
        members.append(member)
    return b"".join(members) if members else body


def _undeflate(body: bytes, max_bytes: int) -> bytes:
    """`deflate` is zlib by the RFC and raw deflate by many servers."""
    try:
        return _inflate(body, 15, max_bytes)[0]
    except zlib.error:
        pass
    try:
        inflated, rest = _inflate(body, -15, max_bytes)
    except zlib.error as error:
        return _plain_text(body, f"deflate: {error}")
    return _plain_text(body, "deflate: the stream is damaged") if rest else inflated


def _inflate(body: bytes, wbits: int, max_bytes: int) -> tuple[bytes, bytes]:
    """(the inflated bytes, the bytes after them); raises zlib.error."""
    decoder = zlib.decompressobj(wbits)
    inflated = decoder.decompress(body, max_bytes + 1)
    if len(inflated) > max_bytes:
        raise PayloadError(f"decodes to more than {max_bytes} bytes")
    return inflated, decoder.unused_data


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    pieces: list[bytes] = []
    size = 0
    for start in range(0, len(body), _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        while not decoder.is_finished():
            try:
                decoded = decoder.process(piece, output_buffer_limit=_PIECE_BYTES)
            except brotli.error:
                return _plain_text(body, "br: the stream is damaged")
            if not decoded:
                break  # it wants the next piece
            pieces.append(decoded)
            size += len(decoded)
            if size > max_bytes:
                raise PayloadError(f"decodes to more than {max_bytes} bytes")
            piece = b""
    return b"".join(pieces)


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    if not body.startswith(b"\x28\xb5\x2f\xfd"):
        return body
    pieces: list[bytes] = []
    size = 0
    with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
        try:
            while piece := stream.read(_PIECE_BYTES):
                pieces.append(piece)
                size += len(piece)
                if size > max_bytes:
                    raise PayloadError(f"decodes to more than {max_bytes} bytes")
        except OSError as error:  # truncated streams too
            if "Truncated" not in str(error) or not pieces:
                raise PayloadError(f"zstd: {error}") from error
    return b"".join(pieces)


def _plain_text(body: bytes, problem: str) -> bytes:
    """The body itself if its beginning could be text (the coding was a lie); raises PayloadError with the problem if not."""
    head = body[:1024]
    if len(head.translate(None, _CONTROL_BYTES)) < len(head):
        raise PayloadError(problem)
    return body


_DECODERS: dict[bytes, Callable[[bytes, int], bytes]] = {
    b"chunked": _dechunk,
    b"gzip": _gunzip,
    b"x-gzip": _gunzip,
    b"deflate": _undeflate,
    b"br": _unbrotli,
    b"zstd": _unzstd,
}
