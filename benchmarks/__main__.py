"""`python -m benchmarks [DATA_FOLDER] [--only NAME] [--seconds N] [--smoke]`: run, print, write results/NAME.json, draw.

All of them run one after the other, each in a process of its own, so that the peak memory of one is not that of another.
`--smoke`: the samples of the project, as few rounds as there can be, no peers, nothing written: do they still run?
"""

import argparse
import importlib
import json
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.inputs import make_sample_folder
from benchmarks.measure import Findings, machine, peak_memory_mb
from benchmarks.peers import Peers
from benchmarks.plots import README, RESULTS, draw, readme_with_tables

HERE = Path(__file__).resolve().parent
REAL_DATA = HERE.parent.parent / "shared" / "data"
NAMES = (
    "reading", "extraction", "blocks_quality", "url_rules", "language", "filters", "minhash", "dedup_quality", "substring",
    "decontamination", "blocks", "tokens", "pipeline", "scaling", "scale", "compiling",
)  # fmt: skip


def measure(name: str, data: Path, seconds: float, results: Path, with_peers: bool = True) -> Findings:
    """Run one benchmark and write `results`/NAME.json."""
    described = machine()
    with Peers(with_peers) as peers:
        findings = importlib.import_module(f"benchmarks.{name}").run(data, seconds, peers)
        findings.missing_peers, findings.peer_versions = peers.missing, peers.versions
    report = {
        "benchmark": name,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": described,
        "peak_memory_mb": round(peak_memory_mb()),
        **asdict(findings),
    }
    results.mkdir(exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return findings


def table(name: str, findings: Findings) -> Table:
    shown = Table("", "unit", "median", "quartiles", "by CPU time", "ratio", "rounds", title=name, title_justify="left")
    for speed in findings.speeds:
        quartiles = f"{_short(speed.lower_quartile)} – {_short(speed.upper_quartile)}"
        shown.add_row(
            speed.name,
            speed.unit,
            _short(speed.median),
            quartiles,
            _short(speed.cpu),
            f"{speed.cpu_ratio:.3g}",
            str(speed.rounds),
        )
    claims = [
        f"{'met' if claim.is_met else 'NOT met'}: {claim.what}: {_short(claim.measured)} {claim.unit}, aim "
        f"{'at most' if claim.at_most else 'at least'} {_short(claim.aim)}"
        for claim in findings.claims
    ]
    missing = [f"missing peer: {reason}" for reason in findings.missing_peers]
    facts = ", ".join(f"{name} {value}" for name, value in findings.facts.items())
    shown.caption = "\n".join(line for line in [findings.input, facts, *claims, *missing, findings.notes] if line)
    shown.caption_justify = "left"
    return shown


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def run_all(data: Path, arguments: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "benchmarks", str(data), "--seconds", str(arguments.seconds)]
    command += ["--without-peers"] * arguments.without_peers
    failed = [
        name for name in NAMES if subprocess.run([*command, "--only", name], cwd=HERE.parent, check=False).returncode
    ]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks", description="Speeds of refine beside its peers.")
    parser.add_argument("data", nargs="?", type=Path, default=REAL_DATA, metavar="DATA_FOLDER")
    parser.add_argument("--only", choices=NAMES, help="one benchmark instead of all")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure each (default 20)")
    parser.add_argument("--without-peers", action="store_true", help="measure ours only")
    parser.add_argument("--smoke", action="store_true", help="a short run on the samples that writes nothing")
    arguments = parser.parse_args()
    if arguments.smoke:
        return smoke()
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data}: no such folder; name one with what benchmarks/inputs.py says, or try --smoke")
    if arguments.only:
        findings = measure(arguments.only, arguments.data, arguments.seconds, RESULTS, not arguments.without_peers)
        console().print(table(arguments.only, findings))
        return 0
    status = run_all(arguments.data, arguments)
    draw()
    README.write_text(readme_with_tables(), "utf-8")
    return status


def smoke() -> int:
    with TemporaryDirectory() as made:
        data = make_sample_folder(Path(made, "data_samples"))
        for name in NAMES:
            console().print(table(name, measure(name, data, 0.0, Path(made, "results"), with_peers=False)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
