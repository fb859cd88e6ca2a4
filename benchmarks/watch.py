"""A run of the `refine` command in a process of its own, watched from outside: what each of its steps takes.

Steps begin where the command says so (`dedup: bands: 20 to make`). Memory is that of all its processes together without what
they share, sampled ten times a second, so a peak that lasts a moment is missed. Disk is what has been written below the folder.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # distributed needs it, so it is here

from benchmarks.measure import children_cpu_seconds

_SAMPLE_SECONDS = 0.1


@dataclass(slots=True)
class StepTook:
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    disk_mb: float = 0.0  # that the step has added

    def add(self, other: "StepTook") -> None:
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds
        self.peak_memory_mb = max(self.peak_memory_mb, other.peak_memory_mb)
        self.disk_mb += other.disk_mb


class _Memory:
    """Samples the memory of a process and those below it until it ends."""

    def __init__(self, process_id: int) -> None:
        self.peak_mb = 0.0
        self._process = psutil.Process(process_id)
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            own = 0
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in [self._process, *self._process.children(recursive=True)]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        own += process.memory_full_info().uss
            self.peak_mb = max(self.peak_mb, own / 1e6)
            time.sleep(_SAMPLE_SECONDS)

    def take(self) -> float:
        """The peak since the last call."""
        peak, self.peak_mb = self.peak_mb, 0.0
        return peak

    def join(self) -> None:
        self._thread.join()


def disk_mb(folder: Path) -> float:
    """10**6 bytes in the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def watch(arguments: list[str], out: Path) -> dict[str, StepTook]:
    """Run `refine` with these arguments, which write to `out`. What each step took; the first, "start", is before the others.

    RuntimeError if it fails.
    """
    command = [str(Path(sys.executable).with_name("refine")), *arguments]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    steps, said = {"start": StepTook()}, ""
    name, began, cpu, disk = "start", time.perf_counter(), children_cpu_seconds(), 0.0

    def ends(step: str) -> tuple[float, float, float]:
        now, cpu_now, disk_now = time.perf_counter(), children_cpu_seconds(), disk_mb(out)
        steps[step].add(StepTook(now - began, cpu_now - cpu, memory.take(), disk_now - disk))
        return now, cpu_now, disk_now

    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        memory = _Memory(process.pid)
        for said in process.stderr:
            if " to make" in said:
                began, cpu, disk = ends(name)
                name = said.split(" to make")[0].rsplit(":", 1)[0].removeprefix("dedup: ")
                steps.setdefault(name, StepTook())
    memory.join()
    ends(name)
    if process.returncode:
        raise RuntimeError(f"refine {' '.join(arguments)}: {said.strip()}")
    return steps
