"""The README is true: its Python runs and prints what it says, its outputs are today's, its files and keys exist.

Outputs behind `<!-- name -->` are written again with `REFINE_WRITE_README=1 make test`.
"""

import contextlib
import io
import os
import re
from pathlib import Path

import pytest
from conftest import PROJECT, run
from rich.console import Console

from benchmarks.inputs import english_texts
from benchmarks.removal_rates import markdown, removal_rates
from dedup.contamination_methods import METHODS
from pipeline.config import resolve
from pipeline.report.explain import explain, render
from pipeline.report.funnel import funnel, funnel_table

README = PROJECT / "README.md"
TEXT = README.read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\n```\n(.*?)```)?", TEXT, re.DOTALL)


def printed(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(renderable)
    lines = str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in lines).strip("\n")


@pytest.mark.parametrize("name", ["funnel", "explain"])
def test_the_outputs_shown_are_those_of_today(name: str, sample_run: Path) -> None:
    page = "https://sea-science.example/one-tide-or-two"
    actual = (
        printed(funnel_table(funnel(str(sample_run))))
        if name == "funnel"
        else printed(render(explain(str(sample_run), page)))
    )
    actual = actual.replace(f"{PROJECT}/", "")
    pattern = re.compile(rf"(<!-- {name} -->\n```\n)(.*?)(```)", re.DOTALL)
    if os.environ.get("REFINE_WRITE_README"):
        README.write_text(
            pattern.sub(lambda found: found[1] + actual + "\n" + found[3], README.read_text("utf-8")), "utf-8"
        )
    shown = pattern.search(README.read_text("utf-8"))
    assert shown is not None
    assert re.sub(r"\s+", " ", shown[2]).strip() == re.sub(r"\s+", " ", actual).strip()


def test_the_removal_rates_shown_are_those_of_today(shared_data: Path) -> None:
    actual = markdown(removal_rates(english_texts(shared_data)))
    pattern = re.compile(r"(<!-- removal rates -->\n)(.*?)(\n\n)", re.DOTALL)
    if os.environ.get("REFINE_WRITE_README"):
        README.write_text(pattern.sub(lambda found: found[1] + actual + found[3], README.read_text("utf-8")), "utf-8")
    shown = pattern.search(README.read_text("utf-8"))
    assert shown is not None
    assert shown[2] == actual


@pytest.mark.parametrize(("code", "output"), [block for block in BLOCKS if not re.search("RULES|DATASET", block[0])])
def test_python_in_the_readme_prints_what_it_says(code: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "README", "exec"), {})
    assert output
    assert said.getvalue() == output


def test_the_filter_in_the_readme_is_a_rule_set(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    code = next(code for code, _ in BLOCKS if "RULES" in code)
    (tmp_path / "no_shouting.py").write_text(code)
    pq.write_table(pa.table({"text": ["Calm.", "Loud" + "!" * 21]}), tmp_path / "in.parquet")
    recipe = resolve(
        {"stages": [{"filter": {"rulesets": [str(tmp_path / "no_shouting.py")]}}]}, ["cluster.workers=0"], "README"
    )
    run(recipe, tmp_path / "out", str(tmp_path / "in.parquet"), packed=False)
    assert pq.read_table(tmp_path / "out" / "ledger")["reason"].to_pylist() == [
        None,
        "no_shouting.max_exclamation_marks",
    ]


def test_every_rule_set_and_recipe_is_in_its_table() -> None:
    from corpus.modules import shipped

    rule_sets = TEXT.partition("## Rule sets")[2].partition("###")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", rule_sets, re.M)) == set(shipped("filters"))
    methods = TEXT.partition("## Evaluation sets")[2].partition("##")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", methods, re.M)) == set(METHODS) | {"method"}
    extractors = TEXT.partition("### Extractors")[2].partition("###")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", extractors, re.M)) == set(shipped("pipeline.extractors")) | {"extractor"}
    assert set(re.findall(r"`configs/(\w+)\.yaml` \|", TEXT)) == {
        path.stem for path in (PROJECT / "configs").glob("*.yaml")
    }


def test_settings_in_the_readme_are_keys_of_recipes() -> None:
    settings = [found.strip("'") for found in re.findall(r"--set ('[^']*'|[^\s`]+)", TEXT)]
    assert len(settings) >= 3
    for setting in settings:
        resolve({"stages": [{setting.split(".")[0]: {}}]}, [setting], "README")
