"""One HTML file about a run that needs nothing else: no script, no network, safe against what crawled pages put in URLs.

Histograms show every signal of every filter stage over all documents the stage received, with the thresholds in use. Ledgers of
a crawl are too large for a drawing: at most SAMPLE_ROWS rows are read, evenly spaced, and the caption says how many.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
import pyarrow as pa
import yaml
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, SymmetricalLogLocator
from numpy.typing import NDArray

from corpus import storage
from corpus.rules import Rule
from pipeline.report import Stage, open_parquet, open_run, rules_in_force, some_shards
from pipeline.report.contamination import columns_of_table, evidence, read_contamination
from pipeline.report.funnel import compact, compact_bytes, funnel, percent

SAMPLE_ROWS = 200_000  # for histograms
GROUP_ROWS = 5_000_000  # for the table by domain
SHOWN_INPUTS = 20
BINS = 60

# Matplotlib writes these into the SVG; the page's style sheet says what they are in light and dark.
_COLOURS = {"#010101": "var(--ink)", "#020202": "var(--faint)", "#030303": "var(--kept)", "#040404": "var(--lost)"}
_INK, _FAINT, _KEPT, _LOST = _COLOURS


@dataclass(frozen=True, slots=True)
class Limit:
    """A rule, what differs for single languages, and what lies beyond it among the documents drawn."""

    rule: Rule
    by_language: Mapping[str, Rule]
    beyond: int
    share: float

    @property
    def is_off(self) -> bool:
        return self.rule.threshold is None and not self.by_language

    @property
    def shown(self) -> str:
        """Such as "10, de 15, fr off"."""
        own = [f"{language} {_threshold(rule)}" for language, rule in self.by_language.items()]
        return ", ".join([_threshold(self.rule), *own])


def _threshold(rule: Rule) -> str:
    return "off" if rule.threshold is None else f"{rule.threshold:,.6g}"


@dataclass(frozen=True, slots=True)
class Histogram:
    signal: str
    svg: Markup  # empty if no document could be measured
    n_measured: int
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one stage, as float32[n_rows] each, and from how much of it they were read."""

    stage: str
    values: Mapping[str, NDArray[np.float32]]
    languages: NDArray[np.object_]  # str or None
    n_rows: int
    n_all_rows: int
    n_shards: int
    n_all_shards: int


def write_html(url: str, out: str) -> None:
    """Write the report of the run (or the one stage) at `url` to the file `out`. Raises InputError if there is no run."""
    stages = open_run(url)
    signals = [read_signals(stage) for stage in stages if _signal_names(stage)]
    by_name = {stage.name: stage for stage in stages}
    page = _template().render(
        url=url,
        whole=funnel(url),
        groups=[funnel(url, "language"), funnel(url, "domain", GROUP_ROWS)],
        contamination=[
            (stage, table, columns_of_table(table), evidence(stages, at))
            for at, stage in enumerate(stages)
            if (table := read_contamination(stage))
        ],
        histograms=[(of_stage, histograms(of_stage, by_name[of_stage.stage])) for of_stage in signals],
        stages=stages,
        config=_config(url, stages),
        shown_inputs=SHOWN_INPUTS,
    )
    final = out if "/" in out else f"./{out}"
    with storage.attempt(final) as (local, attempted):
        local.write_text(page, "utf-8")
    storage.promote(attempted, final)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, compact=compact, compact_bytes=compact_bytes, breakable=_breakable)
    return environment.get_template("report.html")


def _breakable(name: str) -> Markup:
    """A name, escaped, that may be broken after a dot or an underscore."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(name))))


def _config(url: str, stages: Sequence[Stage]) -> str:
    """The recipe of the run, or the configuration of the one stage, as YAML."""
    run_file = storage.join(url, "run.json")
    if storage.exists(run_file):
        recipe = storage.read_json(run_file).get("recipe", {})
    else:
        recipe = {stage.name: stage.manifest.get("config", {}) for stage in stages}
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def _signal_names(stage: Stage) -> list[str]:
    """Signals are the ledger's float32 columns named `ruleset.signal`."""
    if not stage.ledger_shards:
        return []
    with open_parquet(stage.folder.file("ledger", stage.ledger_shards[0])) as file:
        return [field.name for field in file.schema_arrow if "." in field.name and pa.types.is_float32(field.type)]


