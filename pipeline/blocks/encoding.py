"""The page as UTF-8, in the encoding that extraction finds (`pipeline.extractors._child.decode`), without a detour where it is.

Nineteen pages in twenty are valid UTF-8 already: then the bytes are checked, not decoded and encoded again; 64 at a time, by
table 3-7 of the Unicode Standard as masks.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.kernels import BYTES, kernel
from corpus.simd import BEYOND_ASCII, BLOCK, CONTINUATION, first_bit, first_bits, masks
from pipeline.extractors._child import decode

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Escapes may be ISO-2022-JP, and NULs UTF-16 (or go, where libxml2 would stop); the others are never in UTF-8.
_ESCAPES = ((0, 0), (27, 27))
_ODD = (*_ESCAPES, (0xC0, 0xC1), (0xF5, 0xFF))
_LEADS_OF_2, _LEADS_OF_3, _LEADS_OF_4 = ((0xC2, 0xDF),), ((0xE0, 0xEF),), ((0xF0, 0xF4),)
# Leads that not every continuation may follow, and where those that may begin or end.
_LEADS = tuple(((lead, lead),) for lead in (0xE0, 0xED, 0xF0, 0xF4))
_BELOW_A0, _BELOW_90 = ((0x80, 0x9F),), ((0x80, 0x8F),)
_1, _2, _3 = (np.uint64(n) for n in (1, 2, 3))
_LAST = np.array([0, 1 << 63, 3 << 62, 7 << 61], np.uint64)  # the last n of 64 bytes
_seldom = masks(_ESCAPES, BEYOND_ASCII)
_classes = masks(_ODD, CONTINUATION, _LEADS_OF_2, _LEADS_OF_3, _LEADS_OF_4, *_LEADS, _BELOW_A0, _BELOW_90)


def utf8_page(html: bytes, charset: str | None) -> NDArray[np.uint8]:
    """`html` as UTF-8, a view of its own bytes where it is valid; `charset` is what the HTTP header says."""
    page = np.frombuffer(html, np.uint8)
    if not _is_plain(page):
        return np.frombuffer(decode(html, charset).encode("utf-8", "replace"), np.uint8)
    return page[len(_BYTE_ORDER_MARK) if html.startswith(_BYTE_ORDER_MARK) else 0 :]


@kernel(types.boolean(BYTES))
def _is_plain(data):
    """Whether it is valid UTF-8 without NULs and escapes."""
    at = 0
    while at < data.size:
        escapes, beyond_ascii = _seldom(data, at)
        if escapes | beyond_ascii == 0:
            at += BLOCK
            continue
        odd, continuation, of_2, of_3, of_4, e0, ed, f0, f4, below_a0, below_90 = _classes(data, at)
        leads, longer = of_2 | of_3 | of_4, of_3 | of_4
        beyond = (leads & _LAST[1]) | (longer & _LAST[2]) | (of_4 & _LAST[3])
        n = first_bit(beyond) if beyond else BLOCK  # a character that goes on behind the block begins the next
        expected = leads << _1 | longer << _2 | of_4 << _3
        wrong = (e0 << _1 & below_a0) | (ed << _1 & ~below_a0) | (f0 << _1 & below_90) | (f4 << _1 & ~below_90)
        if (odd & first_bits(data.size - at) | wrong | expected ^ continuation) & first_bits(n):
            return False
        at += n
    return True
