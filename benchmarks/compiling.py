"""Claim: all kernels are compiled in under 45 s on two cores, once a machine; a warm `refine --help` takes under 0.5 s.

Compiling is what a run does before its workers start (`pipeline.compiling`), here for the kernels of every module at once and
in an empty cache: what one process takes for each says what to look at; what several processes take is the claim. Warm is the
same program when the cache has everything. Seconds are those of whole processes, imports of Numba and Arrow included.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Claim, Findings, Work, children_cpu_seconds, compare
from benchmarks.peers import Peers
from corpus import kernels

PROJECT = Path(kernels.__file__).parent.parent
MODULES = [
    ".".join(path.relative_to(PROJECT).with_suffix("").parts)
    for package in ("corpus", "filters", "dedup", "pipeline")
    for path in sorted((PROJECT / package).rglob("*.py"))
    if re.search(r"^@kernel\(", path.read_text("utf-8"), re.M)
]
SMALL = ("dedup.urls", "pipeline.extractors.sandbox")  # for a short run
HELP = "import sys; from pipeline.cli import main; sys.argv[1:] = ['--help']; main()"
TOGETHER = (
    "from pipeline.compiling import compile_missing\ncompile_missing(str)\nfor k in kernels.imported: k.compile()"
)
ALONE = """
import json, time
seconds = {}
for k in kernels.imported:
    began = time.process_time()
    k.compile()
    seconds[f"{k.function.__module__}.{k.function.__name__}"] = round(time.process_time() - began, 3)
print(json.dumps(seconds))
"""


def run_process(code: str, modules: Sequence[str], home: Path) -> str:
    program = f"import {', '.join(modules)}\nfrom corpus import kernels\n{code}"
    environment = os.environ | {"REFINE_CACHE": str(home), "PYTHONPATH": str(PROJECT)}
    return subprocess.run([sys.executable, "-c", program], env=environment, stdout=-1, text=True, check=True).stdout


def run(data: Path, seconds: float, peers: Peers) -> Findings:
    """`data` is not looked at. Kernels are compiled once, however long `seconds` is; under a second, only two small modules."""
    modules = MODULES if seconds >= 1 else SMALL
    facts: dict[str, float | int | str | bool] = {}
    with TemporaryDirectory() as folder:
        one, several = Path(folder, "one"), Path(folder, "several")
        began = time.perf_counter()
        by_kernel = json.loads(run_process(ALONE, modules, one))
        facts["seconds_one_process"] = round(time.perf_counter() - began, 1)
        began, cpu = time.perf_counter(), children_cpu_seconds()
        run_process(TOGETHER, modules, several)
        facts["seconds_several_processes"] = round(time.perf_counter() - began, 1)
        facts["cpu_seconds_several_processes"] = round(children_cpu_seconds() - cpu, 1)
        facts["cpu_seconds_compiling"] = round(sum(by_kernel.values()), 1)
        facts |= {f"cpu_seconds {name}": by_kernel[name] for name in sorted(by_kernel, key=by_kernel.get, reverse=True)}
        work: Work = {
            "refine --help": (lambda: subprocess.check_output([sys.executable, "-c", HELP], cwd=PROJECT), 1.0),
            "all kernels, warm": (lambda: run_process(TOGETHER, modules, several), 1.0),
        }
        speeds = compare(work, "starts/s", seconds)
    findings = Findings(f"{len(by_kernel)} kernels of {len(modules)} modules", speeds, facts)
    findings.claims = [
        Claim(
            "all kernels compiled, several processes", "s", float(facts["seconds_several_processes"]), 45, at_most=True
        ),
        Claim("`refine --help`, warm, CPU time", "s", 1 / speeds[0].cpu, 0.5, at_most=True),
    ]
    findings.notes = (
        "Two thirds of a kernel's time are Numba's own passes over Python code (types, lowering), the rest LLVM's. A helper goes "
        "through them once for each process and argument types, and is optimised in every kernel that calls it."
    )
    return findings
