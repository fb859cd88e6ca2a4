"""The story of one page: what every stage saw, measured and decided, for every capture that has its URL or id.

The page is looked up by URL or id in the first ledger only, which has a row for every record that came in; from there on it is
followed by position: row r of a stage's documents is the input row `source_row` = r of the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from corpus.dataset import part_name
from corpus.errors import InputError
from corpus.schema import document_place
from pipeline.report import Stage, open_run, place, read_row, rules_in_force, scan, visible
from pipeline.report.contamination import Span, span_view, spans_of


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The document that was kept instead. `run`: the earlier run that has it, whose URLs are not known here; "" is this one."""

    key: int  # see `corpus.schema.document_key`
    id: str
    url: str
    run: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one stage made of the page."""

    stage: str
    shard: int
    row: int | None  # in this stage's ledger, for the packed corpus in its documents; None = could not be followed here
    reason: str | None  # None = kept
    failures: tuple[str, ...]  # every rule that failed: "gopher_quality.min_words: words = 12 < 50"
    duplicate_of: Duplicate | None
    spans: tuple[Span, ...]
    note: str
    ledger: Mapping[str, Any]  # the whole ledger row, signals included; empty for the packed corpus


@dataclass(frozen=True, slots=True)
class Story:
    """One capture; `shard` and `row` in the first ledger tell captures of one URL, or with one id, apart."""

    id: str
    url: str
    shard: int
    row: int
    entries: list[Entry]


def explain(url: str, page: str) -> list[Story]:
    """The stories of all captures whose URL or id is `page`. Raises InputError if the run at `url` has none."""
    run = open_run(url)
    stages = [stage for stage in run if stage.kind != "pack"]
    if not stages or not stages[0].ledger_shards:
        raise InputError(f"{url}: has no ledger (yet) that tells of pages; name the folder of a run that has begun")
    packed = [stage for stage in run if stage.kind == "pack" and stage.outputs]
    return [_story(stages, packed, shard, row) for shard, row in _find(stages[0], page)]


def failures(ledger: Mapping[str, Any], manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Every failed rule of a ledger row, with value and the threshold of its language where it is a rule with a signal."""
    rules = {
        f"{ruleset}.{rule.name}": rule
        for ruleset, of_set in rules_in_force(manifest, ledger["language"]).items()
        for rule in of_set
    }
    lines = []
    for name in ledger["failed"] or filter(None, [ledger["reason"]]):
        rule = rules.get(name)
        signal = f"{name.rsplit('.', 1)[0]}.{rule.signal}" if rule else ""
        if rule is None or rule.threshold is None or ledger.get(signal) is None:
            lines.append(name)
        else:
            sign = "<" if rule.name.startswith("min_") else ">"
            lines.append(f"{name}: {rule.signal} = {_number(ledger[signal])} {sign} {_number(rule.threshold)}")
    return tuple(lines)


def _number(value: float) -> str:
    """Shortest digits that tell the float32 apart; whole numbers without a point."""
    return f"{int(value):,}" if float(value).is_integer() else str(np.float32(value))


def _find(stage: Stage, page: str) -> list[tuple[int, int]]:
    """(shard, row) of every ledger row with this id or URL; an InputError names what comes near."""
    names = {page, f"<{page}>", f"<urn:uuid:{page}>"}
    near = _near_urls(page)
    wanted, hints = pa.array(sorted(names), pa.string()), pa.array(sorted(near), pa.string())
    found: list[tuple[int, int]] = []
    seen_near: str | None = None
    n_rows = 0
    for shard in stage.ledger_shards:
        for first, batch in scan(stage.folder.file("ledger", shard), ["id", "url"]):
            hit = pc.or_(pc.is_in(batch.column("id"), wanted), pc.is_in(batch.column("url"), wanted))
            found += [(shard, first + int(row)) for row in pc.indices_nonzero(hit).to_pylist()]
            if seen_near is None and not found:
                nearest = batch.column("url").filter(pc.is_in(batch.column("url"), hints))
                seen_near = nearest[0].as_py() if len(nearest) else None
            n_rows += batch.num_rows
    if found:
        return found
    missing = f"; {stage.name} is {stage.state}" if stage.state else ""
    fix = f"did you mean {seen_near}?" if seen_near else "http/https, www. and a last slash were tried too"
    raise InputError(f"{page}: no record of {n_rows:,} has this URL or id; {fix}{missing}")


