"""Archive records as bytes. A library that writes only correct records cannot write the ones that real crawls contain."""

import base64
import hashlib
import struct
import zlib

Headers = list[tuple[str, str]]


def gzip_member(data: bytes) -> bytes:
    """One gzip member whose header holds neither a time nor an operating system."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(data) + deflate.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + body + struct.pack("<II", zlib.crc32(data), len(data))


def brotli_stream(data: bytes) -> bytes:
    """A brotli stream (RFC 7932) that stores `data` (at most 64 kB) uncompressed: the same bytes from any brotli version."""
    if len(data) > 1 << 16:
        raise ValueError(f"{len(data)} bytes do not fit in one meta-block of 65,536")
    # window 16; not the last block; length - 1 in 16 bits; uncompressed. Then the empty last block.
    return ((len(data) - 1) << 4 | 1 << 20).to_bytes(3, "little") + data + b"\x03"


def coded_body(data: bytes, coding: str) -> tuple[bytes, Headers]:
    """`data` in a content or transfer coding, and the HTTP headers that say so; `broken` is gzip that ends in rubbish."""
    match coding:
        case "":
            body, headers = data, []
        case "br":
            body, headers = brotli_stream(data), [("Content-Encoding", "br")]
        case "deflate":
            body, headers = zlib.compress(data, 9), [("Content-Encoding", "deflate")]
        case "gzip":
            body, headers = gzip_member(data), [("Content-Encoding", "gzip")]
        case "broken":
            body, headers = gzip_member(data)[:20] + bytes(range(255, 0, -1)), [("Content-Encoding", "gzip")]
        case "chunked":
            return chunked(data), [("Transfer-Encoding", "chunked")]
        case _:
            raise ValueError(f"unknown coding {coding!r}: use br, deflate, gzip, broken or chunked")
    return body, [*headers, ("Content-Length", str(len(body)))]


def chunked(data: bytes, size: int = 1000) -> bytes:
    """HTTP/1.1 chunked transfer coding."""
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def http_message(first_line: str, headers: Headers, body: bytes) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{first_line}\r\n{head}\r\n".encode("latin-1") + body


def sha1(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()


def warc_record(headers: Headers, block: bytes, missing_bytes: int = 0) -> bytes:
    """A WARC/1.0 record; Content-Length claims `missing_bytes` more than there are."""
    head = "".join(
        f"{name}: {value}\r\n" for name, value in [*headers, ("Content-Length", str(len(block) + missing_bytes))]
    )
    return b"WARC/1.0\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def arc_record(url: str, date: str, content_type: str, block: bytes) -> bytes:
    """A record of ARC version 1: one line of header, `date` as 14 digits."""
    return f"{url} 192.0.2.10 {date} {content_type} {len(block)}\n".encode() + block + b"\n"
