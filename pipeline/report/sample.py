"""Some of the documents that were rejected for a reason, drawn at random, with their text as the stage received it.

Which rows are drawn is decided from the counts in the receipts, so only the ledger shards that hold one are read: a sample of
20 from 10⁹ rejects reads 20 shards. The same seed draws the same rows.
"""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import accumulate
from typing import Any

import pyarrow.compute as pc
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from corpus.errors import InputError, IntegrityError
from pipeline.report import Stage, open_run, place, read_row, received_text, scan, visible
from pipeline.report.explain import failures

KEPT = "kept"
SHOWN_CHARACTERS = 1_500


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One document; `missing` says why `text` is empty where it is not to be had."""

    stage: str
    shard: int
    row: int  # in the ledger; for `kept` in the documents
    id: str
    url: str
    reason: str | None
    failures: tuple[str, ...]  # "gopher_quality.min_words: words = 12 < 50"
    text: str
    missing: str
    ledger: Mapping[str, Any]  # the whole ledger row; for `kept` the document without its text


def sample(url: str, reason: str, n: int = 20, seed: int = 0) -> list[SampleRow]:
    """`n` random rejects (all if there are fewer) of the run at `url`, in the order of the run.

    `reason` is a reason (`gopher_quality.min_words`), the rule set of one (`gopher_quality`), or `kept` for documents that the
    last stage kept. Raises InputError, with the reasons there are, if nothing was rejected for it.
    """
    if n < 1:
        raise InputError(f"-n {n}: ask for at least 1 document")
    stages = open_run(url)
    if reason == KEPT:
        return _sample_kept(url, stages, n, seed)
    pools = [(at, shard, _matches(stage, shard, reason)) for at, stage in enumerate(stages) for shard in stage.receipts]
    drawn = _draw([n_rows for _, _, n_rows in pools], n, seed)
    if not drawn:
        raise _unknown_reason(stages, reason)
    return [row for pool, ranks in drawn.items() for row in _rejects(stages, *pools[pool][:2], reason, ranks)]


def _matches(stage: Stage, shard: int, reason: str) -> int:
    return sum(count["documents"] for count in stage.receipts[shard].counts if _is_of(count["reason"], reason))


def _is_of(reason: str | None, wanted: str) -> bool:
    return reason is not None and (reason == wanted or reason.startswith(f"{wanted}."))


def _draw(sizes: Sequence[int], n: int, seed: int) -> dict[int, list[int]]:
    """pool → ascending ranks in it, of `n` rows drawn without replacement from pools of these sizes."""
    ends = list(accumulate(sizes))
    total = ends[-1] if ends else 0
    drawn: dict[int, list[int]] = {}
    for index in sorted(random.Random(seed).sample(range(total), min(n, total))):
        pool = bisect_right(ends, index)
        drawn.setdefault(pool, []).append(index - (ends[pool] - sizes[pool]))
    return drawn


def _rejects(stages: Sequence[Stage], at: int, shard: int, reason: str, ranks: list[int]) -> Iterator[SampleRow]:
    """The rows whose rank among the shard's rejects of this reason is in `ranks`."""
    stage = stages[at]
    path = stage.folder.file("ledger", shard)
    for row in _rows_of_ranks(path, reason, ranks):
        ledger = read_row(path, row)
        text, missing = received_text(stages, at, shard, ledger["source_row"])
        yield SampleRow(
            stage=stage.name,
            shard=shard,
            row=row,
            id=ledger["id"] or "",
            url=ledger["url"] or "",
            reason=ledger["reason"],
            failures=failures(ledger, stage.manifest),
            text=text,
            missing=missing,
            ledger=ledger,
        )


def _rows_of_ranks(path: str, reason: str, ranks: Sequence[int]) -> list[int]:
    rows: list[int] = []
    n_before = 0
    for first, batch in scan(path, ["reason"]):
        column = batch.column("reason")
        hit = pc.or_(pc.equal(column, reason), pc.starts_with(column, f"{reason}."))
        here = pc.indices_nonzero(hit).to_pylist()
        rows += [first + here[rank - n_before] for rank in ranks if n_before <= rank < n_before + len(here)]
        n_before += len(here)
    if len(rows) != len(ranks):
        raise IntegrityError(f"{path}: has {n_before} rows for {reason}, its receipt says more; run `refine verify`")
    return rows


def _sample_kept(url: str, stages: Sequence[Stage], n: int, seed: int) -> list[SampleRow]:
    started = [stage for stage in stages if stage.outputs]
    if not started or started[-1].manifest.get("documents_dropped") or started[-1].kind == "contamination":
        raise InputError(f"{url}: has no documents to sample; finish the run first")
    last = started[-1]
    shards = list(last.outputs)
    rows = []
    for at, ranks in _draw([last.outputs[shard]["documents"]["rows"] for shard in shards], n, seed).items():
        for rank in ranks:
            document = read_row(last.folder.file("documents", shards[at]), rank)
            text = document.pop("text") or ""
            name, page = document["id"] or "", document["url"] or ""
            rows.append(SampleRow(last.name, shards[at], rank, name, page, None, (), text, "", document))
    return rows


def _unknown_reason(stages: Sequence[Stage], reason: str) -> InputError:
    there: Counter[str] = Counter()
    for stage in stages:
        for count in stage.counts:
            if count["reason"] is not None:
                there[count["reason"]] += count["documents"]
    if not there:
        return InputError(f"reason {reason!r}: nothing was rejected in this run")
    rulesets = sorted({name.rsplit(".", 1)[0] for name in there})
    by_rule = {name.rsplit(".", 1)[-1]: name for name in there}
    near = get_close_matches(reason, [*there, *rulesets, *by_rule], 1)
    hint = f"did you mean {by_rule.get(near[0], near[0])!r}? " if near else ""
    listed = ", ".join(f"{name} ({n:,})" for name, n in there.most_common())
    return InputError(f"reason {reason!r}: nothing was rejected for it; {hint}reasons here: {listed}; or {KEPT!r}")


def render(rows: Sequence[SampleRow]) -> RenderableType:
    """For a terminal or a log, texts cut at SHOWN_CHARACTERS. Nothing of a page is read as markup or terminal commands."""
    parts: list[RenderableType] = []
    for row in rows:
        parts.append(Text(visible(row.url) or "(no URL)", "bold"))
        parts.append(Text(f"{visible(row.id)}  {place(row.stage, row.shard, row.row)}", "dim"))
        parts += [Text(visible(failure), "red") for failure in row.failures]
        parts += [Text(visible(line)) for line in _source_lines(row)]
        parts.append(Padding(_text_view(row), (0, 0, 1, 2)))
    return Group(*parts)


def _source_lines(row: SampleRow) -> Iterator[str]:
    if row.ledger.get("detail"):
        yield f"detail: {row.ledger['detail']}"
    if row.ledger.get("warc_offset") is not None:
        yield f"{row.ledger['file_path']} at byte {row.ledger['warc_offset']:,}, {row.ledger['warc_length']:,} long"
    if row.ledger.get("duplicate_of_id"):
        yield f"duplicate of {row.ledger['duplicate_of_id']}"


def _text_view(row: SampleRow) -> Text:
    if row.missing:
        return Text(f"(no text: {visible(row.missing)})", "dim")
    rest = len(row.text) - SHOWN_CHARACTERS
    more = f"\n… {rest:,} more characters" if rest > 0 else ""
    return Text(visible(row.text[:SHOWN_CHARACTERS]) + more)
