"""`python -m benchmarks.plots`: results/*.json become the README's table and plots/speeds.svg.

A row is one kind of work: ours, its peers, and how many times as fast as each of them we are, by CPU time. What a benchmark did
not measure, because a peer was missing for instance, is left out. An extractor alone is no peer but the limit.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contamination_recall import recall_table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
FIGURE = HERE / "plots" / "speeds.svg"
README = HERE.parent / "README.md"
MARKED = r"(<!-- {0} -->\n).*?(<!-- /{0} -->)"
OURS, PEERS, LIMIT, TEXT = "#2a9d8f", "#e07a3f", "#5b7fbd", "#808080"  # readable on white and on black


@dataclass(frozen=True, slots=True)
class Row:
    """`ours` and `peers`: names of speeds in results/`benchmark`.json. The first peer is the one to compare with."""

    work: str
    benchmark: str
    ours: str
    peers: tuple[tuple[str, str], ...] = ()  # (name to show, speed)


DATATROVE_ALONE = "datatrove (four of the five)"
ROWS = (
    Row("five text rule sets, all signals", "filters", "all five", ((DATATROVE_ALONE, "datatrove, the four in turn"),)),
    Row(
        "MinHash of 5-grams, 14 × 8, from text",
        "minhash",
        "refine 14x8, whole texts",
        (("rensa", "rensa, 128"), ("datasketch, xxh3", "datasketch xxh3, 128"), ("datatrove", "datatrove, 112")),
    ),
    Row(
        "MinHash, 450 × 20, by `scheme: sketch`",
        "minhash",
        "refine 450x20 sketch",
        (("datasketch, permutations only", "datasketch 450x20"), ("`scheme: minhash`", "refine 450x20")),
    ),
    Row(
        "dedup, Parquet to Parquet, 14 × 8, documents of 1 kB",
        "scale",
        "refine",
        (("datatrove's four steps", "datatrove"),),
    ),
    Row("exact substrings", "substring", "refine", (("pydivsufsort, suffix array only", "pydivsufsort"),)),
    Row("looking for 14 evaluation sets", "decontamination", "probe"),
    Row("URL rules, 4.6M entries", "url_rules", "all rules", (("datatrove", "datatrove"),)),
    Row("language", "language", "refine", (("fastText", "fastText loop"),)),
    Row("GPT-2 tokens counted", "tokens", "refine", (("tiktoken", "tiktoken"), ("tokenizers", "tokenizers"))),
    Row("reading archives, with bodies", "reading", "refine", (("FastWARC", "FastWARC, bodies"),)),
    *(
        Row(
            f"WARC to Parquet, {name}",
            "pipeline",
            f"refine, {name}",
            (("datatrove", f"datatrove, {name}"), ("trafilatura alone", f"bare loop, {name}")),
        )
        for name in ("precision", "recall")
    ),
    Row(
        "WARC to Parquet, resiliparse",
        "pipeline",
        "refine, resiliparse",
        (("datatrove, trafilatura", "datatrove, precision"), ("resiliparse alone", "bare loop, resiliparse")),
    ),
    Row(
        "WARC to Parquet, all languages",
        "pipeline",
        "refine, all languages, pre-check",
        (("datatrove", "datatrove, all languages"),),
    ),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A row with its figures: speeds by CPU time; peers that were not measured are left out."""

    work: str
    unit: str
    ours: float
    peers: dict[str, float]


def measured() -> list[Measured]:
    found = []
    for row in ROWS:
        path = RESULTS / f"{row.benchmark}.json"
        if not path.exists():
            continue
        speeds: dict[str, Any] = {speed["name"]: speed for speed in json.loads(path.read_text("utf-8"))["speeds"]}
        if row.ours in speeds:
            peers = {shown: speeds[name]["cpu"] for shown, name in row.peers if name in speeds}
            found.append(Measured(row.work, speeds[row.ours]["unit"], speeds[row.ours]["cpu"], peers))
    return found


def readme_table() -> str:
    lines = ["| work | unit | refine | peers | times as fast |", "|---|---|---|---|---|"]
    for row in measured():
        peers = ", ".join(f"{name} {short(speed)}" for name, speed in row.peers.items()) or "none known"
        times = ", ".join(short(row.ours / speed) for speed in row.peers.values()) or ""
        lines.append(f"| {row.work} | {row.unit} | {short(row.ours)} | {peers} | {times} |")
    machine = json.loads((RESULTS / "filters.json").read_text("utf-8"))["machine"]
    lines.append(
        f"\n{machine['cores']} cores, {machine['cpu']}, Python {machine['python']}; speeds by CPU time, on one core."
    )
    return "\n".join(lines)


def short(value: float) -> str:
    """Three digits at most before the point, two significant ones after it."""
    if value >= 10_000:
        return f"{value / 1e6:.2g}M" if value >= 1e6 else f"{value / 1e3:.0f}k"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def readme_with_tables() -> str:
    """The README, with what stands in the results: speeds, and recall of decontamination."""
    facts = json.loads((RESULTS / "decontamination.json").read_text("utf-8"))["facts"]
    text = README.read_text("utf-8")
    for name, table in (("benchmarks", readme_table()), ("recall", recall_table(facts))):
        text = re.sub(MARKED.format(name), rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
    return text


def draw() -> None:
    """A line a work: peers and ours, as multiples of the first peer's speed, on a logarithmic axis."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = [row for row in measured() if row.peers][::-1]
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "refine", "font.size": 9, "font.family": "sans-serif"}
    ):
        figure = Figure((7.2, 0.42 * len(rows) + 0.7), layout="constrained")
        axes = figure.add_subplot()
        for line, row in enumerate(rows):
            first = next(iter(row.peers.values()))
            colours = [LIMIT if name.endswith("alone") else PEERS for name in row.peers]
            points = [(speed / first, colour, speed) for speed, colour in zip(row.peers.values(), colours, strict=True)]
            points.append((row.ours / first, OURS, row.ours))
            ends = [min(points)[0], max(points)[0]]
            axes.plot(ends, [line, line], color=TEXT, lw=0.6, zorder=0)
            for at, colour, speed in points:
                axes.plot(at, line, "o", color=colour, ms=6)
                axes.annotate(
                    short(speed), (at, line), (0, 5), textcoords="offset points", ha="center", color=colour, fontsize=7
                )
        axes.set_yticks(range(len(rows)), [f"{row.work}, {row.unit}" for row in rows], color=TEXT)
        axes.set_xscale("log")
        axes.set_ylim(-0.6, len(rows) - 0.3)
        axes.set_xlabel("speed, as a multiple of the first peer's in the table", color=TEXT)
        axes.axvline(1, color=TEXT, lw=0.6, ls=":")
        axes.tick_params(colors=TEXT)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(TEXT)
        for colour, name in ((OURS, "refine"), (PEERS, "peers"), (LIMIT, "the extractor alone")):
            axes.plot([], [], "o", color=colour, label=name)
        axes.legend(loc="lower right", frameon=False, labelcolor=TEXT)
        FIGURE.parent.mkdir(exist_ok=True)
        figure.savefig(FIGURE, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    draw()
    README.write_text(readme_with_tables(), "utf-8")
