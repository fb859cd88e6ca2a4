"""The `refine` command. Heavy imports happen inside the commands that need them, so that `--help` answers at once."""

import sys

from rich.markup import escape

from corpus.errors import RefineError
from pipeline.cli import stages, tools
from pipeline.cli.shared import app, err_console

__all__ = ["app", "main", "stages", "tools"]


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
