"""One machine for all work: a step makes numbered items, each from a key, each committed by a receipt.

A step is a function `run(plan, item, files) -> Made` which writes the local files it is given, one for each kind of output.
Documents and ledgers of a shard, its band keys, the edges of a range, the clusters of a corpus: all are items of steps.

What must be made again follows from keys: an item whose receipt has the key that it would get now is complete. A worker
builds attempts; only the driver promotes them and writes receipts, so a task that ran twice does no harm.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from corpus import storage
from corpus.dataset import Count, Receipt, StageFolder, part_name
from corpus.errors import RefineError, ShardError
from pipeline.inputs import Input

_tick: ContextVar[Callable[[int], None] | None] = ContextVar("tick", default=None)

MAX_ATTEMPTS = 5  # of one item in one run, before the worker's deaths are taken for the item's fault


@dataclass(frozen=True, slots=True)
class Plan:
    """What every task of a stage needs; lies as JSON in the stage's folder, so a task is only (plan, step, item)."""

    kind: str
    folder: str
    section: dict[str, Any]
    inputs: list[Input]
    tokenizer: str
    text_column: str
    sample: float | None
    versions: dict[str, str]  # of the code, libraries, models and lists that decide the output
    extra: dict[str, Any] = field(default_factory=dict)  # what a stage's barriers found out for its later steps

    def key(self, step: str, *parts: Any) -> str:
        """Digest of everything that decides an item of `step`: settings, versions, and the parts it is made from."""
        what = [self.kind, step, self.section, self.tokenizer, self.text_column, self.sample, self.versions, parts]
        return hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=16).hexdigest()

    def all_inputs(self) -> str:
        """Digest of the identities of all inputs."""
        return self.key("inputs", [source["identity"] for source in self.inputs])

    @property
    def stage_folder(self) -> StageFolder:
        return StageFolder(self.folder)


@dataclass(frozen=True, slots=True)
class Made:
    """What a step's function reports: rows it read and, for documents, the counts by reason and language."""

    rows_in: int = 0
    counts: list[Count] = field(default_factory=list)


def tick(n_rows: int) -> None:
    """Said by steps while they work: so many more rows are done. Whoever runs the task may listen (`listen`)."""
    listener = _tick.get()
    if listener is not None:
        listener(n_rows)


def listen(listener: Callable[[int], None]) -> None:
    """Pass the ticks of steps that run in this context on to `listener`."""
    _tick.set(listener)


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    outputs: tuple[str, ...]
    run: Callable[[Plan, int, dict[str, Path]], Made]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished, unpublished item."""

    item: int
    files: dict[str, str]  # kind → attempt path
    receipt: Receipt


class Workers(Protocol):
    """What runs tasks; yields (index of the task, its result) as they end."""

    def run(
        self,
        function: Callable[..., Attempt | RefineError],
        tasks: Sequence[tuple[Any, ...]],
        on_tick: Callable[[int], None],
    ) -> Iterator[tuple[int, Attempt | RefineError]]: ...


class Watcher(Protocol):
    """What is told of progress: `pipeline.progress.Progress`."""

    def begin(self, step: str, n_items: int, n_done: int) -> None: ...
    def tick(self, n_rows: int) -> None: ...
    def advance(self) -> None: ...


@lru_cache(maxsize=8)
def _load_plan(path: str, digest: str) -> Plan:
    return Plan(**storage.read_json(path))


def load_plan(folder: StageFolder) -> Plan:
    """The plan of the last run of a stage."""
    return Plan(**storage.read_json(_plan_file(folder)))


def _plan_file(folder: StageFolder) -> str:
    return storage.join(folder.url, "plan.json")


def save_plan(plan: Plan) -> tuple[str, str]:
    """Write the plan beside the stage's output; returns (path, digest) for the tasks."""
    value = {name: getattr(plan, name) for name in Plan.__dataclass_fields__}
    digest = hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()
    path = _plan_file(plan.stage_folder)
    storage.write_json(path, value)
    return path, digest


def execute(plan_path: str, plan_digest: str, step: Step, item: int, key: str, run_id: str) -> Attempt | RefineError:
    """Make one item, on a worker: the attempts of its outputs, not yet published, or the error that is this item's own."""
    plan = _load_plan(plan_path, plan_digest)
    try:
        _note_attempt(plan.stage_folder, step.name, item, run_id)
        return _attempt(plan, step, item, key)
    except RefineError as error:
        return error
    except (OSError, MemoryError) as error:
        return ShardError(f"{type(error).__name__}: {error}; free disk or memory, then run again")


