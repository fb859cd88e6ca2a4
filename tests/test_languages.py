"""A run over several languages: each document is measured, decided and explained by the settings of its own language."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import refine, run, sample_recipe

from corpus.errors import ConfigError, InputError
from filters import filter_texts
from filters.language_tables import read_table
from filters.ruleset import Ruleset
from pipeline.config import Recipe, resolve
from pipeline.report.explain import explain
from pipeline.report.html import write_html
from pipeline.run import identities

ENGLISH = (
    "the tower stood on the hill and it was said that the keeper of the light would have to be there with the lamp. "
)
GERMAN = "der Turm stand auf dem Hügel und man sagte, dass er die Lampe für die Schiffe in den Hafen getragen hatte. "
TABLE = {"de": {"gopher_quality": {"stop_words": ["der", "die", "und"], "min_words": 20}}}


def recipe(languages: Any, *settings: str, rulesets: tuple[str, ...] = ("gopher_quality",)) -> Recipe:
    section = {"rulesets": list(rulesets), "languages": languages}
    return resolve({"stages": [{"filter": section}]}, ["cluster.workers=0", *settings], "test")


def write(path: Path, rows: list[tuple[str | None, str]]) -> str:
    columns = {
        "text": pa.array([text for _, text in rows], pa.large_string()),
        "language": pa.array([language for language, _ in rows], pa.string()),
        "url": [f"https://a.example/{i}" for i in range(len(rows))],
    }
    pq.write_table(pa.table(columns), path)
    return str(path)


def ledger(out: Path) -> pa.Table:
    return pq.read_table(out / "ledger")


MIXED = [
    ("en", ENGLISH * 3),
    ("de", GERMAN * 3),
    ("en", GERMAN * 3),  # by English stop words, so it goes
    ("de", ENGLISH * 3),
    (None, ENGLISH * 3),
    ("it", ENGLISH * 2),
    ("de", GERMAN * 2),  # 42 words: too few in English
]


REAL = {
    "de": """
Am frühen Morgen ging die Fischerin zum Hafen hinunter, um die Netze zu prüfen. Der Wind hatte in der Nacht gedreht, und das
Wasser stand höher als sonst. Für den Nachmittag wurde ein Gewitter angekündigt, das von der Küste im Westen kommen sollte.
Die Hafenmeisterin schrieb die Wasserstände in ein großes Buch, wie es ihr Großvater schon getan hatte.
Er war mit dem Leuchtturmwärter befreundet und kannte jede Untiefe zwischen den Inseln.""",
    "es": """
La casa del farero está en lo alto de la colina, desde donde se ve toda la bahía. Por las tardes, los niños del pueblo suben
a jugar entre las rocas mientras las barcas vuelven al puerto con la pesca del día.
¿Quién encendió la lámpara aquella noche? Nadie lo sabe con certeza, pero en la taberna todavía se cuenta que fue una mujer
que había llegado del norte con su hija y que no volvió a marcharse.""",
    "fr": """
L'instituteur du village avait l'habitude de noter, chaque soir, l'heure à laquelle les bateaux rentraient au port. Il y
avait dans son cahier des dessins d'oiseaux, des listes de mots et une carte de la côte, tracée à l'encre bleue.
Un matin d'automne, les élèves ont trouvé la porte fermée et le cahier posé sur le banc. Depuis, il est conservé à la mairie,
où l'on peut le lire en demandant la clé.""",
}
ALL_RULES = ["gopher_repetition", "gopher_quality", "fineweb"]


@pytest.mark.parametrize("language", REAL)
def test_ordinary_text_is_kept_by_the_shipped_settings_of_its_language_and_not_by_those_of_english(
    language: str,
) -> None:
    table = read_table("fineweb2", "test")
    assert table is not None
    text = REAL[language].replace("\n", " ").replace(". ", ".\n").strip()
    own, english = (filter_texts([text], ALL_RULES, **table[of]).to_pylist()[0] for of in (language, "en"))
    assert own["failed"] == []
    assert english["failed"] == ["gopher_quality.min_stop_words"]


