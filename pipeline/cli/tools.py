"""Commands that look at a dataset or make something beside it."""

from typing import Annotated

import typer

from pipeline.cli.shared import Dataset, app, err_console, out_console, say, show_contamination


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
        show_contamination(dataset)
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

    made = replay_dataset(dataset, say, timeout_seconds)
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

    compile_missing(say)
    out_console.print(str(compile_blocklist(patterns, out)), markup=False, highlight=False)
