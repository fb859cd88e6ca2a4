"""Dedup, its last method: exact substrings of the documents that the others kept.

    minimizers         map      keys of the n-grams that say which windows can repeat, and their places
    minimizer_replies  map      over ranges of keys: which occur more than once
    earlier_windows    map      over shards of earlier runs: keys of the windows that can be in this run, too
    windows            map      keys of the windows that can repeat, and their places
    window_replies     map      over ranges of keys: which occur more than once

A shard's places and the replies give its spans, without any text, when its documents are written. Of earlier runs
(`pipeline.stages.dedup_against`) are read what their minimizers step left, tokens among it: these are kept with `store_tokens`,
and of a slow tokenizer always (`dedup.token_files`).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import storage
from corpus.dataset import Receipt, StageFolder
from corpus.schema import SUBSTRING_LEDGER
from corpus.text import Texts
from dedup.occurrences import ranges_for
from dedup.spans import Spans, apply_action, byte_runs, byte_spans, spans_of_rows
from dedup.substring import Exchange, SubstringSettings, minimizer_parts, read_places, window_parts
from dedup.token_files import read_located, read_tokens, write_tokens
from dedup.units import tokens_at
from dedup.windows import Runs, Tokens, covered, minimizer_distance
from pipeline.outcome import batches_of
from pipeline.stage_run import StageRun
from pipeline.stages.dedup_pairs import tokenizer_of_unit
from pipeline.stages.dedup_shards import Numbering, read_shard, scope_marks
from pipeline.steps import Made, Plan, Step

_TOKEN_BYTES = {"words": 3, "tokens": 1}
"""Of text, on average or less: of words and marks 5 in English and 3 in Chinese; of a tokenizer's it may be 1 in any script."""


def substring_settings(plan: Plan) -> SubstringSettings:
    return SubstringSettings(**plan.section["substring"], tokenizer=tokenizer_of_unit(plan))


def _exchange(plan: Plan, keys: str) -> Exchange:
    return Exchange(plan.extra[f"{keys}_ranges"], substring_settings(plan).identity(keys))


def _tokens(plan: Plan, shard: int, chosen: NDArray[np.bool_]) -> Iterator[Tokens]:
    """The tokens of these rows of a shard, made from its texts."""
    settings = substring_settings(plan)
    for source_rows, batch in batches_of(plan, shard):
        rows = source_rows.to_numpy()
        mine = chosen[rows]
        texts = Texts.of(batch.column("text").filter(pa.array(mine)))
        tokens = tokens_at(rows[mine].astype(np.uint32), texts, settings.tokenizer, settings.keeps_tokens)
        if plan.section["scope"] == "dump":
            marks = np.repeat(scope_marks(batch.column("dump"))[mine], np.diff(tokens.first))
            tokens = tokens._replace(hashes=tokens.hashes ^ marks)
        yield tokens


def _kept_tokens(folder: StageFolder, shard: int, rows: NDArray[np.uint32]) -> Iterator[Tokens]:
    """The tokens of these rows of a shard, of this run or an earlier one, as its minimizers step left them."""
    with storage.open_input(folder.file("tokens", shard)) as file:
        yield from read_tokens(file, rows)


def stores_tokens(plan: Plan) -> bool:
    return plan.section["store_tokens"] or substring_settings(plan).keeps_tokens


