"""Column names and types of documents and ledgers. No other module spells a column's type.

Documents are named as in the FineWeb release, so that loaders written for it just work. Columns that are not ours pass
through untouched, after ours.

A ledger has one row for every input row, in order: what became of it. `id` is only a label (real crawls repeat them); the
key of a document is (shard, source_row), as one number `document_key`. `text_bytes` and `token_count` are those of the
document as it left the stage, or as it was when it was rejected.
"""

from typing import Any

import pyarrow as pa

_SHARD_BIT, _RUN_BIT = 32, 56


def document_key(run: Any, shard: Any, row: Any) -> Any:
    """How a ledger names another document, int64; of numbers or arrays. `run`: 0 for its own, else which of `dedup.against`."""
    return run << _RUN_BIT | shard << _SHARD_BIT | row


def document_place(key: Any) -> tuple[Any, Any, Any]:
    """(run, shard, row) of a key."""
    return key >> _RUN_BIT, key >> _SHARD_BIT & (1 << _RUN_BIT - _SHARD_BIT) - 1, key & (1 << _SHARD_BIT) - 1


DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),  # WARC-Record-ID verbatim, else a digest of URL and payload
        ("url", pa.string()),
        ("date", pa.timestamp("s", "UTC")),
        ("dump", pa.string()),  # crawl name
        ("file_path", pa.string()),  # source archive as given
        ("language", pa.string()),
        ("language_score", pa.float32()),
        ("text", pa.large_string()),
        ("token_count", pa.int32()),  # null = not counted yet; every shard on disk is counted
    ]
)

LEDGER = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("dump", pa.string()),
        ("language", pa.string()),
        ("source_row", pa.int64()),
        ("text_bytes", pa.int64()),
        ("token_count", pa.int32()),
        ("reason", pa.string()),  # null = kept, else the first rule that failed, as `ruleset.rule`
        ("failed", pa.list_(pa.string())),  # every rule that failed
    ]
)

EXTRACT_LEDGER = [  # beyond LEDGER: one range request [offset, offset + length) of file_path brings the page back
    ("file_path", pa.string()),
    ("warc_offset", pa.int64()),
    ("warc_length", pa.int64()),
    ("language_score", pa.float32()),
    ("detail", pa.string()),  # what the reason does not say: a status code, a type, an exception's name
    ("confidence", pa.float32()),  # of the first extractor in its text; below min_confidence it is the fallback's
]

DEDUP_LEDGER = [
    ("duplicate_of", pa.int64()),  # key of the document that was kept instead
    ("duplicate_of_id", pa.string()),
    ("cluster_id", pa.int64()),  # key of the cluster's first document, for documents that have duplicates
    ("cluster_size", pa.int64()),
    # of documents removed by MinHash, beside the one of their cluster that they are most like, kept or not:
    ("matched_with", pa.int64()),  # its key
    ("matching_bands", pa.int32()),
    ("estimated_jaccard", pa.float32()),  # from the number of matching bands
    ("exact_jaccard", pa.float32()),  # null unless verified
]

BYTE_SPAN = pa.struct([("start", pa.int64()), ("end", pa.int64())])  # UTF-8 bytes of the text as the stage received it
SUBSTRING_LEDGER = [  # beyond DEDUP_LEDGER where exact substrings are looked for
    ("duplicate_spans", pa.list_(BYTE_SPAN)),
    ("duplicate_fraction", pa.float32()),  # of the text's bytes that lie in them
]

SPAN = pa.struct(
    [
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("set", pa.string()),
        ("item", pa.string()),
        ("score", pa.float32()),  # coverage of the part of the item that decided
        ("question", pa.float32()),  # coverage of each part there; null: the item has none that is long enough
        ("answer", pa.float32()),
        ("passage", pa.float32()),
    ]
)
COVERED = pa.struct([("set", pa.string()), ("words", pa.int64())])
DECONTAMINATE_LEDGER = [
    ("spans", pa.list_(SPAN)),  # UTF-8 byte offsets into the text as the stage received it
    ("covered", pa.list_(COVERED)),  # for each set, how many words of the text lie in its spans; null without spans
    ("tokens_removed", pa.int32()),  # because of them
]
