"""The `refine` command. Heavy imports happen inside the commands that need them, so that `--help` answers at once."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from corpus.errors import ConfigError, RefineError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn web archives into a pretraining corpus, with a ledger of every verdict.",
)
PLAIN_WIDTH = 120  # of tables in a batch job's log or a pipe, where there is no terminal to ask
out_console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
err_console = Console(stderr=True)

Inputs = Annotated[list[str], typer.Argument(help="Files, folders or patterns; any fsspec URL.", show_default=False)]
Dataset = Annotated[str, typer.Argument(help="The folder of a run, or of one stage.", show_default=False)]
Out = Annotated[str, typer.Option("--out", help="Folder (or URL) to write; a rerun resumes it.", show_default=False)]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Set any key of the recipe; repeatable.")
]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=0, help="Worker processes (0: in this process).")]
Scheduler = Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler, tcp://….")]
TextColumn = Annotated[str, typer.Option("--text-column", help="The text column of a corpus that others made.")]
Sample = Annotated[float | None, typer.Option("--sample", help="Only this fraction of the documents, by hash of id.")]
AllowExtreme = Annotated[bool, typer.Option("--allow-extreme", help="Go on where a guard would stop the run.")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Go on at a barrier although shards are missing.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be made, and stop.")]
Config = Annotated[str | None, typer.Option("--config", help="A recipe; the first stage of this kind in it is used.")]
Job = Annotated[
    str | None, typer.Option("--shard", metavar="I/N", help="Make every Nth shard from I on: one job of a job array.")
]


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
            recipe, inputs, out or scratch, workers, scheduler, False, packed=False, show=_show_contamination,
            text_column=form, sample=sample,
        )  # fmt: skip
    if out is not None:
        err_console.print(
            f"wrote {out.rstrip('/')}/contamination.json, .csv and report.html", highlight=False, markup=False
        )


def _show_contamination(out: str) -> None:
    from pipeline.report import open_run
    from pipeline.report.contamination import contamination_view, read_contamination

    for stage in open_run(out):
        if table := read_contamination(stage):
            out_console.print(contamination_view(table))


def _show_result(out: str) -> None:
    from pipeline.report.funnel import funnel, funnel_table

    out_console.print(funnel_table(funnel(out)))
    _show_contamination(out)


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
    run_recipe(recipe, inputs, chosen, Progress(err_console), _warn, packed=packed)
    from pipeline.report.html import write_html

    show(out)
    write_html(out, f"{out.rstrip('/')}/report.html")


def _say(message: str) -> None:
    err_console.print(message, highlight=False)


def _warn(message: str) -> None:
    err_console.print(f"warning: {message}", style="yellow", markup=False, highlight=False)


@app.command()
def report(
    dataset: Dataset,
    by: Annotated[str | None, typer.Option("--by", help="domain, language or dump.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the funnel as JSON.")] = False,
    html: Annotated[
        str | None, typer.Option("--html", help="Where to write the HTML file; DATASET/report.html if not given.")
    ] = None,
) -> None:
    """Print the funnel and write one self-contained HTML file."""
    from pipeline.report.funnel import funnel, funnel_json, funnel_table
    from pipeline.report.html import write_html

    found = funnel(dataset, by)
    if json:
        typer.echo(funnel_json(found))
    else:
        out_console.print(funnel_table(found))
        _show_contamination(dataset)
    path = html or f"{dataset.rstrip('/')}/report.html"
    write_html(dataset, path)
    err_console.print(f"wrote {path}", highlight=False, markup=False)


@app.command()
def explain(
    dataset: Dataset, page: Annotated[str, typer.Argument(help="A URL or a record id.", show_default=False)]
) -> None:
    """Tell the story of one page through all stages."""
    from pipeline.report.explain import explain as explain_page
    from pipeline.report.explain import render

    out_console.print(render(explain_page(dataset, page)))


@app.command()
def sample(
    dataset: Dataset,
    reason: Annotated[
        str,
        typer.Option("--reason", help="A reason, or the beginning of one; 'kept' for kept ones.", show_default=False),
    ],
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 20,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Show rejected documents with their text."""
    from pipeline.report.sample import render
    from pipeline.report.sample import sample as sample_rows

    out_console.print(render(sample_rows(dataset, reason, n, seed)))


@app.command()
def verify(dataset: Dataset) -> None:
    """Check every checksum and count of a dataset."""
    from pipeline.verify import verify as verify_dataset

    result = verify_dataset(dataset)
    for note in result.notes:
        out_console.print(note, markup=False, highlight=False)
    for problem in result.problems:
        err_console.print(problem, style="red", markup=False, highlight=False)
    if result.problems:
        raise typer.Exit(6)
    out_console.print(str(result), markup=False, highlight=False)


@app.command()
def replay(
    dataset: Dataset,
    timeout_seconds: Annotated[
        float | None, typer.Option("--timeout-seconds", min=0, help="CPU seconds a page; as in the run if not given.")
    ] = None,
) -> None:
    """Run the pages again that timed out, crashed or ran out of memory."""
    from pipeline.replay import replay as replay_dataset

    made = replay_dataset(dataset, _say, timeout_seconds)
    out_console.print(made, markup=False, highlight=False)


@app.command()
def blocklist(
    patterns: Annotated[
        list[str], typer.Argument(help="Lists of domains and URLs, plain or gzip.", show_default=False)
    ],
    out: Annotated[str, typer.Option("--out", help="The index to write.", show_default=False)],
) -> None:
    """Compile blocklists into one index that runs can map into memory."""
    from filters.url_lists.compile import compile_blocklist
    from pipeline.compiling import compile_missing

    compile_missing(_say)
    out_console.print(str(compile_blocklist(patterns, out)), markup=False, highlight=False)


def main() -> None:
    """Entry point: errors of ours become one line and their exit code."""
    try:
        app()
    except RefineError as error:
        message = " ".join(str(error).split())
        err_console.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err_console.print("stopped; run the same command again to go on")
        sys.exit(130)