def write_minimizers(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    verdicts, settings = read_shard(plan.stage_folder.file("clusters", 0), shard), substring_settings(plan)
    kept = pc.is_null(verdicts["reason"]).to_numpy()
    tokens = _tokens(plan, shard, kept)
    if "tokens" in files:
        tokens = write_tokens(files["tokens"], tokens, located=settings.keeps_tokens)
    parts = minimizer_parts(tokens, settings.min_tokens)
    _exchange(plan, "minimizers").write(files["minimizers"], files["minimizer_places"], parts)
    return Made(len(kept))


def write_windows(plan: Plan, shard: int, files: dict[str, Path]) -> Made:
    runs, _ = _repeated(plan, "minimizer", shard)
    chosen = np.zeros(len(read_shard(plan.stage_folder.file("clusters", 0), shard)), np.bool_)
    chosen[runs.rows] = True
    kept = _kept_tokens(plan.stage_folder, shard, np.unique(runs.rows))
    tokens = kept if stores_tokens(plan) else _tokens(plan, shard, chosen)
    parts = window_parts(runs, tokens, substring_settings(plan).min_tokens)
    _exchange(plan, "windows").write(files["windows"], files["window_places"], parts)
    return Made(len(chosen))


def write_earlier_windows(plan: Plan, number: int, files: dict[str, Path]) -> Made:
    folder, shard = _earlier(plan)[number]
    runs, _ = _places(plan, "minimizer", folder.file("minimizer_places", shard), number)
    tokens = _kept_tokens(folder, shard, np.unique(runs.rows))
    parts = window_parts(runs, tokens, substring_settings(plan).min_tokens)
    _exchange(plan, "windows").write(files["earlier_windows"], None, parts)
    return Made()


def _earlier(plan: Plan) -> list[tuple[StageFolder, int]]:
    """The shards of earlier runs, which are counted before those of this one."""
    return [(StageFolder(url), shard) for url, shard in plan.extra["earlier_shards"]]


def _repeated(plan: Plan, kind: str, shard: int) -> tuple[Runs, NDArray[np.uint8]]:
    """The repeated places of a shard: of its minimizers or its windows."""
    folder = plan.stage_folder
    position = len(_earlier(plan)) + sorted(folder.receipts(f"{kind}s")).index(shard)
    return _places(plan, kind, folder.file(f"{kind}_places", shard), position)


def _places(plan: Plan, kind: str, path: str, position: int) -> tuple[Runs, NDArray[np.uint8]]:
    """`position`: which of the files that were counted belongs to these places."""
    folder, n_ranges = plan.stage_folder, plan.extra[f"{kind}s_ranges"]
    replies = (storage.open_input(folder.file(f"{kind}_replies", number)) for number in range(n_ranges))
    with storage.open_input(path) as places:
        return read_places(places, replies, position)


def _count(plan: Plan, kind: str, earlier: list[str], number: int, files: dict[str, Path]) -> Made:
    folder = plan.stage_folder
    own = [folder.file(f"{kind}s", shard) for shard in sorted(folder.receipts(f"{kind}s"))]
    opened = (storage.open_input(path) for path in [*earlier, *own])
    _exchange(plan, f"{kind}s").count(files[f"{kind}_replies"], opened, number, len(earlier))
    return Made()


def count_minimizers(plan: Plan, number: int, files: dict[str, Path]) -> Made:
    earlier = [folder.file("minimizers", shard) for folder, shard in _earlier(plan)]
    return _count(plan, "minimizer", earlier, number, files)


def count_windows(plan: Plan, number: int, files: dict[str, Path]) -> Made:
    earlier = [plan.stage_folder.file("earlier_windows", at) for at in range(len(_earlier(plan)))]
    return _count(plan, "window", earlier, number, files)


MINIMIZERS = Step("minimizers", ("minimizers", "minimizer_places"), write_minimizers)
MINIMIZER_REPLIES = Step("minimizer_replies", ("minimizer_replies",), count_minimizers)
EARLIER_WINDOWS = Step("earlier_windows", ("earlier_windows",), write_earlier_windows)
WINDOWS = Step("windows", ("windows", "window_places"), write_windows)
WINDOW_REPLIES = Step("window_replies", ("window_replies",), count_windows)


def prepare(run: StageRun, text_bytes: int) -> None:
    """All steps before spans are known. `text_bytes`: of all documents, which bounds the minimizers."""
    section, everything = run.plan.section, run.plan.all_inputs()
    of_earlier = [(folder, folder.receipts("minimizers")) for folder in Numbering(run.plan).folders[:-1]]
    shards = [(folder.url, shard) for folder, receipts in of_earlier for shard in sorted(receipts)]
    run.extend_plan(earlier_shards=shards)
    n_earlier = sum(_n_minimizers(receipts) for _, receipts in of_earlier)
    distance = minimizer_distance(section["substring"]["min_tokens"])
    n_own = round(text_bytes / _TOKEN_BYTES[section["unit"]] / distance)
    _set_ranges(run, "minimizers", n_earlier + n_own)
    outputs = (*MINIMIZERS.outputs, "tokens") if stores_tokens(run.plan) else MINIMIZERS.outputs
    run.barrier_step(replace(MINIMIZERS, outputs=outputs), run.shard_keys("minimizers"))
    _count_ranges(run, MINIMIZER_REPLIES, "minimizers")
    n_own = _n_minimizers(run.folder.receipts("minimizers"))
    _set_ranges(run, "windows", round((n_earlier + n_own) * distance))
    if shards:
        keys = [run.plan.key("earlier_windows", everything, number) for number in range(len(shards))]
        run.barrier_step(EARLIER_WINDOWS, keys)
    run.barrier_step(WINDOWS, run.shard_keys("windows"))
    _count_ranges(run, WINDOW_REPLIES, "windows")


def _n_minimizers(receipts: dict[int, Receipt]) -> int:
    return sum(receipt.outputs["minimizer_places"]["rows"] for receipt in receipts.values())


def _set_ranges(run: StageRun, keys: str, most_entries: int) -> None:
    run.extend_plan(**{f"{keys}_ranges": ranges_for(most_entries, run.plan.section["memory"])})


def _count_ranges(run: StageRun, replies: Step, keys: str) -> None:
    everything, n_ranges = run.plan.all_inputs(), run.plan.extra[f"{keys}_ranges"]
    run.barrier_step(replies, [run.plan.key(replies.name, everything, number) for number in range(n_ranges)])


FindSpans = Callable[[Texts, NDArray[np.uint32]], Spans]
"""The spans of some of a shard's documents, given their texts and rows."""


def spans_of_shard(plan: Plan, shard: int) -> FindSpans:
    settings = substring_settings(plan)
    runs = covered(*_repeated(plan, "window", shard), settings.min_tokens, settings.action == "cut_later")
    if not settings.keeps_tokens:
        return lambda texts, rows: byte_spans(texts, rows, runs, settings.tokenizer)
    with storage.open_input(plan.stage_folder.file("tokens", shard)) as file:
        in_bytes = byte_runs(runs, read_located(file, np.unique(runs.rows)))
    return lambda _, rows: spans_of_rows(rows, in_bytes)


def apply_spans(
    batch: pa.RecordBatch, rows: NDArray[np.uint32], find: FindSpans, settings: SubstringSettings
) -> tuple[pa.RecordBatch, NDArray[np.bool_], dict[str, pa.Array]]:
    """(the documents after the action, which are dropped, the ledger's columns)."""
    texts = Texts.of(batch.column("text"))
    spans = find(texts, rows)
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