def test_lines_of_five_words_are_too_short_in_german_and_long_enough_in_english() -> None:
    table = read_table("fineweb2", "test")
    assert table is not None
    words = REAL["de"].replace(",", "").replace(".", "").split()
    text = ".\n".join(" ".join(words[i : i + 5]) for i in range(0, 55, 5))
    german, english = (filter_texts([text], ["fineweb"], **table[of]).to_pylist()[0] for of in ("de", "en"))
    assert german["fineweb.newlines_per_word"] == english["fineweb.newlines_per_word"] == np.float32(10 / 65)
    assert german["reason"] == "fineweb.max_newlines_per_word"
    assert english["reason"] is None


def test_each_document_is_decided_by_the_settings_of_its_language(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", MIXED)
    run(recipe(TABLE), tmp_path / "out", source, packed=False)
    few, stop = "gopher_quality.min_words", "gopher_quality.min_stop_words"
    assert ledger(tmp_path / "out")["reason"].to_pylist() == [None, None, stop, stop, None, few, None]
    kept = pq.read_table(tmp_path / "out" / "documents")
    assert kept["text"].to_pylist() == [MIXED[row][1] for row in (0, 1, 4, 6)]
    assert kept["language"].to_pylist() == ["en", "de", None, "de"]


def test_a_run_over_one_language_is_byte_for_byte_the_run_with_its_settings_alone(tmp_path: Path) -> None:
    rows = [("de", GERMAN * n) for n in (1, 2, 3, 40)] + [("de", "kurz\n" * 30)]
    source = write(tmp_path / "in.parquet", rows)
    rulesets = ("gopher_repetition", "gopher_quality", "c4", "fineweb", "pii")
    run(recipe("fineweb2", rulesets=rulesets), tmp_path / "table", source, packed=False)
    table = read_table("fineweb2", "test")
    assert table is not None
    settings = [f"filter.{name}={json.dumps(of_set)}" for name, of_set in table["de"].items()]
    run(recipe(None, *settings, rulesets=rulesets), tmp_path / "sections", source, packed=False)
    for part in ("documents", "ledger"):
        one, other = (tmp_path / run_of / part / "part-00000.parquet" for run_of in ("table", "sections"))
        assert one.read_bytes() == other.read_bytes()


def test_every_signal_and_edited_text_is_what_the_language_alone_would_give(tmp_path: Path) -> None:
    rulesets = ("gopher_repetition", "gopher_quality", "c4", "refinedweb_lines", "pii")
    rows = [*MIXED, ("fr", ENGLISH + "mail a@b.co\n" + ENGLISH * 5), ("de", "x"), ("es", "")]
    source = write(tmp_path / "in.parquet", rows)
    run(recipe("fineweb2", rulesets=rulesets), tmp_path / "all", source, packed=False)
    whole = ledger(tmp_path / "all").drop_columns(["source_row", "id"]).to_pylist()
    for language in {language for language, _ in rows}:
        own = [(at, row) for at, row in enumerate(rows) if row[0] == language]
        source = write(tmp_path / "one.parquet", [row for _, row in own])
        run(recipe("fineweb2", rulesets=rulesets), tmp_path / f"{language}", source, packed=False)
        found = ledger(tmp_path / f"{language}").drop_columns(["source_row", "id"]).to_pylist()
        for row in (*whole, *found):
            row.pop("url", None)
        assert repr(found) == repr([whole[at] for at, _ in own])


def test_explain_and_report_show_the_thresholds_of_the_documents_own_language(tmp_path: Path) -> None:
    rows = [("en", ENGLISH), ("de", "und die " * 5), ("de", GERMAN * 2)]
    run(recipe(TABLE), tmp_path / "out", write(tmp_path / "in.parquet", rows), packed=False)
    failures = [list(explain(str(tmp_path / "out"), f"https://a.example/{i}")[0].entries[0].failures) for i in range(3)]
    assert failures[0] == ["gopher_quality.min_words: words = 24 < 50"]
    assert failures[1] == ["gopher_quality.min_words: words = 10 < 20"]
    assert failures[2] == []
    write_html(str(tmp_path / "out"), str(tmp_path / "report.html"))
    page = re.sub(r"<[^>]+>|\s+", " ", (tmp_path / "report.html").read_text())
    assert re.search(r"min_ ?words 50, de 20: 2 beyond", re.sub(r" +", " ", page))


def test_the_table_shipped_names_the_same_settings_for_every_language_and_loads() -> None:
    table = read_table("fineweb2", "test")
    assert table is not None
    assert set(table) == {"en", "de", "es", "fr"}
    for entry in table.values():
        assert {name: list(of_set) for name, of_set in entry.items()} == {
            name: list(of_set) for name, of_set in table["en"].items()
        }
        for name, of_set in entry.items():
            Ruleset.load(name, of_set)
    english = {name: Ruleset.load(name, of_set) for name, of_set in table["en"].items()}
    assert {name: (of.rules, of.options) for name, of in english.items()} == {
        name: (of.rules, of.options) for name, of in ((name, Ruleset.load(name, {})) for name in english)
    }


def test_the_resolved_recipe_holds_the_whole_table_of_the_rule_sets_in_use() -> None:
    section = recipe("fineweb2").stages[0].section
    assert set(section["languages"]) == {"en", "de", "es", "fr"}
    assert set(section["languages"]["de"]) == {"gopher_quality"}
    assert section["languages"]["de"]["gopher_quality"]["max_mean_word_length"] == 15
    assert section["languages"]["de"]["gopher_quality"]["stop_words"][:2] == ["der", "und"]
    assert "min_words" not in section["languages"]["de"]["gopher_quality"]
    assert recipe(None).stages[0].section["languages"] is None


def test_a_table_is_a_file_of_ones_own_or_set_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TABLE))
    expected = recipe(TABLE).stages[0].section["languages"]
    assert recipe(str(tmp_path / "mine.yaml")).stages[0].section["languages"] == expected
    setting = "filter.languages.de.gopher_quality={stop_words: [der, die, und], min_words: 20}"
    assert recipe(None, setting).stages[0].section["languages"] == expected


