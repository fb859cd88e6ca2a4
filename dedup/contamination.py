"""Evaluation items in training text: what becomes of the documents that have some.

What counts as having one is the method's (`dedup.contamination_methods`). The numbers of what is done about it are those of
GPT-3 (Brown et al. 2020, appendix C): 13-grams in more than 10 training documents are common phrases and do not count; the
match goes with 200 characters on each side of it, pieces under 200 characters go too, and a document in more than 10 pieces
goes whole.
Where the paper is silent or we differ:

- `cut` gives one document, its pieces apart by a blank line, where GPT-3 makes each piece a document;
- windows that overlap or touch are one; pieces are counted before the short ones are dropped;
- `drop` (the whole document) and `tag` (nothing but the report) are ours.

Three calls, so that the middle one can add up a whole corpus:

    hits = find_hits(texts, index)                                    # scan, per shard
    suppressed = document_frequency(hits, index) > max_document_frequency     # sum over all shards first
    result = decontaminate(texts, hits, index, suppressed, settings)  # no second scan
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.errors import ConfigError
from corpus.schema import SPAN
from corpus.text import Texts
from dedup.contamination_methods import find_spans, method_of
from dedup.evaluation_hits import Hits, document_frequency, find_hits
from dedup.evaluation_index import EvaluationIndex, build_index
from dedup.evaluation_sets import read_evaluation_sets

ACTIONS = ("drop", "cut", "tag")


@dataclass(frozen=True, slots=True)
class ContaminationSettings:
    """Lengths in characters (code points) and pieces; numbers of GPT-3, appendix C. Raises ConfigError."""

    method: str = "default"
    passages: bool = False  # whether a passage alone is enough
    max_document_frequency: int | None = 10  # None: every n-gram counts
    action: str | None = None  # None: the method's
    window_characters: int = 200
    min_piece_characters: int = 200
    max_pieces: int = 10

    def __post_init__(self) -> None:
        method_of(self.method)
        if self.action is not None and self.action not in ACTIONS:
            raise ConfigError(f"action: {self.action!r}: should be one of {', '.join(ACTIONS)}")
        for name in ("max_document_frequency", "window_characters", "min_piece_characters", "max_pieces"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError(f"{name}: {value}: should be 0 or more")


@dataclass(frozen=True, slots=True)
class Decontaminated:
    """A row a document. `reason`: null (kept), contaminated, too_many_pieces or nothing_left.

    `text` is edited where `cut` kept the document, and otherwise as it was. `spans`: list<corpus.schema.SPAN>, what was
    found of each item; null where nothing was.
    """

    text: pa.Array
    reason: pa.Array
    spans: pa.Array


def decontaminate(
    texts: Texts, hits: Hits, index: EvaluationIndex, suppressed: NDArray[np.bool_], settings: ContaminationSettings
) -> Decontaminated:
    """`hits` are those of `texts`; grams that are `suppressed` (bool[n_grams]) do not count."""
    method = method_of(settings.method)
    spans = find_spans(hits, index, suppressed, method, settings.passages)
    action = settings.action or method.action
    starts, ends = spans["start"].to_numpy(), spans["end"].to_numpy()
    reasons: list[str | None] = [None] * len(texts)
    edited: dict[int, str] = {}
    for document, start, end in zip(*_slices(spans["document"].to_numpy()), strict=True):
        if action == "drop":
            reasons[document] = "contaminated"
        elif action == "cut":
            content = texts.data[texts.offsets[document] : texts.offsets[document + 1]].tobytes()
            regions = np.stack([starts[start:end], ends[start:end]], axis=1)
            pieces = cut(content, regions, settings.window_characters)
            kept = [piece for piece in pieces if len(piece) >= settings.min_piece_characters]
            if len(pieces) > settings.max_pieces:
                reasons[document] = "too_many_pieces"
            elif not kept:
                reasons[document] = "nothing_left"
            else:
                edited[document] = "\n\n".join(kept)
    return Decontaminated(
        _replaced(texts.column, edited), pa.array(reasons, pa.string()), _by_document(spans, len(texts))
    )


def cut(content: bytes, regions: NDArray[np.int64], window_characters: int) -> list[str]:
    """What is left of a text without the regions (bytes, [n, 2]) and a window on both sides; pieces without blank ends."""
    in_bytes = np.frombuffer(content, np.uint8)
    position = np.concatenate([[0], np.cumsum(in_bytes & 0xC0 != 0x80)])  # characters before each byte
    text = content.decode()
    pieces = []
    done = 0
    for start, end in position[regions[np.argsort(regions[:, 0], kind="stable")]].tolist():
        pieces.append(text[done : max(done, start - window_characters)])
        done = max(done, end + window_characters)
    pieces.append(text[done:])
    return [piece.strip() for piece in pieces if piece.strip()]


# --- Arrow ------------------------------------------------------------------------------------------------------------


def _slices(sorted_ids: NDArray[np.int64]) -> tuple[list[int], list[int], list[int]]:
    """(id, start, end) of each run of equal ids."""
    ids, starts, counts = np.unique(sorted_ids, return_index=True, return_counts=True)
    return ids.tolist(), starts.tolist(), (starts + counts).tolist()


def _replaced(column: pa.Array, edited: dict[int, str]) -> pa.Array:
    """The column with these rows changed; runs of unchanged rows are not copied until they are put together."""
    parts = []
    done = 0
    for row in sorted(edited):
        parts += [column.slice(done, row - done), pa.array([edited[row]], column.type)]
        done = row + 1
    return pa.concat_arrays([*parts, column.slice(done)]) if parts else column


def _by_document(spans: pa.Table, n_documents: int) -> pa.Array:
    """list<SPAN>[n_documents], null where a document has no span."""
    counts = np.bincount(spans["document"].to_numpy(), minlength=n_documents)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    structs = pa.StructArray.from_arrays([spans[field.name].combine_chunks() for field in SPAN], fields=list(SPAN))
    return pa.ListArray.from_arrays(pa.array(offsets), structs, mask=pa.array(counts == 0))


# --- library ----------------------------------------------------------------------------------------------------------


def contamination(
    texts: Texts | pa.Array | pa.ChunkedArray | list[str],
    evaluation_paths: str | Sequence[str],
    *,
    fields: str | None = None,
    method: str = "default",
    passages: bool = False,
    max_document_frequency: int | None = None,
) -> pa.Table:
    """Where `texts` have items of the evaluation sets at `evaluation_paths`: one row a span.

    document (int64, row of the text), start, end (int64; bytes into its UTF-8), set, item, score, question, answer, passage
    (float32; see `dedup.contamination_methods.find_spans`), matched (the text of the span). Common phrases count too unless
    `max_document_frequency` is given: a few texts do not tell which phrases are common. Raises InputError and ConfigError as
    `read_evaluation_sets` does.
    """
    texts = texts if isinstance(texts, Texts) else Texts.of(texts)
    paths = [evaluation_paths] if isinstance(evaluation_paths, str) else evaluation_paths
    index = build_index(read_evaluation_sets(paths, fields).items)
    hits = find_hits(texts, index)
    suppressed = np.zeros(index.n_grams, np.bool_)
    if max_document_frequency is not None:
        suppressed = document_frequency(hits, index) > max_document_frequency
    spans = find_spans(hits, index, suppressed, method_of(method), passages)
    begins = texts.offsets[spans["document"].to_numpy()]
    places = zip(begins + spans["start"].to_numpy(), begins + spans["end"].to_numpy(), strict=True)
    matched = [texts.data[start:end].tobytes().decode() for start, end in places]
    return spans.append_column("matched", pa.array(matched, pa.string()))
