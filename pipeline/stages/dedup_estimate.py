"""The disk that dedup will take, estimated before band keys are signed, and refused where it is not free.

By then it is known how many documents there are and how many of them are copies. It is not known how many near-duplicates
there are: a tenth of the others is taken for that, and what they cost is taken from measurements (`benchmarks/scale.py`
compares the estimate with what was written: within 20%). Nothing is deleted while the stage runs, so its peak is its end.

Only a local folder is checked: an object store has room.
"""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from corpus import storage
from corpus.errors import GuardError
from dedup.bands import ranges_for
from pipeline.report.funnel import compact_bytes
from pipeline.stage_run import StageRun
from pipeline.stages.dedup_substring import stores_tokens, substring_settings
from pipeline.steps import Plan

_BAND_BYTES = 9  # an entry: dedup/bands.py
_EDGE_BYTES = 3  # a document, for each range and once more for all of them
_VERDICT_BYTES = 10  # a document, in `clusters`
_LEDGER_BYTES = 40  # a document: its id and URL, which hardly compress, and what became of it
_TEXT_BYTES = 0.6  # of documents, a byte of text
_NEAR_DUPLICATES = 0.1  # of the documents that are no copies
_SHINGLE_BYTES = 0.47  # a byte of text of candidates: dedup/verification.py
_CANDIDATES = 0.5  # of the text
_TOKENS_BYTES = 0.36  # a byte of text: dedup/token_files.py
_LOCATED_TOKENS_BYTES = 0.53
_SUBSTRING_BYTES = 0.3  # a byte of text: dedup/substring.py, 0.27 for English pages of which 4% are copies


def disk_estimate(plan: Plan) -> dict[str, int]:
    """Bytes of the stage's files in the end, by kind; those of steps that are done are counted, not estimated."""
    folder, section = plan.stage_folder, plan.section
    done = {kind: folder.receipts(kind).values() for kind in ("digests", "duplicates")}
    estimate = {kind: float(sum(r.outputs[kind]["bytes"] for r in receipts)) for kind, receipts in done.items()}
    n_documents = sum(row["documents"] for receipt in done["digests"] for row in receipt.counts)
    text_bytes = sum(row["text_bytes"] for receipt in done["digests"] for row in receipt.counts)
    with storage.open_input(folder.file("duplicates", 0)) as file:
        n_copies = int((pq.read_table(file, columns=["removed_by"])["removed_by"].to_numpy() >= 0).sum())
    n_left = n_documents - n_copies
    left = n_left / max(n_documents, 1)
    if "minhash" in section["methods"]:
        bands, permutations = section["minhash"]["bands"], section["minhash"]["bands"] * section["minhash"]["rows"]
        n_ranges = ranges_for(n_documents, bands, section["memory"])
        estimate["bands"] = n_left * bands * _BAND_BYTES
        estimate["edges and pairs"] = n_left * _EDGE_BYTES * (n_ranges + 1)
        if section["store_signatures"]:
            estimate["signatures"] = n_left * permutations * 4
        if section["verify"]:
            estimate["shingles"] = left * text_bytes * _CANDIDATES * _SHINGLE_BYTES
        if section["store_shingles"]:
            estimate["stored shingles"] = left * text_bytes * _SHINGLE_BYTES
    if "substring" in section["methods"]:
        estimate["substrings"] = left * text_bytes * _SUBSTRING_BYTES
        if stores_tokens(plan):
            located = substring_settings(plan).keeps_tokens
            estimate["tokens"] = left * text_bytes * (_LOCATED_TOKENS_BYTES if located else _TOKENS_BYTES)
    estimate["clusters and ledger"] = n_documents * (_VERDICT_BYTES + _LEDGER_BYTES)
    input_bytes = sum(storage.info_of(source["path"])["size"] for source in plan.inputs if source["identity"])
    if plan.inputs and not plan.inputs[0]["path"].endswith(".parquet"):  # JSONL, which may be plain
        input_bytes = min(input_bytes, _TEXT_BYTES * text_bytes)
    estimate["documents"] = input_bytes * left * (1 - _NEAR_DUPLICATES)
    return {kind: round(n_bytes) for kind, n_bytes in estimate.items()}


def refuse_full_disk(run: StageRun) -> None:
    """Raises GuardError if the stage's files will not fit where they go."""
    if not storage.is_local(run.folder.url):
        return
    folder = Path(url_to_fs(run.folder.url)[1])
    estimate = disk_estimate(run.plan)
    there = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    needed, free = sum(estimate.values()) - there, shutil.disk_usage(folder).free
    if needed <= free or run.options.allow_extreme:
        return
    largest = sorted(estimate, key=lambda kind: -estimate[kind])[:2]
    parts = ", ".join(f"{kind} {compact_bytes(estimate[kind])}" for kind in largest)
    raise GuardError(
        f"dedup: {run.folder.url} will need about {compact_bytes(needed)} more ({parts}), and {compact_bytes(free)} are free; "
        "free the difference, name another --out, or go on with --allow-extreme"
    )