def _near_urls(page: str) -> set[str]:
    """The same URL with the other scheme, with and without www., with and without a last slash."""
    _, _, rest = page.rpartition("://")
    bare = rest.removeprefix("www.").rstrip("/")
    return {
        f"{scheme}://{www}{bare}{slash}" for scheme in ("http", "https") for www in ("", "www.") for slash in ("", "/")
    } - {page}


def _story(stages: Sequence[Stage], packed: Sequence[Stage], shard: int, row: int) -> Story:
    first = read_row(stages[0].folder.file("ledger", shard), row)
    entries: list[Entry] = []
    story = Story(first["id"] or "", first["url"] or "", shard, row, entries)
    for at, stage in enumerate(stages):
        ledger_row = row if at == 0 else _ledger_row(stage, shard, row)
        if ledger_row is None:
            why = stage.state or f"{part_name(shard)} failed or was left out"
            entries.append(_unfollowed(stage, shard, f"its ledger has no input row {row}: {why}"))
            return story
        entries.append(_entry(stages, at, shard, ledger_row))
        if entries[-1].reason is not None:
            return story
        row = _document_row(stage, shard, ledger_row)
    entries += [_packed_entry(stages[-1], stage, shard, row, first) for stage in packed]
    return story


def _ledger_row(stage: Stage, shard: int, source_row: int) -> int | None:
    """Where the ledger tells of an input row; None if it does not."""
    if shard not in stage.ledger_shards:
        return None
    for first, batch in scan(stage.folder.file("ledger", shard), ["source_row"]):
        at = pc.index(batch.column("source_row"), pa.scalar(source_row, pa.int64())).as_py()
        if at >= 0:
            return first + int(at)
    return None


def _document_row(stage: Stage, shard: int, row: int) -> int:
    """The row that a kept ledger row has among the stage's documents: its rank among the kept."""
    rank = 0
    for first, batch in scan(stage.folder.file("ledger", shard), ["reason"]):
        rank += batch.column("reason").slice(0, max(0, row - first)).null_count
    return rank


def _unfollowed(stage: Stage, shard: int, note: str) -> Entry:
    return Entry(stage.name, shard, None, None, (), None, (), note, {})


def _entry(stages: Sequence[Stage], at: int, shard: int, row: int) -> Entry:
    stage = stages[at]
    ledger = read_row(stage.folder.file("ledger", shard), row)
    failed, kept_instead = failures(ledger, stage.manifest), _duplicate(stage, ledger)
    spans, note = spans_of(stages, at, shard, ledger)
    return Entry(stage.name, shard, row, ledger["reason"], failed, kept_instead, spans, note, ledger)


def _duplicate(stage: Stage, ledger: Mapping[str, Any]) -> Duplicate | None:
    key, document_id = ledger.get("duplicate_of"), ledger.get("duplicate_of_id") or ""
    if key is None:
        return None
    run, shard, source_row = document_place(key)
    if run:
        return Duplicate(key, document_id, "", stage.manifest["config"]["against"][run - 1] if stage.manifest else "")
    row = _ledger_row(stage, shard, source_row)
    if row is not None:
        kept = read_row(stage.folder.file("ledger", shard), row, ["id", "url"])
        if (kept["id"] or "") == document_id:
            return Duplicate(key, document_id, kept["url"] or "", "")
    return Duplicate(key, document_id, "", "")


def _packed_entry(last: Stage, packed: Stage, shard: int, row: int, document: Mapping[str, Any]) -> Entry:
    """Where the page lies in the packed shards, which hold the last stage's documents one after the other."""
    position = row + sum(kinds["documents"]["rows"] for number, kinds in last.outputs.items() if number < shard)
    for number, kinds in packed.outputs.items():
        if position < kinds["documents"]["rows"]:
            there = read_row(packed.folder.file("documents", number), position, ["id", "url"])
            if (there["id"], there["url"]) == (document["id"], document["url"]):
                return Entry(packed.name, number, position, None, (), None, (), "", {})
            break
        position -= kinds["documents"]["rows"]
    return _unfollowed(packed, shard, "kept, but not where its position says; run `refine verify`")


