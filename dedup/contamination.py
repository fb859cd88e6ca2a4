"""Evaluation items in training text: which spans, and what becomes of the document.

GPT-3 (Brown et al. 2020, appendix C): one n-gram of an item is enough; n-grams in more than 10 training documents are common
phrases and do not count; the match goes with 200 characters on each side of it, pieces under 200 characters go too, and a
document in more than 10 pieces goes whole. Of it we keep all numbers. Where the paper is silent or we differ:

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
from dedup.evaluation_index import EvaluationIndex, Hits, build_index, document_frequency, find_hits
from dedup.evaluation_sets import read_evaluation_sets

ACTIONS = ("drop", "cut", "tag")


@dataclass(frozen=True, slots=True)
class ContaminationSettings:
    """Lengths in words, characters (code points) and pieces; numbers of GPT-3, appendix C. Raises ConfigError."""

    ngram: int = 13
    min_item_words: int = 8
    max_document_frequency: int | None = 10  # None: every n-gram counts
    action: str = "drop"
    window_characters: int = 200
    min_piece_characters: int = 200
    max_pieces: int = 10

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
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
    texts: Texts,
    hits: Hits,
    index: EvaluationIndex,
    suppressed: NDArray[np.bool_],
    settings: ContaminationSettings,
) -> Decontaminated:
    """`hits` are those of `texts`; grams that are `suppressed` (bool[n_grams]) do not count."""
    hits = Hits(*(column[~suppressed[hits.gram]] for column in hits))
    spans = item_spans(hits, index, suppressed)
    reasons: list[str | None] = [None] * len(texts)
    edited: dict[int, str] = {}
    for document, start, end in zip(*_slices(hits.document), strict=True):
        if settings.action == "drop":
            reasons[document] = "contaminated"
        elif settings.action == "cut":
            content = texts.data[texts.offsets[document] : texts.offsets[document + 1]].tobytes()
            regions = np.stack([hits.start[start:end], hits.end[start:end]], axis=1)
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


# --- spans ------------------------------------------------------------------------------------------------------------


def item_spans(hits: Hits, index: EvaluationIndex, suppressed: NDArray[np.bool_]) -> pa.Table:
    """One row for each stretch of a document that one item covers with n-grams that overlap, by document, start, item.

    document, start, end (int64; bytes into the text), set, item, and score (float32): the share of its n-grams that lie
    in the span, suppressed ones aside, for the best covered of the item's texts. A question found whole scores 1.0
    whether or not its answers are there too. `hits` should be without those of suppressed grams.
    """
    n_texts = np.diff(index.gram_offsets)
    fan_out = n_texts[hits.gram]
    hit = np.repeat(np.arange(len(hits.gram)), fan_out)
    nth = np.arange(len(hit)) - np.repeat(np.cumsum(fan_out) - fan_out, fan_out)
    text = index.gram_texts[index.gram_offsets[hits.gram[hit]] + nth]
    item = index.text_item[text].astype(np.int64)
    order = np.lexsort((hits.start[hit], item, hits.document[hit]))
    hit, text, item = hit[order], text[order], item[order]
    document, start, end = hits.document[hit], hits.start[hit], hits.end[hit]

    same = np.zeros(len(hit), np.bool_)
    same[1:] = (document[1:] == document[:-1]) & (item[1:] == item[:-1])
    run = np.cumsum(~same)  # hits of one item in one document; ends below are made to rise from run to run
    stride = int(end.max(initial=0)) + 1
    reach = np.maximum.accumulate(end + run * stride) - run * stride if len(hit) else end
    same[1:] &= start[1:] <= reach[:-1]
    first = np.flatnonzero(~same)
    last = np.append(first[1:], len(hit))[: len(first)] - 1

    scores = _scores(np.cumsum(~same) - 1, text, hits.gram[hit], index, suppressed)
    rows = np.lexsort((item[first], start[first], document[first]))
    return pa.table(
        {
            "document": document[first][rows],
            "start": start[first][rows],
            "end": reach[last][rows],
            "set": index.item_set.take(pa.array(item[first][rows])),
            "item": index.item_name.take(pa.array(item[first][rows])),
            "score": scores[rows],
        }
    )


def _scores(
    span: NDArray[np.int64],
    text: NDArray[np.int32],
    gram: NDArray[np.int64],
    index: EvaluationIndex,
    suppressed: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """float32[n_spans]: for each span the largest share of a text's grams that is in it; arguments one entry a hit."""
    counting = np.repeat(~suppressed, np.diff(index.gram_offsets))
    text_grams = np.bincount(index.gram_texts[counting], minlength=len(index.text_item))
    found = np.unique(np.stack([span, text, gram], axis=1), axis=0)
    pairs, n_found = np.unique(found[:, :2], axis=0, return_counts=True)
    scores = np.zeros(int(span.max(initial=-1)) + 1, np.float32)
    np.maximum.at(scores, pairs[:, 0], (n_found / text_grams[pairs[:, 1]]).astype(np.float32))
    return scores


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
    ngram: int = 13,
    min_item_words: int = 8,
    max_document_frequency: int | None = None,
) -> pa.Table:
    """Where `texts` have items of the evaluation sets at `evaluation_paths`: one row a span.

    document (int64, row of the text), start, end (int64; bytes into its UTF-8), set, item, score (float32), matched (the
    text of the span). Common phrases count too unless `max_document_frequency` is given: a few texts do not tell which
    phrases are common. Raises InputError and ConfigError as `read_evaluation_sets` does.
    """
    texts = texts if isinstance(texts, Texts) else Texts.of(texts)
    paths = [evaluation_paths] if isinstance(evaluation_paths, str) else evaluation_paths
    index = build_index(read_evaluation_sets(paths, fields).items, ngram, min_item_words)
    hits = find_hits(texts, index)
    suppressed = np.zeros(index.n_grams, np.bool_)
    if max_document_frequency is not None:
        suppressed = document_frequency(hits, index) > max_document_frequency
    spans = item_spans(Hits(*(column[~suppressed[hits.gram]] for column in hits)), index, suppressed)
    begins = texts.offsets[spans["document"].to_numpy()]
    places = zip(begins + spans["start"].to_numpy(), begins + spans["end"].to_numpy(), strict=True)
    matched = [texts.data[start:end].tobytes().decode() for start, end in places]
    return spans.append_column("matched", pa.array(matched, pa.string()))
