"""Kernels are compiled before workers start: once a machine, in several processes, and said aloud.

The kernels of all modules that a run has imported, which are those of its stages and rule sets, are looked up in the cache.
Where some are missing, this process goes through them from the first on, and helpers (this module, run as a program) from
other places in the same list. Each leaves alone what another is compiling; what a helper fails at is left to this process.

All kernels take about a minute of CPU time, half a minute on two free cores (`python -m benchmarks --only compiling`).
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from corpus import kernels
from corpus.modules import load_module, loadable_name

MAX_PROCESSES = 4  # the kernel that takes longest takes a quarter of what all take
SECONDS_A_KERNEL = 1.5  # for the message


def compile_missing(say: Callable[[str], None]) -> None:
    """Compile what has been imported and is not in the cache; `say` hears of it only where there is something to do."""
    missing = [kernel for kernel in kernels.imported if not kernel.is_compiled()]
    if not missing:
        return
    n_processes = min(MAX_PROCESSES, len(missing), os.cpu_count() or 1)
    n_kernels = f"{len(missing)} kernels" if len(missing) > 1 else "a kernel"
    seconds = SECONDS_A_KERNEL * len(missing) / n_processes
    say(f"compiling {n_kernels} for this machine, once (about {seconds:.0f} s)")
    with ExitStack() as stack:
        for number in range(1, n_processes):
            start = len(missing) * number // n_processes
            helper = stack.enter_context(_start_helper(missing[start:] + missing[:start]))
            stack.callback(helper.terminate)
        for kernel in missing:
            kernel.compile(wait=False)
        for kernel in missing:
            kernel.compile()


def _start_helper(missing: Sequence[kernels.Kernel]) -> "subprocess.Popen[bytes]":
    names = [(loadable_name(kernel.function.__module__), kernel.function.__name__) for kernel in missing]
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.compiling", *(f"{module}:{name}" for module, name in names if module)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _help(names: Sequence[str]) -> None:
    for name in names:
        module, _, function = name.rpartition(":")
        loaded = load_module("filters", module).__name__
        for kernel in kernels.imported:
            if (kernel.function.__module__, kernel.function.__name__) == (loaded, function):
                kernel.compile(wait=False)


if __name__ == "__main__":
    _help(sys.argv[1:])
