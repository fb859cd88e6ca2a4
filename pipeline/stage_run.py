"""One stage of a run: its barriers and documents, the guards on its complete counts, its manifest.

A stage is a module of `pipeline.stages`: OUTPUT_VERSION (raised only when output changes), `identity(section)` (versions and
digests that decide the output; ConfigError when a model or list is missing), STEP (makes documents and ledger), and, for one
that compares all documents, `prepare(run)` with the steps that come before. `notes(plan)`, where there is one, says what
the manifest must not leave out; `summarise(plan)` writes what can be said when every document has its verdict.
"""

import platform
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

from corpus import storage
from corpus.dataset import Count, Receipt, StageFolder, add_counts, part_name
from corpus.errors import ConfigError, GuardError, RefineError, ShardError
from corpus.modules import short_name
from filters.ruleset import Ruleset
from pipeline.inputs import describe
from pipeline.progress import Progress
from pipeline.sections import Guards
from pipeline.steps import Plan, Step, Workers, missing_items, run_step


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says beside the recipe."""

    out: str
    text_column: str = "text"
    sample: float | None = None
    allow_missing: bool = False
    allow_extreme: bool = False
    drop_intermediate: bool = False
    job: tuple[int, int] | None = None  # (i, n): this job of a job array makes items i, i + n, …


@dataclass
class StageRun:
    """A stage with what it runs on; its `prepare` works through it."""

    name: str
    plan: Plan
    guards: Guards
    options: RunOptions
    workers: Workers
    progress: Progress
    run_id: str
    warn: Callable[[str], None]

    def extend_plan(self, **found: Any) -> None:
        """Hand what a barrier found out to the tasks of later steps."""
        self.plan = replace(self.plan, extra=self.plan.extra | found)

    @property
    def folder(self) -> StageFolder:
        return self.plan.stage_folder

    def input_keys(self, step: str) -> list[str | None]:
        """The key of each shard's item in a step made from its input alone; None where the input is missing."""
        return [self.plan.key(step, source["identity"]) if source["identity"] else None for source in self.plan.inputs]

    def shard_keys(self, step: str) -> list[str | None]:
        """The same for a step that depends on all inputs besides."""
        everything = self.plan.all_inputs()
        return [
            self.plan.key(step, everything, shard) if source["identity"] else None
            for shard, source in enumerate(self.plan.inputs)
        ]

    def step(self, step: Step, keys: Sequence[str | None]) -> dict[int, RefineError]:
        return run_step(self.plan, step, keys, self.workers, self.progress, self.run_id, self.options.job)

    def barrier_step(self, step: Step, keys: Sequence[str | None]) -> None:
        """A step whose items are all needed. Raises ShardError with a list if one is missing."""
        failed = self.step(step, keys)
        if failed and not self.options.allow_missing:
            raise ShardError(_failed_lines(self, failed)[0] + "; mend it and run again, or go on with --allow-missing")

    def refuse_missing_inputs(self) -> None:
        missing = [
            describe(shard, source) for shard, source in enumerate(self.plan.inputs) if source["identity"] is None
        ]
        if missing and not self.options.allow_missing:
            raise ShardError(
                f"{self.plan.kind} needs every shard, but {len(missing)} of {len(self.plan.inputs)} are missing, "
                f"first {missing[0]}; mend them and run again, or go on with --allow-missing"
            )


def stage_module(kind: str) -> ModuleType:
    return import_module(f"pipeline.stages.{kind}")


def document_keys(plan: Plan) -> list[str | None]:
    """The key of each shard's documents: of a stage that compares all shards, every input decides every shard."""
    others = plan.all_inputs() if is_barrier(plan.kind) else ""
    return [plan.key("documents", source["identity"], others) if source["identity"] else None for source in plan.inputs]


def is_barrier(kind: str) -> bool:
    return hasattr(stage_module(kind), "prepare")


def run_stage(run: StageRun) -> list[str]:
    """One stage: barriers, documents, guards, manifest. Returns what failed, a line each."""
    began = time.time()
    run.progress.stage(run.name)
    if run.options.job is None:
        run.folder.remove_attempts()
    module = stage_module(run.plan.kind)
    keys = document_keys(run.plan)
    todo = missing_items(run.folder, module.STEP, keys)
    if todo:
        storage.remove(run.folder.manifest_file)  # it speaks of what is about to be replaced
    if is_barrier(run.plan.kind):
        if run.options.job is not None:
            raise ConfigError(
                f"--shard: {run.plan.kind} compares all shards and cannot run as a job array; leave --shard out"
            )
        run.refuse_missing_inputs()
        if todo:
            module.prepare(run)
    failed = run.step(module.STEP, keys)
    receipts = run.folder.receipts()
    complete = {
        shard: receipts[shard] for shard, key in enumerate(keys) if shard in receipts and receipts[shard].key == key
    }
    if run.options.job is not None and len(complete) < len(keys):
        return _failed_lines(run, failed)  # other jobs of the array make the rest; the last one writes the manifest
    if hasattr(module, "summarise"):
        module.summarise(run.plan)
    storage.write_json(run.folder.manifest_file, _manifest(run, module, complete))
    _note_time(run, began)
    if run.options.job is None:
        run.folder.remove_attempts()  # of tasks that ran twice
    return _failed_lines(run, failed)


