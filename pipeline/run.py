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

from corpus import storage
from corpus.dataset import StageFolder, add_counts, part_name
from corpus.errors import ConfigError, InputError, ShardError
from corpus.unicode import UNICODE_VERSION
from filters.ruleset import Ruleset
from pipeline.compiling import compile_missing
from pipeline.config import Recipe
from pipeline.inputs import (
    ARCHIVE_ENDINGS,
    TEXT_ENDINGS,
    Input,
    check_column,
    dataset_folder,
    find_inputs,
    freeze_inputs,
    order_inputs,
    stage_inputs,
)
from pipeline.progress import Progress
from pipeline.stage_run import RunOptions, StageRun, document_keys, run_stage, stage_module, totals
from pipeline.stages import dedup_signals, pack
from pipeline.stages.dedup_against import refuse_other_parameters
from pipeline.steps import Plan, Workers, missing_items, run_step
from pipeline.tokens import Tokenizer

CORPUS = "corpus"  # folder of the packed output


def start_workers(recipe: Recipe) -> Any:
    """The workers that a recipe asks for, as a context manager."""
    from pipeline.cluster import DaskWorkers

    child_bytes = max((stage.section["memory"] for stage in recipe.stages if stage.kind == "extract"), default=0)
    return DaskWorkers(recipe.cluster, child_bytes)


def text_inputs(patterns: Sequence[str]) -> list[Input]:
    """The shards of datasets of ours, and whatever else has text."""
    inputs = []
    for pattern in patterns:
        dataset = dataset_folder(pattern)
        inputs += stage_inputs(dataset) if dataset is not None else find_inputs([pattern], TEXT_ENDINGS)
    return inputs


def first_inputs(recipe: Recipe, patterns: Sequence[str], text_column: str) -> list[Input]:
    """The inputs of the first stage, checked as far as can be before anything starts."""
    if recipe.stages[0].kind == "extract":
        return find_inputs(patterns, ARCHIVE_ENDINGS)
    inputs = text_inputs(patterns)
    check_column(inputs[0], text_column, "set --text-column")
    if recipe.stages[0].section.get("languages"):
        check_column(inputs[0], "language", "find the languages first, or set filter.languages=null")
    return inputs


def check_languages(recipe: Recipe) -> None:
    """What `filter.languages` names are labels of the model by which `extract` finds languages. Raises ConfigError."""
    extract = next((stage.section for stage in recipe.stages if stage.kind == "extract"), None)
    for stage in recipe.stages:
        table = stage.section["languages"] if stage.kind == "filter" else None
        if not table or extract is None:  # corpora that others made have labels of their own
            continue
        if extract["language"] is None:
            raise ConfigError(f"{stage.name}.languages: extract.language is null, so no document has one; set either")
        try:
            Ruleset.load("language", {**extract["language"], "keep": list(table)}).identity()
        except ConfigError as error:
            raise ConfigError(f"{stage.name}.languages: {str(error).removeprefix('language.keep: ')}") from None


def identities(recipe: Recipe) -> list[dict[str, str]]:
    """For each stage the versions that decide its output. Raises ConfigError for a missing model, list or evaluation set."""
    common = {"pyarrow": pa.__version__, "unicode": UNICODE_VERSION}
    tokens = {f"tokenizer: {key}": value for key, value in Tokenizer.load(recipe.output.tokenizer).identity.items()}
    result = []
    for stage in recipe.stages:
        module = stage_module(stage.kind)
        result.append(common | tokens | module.identity(stage.section) | {"output": str(module.OUTPUT_VERSION)})
    for stage, versions in zip(recipe.stages, result, strict=True):
        if stage.kind == "dedup":
            refuse_other_parameters(stage.section, versions)
    check_languages(recipe)
    return result


def _plan(
    recipe: Recipe, number: int, folder: StageFolder, inputs: list[Input], versions: dict[str, str], options: RunOptions
) -> Plan:
    """The plan of stage `number`; only the first reads what others made, and only there a sample is drawn."""
    stage, first = recipe.stages[number], number == 0
    if stage.kind == "dedup":
        versions = versions | dedup_signals.identity(stage.section, inputs)
    return Plan(
        kind=stage.kind,
        folder=folder.url,
        section=stage.section,
        inputs=inputs,
        tokenizer=recipe.output.tokenizer,
        text_column=options.text_column if first else "text",
        sample=options.sample if first else None,
        versions=versions,
    )


def _folder(recipe: Recipe, number: int, options: RunOptions, packed: bool) -> StageFolder:
    return StageFolder(storage.join(options.out, recipe.stages[number].name) if packed else options.out)


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
        if (
            packed
            and _dropped(recipe, options)
            and not any(todo for _, _, todo in _todo(recipe, inputs, versions, options, True, True))
        ):
            return
        if packed:
            _write_run_file(options.out, recipe)
        compile_missing(progress.say)
        workers = stack.enter_context(start_workers(recipe))
        stack.enter_context(progress)
        for number, stage in enumerate(recipe.stages):
            folder = _folder(recipe, number, options, packed)
            plan = _plan(recipe, number, folder, freeze_inputs(folder, inputs), versions[number], options)
            run_id = uuid.uuid4().hex[:12]
            run = StageRun(stage.name, plan, recipe.guards, options, workers, progress, run_id, warn)
            try:
                failures += run_stage(run)
            except ShardError as error:  # a barrier that cannot start: what made it so belongs to the message
                raise ShardError("; ".join([*failures, str(error)])) from None
            if number + 1 < len(recipe.stages):
                inputs = stage_inputs(folder)
        if packed:
            write_corpus(recipe, options, workers, progress)
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
    folder = Path(storage.locate(options.out)[1])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(FileLock(folder / ".lock", timeout=0))
    except Timeout:
        raise InputError(f"{options.out}: another run is writing here; wait for it, or name another --out") from None
    except OSError as error:
        raise InputError(f"{options.out}: cannot be written: {error.strerror}; name another --out") from None


