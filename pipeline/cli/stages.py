"""Commands that run stages: all of a recipe, or one."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from corpus.errors import ConfigError
from pipeline.cli.shared import (
    AllowExtreme,
    AllowMissing,
    Config,
    DryRun,
    Inputs,
    Job,
    Out,
    Sample,
    Scheduler,
    Settings,
    TextColumn,
    WorkersOption,
    app,
    err_console,
    out_console,
    show_contamination,
    warn,
)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe, such as configs/refinedweb.yaml.", show_default=False)],
    input: Annotated[
        list[str], typer.Option("--input", help="Files, folders or patterns; repeatable.", show_default=False)
    ],
    out: Out,
    set: Settings = None,
    workers: WorkersOption = None,
    scheduler: Scheduler = None,
    text_column: TextColumn = "text",
    sample: Sample = None,
    allow_extreme: AllowExtreme = False,
    allow_missing: AllowMissing = False,
    dry_run: DryRun = False,
    keep_intermediate: Annotated[
        bool, typer.Option("--keep-intermediate/--drop-intermediate", help="Keep the documents of earlier stages.")
    ] = True,
) -> None:
    """Run every stage of a recipe and pack the corpus."""
    from pipeline.config import read_recipe

    _run(
        read_recipe(recipe, set), input, out, workers, scheduler, dry_run, packed=True,
        text_column=text_column, sample=sample, allow_extreme=allow_extreme, allow_missing=allow_missing,
        drop_intermediate=not keep_intermediate,
    )  # fmt: skip


def _stage_command(kind: str, summary: str) -> Callable[..., None]:
    def command(
        inputs: Inputs,
        out: Out,
        config: Config = None,
        set: Settings = None,
        workers: WorkersOption = None,
        scheduler: Scheduler = None,
        text_column: TextColumn = "text",
        sample: Sample = None,
        allow_extreme: AllowExtreme = False,
        allow_missing: AllowMissing = False,
        dry_run: DryRun = False,
        shard: Job = None,
    ) -> None:
        from pipeline.config import stage_recipe

        _run(
            stage_recipe(kind, config, set), inputs, out, workers, scheduler, dry_run, packed=False,
            text_column=text_column, sample=sample, allow_extreme=allow_extreme, allow_missing=allow_missing, job=_job(shard),
        )  # fmt: skip

    command.__doc__ = summary
    return command


for _kind, _summary in {
    "extract": "Web archives (WARC, ARC, WET) in, documents out.",
    "filter": "Apply rule sets to documents: ours, or any Parquet or JSONL with a text column.",
}.items():
    app.command(_kind)(_stage_command(_kind, _summary))


@app.command()
def dedup(
    inputs: Inputs,
    out: Out,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", help="An earlier run, whose documents shall not come again; repeatable, oldest first."
        ),
    ] = None,
    config: Config = None,
    set: Settings = None,
    workers: WorkersOption = None,
    scheduler: Scheduler = None,
    text_column: TextColumn = "text",
    sample: Sample = None,
    allow_extreme: AllowExtreme = False,
    allow_missing: AllowMissing = False,
    dry_run: DryRun = False,
) -> None:
    """Remove duplicate URLs, texts and near-duplicates."""
    from json import dumps

    from pipeline.config import stage_recipe

    settings = [*(set or []), *([f"dedup.against={dumps(against)}"] if against else [])]
    _run(
        stage_recipe("dedup", config, settings), inputs, out, workers, scheduler, dry_run, packed=False,
        text_column=text_column, sample=sample, allow_extreme=allow_extreme, allow_missing=allow_missing,
    )  # fmt: skip


@app.command()
def decontaminate(
    inputs: Inputs,
    out: Out,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Plant altered items into this text instead; write how many are found.")
    ] = False,
    config: Config = None,
    set: Settings = None,
    workers: WorkersOption = None,
    scheduler: Scheduler = None,
    text_column: TextColumn = "text",
    sample: Sample = None,
    allow_extreme: AllowExtreme = False,
    allow_missing: AllowMissing = False,
    dry_run: DryRun = False,
) -> None:
    """Find evaluation items in documents, and remove them."""
    from pipeline.config import stage_recipe

    recipe = stage_recipe("decontaminate", config, set)
    if self_test:
        from pipeline.self_test import report as report_recall

        out_console.print(report_recall(recipe, inputs, text_column, out))
        return
    _run(
        recipe, inputs, out, workers, scheduler, dry_run, packed=False,
        text_column=text_column, sample=sample, allow_extreme=allow_extreme, allow_missing=allow_missing,
    )  # fmt: skip


@app.command()
def contamination(
    inputs: Inputs,
    evals: Annotated[
        list[str] | None, typer.Option("--evals", help="Evaluation sets: files, folders or patterns; repeatable.")
    ] = None,
    fields: Annotated[
        str | None, typer.Option("--fields", help="A YAML that says which fields of these sets hold their text.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", help="Folder for ledger, table and report; a rerun resumes it.")
    ] = None,
    config: Annotated[str | None, typer.Option("--config", help="A recipe whose `decontaminate` says how.")] = None,
    set: Settings = None,
    workers: WorkersOption = None,
    scheduler: Scheduler = None,
    text_column: Annotated[
        str | None, typer.Option("--text-column", help="Column(s) of the text, such as messages; found if not given.")
    ] = None,
    sample: Sample = None,
) -> None:
    """Measure which evaluation items a corpus has, anybody's, and change nothing."""
    import json
    from tempfile import TemporaryDirectory

    from pipeline.config import stage_recipe
    from pipeline.inputs import find_text
    from pipeline.run import text_inputs

    given = {"evals": evals, "fields": fields}
    named = [f"decontaminate.{key}={json.dumps(value)}" for key, value in given.items() if value]
    recipe = stage_recipe("decontaminate", config, [*(set or []), *named])
    (stage,) = recipe.stages
    if not stage.section["evals"]:
        raise ConfigError("no evaluation sets given; name files or folders by --evals")
    stage.kind = stage.name = "contamination"
    stage.section["action"] = "tag"
    form = text_column or find_text(text_inputs(inputs))
    err_console.print(f"text: {form}", highlight=False, markup=False)
    with TemporaryDirectory(prefix="refine-") as scratch:
        _run(
            recipe, inputs, out or scratch, workers, scheduler, False, packed=False, show=show_contamination,
            text_column=form, sample=sample,
        )  # fmt: skip
    if out is not None:
        err_console.print(
            f"wrote {out.rstrip('/')}/contamination.json, .csv and report.html", highlight=False, markup=False
        )