def _manifest(run: StageRun, module: ModuleType, complete: dict[int, Receipt]) -> dict[str, Any]:
    found = totals(module, complete)
    return found | {
        "stage": run.plan.kind,
        "config": run.plan.section,
        "versions": run.plan.versions,
        "tokenizer": run.plan.tokenizer,
        "sample": run.plan.sample,
        "inputs": run.plan.inputs,
        "missing": [part_name(shard) for shard in range(len(run.plan.inputs)) if shard not in complete],
        "rules": _rules(run.plan.section),
        "notes": _judge(run, found["counts"], found["rows_in"]),
    }


def totals(module: ModuleType, complete: dict[int, Receipt]) -> dict[str, Any]:
    """What a manifest says of its shards, from their receipts."""
    counts = add_counts([receipt.counts for receipt in complete.values()])
    machine_dependent = getattr(module, "MACHINE_DEPENDENT", ())
    return {
        "rows_in": sum(receipt.rows_in for receipt in complete.values()),
        "counts": counts,
        "machine_dependent": sum(row["documents"] for row in counts if row["reason"] in machine_dependent),
        "shards": {part_name(shard): receipt.outputs for shard, receipt in sorted(complete.items())},
    }


def _failed_lines(run: StageRun, failed: dict[int, RefineError]) -> list[str]:
    if not failed:
        return []
    lines = [f"{part_name(item)}: {error}" for item, error in sorted(failed.items())]
    return [f"{run.name}: {len(failed)} failed: " + "; ".join(lines[:20]) + ("; …" if len(lines) > 20 else "")]


def _rules(section: dict[str, Any]) -> dict[str, Any]:
    """Each rule set's thresholds as used, for the report's histograms and `explain`."""
    names = section.get("rulesets") or [name for name in ("url", "language") if section.get(name)]
    active = [Ruleset.load(name, section[short_name(name)]) for name in names]
    return {
        ruleset.name: [
            {"name": rule.name, "threshold": rule.threshold, "source": rule.source} for rule in ruleset.rules
        ]
        for ruleset in active
    }


def _judge(run: StageRun, counts: list[Count], rows_in: int) -> list[str]:
    """Guards on complete counts; returns the notes for the manifest. Raises GuardError."""
    module = stage_module(run.plan.kind)
    notes: list[str] = module.notes(run.plan) if hasattr(module, "notes") else []
    masks_only = run.plan.kind == "filter" and not any(_rules(run.plan.section).values())
    keeps = masks_only or (hasattr(module, "keeps_documents") and module.keeps_documents(run.plan))
    if rows_in and all(row["reason"] is None for row in counts) and not keeps:
        notes.append(f"{run.name} removed nothing")
        run.warn(f"{run.name} removed none of {rows_in:,} documents; is it configured as you mean?")
    if rows_in < run.guards.min_documents:
        return notes
    for message in _extremes(run, counts, rows_in):
        if not run.options.allow_extreme:
            raise GuardError(f"{message}; check it, or go on with --allow-extreme")
        notes.append(f"went on although {message}")
    return notes


def _extremes(run: StageRun, counts: list[Count], rows_in: int) -> Iterator[str]:
    """What was removed that no sane configuration removes."""
    if run.plan.kind in ("extract", "filter"):
        removed: Counter[str] = Counter()
        for row in counts:
            if row["reason"] is not None:
                removed[row["reason"].split(".")[0]] += row["documents"]
        limit = run.guards.max_ruleset_removal
        for name, n_removed in removed.items():
            if name not in ("language", "extract") and n_removed / rows_in > limit:
                share = f"{n_removed / rows_in:.1%} of {rows_in:,} documents"
                yield f"{run.name}: {name} removes {share}, more than guards.max_ruleset_removal ({limit:.0%})"
    if run.plan.kind == "dedup":
        share, limit = stage_module("dedup").removed_by_substrings(run.plan, counts), run.guards.max_substring_removal
        if share > limit:
            yield (
                f"{run.name}: exact substrings remove {share:.1%} of the text that the other methods left, "
                f"more than guards.max_substring_removal ({limit:.0%})"
            )


def _note_time(run: StageRun, began: float) -> None:
    """Seconds and host are kept apart from the manifest: they do not identify a dataset."""
    path = storage.join(run.folder.url, "timings.json")
    before = storage.read_json(path) if storage.exists(path) else []
    now = {
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "seconds": round(time.time() - began, 3),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "refine": version("refine-corpus"),
    }
    storage.write_json(path, [*before, now])
