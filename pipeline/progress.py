"""Progress while a run goes on: a live line on a terminal, a plain line every half minute in a batch job's log."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

from corpus.dataset import Receipt

PLAIN_SECONDS = 30.0


class Progress:
    """Told of each finished item; shows items, documents a second and the time left. A context manager."""

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

    def advance(self, receipt: Receipt) -> None:
        """One item of the step is committed."""
        self._done += 1
        self._documents += receipt.rows_in
        now = time.monotonic()
        seconds = max(now - self._began, 1e-9)
        rate = f"{self._documents / seconds:,.0f} documents/s" if self._documents else ""
        if self._bars is not None:
            self._bars.update(self._bars.task_ids[0], advance=1, rate=rate)
        elif now - self._spoke >= PLAIN_SECONDS:
            left = seconds / self._done * (self._total - self._done)
            self._console.print(
                f"{self._label}: {self._done} of {self._total}, {rate}, about {left:,.0f} s left", highlight=False
            )
            self._spoke = now
