"""The page as UTF-8, in the encoding that extraction finds (`pipeline.extractors._child.decode`), without a detour where it is.

Nine pages in ten are valid UTF-8 already: then the bytes are checked, not decoded and encoded again.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.extractors._child import decode

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def utf8_page(html: bytes, charset: str | None) -> NDArray[np.uint8]:
    """`html` as UTF-8, a view of its own bytes where it is valid; `charset` is what the HTTP header says."""
    # Escapes may be ISO-2022-JP, and NULs UTF-16 (or go, where libxml2 would stop).
    if b"\x1b" in html or b"\0" in html or not _is_utf8(html):
        return np.frombuffer(decode(html, charset).encode("utf-8", "replace"), np.uint8)
    return np.frombuffer(html, np.uint8)[len(_BYTE_ORDER_MARK) if html.startswith(_BYTE_ORDER_MARK) else 0 :]


def _is_utf8(html: bytes) -> bool:
    offsets = pa.py_buffer(np.array([0, len(html)], np.int64))
    try:
        pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(html)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
