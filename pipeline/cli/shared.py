"""What commands share: the application, their options, and where they print."""

import sys
from typing import Annotated

import typer
from rich.console import Console

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


def say(message: str) -> None:
    err_console.print(message, highlight=False)


def warn(message: str) -> None:
    err_console.print(f"warning: {message}", style="yellow", markup=False, highlight=False)


def show_contamination(out: str) -> None:
    from pipeline.report import open_run
    from pipeline.report.contamination import contamination_view, read_contamination

    for stage in open_run(out):
        if table := read_contamination(stage):
            out_console.print(contamination_view(table))