def test_a_setting_on_the_command_line_goes_into_the_table_that_the_recipe_names() -> None:
    section = recipe("fineweb2", "filter.languages.de.gopher_quality.min_words=20").stages[0].section
    assert section["languages"]["de"]["gopher_quality"]["min_words"] == 20
    assert section["languages"]["de"]["gopher_quality"]["max_mean_word_length"] == 15
    assert set(section["languages"]) == {"en", "de", "es", "fr"}


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ({"de": {"gopher_quality": {"min_wrds": 3}}}, ".de.gopher_quality.min_wrds: unknown key; did you mean 'min_words'"),
        ({"de": {"gopher_qality": {}}}, ".de.gopher_qality: unknown key; did you mean 'gopher_quality'"),
        ({"de": {"gopher_quality": {"min_words": "many"}}}, ".de.gopher_quality.min_words: 'many' should be"),
        ({"de": 3}, ": {'de': 3} should be a table such as"),
        ({False: {}}, ": False should be a language; quote it"),
        ("fineweb3", ": fineweb3: No such file or directory; name one of fineweb2, or a .yaml file"),
        ("none/mine.yaml", ": none/mine.yaml: No such file or directory; check the path"),
    ],
)  # fmt: skip
def test_a_wrong_table_says_where_and_what(languages: Any, message: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(f"filter.languages{message}")):
        recipe(languages)


def test_a_language_that_the_model_does_not_know_is_an_error_before_anything_starts(blocklist: Path) -> None:
    wrong = sample_recipe(blocklist, "filter.languages={dee: {gopher_quality: {min_words: 3}}}")
    with pytest.raises(ConfigError, match=r"^filter\.languages: 'dee' is none of the labels of lid\.176\.ftz: "):
        identities(wrong)
    without = sample_recipe(blocklist, "filter.languages=fineweb2", "extract.language=null")
    with pytest.raises(ConfigError, match=r"^filter\.languages: extract\.language is null"):
        identities(without)
    assert identities(sample_recipe(blocklist, "filter.languages=fineweb2"))


def test_texts_without_a_language_column_need_their_languages_found_first(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [ENGLISH]}), tmp_path / "in.parquet")
    with pytest.raises(
        InputError, match=r"in\.parquet: no column 'language'; its columns are text: find the languages"
    ):
        run(recipe(TABLE), tmp_path / "out", str(tmp_path / "in.parquet"), packed=False)


def test_the_command_takes_the_name_of_a_table(tmp_path: Path) -> None:
    write(tmp_path / "in.parquet", MIXED)
    done = refine(
        "filter", tmp_path / "in.parquet", "--out", tmp_path / "out", "--workers", "0",
        "--set", "filter.rulesets=[gopher_quality]", "--set", "filter.languages=fineweb2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ledger(tmp_path / "out")["reason"].null_count == 3
