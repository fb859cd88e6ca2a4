"""Personal data masked: e-mail addresses and public IPv4 addresses, as FineWeb does. It edits the text and rejects nothing.

Source: FineWeb's released recipe (Penedo et al. 2024, arXiv 2406.17557); the masks are those of its code: two addresses at the
domains reserved for examples, and six IP addresses that answered no ping when that list was made. They are used in turn, and
anew in every document: datatrove goes on through a whole process, so that there a text depends on those before it.

- An e-mail address is, in ASCII letters of any case, the longest that fits of

      [a-z0-9][a-z0-9_+%'-]* (\\.[a-z0-9_+%'-]+)* @ (LABEL\\.)+ TOP
      LABEL: letters, digits and hyphens, no hyphen first or last; TOP: one that begins with a letter

  datatrove knows lower-case letters only, takes a part of a URL before the @ for the name, and module@v1.2.3 for an address.
  Other letters end an address on both sides ("请联系abc@163.com谢谢"), so an address at bücher.de is not found.
- An IP address is four numbers up to 255 without leading zeros, with no ASCII letter, digit or _ beside it and no further
  number beyond a full stop (the identifier 1.3.6.1.4.1 is none). It is public unless IANA's registry of special-purpose
  addresses says otherwise, as `is_global` of Python's `ipaddress`; the table is here because Python's differs from release to
  release. Version and section numbers such as 17.0.4.1 are masked, as there, and IPv6 addresses are not, as there.

On 1,824 English texts 129 are edited. Of 275 e-mail addresses 262 are found by datatrove's pattern, too (it has 10 others), and
of 11 public IP addresses all. Masks change n-grams: FineWeb masks after deduplication, and so does `configs/fineweb.yaml`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import types
from numpy.typing import NDArray

from corpus.documents import Documents
from corpus.kernels import BYTES, OFFSETS, helper, kernel
from corpus.rules import Measurement, Rule
from corpus.simd import BLOCK, DIGITS, copy_bytes, first_bit, masks
from corpus.text import Texts
from filters.kernels.edited import edited_column

RULES: tuple[Rule, ...] = ()

EMAIL_MASKS = ("email@example.com", "firstname.lastname@example.org")
IP_MASKS = ("22.214.171.124", "126.96.36.199", "188.8.131.52", "184.108.40.206", "220.127.116.11", "18.104.22.168")
_MASKS = Texts.of([*EMAIL_MASKS, *IP_MASKS])
_N_EMAIL_MASKS, _N_IP_MASKS = len(EMAIL_MASKS), len(IP_MASKS)

# IANA IPv4 Special-Purpose Address Registry, what is not globally reachable: network, bits of its prefix.
_NOT_PUBLIC = (
    ("0.0.0.0", 8),
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.0.0.0", 24),
    ("192.0.2.0", 24),
    ("192.168.0.0", 16),
    ("198.18.0.0", 15),
    ("198.51.100.0", 24),
    ("203.0.113.0", 24),
    ("240.0.0.0", 4),
)


def _address(dotted: str) -> int:
    return int.from_bytes(bytes(int(part) for part in dotted.split(".")), "big")


_NETWORKS = np.array([_address(network) for network, _ in _NOT_PUBLIC], np.int64)
_HOST_BITS = np.array([32 - prefix for _, prefix in _NOT_PUBLIC], np.int64)
_EXCEPTIONS = np.array([_address("192.0.0.9"), _address("192.0.0.10")], np.int64)  # anycast, within 192.0.0.0/24

_ALNUM, _LETTER, _DIGIT, _LOCAL, _LABEL, _WORD = (np.uint8(1 << bit) for bit in range(6))


def _classes() -> NDArray[np.uint8]:
    """For each byte what it can be part of."""
    classes = np.zeros(256, np.uint8)
    for byte in range(128):
        character = chr(byte)
        letter, digit = character.isalpha(), character.isdigit()
        classes[byte] |= (letter or digit) * _ALNUM | letter * _LETTER | digit * _DIGIT
        classes[byte] |= (letter or digit or character in "_+%'-") * _LOCAL
        classes[byte] |= (letter or digit or character == "-") * _LABEL | (letter or digit or character == "_") * _WORD
    return classes


_CLASSES = _classes()
_AT, _DOT, _HYPHEN, _ZERO = ord("@"), ord("."), ord("-"), ord("0")
_SHORTEST = len("a@b.c")
_symbols = masks(((_AT, _AT),), ((_DOT, _DOT),), DIGITS)
_FIRST_BIT, _LAST_BIT = np.uint64(1), np.uint64(1 << 63)


@helper
def _is(data, at, kind):
    return _CLASSES[data[at]] & kind != 0


@helper
def _domain_end(data, at, end):
    """Where the domain that begins at `at` ends; 0 = there is none."""
    found = 0
    labels = 0
    while at < end and _is(data, at, _ALNUM):
        start = at
        while at < end and _is(data, at, _LABEL):
            at += 1
        label_end = at
        while data[label_end - 1] == _HYPHEN:
            label_end -= 1
        labels += 1
        if labels > 1 and _is(data, start, _LETTER):
            found = label_end
        if label_end < at or at == end or data[at] != _DOT:
            break
        at += 1
    return found


@helper
def _local_start(data, first, at):
    """Where the name before the @ at `at` begins, not before `first`; `at` = there is none."""
    found = at
    i = at - 1
    while i >= first:
        if _is(data, i, _LOCAL):
            if _is(data, i, _ALNUM):
                found = i
        elif data[i] != _DOT or i + 1 == at or data[i + 1] == _DOT:
            break
        i -= 1
    return found


@helper
def _is_public(address):
    special = False
    for i in range(_NETWORKS.size):
        special |= address >> _HOST_BITS[i] == _NETWORKS[i] >> _HOST_BITS[i]
    return not special or address == _EXCEPTIONS[0] or address == _EXCEPTIONS[1]


@helper
def _public_ip(data, base, first, dot, end):
    """(start, end) of the public IP address, not before `first`, whose first full stop is at `dot`; (0, 0) = there is none."""
    start = dot
    while start > base and dot - start < 4 and _is(data, start - 1, _DIGIT):
        start -= 1
    if start < first:
        return 0, 0
    if start > base:
        if _is(data, start - 1, _WORD):
            return 0, 0
        if data[start - 1] == _DOT and start - 2 >= base and _is(data, start - 2, _DIGIT):
            return 0, 0
    address = 0
    at = start
    for part in range(4):
        if part:
            if at == end or data[at] != _DOT:
                return 0, 0
            at += 1
        number = at
        value = 0
        while at < end and at - number < 4 and _is(data, at, _DIGIT):
            value = 10 * value + data[at] - _ZERO
            at += 1
        if at == number or value > 255 or (at - number > 1 and data[number] == _ZERO):
            return 0, 0
        address = 256 * address + value
    if at < end and (_is(data, at, _WORD) or (data[at] == _DOT and at + 1 < end and _is(data, at + 1, _DIGIT))):
        return 0, 0
    return (start, at) if _is_public(address) else (0, 0)


class Found(NamedTuple):
    """What to mask: starts[i]:ends[i] of the texts' bytes by masks[i]; that of text t is first[t]:first[t + 1]."""

    first: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    masks: NDArray[np.uint8]