def _corpus_plan(recipe: Recipe, options: RunOptions) -> tuple[Plan, list[str | None]]:
    """The plan of the packed corpus and the key of each of its shards, from the last stage's receipts."""
    last = StageFolder(storage.join(options.out, recipe.stages[-1].name))
    receipts = last.receipts()
    shards = [(last.file("documents", shard), receipts[shard]) for shard in sorted(receipts)]
    pieces = pack.packs(shards, recipe.output.shard_bytes)
    section = recipe.output.model_dump(mode="json")
    versions = {"pyarrow": pa.__version__, "output": str(pack.OUTPUT_VERSION)}
    folder = storage.join(options.out, CORPUS)
    plan = Plan("pack", folder, section, [], recipe.output.tokenizer, "text", None, versions, {"packs": pieces})
    return plan, [plan.key("documents", piece) for piece in pieces]


def write_corpus(recipe: Recipe, options: RunOptions, workers: Workers, progress: Progress) -> None:
    """Pack the last stage's documents into shards of the configured size."""
    progress.stage(CORPUS)
    manifest = storage.read_json(StageFolder(storage.join(options.out, recipe.stages[-1].name)).manifest_file)
    if manifest["missing"] and not options.allow_missing:
        missing = ", ".join(manifest["missing"][:5])
        raise ShardError(
            f"packing needs every shard, but {missing} of {recipe.stages[-1].name} are missing; mend them and run again"
        )
    plan, keys = _corpus_plan(recipe, options)
    folder = plan.stage_folder
    folder.remove_attempts()
    if missing_items(folder, pack.STEP, keys):
        storage.remove(folder.manifest_file)
    failed = run_step(plan, pack.STEP, keys, workers, progress, uuid.uuid4().hex[:12])
    if failed:
        raise ShardError("; ".join(f"{part_name(item)}: {error}" for item, error in failed.items()))
    kept = [row for row in manifest["counts"] if row["reason"] is None]
    storage.write_json(
        folder.manifest_file,
        totals(pack, folder.receipts())
        | {
            "stage": "pack",
            "config": plan.section,
            "versions": manifest["versions"] | plan.versions,
            "tokenizer": plan.tokenizer,
            "counts": add_counts([kept]),
            "notes": manifest["notes"],
            "missing": manifest["missing"],
        },
    )


def drop_intermediate(out: str, recipe: Recipe) -> None:
    """Remove the documents of the stages before the corpus, which has been packed; ledgers stay."""
    for stage in recipe.stages:
        folder = StageFolder(storage.join(out, stage.name))
        storage.remove(storage.join(folder.url, "documents"))
        storage.write_json(folder.manifest_file, storage.read_json(folder.manifest_file) | {"documents_dropped": True})


def _dropped(recipe: Recipe, options: RunOptions) -> bool:
    manifest = StageFolder(storage.join(options.out, recipe.stages[0].name)).manifest_file
    return storage.exists(manifest) and bool(storage.read_json(manifest).get("documents_dropped"))


def _todo(
    recipe: Recipe,
    inputs: list[Input],
    versions: list[dict[str, str]],
    options: RunOptions,
    packed: bool,
    dropped: bool,
) -> list[tuple[str, int, int]]:
    """(stage, shards, shards to make). What follows a stage that changes counts whole; `dropped`: documents may be gone."""
    result = []
    changed = False
    for number, stage in enumerate(recipe.stages):
        folder = _folder(recipe, number, options, packed)
        inputs = order_inputs(folder, inputs)
        plan = _plan(recipe, number, folder, inputs, versions[number], options)
        keys = document_keys(plan)
        n_todo = len(inputs) if changed else len(missing_items(folder, stage_module(stage.kind).STEP, keys, dropped))
        result.append((stage.name, len(inputs), n_todo))
        changed = changed or n_todo > 0
        made = [{"path": folder.file("documents", shard), "identity": None} for shard in range(len(inputs))]
        inputs = made if changed else stage_inputs(folder)
    if packed:
        plan, keys = _corpus_plan(recipe, options)
        result.append(
            (CORPUS, len(keys), len(missing_items(plan.stage_folder, pack.STEP, keys)) if not changed else len(keys))
        )
    return result


def dry_run(
    recipe: Recipe, patterns: Sequence[str], options: RunOptions, *, packed: bool
) -> list[tuple[str, int, int]]:
    """(stage, shards, shards to make) without doing anything; what follows a stage that will change counts whole."""
    inputs = first_inputs(recipe, patterns, options.text_column)
    versions = identities(recipe)
    finished = _todo(recipe, inputs, versions, options, packed, dropped=True)
    if packed and _dropped(recipe, options) and not any(todo for _, _, todo in finished):
        return finished
    return _todo(recipe, inputs, versions, options, packed, dropped=False)