def read_signals(stage: Stage) -> Signals:
    """At most SAMPLE_ROWS rows of the stage's ledgers, evenly spaced."""
    names = _signal_names(stage)
    shards = some_shards(stage, SAMPLE_ROWS)
    n_rows = sum(stage.outputs[shard]["ledger"]["rows"] for shard in shards)
    step = max(1, -(-n_rows // SAMPLE_ROWS))
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ["language", *names]}
    for shard in shards:
        with open_parquet(stage.folder.file("ledger", shard)) as file:
            for batch in file.iter_batches(columns=list(parts)):
                for name, part in parts.items():
                    part.append(batch.column(name).to_numpy(zero_copy_only=False)[::step].copy())
    values: dict[str, NDArray[Any]] = {
        name: np.concatenate(part) if part else np.empty(0, np.float32) for name, part in parts.items()
    }
    languages = values.pop("language")
    n_all_rows = sum(stage.outputs[shard]["ledger"]["rows"] for shard in stage.ledger_shards)
    return Signals(stage.name, values, languages, len(languages), n_all_rows, len(shards), len(stage.ledger_shards))


def histograms(signals: Signals, stage: Stage) -> list[Histogram]:
    """One for each signal: those with a rule first, in the order of the rules."""
    rules = _rules_of_signals(stage)
    names = [name for name in rules if name in signals.values]
    names += [name for name in signals.values if name not in rules]
    drawn = []
    for name in names:
        values, limits = signals.values[name], []
        fails = np.zeros(len(values), np.bool_)
        for rule, by_language in rules.get(name, []):
            beyond = _fails(values, signals.languages, rule, by_language)
            limits.append(Limit(rule, by_language, int(beyond.sum()), float(beyond.sum()) / (len(values) or 1)))
            fails |= beyond
        every = [rule for limit in limits for rule in (limit.rule, *limit.by_language.values())]
        thresholds = sorted({rule.threshold for rule in every if rule.threshold is not None})
        finite = np.isfinite(values)
        svg = Markup(draw_histogram(values[finite], fails[finite], thresholds)) if finite.any() else Markup()
        drawn.append(Histogram(name, svg, int(finite.sum()), tuple(limits)))
    return drawn


def _rules_of_signals(stage: Stage) -> dict[str, list[tuple[Rule, dict[str, Rule]]]]:
    """ruleset.signal → each of its rules, and the rules of languages that have another threshold."""
    table = stage.manifest.get("config", {}).get("languages") or {}
    own = {language: rules_in_force(stage.manifest, language) for language in table}
    found: dict[str, list[tuple[Rule, dict[str, Rule]]]] = {}
    for ruleset, rules in rules_in_force(stage.manifest, None).items():
        for place, rule in enumerate(rules):
            others = {language: of_sets[ruleset][place] for language, of_sets in own.items()}
            differing = {language: other for language, other in others.items() if other != rule}
            found.setdefault(f"{ruleset}.{rule.signal}", []).append((rule, differing))
    return found


def _fails(
    values: NDArray[np.float32], languages: NDArray[np.object_], rule: Rule, by_language: Mapping[str, Rule]
) -> NDArray[np.bool_]:
    """Which rows the rule rejects, each by the threshold of its language."""
    fails = rule.fails(values)
    for language, other in by_language.items():
        rows = languages == language
        fails[rows] = other.fails(values[rows])
    return fails


def draw_histogram(values: NDArray[np.float32], fails: NDArray[np.bool_], thresholds: Sequence[float]) -> str:
    """SVG of finite values; those that fail in another colour. Its text is numbers only, so it is safe markup.

    Outer bars take what lies beyond the 0.5th and 99.5th percentile. Heights are square roots of counts: rare values show.
    """
    low, high = (float(value) for value in np.percentile(values, [0.5, 99.5]))
    is_log = low >= 0 and high > 50 and high > 8 * max(1.0, float(np.median(values)))
    low, high = min([low, *thresholds]), max([high, *thresholds])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = (
        np.expm1(np.linspace(np.log1p(low), np.log1p(high), BINS + 1)) if is_log else np.linspace(low, high, BINS + 1)
    )
    shown = np.clip(values.astype(np.float64), edges[0], edges[-1])
    n_all, n_lost = np.histogram(shown, edges)[0], np.histogram(shown[fails], edges)[0]
    height = np.sqrt(n_all)
    kept_height = height * (1 - n_lost / np.maximum(n_all, 1))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "refine", "font.size": 7.5}):
        figure = Figure(figsize=(3.3, 1.2), layout="constrained")
        axes = figure.add_subplot()
        axes.stairs(kept_height, edges, fill=True, color=_KEPT)
        if fails.any():
            axes.stairs(height, edges, baseline=kept_height, fill=True, color=_LOST)
        for threshold in thresholds:
            axes.axvline(threshold, color=_INK, linewidth=0.8, dashes=(3, 2))
        _style(axes, is_log)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inline(file.getvalue())


def _style(axes: Axes, is_log: bool) -> None:
    """A base line with a few numbers, nothing else."""
    axes.margins(x=0.01)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    axes.tick_params(axis="x", color=_FAINT, labelcolor=_INK, length=2)
    axes.yaxis.set_major_locator(NullLocator())
    if is_log:
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))


def _tick(value: float, _position: int | None) -> str:
    return compact(value)


def _inline(svg: str) -> str:
    """The <svg> element alone, its colours left to the style sheet of the page."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, variable)
    return svg