FOUND = types.NamedTuple((types.int64[::1], types.int64[::1], types.int64[::1], types.uint8[::1]), Found)


@helper
def _candidates(data, block):
    """Bits of the @ and of the full stops between digits among the 64 bytes from `block` on, and of a few more at its ends."""
    at_signs, dots, digits = _symbols(data, block)
    return at_signs | (dots & (digits << np.uint64(1) | _FIRST_BIT) & (digits >> np.uint64(1) | _LAST_BIT))


@kernel(types.void(BYTES, OFFSETS, FOUND, types.int64[:, ::1]))
def _find(data, offsets, found, counts):
    """`counts`: e-mail addresses and IP addresses of each document."""
    first, starts, ends, masks_used = found
    n = 0
    for document in range(len(offsets) - 1):
        base, end = offsets[document], offsets[document + 1]
        first[document] = n
        emails = 0
        ips = 0
        behind = base  # what was found last
        behind_email = base
        for block in range(base, end, BLOCK):
            candidates = _candidates(data, block)
            while candidates:
                at = block + first_bit(candidates)
                candidates &= candidates - np.uint64(1)
                if at >= end:
                    break
                if at < behind:
                    continue
                if data[at] == _AT:
                    stop = _domain_end(data, at + 1, end)
                    start = _local_start(data, behind_email, at) if stop else at
                    if start == at:
                        continue
                    # what looked like an IP address is in the name
                    while n > first[document] and starts[n - 1] >= start:
                        n -= 1
                        ips -= 1
                    masks_used[n] = emails % _N_EMAIL_MASKS
                    emails += 1
                    behind_email = stop
                else:
                    start, stop = _public_ip(data, base, behind, at, end)
                    if stop == 0:
                        continue
                    masks_used[n] = _N_EMAIL_MASKS + ips % _N_IP_MASKS
                    ips += 1
                starts[n] = start
                ends[n] = stop
                n += 1
                behind = stop
        counts[0, document] = emails
        counts[1, document] = ips
    first[len(offsets) - 1] = n


@kernel(types.void(BYTES, OFFSETS, FOUND, BYTES, OFFSETS, types.uint8[::1], types.int64[::1]))
def _write(data, offsets, found, mask_data, mask_offsets, out, out_offsets):
    at = 0
    for document in range(len(offsets) - 1):
        out_offsets[document] = at
        copied = offsets[document]
        for i in range(found.first[document], found.first[document + 1]):
            at = copy_bytes(data, copied, found.starts[i] - copied, out, at)
            mask = found.masks[i]
            at = copy_bytes(mask_data, mask_offsets[mask], mask_offsets[mask + 1] - mask_offsets[mask], out, at)
            copied = found.ends[i]
        at = copy_bytes(data, copied, offsets[document + 1] - copied, out, at)
    out_offsets[len(offsets) - 1] = at


def _masked(texts: Texts, found: Found) -> pa.LargeStringArray:
    n = found.first[-1]
    removed = int((found.ends[:n] - found.starts[:n]).sum())
    added = int(_MASKS.byte_lengths[found.masks[:n]].sum())
    out = np.empty(int(texts.byte_lengths.sum()) - removed + added, np.uint8)
    out_offsets = np.empty(len(texts) + 1, np.int64)
    _write(texts.data, texts.offsets, found, _MASKS.data, _MASKS.offsets, out, out_offsets)
    return edited_column(out, out_offsets)


def measure(documents: Documents, options: Mapping[str, Any]) -> Measurement:
    texts = documents.texts
    most = int(texts.byte_lengths.sum()) // _SHORTEST + 1  # pages of memory that are not written to cost nothing
    found = Found(
        np.empty(len(texts) + 1, np.int64), np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint8)
    )
    counts = np.empty((2, len(texts)), np.int64)
    _find(texts.data, texts.offsets, found, counts)
    emails, public_ips = counts.astype(np.float32)
    return Measurement(
        {"emails": emails, "public_ips": public_ips}, {"text": _masked(texts, found)} if found.first[-1] else {}
    )
