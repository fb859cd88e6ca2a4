"""A run: the stages of a recipe in order, each resumed from what is there, guarded, and closed by a manifest.

Map stages go on past a broken shard and the run ends non-zero with a list; a barrier (dedup, decontamination's document
frequencies, packing) refuses to start while a shard is missing, unless `--allow-missing`.
"""

import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock, Timeout
from fsspec.core import url_to_fs

from corpus import storage
from corpus.dataset import StageFolder, add_counts, part_name
from corpus.errors import InputError, ShardError
from corpus.unicode import UNICODE_VERSION
from pipeline.config import Recipe
from pipeline.inputs import (
    ARCHIVE_ENDINGS,
    TEXT_ENDINGS,
    Input,
    check_text_column,
    find_inputs,
    freeze_inputs,
    stage_inputs,
)
from pipeline.progress import Progress
from pipeline.stage_run import RunOptions, StageRun, document_keys, is_barrier, run_stage, stage_module
from pipeline.stages import pack
from pipeline.steps import Plan, Workers, missing_items, run_step
from pipeline.tokens import Tokenizer

CORPUS = "corpus"  # folder of the packed output


def start_workers(recipe: Recipe) -> Any:
    """The workers that a recipe asks for, as a context manager."""
    from pipeline.cluster import DaskWorkers

    child_bytes = max((stage.section["memory"] for stage in recipe.stages if stage.kind == "extract"), default=0)
    return DaskWorkers(recipe.cluster, child_bytes)


def first_inputs(recipe: Recipe, patterns: Sequence[str], text_column: str) -> list[Input]:
    """The inputs of the first stage, checked as far as can be before anything starts."""
    if recipe.stages[0].kind == "extract":
        return find_inputs(patterns, ARCHIVE_ENDINGS)
    expanded = [_documents_folder(pattern) for pattern in patterns]
    inputs = find_inputs(expanded, TEXT_ENDINGS)
    check_text_column(inputs[0], text_column)
    return inputs


def _documents_folder(pattern: str) -> str:
    """A dataset of ours is named by its folder; its documents are what is read."""
    if storage.exists(storage.join(pattern, "run.json")):
        names = storage.read_json(storage.join(pattern, "run.json"))["stages"]
        return storage.join(pattern, names[-1], "documents")
    return storage.join(pattern, "documents") if storage.exists(storage.join(pattern, "manifest.json")) else pattern


def identities(recipe: Recipe) -> list[dict[str, str]]:
    """For each stage the versions that decide its output. Raises ConfigError for a missing model, list or evaluation set."""
    common = {"pyarrow": pa.__version__, "unicode": UNICODE_VERSION}
    tokens = {f"tokenizer: {key}": value for key, value in Tokenizer.load(recipe.output.tokenizer).identity.items()}
    result = []
    for stage in recipe.stages:
        module = stage_module(stage.kind)
        result.append(common | tokens | module.identity(stage.section) | {"output": str(module.OUTPUT_VERSION)})
    return result


def run_recipe(
    recipe: Recipe,
    patterns: Sequence[str],
    options: RunOptions,
    progress: Progress,
    warn: Callable[[str], None],
    *,
    packed: bool,
) -> None:
    """Run every stage. `packed`: a whole run with a folder a stage and a packed corpus; else the one stage is `options.out`.

    Raises ShardError at the end if shards failed, GuardError or ShardError at a barrier.
    """
    inputs = first_inputs(recipe, patterns, options.text_column)
    versions = identities(recipe)
    failures: list[str] = []
    with ExitStack() as stack:
        _lock(stack, options)
        if packed:
            _write_run_file(options.out, recipe)
        workers = stack.enter_context(start_workers(recipe))
        stack.enter_context(progress)
        for number, stage in enumerate(recipe.stages):
            folder = StageFolder(storage.join(options.out, stage.name) if packed else options.out)
            first = number == 0
            plan = Plan(
                kind=stage.kind,
                folder=folder.url,
                section=stage.section,
                inputs=freeze_inputs(folder, inputs),
                tokenizer=recipe.output.tokenizer,
                text_column=options.text_column if first else "text",
                sample=options.sample if first else None,
                versions=versions[number],
            )
            run_id = uuid.uuid4().hex[:12]
            run = StageRun(stage.name, plan, recipe.guards, options, workers, progress, run_id, warn)
            failures += run_stage(run)
            inputs = stage_inputs(folder)
        if packed:
            write_corpus(
                StageFolder(storage.join(options.out, recipe.stages[-1].name)), recipe, options, workers, progress
            )
            if options.drop_intermediate and not failures:
                drop_intermediate(options.out, recipe)
    if failures:
        raise ShardError("; ".join(failures))


