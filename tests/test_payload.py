"""HTTP bodies: what servers and crawlers do to them, and the page that comes out."""

import gzip
import zlib

import brotli
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.payload import MAX_PAYLOAD_BYTES, PayloadError, decode_body

PAGE = b"<!doctype html><title>Tea</title>" + b"<p>Pour the water over the leaves, and wait.</p>\n" * 200


def raw_deflate(content: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(content) + encoder.flush()


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def chunked(content: bytes, size: int = 1000, line_end: bytes = b"\r\n") -> bytes:
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x" % len(piece) + line_end + piece + line_end for piece in pieces) + b"0" + line_end * 2


ENCODED = {
    b"": PAGE,
    b"identity": PAGE,
    b"gzip": gzip.compress(PAGE),
    b"X-GZIP": gzip.compress(PAGE),
    b"deflate": zlib.compress(PAGE),
    b"br": brotli.compress(PAGE),
    b"zstd": zstd(PAGE),
    b"gzip, br": brotli.compress(gzip.compress(PAGE)),
    b"deflate,gzip": gzip.compress(zlib.compress(PAGE)),
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_each_coding_is_removed(encoding: bytes) -> None:
    assert decode_body(ENCODED[encoding], encoding) == PAGE
    assert decode_body(chunked(ENCODED[encoding]), encoding, b"chunked") == PAGE


def test_deflate_without_the_zlib_header_is_read_too() -> None:
    assert decode_body(raw_deflate(PAGE), b"deflate") == PAGE


def test_codings_named_in_transfer_encoding_are_removed() -> None:
    assert decode_body(chunked(gzip.compress(PAGE)), b"", b"gzip, chunked") == PAGE


def test_gzip_in_several_members_is_one_page() -> None:
    assert decode_body(gzip.compress(PAGE[:100]) + gzip.compress(PAGE[100:]), b"gzip") == PAGE


def test_noise_after_a_whole_gzip_stream_is_dropped() -> None:
    assert decode_body(gzip.compress(PAGE) + b"\x1f\x8b\x08noise", b"gzip") == PAGE


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, br", b"utf-8", b"none"])
def test_a_header_that_lies_about_a_plain_page_costs_nothing(encoding: bytes) -> None:
    assert decode_body(PAGE, encoding, b"chunked") == PAGE


def test_chunks_with_extensions_trailers_and_bare_newlines() -> None:
    assert (
        decode_body(b"4;name=value\r\nWiki\r\n5 \r\npedia\r\n0\r\nExpires: never\r\n\r\n", b"", b"Chunked")
        == b"Wikipedia"
    )
    assert decode_body(chunked(PAGE, line_end=b"\n"), b"", b"chunked") == PAGE


def test_a_truncated_last_chunk_is_kept() -> None:
    assert (
        decode_body(chunked(PAGE)[:2500], b"", b"chunked") == PAGE[: 2500 - len(b"3e8\r\n\r\n") * 2 - len(b"3e8\r\n")]
    )


def test_after_a_wrong_chunk_size_the_rest_is_kept_as_it_is() -> None:
    assert decode_body(b"4\r\nWiki\r\n2\r\npedia\r\n0\r\n\r\n", b"", b"chunked") == b"Wiki2\r\npedia\r\n0\r\n\r\n"


def test_a_page_that_only_begins_like_a_chunk_is_kept_whole() -> None:
    page = b"ace\r\n" + PAGE
    assert decode_body(page, b"", b"chunked") == page


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_truncated_stream_gives_its_beginning(encoding: bytes) -> None:
    text = "".join(f"<p>{number * 7919}</p>" for number in range(40_000)).encode()
    encoders = {b"gzip": gzip.compress, b"deflate": zlib.compress, b"br": brotli.compress, b"zstd": zstd}
    whole = encoders[encoding](text)
    decoded = decode_body(whole[: len(whole) // 2], encoding)
    assert 1000 < len(decoded) < len(text)
    assert text.startswith(decoded)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_decompression_bomb_is_refused(encoding: bytes) -> None:
    bomb = {b"gzip": gzip.compress, b"deflate": zlib.compress, b"br": brotli.compress, b"zstd": zstd}[encoding](
        bytes(10**7)
    )
    with pytest.raises(PayloadError, match="more than 1000000 bytes"):
        decode_body(bomb, encoding, max_bytes=10**6)
    assert decode_body(bomb, encoding, max_bytes=10**7) == bytes(10**7)


def test_a_plain_body_over_the_limit_is_refused() -> None:
    with pytest.raises(PayloadError, match="longer than 10 bytes"):
        decode_body(PAGE, max_bytes=10)


def test_many_codings_on_one_body_are_refused() -> None:
    with pytest.raises(PayloadError, match="6 codings"):
        decode_body(PAGE, b"gzip, " * 6)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_a_stream_with_one_wrong_byte_is_refused(encoding: bytes) -> None:
    broken = bytearray(ENCODED[encoding])
    broken[len(broken) // 2] ^= 0x10
    with pytest.raises(PayloadError, match=encoding.decode()):
        decode_body(bytes(broken), encoding)


@pytest.mark.parametrize("encoding", [b"br", b"zstd"])
def test_a_stream_that_turns_into_noise_is_refused(encoding: bytes) -> None:
    with pytest.raises(PayloadError, match=encoding.decode()):
        decode_body(ENCODED[encoding][:60] + b"\xff\x00" * 500, encoding)


MAGIC = st.sampled_from([b"", b"\x1f\x8b\x08\x00", b"\x78\x9c", b"\x28\xb5\x2f\xfd", b"5\r\n", b"\x8b\x02\x80"])


@given(
    MAGIC, st.binary(max_size=300), st.sampled_from([b"gzip", b"deflate", b"br", b"zstd", b"gzip,br", b"zstd,deflate"])
)
def test_arbitrary_bytes_only_ever_raise_a_payload_error(magic: bytes, noise: bytes, encoding: bytes) -> None:
    try:
        decoded = decode_body(magic + noise, encoding, b"chunked")
    except PayloadError:
        return
    assert len(decoded) <= MAX_PAYLOAD_BYTES


@given(st.binary(max_size=500), st.integers(1, 50), st.sampled_from([b"\r\n", b"\n"]))
def test_any_chunked_body_is_recovered_exactly(content: bytes, size: int, line_end: bytes) -> None:
    assert decode_body(chunked(content, size, line_end), b"", b"chunked") == content
