"""Speeds by alternated runs, and the machine they were measured on.

Each of several callables runs once to warm up and then in turns, round after round, so that a busy stretch of a shared machine
hits all of them. Wall clock is what speeds are made of; CPU time (this process and its children) stands beside it, and says
by its distance how much the machine was busy with something else.
"""

import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]  # distributed needs it, so it is here
from llvmlite import binding

from corpus.errors import InputError

MIN_ROUNDS = 3
_PACKAGES = (
    "numba", "numpy", "pyarrow", "datasketch", "fasttext-predict", "fastwarc", "resiliparse", "trafilatura", "lxml",
    "tiktoken", "tokenizers",
)  # fmt: skip

Work = dict[str, tuple[Callable[[], object], float]]
"""A name for each callable, and how many units of work one call of it does."""


@dataclass(frozen=True, slots=True)
class Speed:
    """`unit` a second: of the median round, the quartiles, the slowest and the fastest; `cpu` by CPU time, its median.

    `ratio`: how many times as fast as the first entry of the same comparison; the median over rounds of the two in one round.
    """

    name: str
    unit: str
    median: float
    lower_quartile: float
    upper_quartile: float
    slowest: float
    fastest: float
    cpu: float
    rounds: int
    ratio: float


@dataclass(slots=True)
class Findings:
    """What a benchmark found. `facts`: sizes, counts, scores, and whether two implementations agreed."""

    input: str
    speeds: list[Speed] = field(default_factory=list)
    facts: dict[str, float | int | str | bool] = field(default_factory=dict)


def compare(work: Work, unit: str, seconds: float) -> list[Speed]:
    """Speeds of callables, alternated for about `seconds` in all, after one round that is not measured.

    At least MIN_ROUNDS rounds, whatever they take. Raises InputError where there is no work: a speed of nothing means nothing,
    and two sides that did nothing agree.
    """
    for name, (call, amount) in work.items():
        if amount <= 0:
            raise InputError(
                f"{name}: the data folder has no input for it; see benchmarks/inputs.py for what it should hold"
            )
        call()
    wall: dict[str, list[float]] = {name: [] for name in work}
    cpu: dict[str, list[float]] = {name: [] for name in work}
    end = time.perf_counter() + seconds
    n_rounds = 0
    while n_rounds < MIN_ROUNDS or time.perf_counter() < end:
        n_rounds += 1
        for name, (call, _) in work.items():
            children = children_cpu_seconds()
            own, started = time.process_time(), time.perf_counter()
            call()
            wall[name].append(time.perf_counter() - started)
            own = time.process_time() - own  # before asking for the children, which takes milliseconds
            cpu[name].append(own + children_cpu_seconds() - children)
    (baseline, (_, baseline_amount)) = next(iter(work.items()))
    baseline_rates = baseline_amount / np.array(wall[baseline])
    speeds = []
    for name, (_, amount) in work.items():
        rates = amount / np.array(wall[name])
        slowest, lower, median, upper, fastest = np.quantile(rates, [0, 0.25, 0.5, 0.75, 1]).tolist()
        by_cpu = amount / max(float(np.median(cpu[name])), 1e-9)
        ratio = float(np.median(rates / baseline_rates))
        speeds.append(Speed(name, unit, median, lower, upper, slowest, fastest, by_cpu, n_rounds, ratio))
    return speeds


def children_cpu_seconds() -> float:
    """CPU time so far of this process's children, of those that ended and of those that live (by clock ticks, 10 ms)."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = 0.0
    for child in psutil.Process().children():
        times = child.cpu_times()
        living += times.user + times.system
    return ended.ru_utime + ended.ru_stime + living


def peak_memory_mb() -> float:
    """The most memory this process has had resident, in 10**6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def machine() -> dict[str, Any]:
    """Kind of machine, how busy it is, and the versions of what is measured; no name of it."""
    features = binding.get_host_cpu_features()
    vector = [name for name in ("avx512f", "avx2", "neon", "sve") if features.get(name)]
    return {
        "cores": os.cpu_count(),
        "cpu": binding.get_host_cpu_name(),
        "vector": vector,
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _PACKAGES},
    }