def _write_run_file(out: str, recipe: Recipe) -> None:
    names = [stage.name for stage in recipe.stages] + [CORPUS]
    decided = recipe.model_dump(mode="json", exclude={"cluster"})
    storage.write_json(storage.join(out, "run.json"), {"stages": names, "recipe": decided})


def _lock(stack: ExitStack, options: RunOptions) -> None:
    """One process drives a run. (The jobs of an array each make their own items, so they need none.)"""
    if options.job is not None or not storage.is_local(options.out):
        return
    folder = Path(url_to_fs(options.out)[1])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(FileLock(folder / ".lock", timeout=0))
    except Timeout:
        raise InputError(f"{options.out}: another run is writing here; wait for it, or name another --out") from None
    except OSError as error:
        raise InputError(f"{options.out}: cannot be written: {error.strerror}; name another --out") from None


def write_corpus(last: StageFolder, recipe: Recipe, options: RunOptions, workers: Workers, progress: Progress) -> None:
    """Pack the last stage's documents into shards of the configured size."""
    progress.stage(CORPUS)
    receipts = last.receipts()
    n_inputs = len(storage.read_json(last.inputs_file))
    missing = [part_name(shard) for shard in range(n_inputs) if shard not in receipts]
    if missing and not options.allow_missing:
        raise ShardError(
            f"packing needs every shard, but {', '.join(missing[:5])} of {last.url} are missing; mend them and run again"
        )
    plans = pack.packs(
        [(last.file("documents", shard), receipts[shard]) for shard in sorted(receipts)], recipe.output.shard_bytes
    )
    folder = StageFolder(storage.join(options.out, CORPUS))
    section = recipe.output.model_dump(mode="json")
    versions = {"pyarrow": pa.__version__, "output": str(pack.OUTPUT_VERSION)}
    plan = Plan("pack", folder.url, section, [], recipe.output.tokenizer, "text", None, versions, {"packs": plans})
    keys = [plan.key("documents", pieces) for pieces in plans]
    folder.remove_attempts()
    failed = run_step(plan, pack.STEP, keys, workers, progress, uuid.uuid4().hex[:12])
    if failed:
        raise ShardError("; ".join(f"{part_name(item)}: {error}" for item, error in failed.items()))
    for item in folder.receipts():
        if item >= len(plans):  # an earlier, longer plan
            storage.remove(folder.receipt_file("documents", item))
            storage.remove(folder.file("documents", item))
    made = folder.receipts()
    manifest = storage.read_json(last.manifest_file)
    totals = add_counts([[row for row in manifest["counts"] if row["reason"] is None]])
    storage.write_json(
        folder.manifest_file,
        {
            "stage": "pack",
            "config": section,
            "versions": manifest["versions"] | versions,
            "tokenizer": recipe.output.tokenizer,
            "rows_in": sum(receipt.rows_in for receipt in made.values()),
            "counts": totals,
            "notes": manifest["notes"],
            "missing": missing,
            "shards": {part_name(item): receipt.outputs for item, receipt in sorted(made.items())},
        },
    )


def drop_intermediate(out: str, recipe: Recipe) -> None:
    """Remove the documents of the stages before the corpus, which has been packed; ledgers stay."""
    for stage in recipe.stages:
        folder = StageFolder(storage.join(out, stage.name))
        storage.remove(storage.join(folder.url, "documents"))
        storage.write_json(folder.manifest_file, storage.read_json(folder.manifest_file) | {"documents_dropped": True})


def dry_run(
    recipe: Recipe, patterns: Sequence[str], options: RunOptions, *, packed: bool
) -> list[tuple[str, int, int]]:
    """(stage, shards, shards to make) without doing anything; what follows a stage that will change is made again whole."""
    inputs = first_inputs(recipe, patterns, options.text_column)
    versions = identities(recipe)
    result = []
    changed = False
    for number, stage in enumerate(recipe.stages):
        folder = StageFolder(storage.join(options.out, stage.name) if packed else options.out)
        known = storage.exists(folder.inputs_file)
        first = number == 0
        plan = Plan(
            stage.kind, folder.url, stage.section, inputs, recipe.output.tokenizer,
            options.text_column if first else "text", options.sample if first else None, versions[number],
        )  # fmt: skip
        unknown = (changed and is_barrier(stage.kind)) or not known
        todo = (
            len(inputs) if unknown else len(missing_items(folder, stage_module(stage.kind).STEP, document_keys(plan)))
        )
        result.append((stage.name, len(inputs), todo))
        changed = changed or todo > 0
        if known and not changed:
            inputs = stage_inputs(folder)
    return result
