"""The `refine` command. Heavy imports happen inside the commands that need them, so that `--help` answers at once."""

import sys

from rich.markup import escape

from corpus.errors import RefineError
from pipeline.cli import stages, tools
from pipeline.cli.shared import app, err_console

__all__ = ["app", "main", "stages", "tools"]

STOPPED = 130  # what typer makes of Ctrl-C


def main() -> None:
    """Entry point: errors of ours, and those of a disk or a network, become one line and an exit code."""
    try:
        app()
    except RefineError as error:
        _print_error(str(error))
        sys.exit(error.exit_code)
    except SystemExit as ended:
        if ended.code == STOPPED:
            err_console.print("stopped; run the same command again to go on")
        raise
    except _access_errors() as error:
        _print_error(f"{error}; mend the path, the rights, the connection or the disk, then run the same command again")
        sys.exit(RefineError.exit_code)


def _access_errors() -> tuple[type[Exception], ...]:
    from corpus.storage import access_errors

    return access_errors()


def _print_error(message: str) -> None:
    err_console.print(f"[bold red]error:[/] {escape(' '.join(message.split()))}", highlight=False, soft_wrap=True)
