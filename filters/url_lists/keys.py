"""The keys of URLs and of blocklist entries: what an entry covers, and how the entries that cover a URL are looked up.

What an entry covers (UT1's lists are squidGuard's, and so are these rules, with open points decided):

- `example.com` covers that host and every host below it, on any port: `a.b.example.com`, not `notexample.com`. A single label
  (`xxx`) covers a top-level domain. `www.example.com` covers what it says: `example.com` is not below it (a listed
  `www.gov.uk` must not cover all of `gov.uk`).
- `example.com/a/b` covers that host alone (with or without `www.`) and what continues the path at `/`, `?`, `&` or `#`:
  `/a/b/c` and `/a/b?c`, not `/a/bc`. Empty segments and a trailing slash do not count.
- Scheme, userinfo, port, a trailing dot of the host and ASCII case do not count, in the path neither: recall over RFC 3986.
  %XX is decoded once. A Unicode host is compared as it is, but for ASCII case. IP addresses are hosts like others and
  compared as text.

A key is 64 bits, so a URL that is not listed is taken for listed with probability (listed entries) · (look-ups) / 2^64: for
4.6 million entries and eight look-ups 2·10⁻¹². A table is its sorted keys with a third of its slots left empty: key k is at
slot ⌊k · slots / 2^64⌋ (its upper half decides) or shortly after it, so a look-up costs one cache miss, and the same entries
in any order, however often repeated, make the same bytes.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from corpus.hashing import GOLDEN, mix
from corpus.kernels import helper

Keys = NDArray[np.uint64]
TABLE = types.Array(types.uint64, 1, "C", readonly=True)
SEED = np.uint64(0x5245_4649_4E45_0001)

_IS_BOUNDARY = np.array([chr(byte) in "/?&#" for byte in range(256)])
_ENDS_AUTHORITY = np.array([chr(byte) in "/?#" for byte in range(256)])
_LOWER = np.array([byte + 32 if 65 <= byte <= 90 else byte for byte in range(256)], np.uint8)
_NIBBLE = np.array(
    [int(chr(byte), 16) if chr(byte) in "0123456789abcdefABCDEF" else -1 for byte in range(256)], np.int8
)
_COLON, _AT, _DOT, _SLASH, _PERCENT, _OPEN, _CLOSE, _W = (ord(character) for character in ":@./%[]w")


@helper
def strip(data, start, end):
    """(start, end) of data[start:end] without blanks and control characters around it."""
    while start < end and data[start] <= 32:
        start += 1
    while start < end and data[end - 1] <= 32:
        end -= 1
    return start, end


@helper
def authority(data, start, end):
    """(start of the host, end of the host, end of the authority) in the stripped URL or entry data[start:end]."""
    at = start
    while at < end and data[at] != _COLON and not _ENDS_AUTHORITY[data[at]]:
        at += 1
    if at + 2 < end and data[at] == _COLON and data[at + 1] == _SLASH and data[at + 2] == _SLASH:
        host = at + 3
    elif at == start and at + 1 < end and data[at] == _SLASH and data[at + 1] == _SLASH:
        host = at + 2
    else:
        host = start
    stop = host
    while stop < end and not _ENDS_AUTHORITY[data[stop]]:
        if data[stop] == _AT:
            host = stop + 1
        stop += 1
    host_end = host
    in_brackets = host < stop and data[host] == _OPEN
    while host_end < stop and (in_brackets or data[host_end] != _COLON):
        in_brackets &= data[host_end] != _CLOSE
        host_end += 1
    return host, host_end, stop


@helper
def _decode(data, start, end, scratch, n_bytes):
    """Append data[start:end] to `scratch`, %XX decoded, ASCII in lower case; returns the new number of bytes."""
    at = start
    while at < end:
        byte = data[at]
        at += 1
        if byte == _PERCENT and at + 1 < end and _NIBBLE[data[at]] >= 0 and _NIBBLE[data[at + 1]] >= 0:
            byte = np.uint8(16 * _NIBBLE[data[at]] + _NIBBLE[data[at + 1]])
            at += 2
        scratch[n_bytes] = _LOWER[byte]
        n_bytes += 1
    return n_bytes


@helper
def normalise(data, start, end, scratch):
    """Write host and then all that follows the port to `scratch` (end - start bytes or more).

    Returns (bytes of the host, bytes of all); the host is empty where data[start:end] is no URL.
    """
    start, end = strip(data, start, end)
    host, host_end, stop = authority(data, start, end)
    host_bytes = _decode(data, host, host_end, scratch, 0)
    while host_bytes > 0 and scratch[host_bytes - 1] == _DOT:
        host_bytes -= 1
    return host_bytes, _decode(data, stop, end, scratch, host_bytes)


@helper
def _step(state, byte):
    return (state ^ np.uint64(byte)) * GOLDEN


@helper
def _key(state):
    return max(mix(state), np.uint64(1))  # 0 is an empty slot


@helper
def covering_keys(scratch, host_bytes, n_bytes, keys):
    """Write the keys of all entries that cover the normalised URL: of domains, shortest first, then of paths.

    Returns (number of domain keys, number of keys); n_bytes + 1 keys are enough. The last key is the URL's own as an entry.
    """
    n_keys = 0
    state = without_www = SEED
    for i in range(host_bytes - 1, -1, -1):  # from the end: each dot is then the end of a domain above
        if scratch[i] == _DOT:
            keys[n_keys] = _key(state)
            n_keys += 1
            without_www = state
        state = _step(state, scratch[i])
    keys[n_keys] = _key(state)
    n_domains = n_keys = n_keys + 1

    if host_bytes > 4 and scratch[3] == _DOT and scratch[0] == scratch[1] == scratch[2] == _W:
        state = without_www
    boundary = np.uint8(_SLASH)
    in_segment = False
    for i in range(host_bytes, n_bytes):
        byte = scratch[i]
        if _IS_BOUNDARY[byte]:
            if in_segment:
                keys[n_keys] = _key(state)
                n_keys += 1
            boundary = byte
            in_segment = False
            continue
        if not in_segment:
            state = _step(state, boundary)
            in_segment = True
        state = _step(state, byte)
    if in_segment:
        keys[n_keys] = _key(state)
        n_keys += 1
    return n_domains, n_keys


@helper
def count_listed(keys, first, last, table):
    """How many of keys[first:last] are in a table of `table_of`."""
    found = 0
    for i in range(first, last):
        at = 1 + np.int64(((keys[i] >> np.uint64(32)) * table[0]) >> np.uint64(32))
        while at < table.size and table[at] != 0 and table[at] < keys[i]:
            at += 1
        found += at < table.size and table[at] == keys[i]
    return found


def distinct(keys: Keys) -> Keys:
    """The keys once each, sorted (np.unique hashes since NumPy 2.3, which takes 60 times as long here)."""
    keys = np.sort(keys)
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def table_of(keys: Keys) -> Keys:
    """uint64: the number of slots, then the distinct keys, each at its slot or the first free one after it."""
    keys = distinct(keys)
    if not len(keys):
        return np.zeros(1, np.uint64)
    slots = len(keys) * 3 // 2
    home = 1 + (((keys >> np.uint64(32)) * np.uint64(slots)) >> np.uint64(32)).astype(np.int64)
    rank = np.arange(len(keys))
    place = rank + np.maximum.accumulate(home - rank)
    table = np.zeros(max(int(place[-1]), slots) + 1, np.uint64)
    table[0] = slots
    table[place] = keys
    return table
