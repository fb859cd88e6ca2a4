"""rensa's and datasketch's MinHash with 128 permutations over word 5-grams.

Neither has normalising or shingling, so both get the cheapest that does the same job in Python: lower case, no accents, `\\w+`
words, five at a time, joined.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import partial

from datasketch import MinHash
from rensa import RMinHash
from turns import lines, serve
from xxhash import xxh3_64_intdigest

TEXTS = lines("texts")
PERMUTATIONS = 128
_WORDS, _ACCENTS = re.compile(r"\w+"), re.compile("[\u0300-\u036f]+")


def shingles(text: str) -> list[str]:
    text = text.lower()
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    words = _WORDS.findall(text)
    return list(map(" ".join, zip(*(words[i:] for i in range(5)), strict=False))) or [" ".join(words)]


def rensa() -> int:
    """Document by document: its call for many at once is slower with Python's strings."""
    for text in TEXTS:
        sketch = RMinHash(PERMUTATIONS, 1)
        sketch.update(shingles(text))
        sketch.digest()
    return len(TEXTS)


def datasketch(hashing: Callable[[bytes], int] | None) -> int:
    for text in TEXTS:
        sketch = MinHash(PERMUTATIONS, 1) if hashing is None else MinHash(PERMUTATIONS, 1, hashfunc=hashing)
        sketch.update_batch([shingle.encode() for shingle in shingles(text)])
    return len(TEXTS)


def xxh3(data: bytes) -> int:
    return xxh3_64_intdigest(data) & 0xFFFFFFFF


serve(
    {"rensa": rensa, "datasketch sha1": partial(datasketch, None), "datasketch xxh3": partial(datasketch, xxh3)},
    ("rensa", "datasketch", "xxhash"),
)