def _show_result(out: str) -> None:
    from pipeline.report.funnel import funnel, funnel_table

    out_console.print(funnel_table(funnel(out)))
    show_contamination(out)


def _job(shard: str | None) -> tuple[int, int] | None:
    if shard is None:
        return None
    number, _, of = shard.partition("/")
    if not (number.isdigit() and of.isdigit() and int(number) < int(of)):
        raise ConfigError(f"--shard {shard}: should be I/N with 0 <= I < N, such as 0/100")
    return int(number), int(of)


def _run(
    recipe: Any,
    inputs: list[str],
    out: str,
    workers: int | None,
    scheduler: str | None,
    dry: bool,
    *,
    packed: bool,
    show: Callable[[str], None] = _show_result,
    **options: Any,
) -> None:
    from pipeline.progress import Progress
    from pipeline.run import dry_run, run_recipe
    from pipeline.stage_run import RunOptions

    if not out.strip():
        raise ConfigError("--out: empty; name a folder")
    if (sample := options["sample"]) is not None and not 0 < sample <= 1:
        raise ConfigError(f"--sample {sample}: should be a fraction above 0, at most 1")
    if workers is not None:
        recipe.cluster.workers = workers
    if scheduler is not None:
        recipe.cluster.scheduler = scheduler
    chosen = RunOptions(out, **options)
    if dry:
        for name, n_shards, n_todo in dry_run(recipe, inputs, chosen, packed=packed):
            out_console.print(f"{name}: {n_todo} of {n_shards} shards to make", highlight=False)
        return
    run_recipe(recipe, inputs, chosen, Progress(err_console), warn, packed=packed)
    from pipeline.report.html import write_html

    show(out)
    write_html(out, f"{out.rstrip('/')}/report.html")
