"""Dedup, its last method: exact substrings of the documents that the others kept.

    minimizers         map      keys of the n-grams that say which windows can repeat, and their places
    minimizer_replies  map      over ranges of keys: which occur more than once
    windows            map      keys of the windows that can repeat, and their places
    window_replies     map      over ranges of keys: which occur more than once

A shard's places and the replies give its spans, without any text, when its documents are written.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import storage
from corpus.schema import SUBSTRING_LEDGER
from corpus.text import Texts
from dedup.occurrences import ranges_for
from dedup.spans import apply_action, byte_spans
from dedup.substring import Exchange, SubstringSettings, minimizer_parts, read_places, window_parts
from dedup.units import token_values
from dedup.windows import Runs, Tokens, covered, minimizer_distance
from pipeline.outcome import batches_of
from pipeline.stage_run import StageRun
from pipeline.stages.dedup_pairs import tokenizer_of_unit
from pipeline.stages.dedup_shards import read_shard, scope_marks
from pipeline.steps import Made, Plan, Step

_TOKEN_BYTES = {"words": 3, "tokens": 1}
"""Of text, on average or less: of words and marks 5 in English and 3 in Chinese; of a tokenizer's it may be 1 in any script."""


def substring_settings(plan: Plan) -> SubstringSettings:
    return SubstringSettings(**plan.section["substring"], tokenizer=tokenizer_of_unit(plan))


def _exchange(plan: Plan, keys: str) -> Exchange:
    return Exchange(plan.extra[f"{keys}_ranges"], substring_settings(plan).identity(keys))


def _tokens(plan: Plan, shard: int, chosen: NDArray[np.bool_]) -> Iterator[Tokens]:
    """The tokens of these rows of a shard."""
    tokenizer = tokenizer_of_unit(plan)
    for source_rows, batch in batches_of(plan, shard):
        rows = source_rows.to_numpy()
        mine = chosen[rows]
        values, first = token_values(Texts.of(batch.column("text").filter(pa.array(mine))), tokenizer)
        if plan.section["scope"] == "dump":
            values = values ^ np.repeat(scope_marks(batch.column("dump"))[mine], np.diff(first))
        yield Tokens(rows[mine].astype(np.uint32), first, values)


def write_minimizers(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    verdicts = read_shard(plan.stage_folder.file("clusters", 0), shard)
    kept = pc.is_null(verdicts["reason"]).to_numpy()
    parts = minimizer_parts(_tokens(plan, shard, kept), substring_settings(plan).min_tokens)
    _exchange(plan, "minimizers").write(files["minimizers"], files["minimizer_places"], parts)
    return Made(len(kept))


def write_windows(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    runs, _ = _repeated(plan, "minimizer", shard)
    chosen = np.zeros(len(read_shard(plan.stage_folder.file("clusters", 0), shard)), np.bool_)
    chosen[runs.rows] = True
    parts = window_parts(runs, _tokens(plan, shard, chosen), substring_settings(plan).min_tokens)
    _exchange(plan, "windows").write(files["windows"], files["window_places"], parts)
    return Made(len(chosen))


def _repeated(plan: Plan, kind: str, shard: int) -> tuple[Runs, NDArray[np.uint8]]:
    """The repeated places of a shard: of its minimizers or its windows."""
    folder = plan.stage_folder
    replies = (
        storage.open_input(folder.file(f"{kind}_replies", number)) for number in range(plan.extra[f"{kind}s_ranges"])
    )
    with storage.open_input(folder.file(f"{kind}_places", shard)) as places:
        return read_places(places, replies, sorted(folder.receipts(f"{kind}s")).index(shard))


def _count(plan: Plan, kind: str, number: int, files: dict[str, Path]) -> Made:
    folder = plan.stage_folder
    opened = (storage.open_input(folder.file(f"{kind}s", shard)) for shard in sorted(folder.receipts(f"{kind}s")))
    _exchange(plan, f"{kind}s").count(files[f"{kind}_replies"], opened, number)
    return Made()


def count_minimizers(plan: Plan, number: int, files: dict[str, Path]) -> Made:
    return _count(plan, "minimizer", number, files)


def count_windows(plan: Plan, number: int, files: dict[str, Path]) -> Made:
    return _count(plan, "window", number, files)


MINIMIZERS = Step("minimizers", ("minimizers", "minimizer_places"), write_minimizers)
MINIMIZER_REPLIES = Step("minimizer_replies", ("minimizer_replies",), count_minimizers)
WINDOWS = Step("windows", ("windows", "window_places"), write_windows)
WINDOW_REPLIES = Step("window_replies", ("window_replies",), count_windows)


def prepare(run: StageRun, text_bytes: int) -> None:
    """All steps before spans are known. `text_bytes`: of all documents, which bounds the minimizers."""
    distance = minimizer_distance(run.plan.section["substring"]["min_tokens"])
    _round(run, MINIMIZERS, MINIMIZER_REPLIES, round(text_bytes / _TOKEN_BYTES[run.plan.section["unit"]] / distance))
    receipts = run.folder.receipts("minimizers").values()
    n_minimizers = sum(receipt.outputs["minimizer_places"]["rows"] for receipt in receipts)
    _round(run, WINDOWS, WINDOW_REPLIES, round(n_minimizers * distance))


def _round(run: StageRun, keys: Step, replies: Step, most_entries: int) -> None:
    n_ranges = ranges_for(most_entries, run.plan.section["memory"])
    run.extend_plan(**{f"{keys.name}_ranges": n_ranges})
    run.barrier_step(keys, run.shard_keys(keys.name))
    everything = run.plan.all_inputs()
    run.barrier_step(replies, [run.plan.key(replies.name, everything, number) for number in range(n_ranges)])


def spans_of_shard(plan: Plan, shard: int) -> Runs:
    """The spans of a shard's documents, in tokens."""
    settings = substring_settings(plan)
    return covered(*_repeated(plan, "window", shard), settings.min_tokens, settings.action == "cut_later")


def apply_spans(
    batch: pa.RecordBatch, rows: NDArray[np.uint32], runs: Runs, settings: SubstringSettings
) -> tuple[pa.RecordBatch, NDArray[np.bool_], dict[str, pa.Array]]:
    """(the documents after the action, which are dropped, the ledger's columns)."""
    texts = Texts.of(batch.column("text"))
    spans = byte_spans(texts, rows, runs, settings.tokenizer)
    made = apply_action(texts, spans, settings)
    share = spans.total_bytes() / np.maximum(texts.byte_lengths, 1)
    measured = [spans.as_column(), pa.array(share, pa.float32())]
    ledger = {name: column for (name, _), column in zip(SUBSTRING_LEDGER, measured, strict=True)}
    text = pc.if_else(pc.is_valid(batch.column("text")), made.text, pa.scalar(None, pa.large_string()))
    after = batch.set_column(batch.schema.get_field_index("text"), "text", text)
    if settings.action == "mask":
        after = _with_column(after, "duplicate_spans", ledger["duplicate_spans"])
    return after, made.dropped, ledger


def _with_column(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    """An earlier stage may have set the column already."""
    at = batch.schema.get_field_index(name)
    return batch.append_column(name, column) if at < 0 else batch.set_column(at, name, column)