def render(stories: Sequence[Story]) -> RenderableType:
    """For a terminal or a log. Nothing of the page is read as markup or terminal commands."""
    parts: list[RenderableType] = []
    if len(stories) > 1:
        parts.append(Text(f"{len(stories)} captures\n", "bold"))
    for story in stories:
        parts.append(Text(visible(story.url) or "(no URL)", "bold"))
        parts.append(Text(f"{visible(story.id)}\n", "dim"))
        for entry in story.entries:
            parts += _entry_view(entry)
        parts.append(Text(""))
    return Group(*parts)


def _entry_view(entry: Entry) -> Iterator[RenderableType]:
    verdict = ("rejected", "bold red") if entry.reason else ("kept", "bold green")
    if entry.stage == "contamination":  # which leaves every document where it is
        verdict = ("contaminated", "bold red") if entry.reason else ("clean", "bold green")
    where = entry.stage if entry.row is None else place(entry.stage, entry.shard, entry.row)
    if entry.row is None:
        verdict = ("not followed", "bold yellow")
    yield Text.assemble(f"{where}: ", verdict, f" ({visible(entry.reason)})" if entry.reason else "")
    for line in entry_lines(entry):
        yield Padding(Text(visible(line)), (0, 0, 0, 4))
    for span in entry.spans:
        yield Padding(Text(visible(span.label)), (0, 0, 0, 4))
        if span.matched or span.item_text:
            yield Padding(span_view(span), (0, 0, 0, 6))


def entry_lines(entry: Entry) -> list[str]:
    """What is worth saying of a stage's verdict beyond its reason, a fact a line."""
    ledger = entry.ledger
    lines = [f"failed {failure}" for failure in entry.failures if failure != entry.reason]
    if ledger.get("detail"):
        lines.append(f"detail: {ledger['detail']}")
    if ledger.get("warc_offset") is not None:
        start, length = ledger["warc_offset"], ledger["warc_length"]
        lines.append(f"from {ledger['file_path']}, bytes {start:,} to {start + length:,}")
    if ledger.get("language_score") is not None:
        lines.append(f"language {ledger['language']}, score {ledger['language_score']:.2f}")
    if entry.duplicate_of:
        kept = entry.duplicate_of
        where = " of ".join(filter(None, [_input_place(kept.key), kept.run]))
        lines.append(f"duplicate of {kept.url or '(URL not in this run)'} {kept.id} ({where}), which was kept")
    if ledger.get("matched_with") is not None:
        lines.append(_match(ledger))
    if (ledger.get("cluster_size") or 0) > 1:
        lines.append(f"one of {ledger['cluster_size']:,} in its cluster")
    if ledger.get("duplicate_spans"):
        n, share = len(ledger["duplicate_spans"]), ledger["duplicate_fraction"]
        lines.append(f"{n:,} spans of it occur more than once: {share:.1%} of its text as it came")
    if ledger and ledger["token_count"] is not None:
        lines.append(f"{ledger['text_bytes']:,} bytes of text, {ledger['token_count']:,} tokens")
    if ledger.get("tokens_removed") and entry.reason is None:
        lines.append(f"{ledger['tokens_removed']:,} tokens were cut out of it, with these:")
    return [*lines, entry.note] if entry.note else lines


def _match(ledger: Mapping[str, Any]) -> str:
    """How like the document is to the one of its cluster that it matched best."""
    key, bands, exact = ledger["matched_with"], ledger["matching_bands"], ledger["exact_jaccard"]
    other = "it" if key == ledger["duplicate_of"] else _input_place(key)
    verified = "" if exact is None else f", exactly {exact:.2f}"
    return f"matched {other} in {bands:,} band{'s' * (bands > 1)}: Jaccard about {ledger['estimated_jaccard']:.2f}{verified}"


def _input_place(key: int) -> str:
    run, shard, row = document_place(key)
    return f"{f'earlier run {run} ' if run else ''}input {part_name(shard)} row {row}"
