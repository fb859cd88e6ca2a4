"""The funnel: documents, tokens and bytes that enter and leave every stage, and why the rest did not.

The whole funnel and the one by language come from the counts in the manifests. By domain or dump it is counted from the
ledgers in one streaming pass after another that finds the largest groups: those are summarised with at most MAX_GROUPS
counters (Misra and Gries 1982 in the batch form of Agarwal et al., *Mergeable Summaries*, PODS 2012), so that a crawl with 10⁸
hosts needs no more memory than one with 10⁶. The counts shown are exact either way; a group could only be missing from the
top if it holds less than a MAX_GROUPS-th of all documents.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from corpus.errors import InputError
from pipeline.report import Stage, open_run, scan, some_shards, visible

GROUPINGS = ("domain", "language", "dump")
TOP = 20
OTHERS = "(others)"
NONE = "(none)"
MAX_GROUPS = 1_000_000

_AUTHORITY = r"^[A-Za-z][A-Za-z0-9+.-]*://(?P<found>[^/?#]*)"
_HOST = r"^(?:[^@]*@)?(?P<found>\[[^\]]*\]|[^:]*)"

Sums = dict[tuple[str, str | None], tuple[int, int, int]]  # (group, reason) → documents, text_bytes, tokens


@dataclass(frozen=True, slots=True)
class Rejected:
    """Documents with one (first) reason; shares are of documents, 0 to 1."""

    reason: str
    documents: int
    text_bytes: int
    tokens: int
    share_of_stage: float
    share_of_input: float


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """One stage (of one group): what came in, what was kept, what was rejected, largest first."""

    stage: str
    group: str  # "" for all documents
    documents_in: int
    documents: int
    text_bytes: int
    tokens: int
    share_of_stage: float
    share_of_input: float
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True)
class Funnel:
    by: str | None
    rows: tuple[FunnelRow, ...]  # by group, then in the order of the stages
    notes: tuple[str, ...]  # what a reader of the numbers must know: unfinished stages, what was not done

    @property
    def groups(self) -> list[tuple[FunnelRow, ...]]:
        """The rows of each group, a row a stage."""
        n_stages = len({row.stage for row in self.rows}) or 1
        return [self.rows[at : at + n_stages] for at in range(0, len(self.rows), n_stages)]


def funnel(url: str, by: str | None = None, max_rows: int | None = None) -> Funnel:
    """The funnel of the run (or the one stage) at `url`; `by` one of GROUPINGS gives the TOP groups and the others.

    `max_rows` limits what is counted from ledgers to about so many input rows, in evenly spaced shards. Raises InputError.
    """
    if by is not None and by not in GROUPINGS:
        raise InputError(f"--by {by}: unknown; one of {', '.join(GROUPINGS)}")
    stages = open_run(url)
    notes = [f"{stage.name}: {stage.state}" for stage in stages if stage.state]
    decided = [stage for stage in stages if stage.kind != "pack"]  # packing repeats the notes of the stage before
    notes += [f"{stage.name}: {note}" for stage in decided for note in stage.manifest.get("notes", [])]
    if by in (None, "language"):
        counted = [stage for stage in stages if stage.counts]
        sums = [_sums_of_counts(stage, by) for stage in counted]
        sums = _largest_groups(sums) if by else sums
    else:
        counted = [stage for stage in stages if stage.ledger_shards]
        shards = some_shards(counted[0], max_rows) if counted and max_rows else None
        sums = _sums_of_ledgers(counted, by, shards)
        if shards is not None and len(shards) < len(counted[0].ledger_shards):
            notes.append(f"counted in {len(shards)} of {len(counted[0].ledger_shards)} shards")
    return Funnel(by, tuple(_rows([stage.name for stage in counted], sums)), tuple(notes))


def _sums_of_counts(stage: Stage, by: str | None) -> Sums:
    sums: Sums = {}
    for count in stage.counts:
        group = (count["language"] or NONE) if by else ""
        _add(sums, (group, count["reason"]), (count["documents"], count["text_bytes"], count["tokens"]))
    return sums


def _largest_groups(sums: list[Sums]) -> list[Sums]:
    """The same sums with every group but the TOP ones of the first stage as one group."""
    documents: defaultdict[str, int] = defaultdict(int)
    for (group, _), (n_documents, _, _) in (sums[0] if sums else {}).items():
        documents[group] += n_documents
    top = set(sorted(documents, key=lambda group: (-documents[group], group))[:TOP])
    merged: list[Sums] = []
    for of_stage in sums:
        merged.append({})
        for (group, reason), of_group in of_stage.items():
            _add(merged[-1], (group if group in top else OTHERS, reason), of_group)
    return merged


def _add(sums: Sums, at: tuple[str, str | None], more: tuple[int, int, int]) -> None:
    had = sums.get(at, (0, 0, 0))
    sums[at] = (had[0] + more[0], had[1] + more[1], had[2] + more[2])


def _sums_of_ledgers(stages: list[Stage], by: str, shards: list[int] | None) -> list[Sums]:
    """One pass over the first ledger for its largest groups, then one over every ledger for the sums."""
    if not stages:
        return []
    column = "url" if by == "domain" else by
    top = pa.array(_largest_in_ledger(stages[0], column, shards), pa.string())
    sums: list[Sums] = []
    for stage in stages:
        sums.append({})
        for batch in _ledger_batches(stage, [column, "reason", "text_bytes", "token_count"], shards):
            table = pa.table(
                {
                    "group": pc.index_in(_groups(batch, column), value_set=top),
                    "reason": batch.column("reason"),
                    "text_bytes": batch.column("text_bytes"),
                    "tokens": batch.column("token_count"),
                }
            ).group_by(["group", "reason"])
            for row in table.aggregate([([], "count_all"), ("text_bytes", "sum"), ("tokens", "sum")]).to_pylist():
                group = OTHERS if row["group"] is None else top[row["group"]].as_py()
                more = (row["count_all"], row["text_bytes_sum"] or 0, row["tokens_sum"] or 0)
                _add(sums[-1], (group, row["reason"]), more)
    return sums


def _largest_in_ledger(stage: Stage, column: str, shards: list[int] | None) -> list[str]:
    """The TOP groups of a ledger by documents, largest first."""
    counts = pa.table({"group": pa.array([], pa.string()), "documents": pa.array([], pa.int64())})
    waiting, n_waiting = [counts], 0
    for batch in _ledger_batches(stage, [column], shards):
        of_batch = pa.table({"group": _groups(batch, column)}).group_by("group").aggregate([([], "count_all")])
        waiting.append(of_batch.rename_columns(["group", "documents"]))
        n_waiting += of_batch.num_rows
        if n_waiting > MAX_GROUPS:
            waiting, n_waiting = [_at_most(_merged(waiting), MAX_GROUPS)], 0
    counts = _merged(waiting).sort_by([("documents", "descending"), ("group", "ascending")])
    names: list[str] = counts.column("group").slice(0, TOP).to_pylist()
    return names


def _merged(counts: list[pa.Table]) -> pa.Table:
    merged = pa.concat_tables(counts).group_by("group").aggregate([("documents", "sum")])
    return merged.select(["group", "documents_sum"]).rename_columns(["group", "documents"])


def _at_most(counts: pa.Table, max_groups: int) -> pa.Table:
    """At most so many groups: the largest that goes is taken off every count, which bounds the error for all."""
    if counts.num_rows <= max_groups:
        return counts
    counts = counts.sort_by([("documents", "descending"), ("group", "ascending")])
    lost = counts.column("documents")[max_groups].as_py()
    counts = counts.set_column(1, "documents", pc.subtract(counts.column("documents"), lost))
    return counts.filter(pc.greater(counts.column("documents"), 0))


def _ledger_batches(stage: Stage, columns: list[str], shards: list[int] | None) -> Iterable[pa.RecordBatch]:
    chosen = stage.ledger_shards if shards is None else [n for n in shards if n in stage.outputs]
    for shard in chosen:
        for _, batch in scan(stage.folder.file("ledger", shard), columns):
            yield batch


def _groups(batch: pa.RecordBatch, column: str) -> pa.Array:
    """The group of every row: the host for a URL, else the value itself."""
    values = batch.column(column)
    if column == "url":
        authorities = pc.struct_field(pc.extract_regex(values, _AUTHORITY), "found").dictionary_encode()
        # each once: this regex is slow
        hosts = pc.struct_field(pc.extract_regex(authorities.dictionary, _HOST), "found")
        values = pc.utf8_lower(hosts).take(authorities.indices)
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    return pc.fill_null(values, NONE)


def _rows(names: list[str], sums: list[Sums]) -> Iterable[FunnelRow]:
    incoming: list[defaultdict[str, int]] = []
    for of_stage in sums:
        documents: defaultdict[str, int] = defaultdict(int)
        for (group, _), (n_documents, _, _) in of_stage.items():
            documents[group] += n_documents
        incoming.append(documents)
    first: Mapping[str, int] = incoming[0] if incoming else {}
    groups = {group for of_stage in incoming for group in of_stage}
    for group in sorted(groups, key=lambda group: (group == OTHERS, -first.get(group, 0), group)):
        n_input = first.get(group, 0)
        for name, of_stage, documents in zip(names, sums, incoming, strict=True):
            n_in = documents.get(group, 0)
            rejected = [
                Rejected(reason, *of_reason, _share(of_reason[0], n_in), _share(of_reason[0], n_input))
                for (of_group, reason), of_reason in of_stage.items()
                if of_group == group and reason is not None
            ]
            rejected.sort(key=lambda row: (-row.documents, row.reason))
            kept = of_stage.get((group, None), (0, 0, 0))
            shares = (_share(kept[0], n_in), _share(kept[0], n_input))
            yield FunnelRow(name, group, n_in, *kept, *shares, tuple(rejected))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def funnel_json(result: Funnel) -> str:
    return json.dumps(asdict(result), indent=1, ensure_ascii=False)


def funnel_table(result: Funnel) -> Table:
    """For a terminal or a log: stages with their reasons, or one line per group with what every stage kept."""
    table = Table(
        box=None,
        pad_edge=False,
        collapse_padding=True,
        header_style="bold",
        caption_justify="left",
        caption_style="yellow",
    )
    table.caption = Text("\n".join(visible(note) for note in result.notes)) if result.notes else None
    if result.by:
        _fill_groups(table, result)
    else:
        _fill_stages(table, result)
    return table


def _fill_stages(table: Table, result: Funnel) -> None:
    table.add_column("stage", overflow="fold")
    for heading in ("documents", "of stage", "of input", "tokens", "text"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in result.rows:
        table.add_row(Text.assemble((visible(row.stage), "bold"), " in"), f"{row.documents_in:,}")
        for lost in row.rejected:
            table.add_row(
                Padding(Text(visible(lost.reason)), (0, 0, 0, 2)),
                f"{lost.documents:,}",
                percent(lost.share_of_stage),
                percent(lost.share_of_input),
                compact(lost.tokens),
                compact_bytes(lost.text_bytes),
                style="dim",
            )
        table.add_row(
            Padding("kept", (0, 0, 0, 2)),
            f"{row.documents:,}",
            percent(row.share_of_stage),
            percent(row.share_of_input),
            compact(row.tokens),
            compact_bytes(row.text_bytes),
            end_section=True,
        )


def _fill_groups(table: Table, result: Funnel) -> None:
    """What is left of each group after every stage."""
    table.add_column(str(result.by), overflow="fold", min_width=20)
    stages = [row.stage for row in result.groups[0]] if result.rows else []
    for heading in ("in", *stages, "kept", "tokens"):
        table.add_column(heading, justify="right", overflow="fold")
    for rows in result.groups:
        table.add_row(
            Text(visible(rows[0].group)),
            compact(rows[0].documents_in),
            *(compact(row.documents) for row in rows),
            percent(rows[-1].share_of_input),
            compact(rows[-1].tokens),
        )


def percent(share: float) -> str:
    """0.1234 → "12.3%"; what is not nothing never shows as 0.0%."""
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def compact(number: float) -> str:
    """1234567 → "1.23M"; up to 9,999 as it is."""
    if abs(number) < 10_000:
        return f"{int(number):,}" if float(number).is_integer() else f"{number:.4g}"
    power = 1
    while abs(number) >= 999.5 * 1000**power and power < 4:
        power += 1
    return f"{number / 1000**power:.3g}{' kMBT'[power]}"


def compact_bytes(n_bytes: int) -> str:
    """1234567 → "1.2 MB" (powers of 1,000)."""
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} PB"
