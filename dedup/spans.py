"""What becomes of documents with repeated spans (dedup/substring.py finds them).

The actions of RefinedWeb (appendix G.3.2), and `cut_later`:

    cut           every copy is cut out; the paper's choice
    cut_later     every copy but the first: in order of shard, row and position
    mask          the text stays, and its spans go with it, for training to leave them out of the loss
    drop_partial  a document with more than `max_duplicate_fraction` of its bytes in spans is dropped
    drop_any      a document with a span is dropped

Exactly the span is cut, from its first token to its last: white space on both sides stays where it is in no token. A tokenizer's
token may be a part of a character: only characters that lie in the span whole are cut, so that nothing goes that its copy
does not have, and what is left is valid UTF-8. A document is dropped, too, if fewer than `min_characters_left` characters
lie outside of what was cut or masked.

`cut_later` keeps a token that is in the first occurrence of any repeated window, so every repeated window is left once and
whole, also where copies overlap (of 200 times the same word the first 50 stay). It may leave more than is needed: where
"x W y" stands in two documents and W alone in one before them, W stays there and, for the windows across its borders, in the
first "x W y".
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import types
from numpy.typing import NDArray

from corpus.kernels import BYTES, OFFSETS, kernel
from corpus.schema import BYTE_SPAN
from corpus.simd import copy_bytes
from corpus.text import Texts
from dedup.substring import SubstringSettings
from dedup.units import Tokenizer, tokens_at
from dedup.windows import Runs, Tokens


class Spans(NamedTuple):
    """Spans of texts, UTF-8 bytes from the text's first, in order; those of text i are first[i]:first[i + 1]."""

    first: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def total_bytes(self) -> NDArray[np.int64]:
        """int64[n_texts]: how many bytes of each text lie in its spans."""
        before = np.concatenate([[0], np.cumsum(self.ends - self.starts)])
        return np.diff(before[self.first])

    def as_column(self) -> pa.ListArray:
        """list<BYTE_SPAN>, an entry a text."""
        spans = pa.StructArray.from_arrays([self.starts, self.ends], fields=list(BYTE_SPAN))
        return pa.ListArray.from_arrays(self.first.astype(np.int32), spans)


def byte_runs(runs: Runs, batches: Iterable[Tokens]) -> Runs:
    """Runs of tokens as runs of bytes, given where the tokens of the documents that they are in lie."""
    parts = [Runs(*(np.empty(0, np.uint32) for _ in range(3)))]
    for tokens in batches:
        mine = runs.of(tokens.rows)
        first = tokens.first[np.searchsorted(tokens.rows, mine.rows)]
        starts, ends = tokens.starts[first + mine.starts], tokens.ends[first + mine.stops - 1]
        ends = np.maximum(starts, ends)  # a few tokens may be less than a character
        parts.append(Runs(mine.rows, starts.astype(np.uint32), ends.astype(np.uint32)))
    return Runs(*map(np.concatenate, zip(*parts, strict=True)))


def spans_of_rows(rows: NDArray[np.uint32], runs: Runs) -> Spans:
    """The runs of bytes that lie in the texts at `rows` (ascending)."""
    mine = runs.of(rows)
    first = np.append(np.searchsorted(mine.rows, rows), len(mine.rows))
    return Spans(first, mine.starts.astype(np.int64), mine.stops.astype(np.int64))


def byte_spans(texts: Texts, rows: NDArray[np.uint32], runs: Runs, tokenizer: Tokenizer | None = None) -> Spans:
    """Of runs of tokens those in the texts at `rows` (ascending), as spans of bytes."""
    mine = runs.of(rows)
    has_run = np.isin(rows, mine.rows)
    tokens = tokens_at(rows[has_run], Texts(texts.column.filter(pa.array(has_run))), tokenizer, located=True)
    return spans_of_rows(rows, byte_runs(mine, [tokens]))


@kernel(types.void(BYTES, OFFSETS, OFFSETS, OFFSETS, OFFSETS, types.uint8[::1]))
def _cut(data, offsets, first, starts, ends, out):
    at = 0
    for text in range(len(offsets) - 1):
        left = offsets[text]
        for span in range(first[text], first[text + 1]):
            start = offsets[text] + starts[span]
            at = copy_bytes(data, left, start - left, out, at)
            left = offsets[text] + ends[span]
        at = copy_bytes(data, left, offsets[text + 1] - left, out, at)


def cut(texts: Texts, spans: Spans) -> pa.LargeStringArray:
    """The texts without their spans."""
    offsets = np.concatenate([[0], np.cumsum(texts.byte_lengths - spans.total_bytes())])
    out = np.empty(offsets[-1], np.uint8)
    _cut(texts.data, texts.offsets, *spans, out)
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(out))


class Deduplicated(NamedTuple):
    """`text`: edited by the two actions that cut; `dropped`: bool[n_texts]."""

    text: pa.LargeStringArray
    dropped: NDArray[np.bool_]


def apply_action(texts: Texts, spans: Spans, settings: SubstringSettings) -> Deduplicated:
    has_span = np.diff(spans.first) > 0
    if settings.action == "drop_any":
        return Deduplicated(texts.column, has_span)
    if settings.action == "drop_partial":
        limit = settings.max_duplicate_fraction * texts.byte_lengths
        return Deduplicated(texts.column, has_span & (spans.total_bytes() > limit))
    left = cut(texts, spans)
    too_short = pc.utf8_length(left).to_numpy() < settings.min_characters_left
    return Deduplicated(texts.column if settings.action == "mask" else left, has_span & too_short)
