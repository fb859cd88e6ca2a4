"""How much of each evaluation set a document has, in words: what several items cover counts once."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.schema import COVERED
from corpus.text import Texts
from corpus.words import text_digests


def covered(texts: Texts, spans: pa.Array) -> pa.Array:
    """list<COVERED>[n_documents]: of each set that a document has spans of, how many words lie in them. Null without spans."""
    documents = pc.indices_nonzero(pc.is_valid(spans)).to_pylist()
    regions = [(document, name, *region) for document in documents for name, region in _merged(spans[document].as_py())]
    pieces = Texts.of([_slice(texts, document, start, end) for document, _, start, end in regions])
    words: dict[int, dict[str, int]] = {document: defaultdict(int) for document in documents}
    for (document, name, _, _), n_words in zip(regions, text_digests(pieces)[1].tolist(), strict=True):
        words[document][name] += n_words
    rows: list[list[dict[str, Any]] | None] = [None] * len(texts)
    for document in documents:
        rows[document] = [{"set": name, "words": n_words} for name, n_words in words[document].items()]
    return pa.array(rows, pa.list_(COVERED))


def _slice(texts: Texts, document: int, start: int, end: int) -> str:
    begin = texts.offsets[document]
    return texts.data[begin + start : begin + end].tobytes().decode()


def _merged(spans: list[dict[str, Any]]) -> Iterator[tuple[str, tuple[int, int]]]:
    """(set, (start, end)) of what the spans of each set cover together."""
    last: tuple[str, int, int] | None = None
    for name, start, end in sorted((span["set"], span["start"], span["end"]) for span in spans):
        if last is not None and last[0] == name and start <= last[2]:
            last = (name, last[1], max(end, last[2]))
            continue
        if last is not None:
            yield last[0], last[1:]
        last = (name, start, end)
    if last is not None:
        yield last[0], last[1:]
