"""One copy per URL: a 128-bit digest of each URL, to be grouped by `dedup.clusters.group_equal`.

RefinedWeb deduplicates by URL without saying what makes two URLs one. Here it is RFC 3986's normalisation (§6.2.2–3) as far
as it cannot change the page: scheme and host in lower case, no default port, "/" for an empty path; and no fragment, which
never reaches the server. All else must be equal byte for byte: http and https, www, a trailing slash, the order of a
query's parts, percent-encoding make different URLs.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import types
from numpy.typing import NDArray

from corpus.hashing import NO_CHANGE, hash_bytes
from corpus.kernels import BYTES, OFFSETS, kernel
from corpus.text import Texts

_PARTS = (
    r"^(?P<scheme>[^:/?#]+://)(?P<user>[^/?#]*@)?(?P<host>[^/?#]*?)(?P<port>:[0-9]*)?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?s:#.*)?$"
)
_EMPTY = pa.scalar("", pa.large_string())
_LOW_SEED, _HIGH_SEED = np.uint64(1), np.uint64(2)


def normalised_urls(urls: pa.Array) -> pa.LargeStringArray:
    """large_string[n]: what is compared; a null counts as empty, and what does not look like a URL stays as it is."""
    given = Texts.of(urls).column
    parts = pc.extract_regex(given, _PARTS)
    scheme, user, host, port, path, query = parts.flatten()
    origin = pc.binary_join_element_wise(pc.ascii_lower(scheme), user, pc.ascii_lower(host), port, _EMPTY)
    if pc.any(pc.not_equal(port, _EMPTY)).as_py():  # hardly ever: half of the time would go by here
        for default in (r"^(http:.*):80$", r"^(https:.*):443$", r"^(.*):$"):
            origin = pc.replace_substring_regex(origin, default, r"\1")
    path = pc.if_else(pc.equal(path, _EMPTY), "/", path)
    return pc.coalesce(pc.binary_join_element_wise(origin, path, query, _EMPTY), given)


@kernel(types.void(BYTES, OFFSETS, types.uint64[:, ::1]))
def _digests(data, offsets, digests):
    for row in range(len(offsets) - 1):
        start, length = offsets[row], offsets[row + 1] - offsets[row]
        digests[row, 0] = hash_bytes(data, start, length, NO_CHANGE, _LOW_SEED) if length else 0
        digests[row, 1] = hash_bytes(data, start, length, NO_CHANGE, _HIGH_SEED) if length else 0


def url_digests(urls: pa.Array) -> NDArray[np.uint64]:
    """uint64[n, 2]: the digest of each normalised URL; (0, 0), which equals no other, for a null or empty one."""
    texts = Texts.of(normalised_urls(urls))
    digests = np.empty((len(texts), 2), np.uint64)
    _digests(texts.data, texts.offsets, digests)
    return digests
