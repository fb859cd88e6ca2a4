"""Progress while a run goes on: a live line on a terminal, a plain line every half minute in a batch job's log."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

PLAIN_SECONDS = 30.0


class Progress:
    """Told of rows and items as they are done; shows items, documents a second and the time left. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._stage = self._label = ""
        self._task: int | None = None
        self._total = self._done = self._documents = 0
        self._began = self._spoke = 0.0

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description:<28}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def say(self, message: str) -> None:
        self._console.print(message, highlight=False)

    def stage(self, name: str) -> None:
        self._stage = name

    def begin(self, step: str, n_items: int, n_done: int) -> None:
        """A step of `n_items` items begins, of which `n_done` are there from an earlier run."""
        self._label = self._stage if step == "documents" else f"{self._stage}: {step}"
        self._total, self._done, self._documents = n_items - n_done, 0, 0
        self._began = self._spoke = time.monotonic()
        if self._bars is not None:
            if self._task is not None:
                self._bars.remove_task(self._bars.task_ids[0])
            self._task = self._bars.add_task(self._label, total=n_items, completed=n_done, rate="")
        else:
            again = f", {n_done} are there already" if n_done else ""
            self._console.print(f"{self._label}: {n_items} to make{again}", highlight=False)

    def tick(self, n_rows: int) -> None:
        """So many more rows are done, in items that are still being made."""
        self._documents += n_rows
        self._show()

    def advance(self) -> None:
        """One item of the step is committed."""
        self._done += 1
        if self._bars is not None:
            self._bars.update(self._bars.task_ids[0], advance=1)
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        seconds = max(now - self._began, 1e-9)
        rate = f"{self._documents / seconds:,.0f} documents/s" if self._documents else ""
        if self._bars is not None:
            self._bars.update(self._bars.task_ids[0], rate=rate)
        elif now - self._spoke >= PLAIN_SECONDS:
            left = f", about {seconds / self._done * (self._total - self._done):,.0f} s left" if self._done else ""
            done = f"{self._done} of {self._total}, {self._documents:,} documents, {rate}{left}"
            self._console.print(f"{self._label}: {done}", highlight=False)
            self._spoke = now