def _attempt(plan: Plan, step: Step, item: int, key: str) -> Attempt:
    with ExitStack() as stack:
        attempts = {
            kind: stack.enter_context(storage.attempt(plan.stage_folder.file(kind, item))) for kind in step.outputs
        }
        made = step.run(plan, item, {kind: local for kind, (local, _) in attempts.items()})
        outputs = {
            kind: {
                "checksum": storage.checksum(str(local)),
                "bytes": os.path.getsize(local),
                "rows": pq.read_metadata(local).num_rows,
            }
            for kind, (local, _) in attempts.items()
        }
    receipt = Receipt(key, outputs, made.rows_in, made.counts)
    return Attempt(item, {kind: attempted for kind, (_, attempted) in attempts.items()}, receipt)


def _attempts_file(folder: StageFolder, step: str, item: int) -> str:
    return storage.join(folder.url, "attempts", step, part_name(item) + ".json")


def _note_attempt(folder: StageFolder, step: str, item: int, run_id: str) -> None:
    """Count this try on disk: a worker that dies cannot report it. Raises ShardError when the item has cost too many workers.

    Dask's own count blames every item that was on a worker which was preempted, so it is switched off.
    """
    path = _attempts_file(folder, step, item)
    before = storage.read_json(path) if storage.exists(path) else {}
    tries = before.get("tries", 0) + 1 if before.get("run") == run_id else 1
    if tries > MAX_ATTEMPTS:
        raise ShardError(
            f"{folder.url}: {step} {part_name(item)}: the worker died {MAX_ATTEMPTS} times over it; give workers more memory"
        )
    storage.write_json(path, {"run": run_id, "tries": tries})


def commit(folder: StageFolder, step: Step, attempt: Attempt) -> None:
    """Publish an attempt. The receipt goes first and comes last: at no moment does it speak of other files."""
    receipt_file = folder.receipt_file(step.name, attempt.item)
    storage.remove(receipt_file)
    for kind, attempted in attempt.files.items():
        storage.promote(attempted, folder.file(kind, attempt.item))
    storage.write_json(receipt_file, attempt.receipt.as_json())
    storage.remove(_attempts_file(folder, step.name, attempt.item))
    storage.remove(folder.checkpoint_folder(attempt.item))


def missing_items(folder: StageFolder, step: Step, keys: Sequence[str | None], dropped: bool = False) -> list[int]:
    """Items whose receipt is not there, is of another key, or whose files are gone. None as a key: nothing to make.

    `dropped`: documents were removed after use, so that they are not there does not count.
    """
    receipts = folder.receipts(step.name)
    present = {
        kind: set(storage.list_folder(storage.join(folder.url, kind)))
        for kind in step.outputs
        if not (dropped and kind == "documents")
    }
    return [
        item
        for item, key in enumerate(keys)
        if key is not None
        and not (
            item in receipts
            and receipts[item].key == key
            and all(part_name(item) + ".parquet" in names for names in present.values())
        )
    ]


def forget_stale(folder: StageFolder, step: Step, keys: Sequence[str | None]) -> None:
    """Remove what an earlier configuration or input left: nobody may take it for a part of this dataset."""
    for item, receipt in folder.receipts(step.name).items():
        if item >= len(keys) or receipt.key != keys[item]:
            storage.remove(folder.receipt_file(step.name, item))
            for kind in receipt.outputs:
                storage.remove(folder.file(kind, item))


def run_step(
    plan: Plan,
    step: Step,
    keys: Sequence[str | None],
    workers: Workers,
    watcher: Watcher,
    run_id: str,
    job: tuple[int, int] | None = None,
) -> dict[int, RefineError]:
    """Make what is missing; in a job array, (number, of) only this job's items. Returns the errors by item.

    A broken item does not stop the others; an exception that is not ours to expect (a defect) ends the run.
    """
    folder = plan.stage_folder
    todo = missing_items(folder, step, keys)
    if job is None:
        forget_stale(folder, step, keys)
    else:
        todo = [item for item in todo if item % job[1] == job[0]]
    watcher.begin(step.name, len(keys), len(keys) - len(todo))
    failed: dict[int, RefineError] = {}
    if not todo:
        return failed
    path, digest = save_plan(plan)
    tasks = [(path, digest, step, item, keys[item], run_id) for item in todo]
    for index, result in workers.run(execute, tasks, watcher.tick):
        if isinstance(result, RefineError):
            failed[todo[index]] = result
        else:
            commit(folder, step, result)
            watcher.advance()
    return failed
