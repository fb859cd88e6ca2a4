"""What `benchmarks.decontamination` says of recall: the self-test of the command (`pipeline.self_test`) with default settings."""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.inputs import write_lines
from benchmarks.measure import Claim, Findings
from pipeline.config import stage_recipe
from pipeline.self_test import SelfTest, Tally, self_test

LONG = ("20 to 49", "50 and more")
COLUMNS = {"5 to 12 words": ("5 to 12",), "13 to 19": ("13 to 19",), "20 and more": LONG}
SAME_WORDS = ("verbatim", "re-wrapped at 8 words", "case and punctuation", "quotes and entities", "in 100 kB")
AIMS = {**dict.fromkeys(SAME_WORDS, 1.0), "3% of words": 0.99, "10% of words": 0.90}
_RECALL = "recall: "


def add_recall(findings: Findings, evals: Path, texts: list[str]) -> None:
    """Plant items of the sets in the folder `evals` into `texts`; facts by alteration and length, claims for long items."""
    with TemporaryDirectory() as folder:
        path = write_lines(Path(folder, "texts.jsonl"), [{"text": text} for text in texts])
        recipe = stage_recipe("decontaminate", None, [f"decontaminate.evals=[{evals}]"])
        test = self_test(recipe, [str(path)], "text")
    findings.facts |= _facts(test)
    for alteration, aim in AIMS.items():
        tally = test.tally(alteration, lengths=LONG)
        recall = tally.found / tally.planted if tally.planted else 0.0
        findings.claims.append(Claim(f"{alteration}: recall of items of 20 words and more", "", recall, aim))


def _facts(test: SelfTest) -> dict[str, str]:
    return {
        f"{_RECALL}{alteration}, {column}": _shown(test.tally(alteration, lengths=lengths))
        for alteration in test.alterations
        for column, lengths in COLUMNS.items()
    }


def _shown(tally: Tally) -> str:
    return f"{tally.found / tally.planted:.1%} of {tally.planted:,}" if tally.planted else ""


def recall_table(facts: dict[str, str]) -> str:
    """The README's, from the facts of a report."""
    recall = {name.removeprefix(_RECALL): value for name, value in facts.items() if name.startswith(_RECALL)}
    lines = [f"| planted | {' | '.join(COLUMNS)} |", "|---|" + "---:|" * len(COLUMNS)]
    for alteration in dict.fromkeys(name.rpartition(", ")[0] for name in recall):
        cells = [recall[f"{alteration}, {column}"].partition(" of ")[0] for column in COLUMNS]
        lines.append(f"| {alteration} | {' | '.join(cells)} |")
    return "\n".join(lines)
