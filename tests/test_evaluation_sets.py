"""Evaluation files and the map of their fields."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.errors import ConfigError, InputError
from dedup.evaluation_sets import EvaluationItem, read_evaluation_sets

ITEMS = [
    {"question": "How many eggs?", "options": ["two", "three"], "about": {"text": "Hens lay."}},
    {"question": "Which colour?", "options": ["red"], "about": None},
]
FIELDS = "sets:\n  eggs:\n    files: eggs*\n    question: question\n    answer: options\n    passage: about.text\n"
EXPECTED = [
    EvaluationItem("eggs", "eggs{end}:1", ("How many eggs?",), ("two", "three"), ("Hens lay.",)),
    EvaluationItem("eggs", "eggs{end}:2", ("Which colour?",), ("red",), ()),
]


@pytest.fixture
def fields(tmp_path: Path) -> str:
    path = tmp_path / "fields" / "map.yaml"
    path.parent.mkdir()
    path.write_text(FIELDS)
    return str(path)


def lines(items: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def parquet(items: list[dict[str, object]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(items), sink)
    return sink.getvalue().to_pybytes()


def zstd(content: bytes) -> bytes:
    return pa.Codec("zstd").compress(content, asbytes=True)


def read(path: Path, fields: str | None = None) -> list[EvaluationItem]:
    return read_evaluation_sets([str(path)], fields).items


@pytest.mark.parametrize(
    ("end", "content"),
    [
        (".jsonl", lines(ITEMS)),
        (".jsonl.gz", gzip.compress(lines(ITEMS))),
        (".json", json.dumps(ITEMS).encode()),
        (".json", json.dumps({"version": 1, "examples": ITEMS}).encode()),
        (".json.gz", gzip.compress(json.dumps(ITEMS).encode())),
        (".json", lines(ITEMS)),
        (".jsonl.zst", zstd(lines(ITEMS))),
        (".parquet", parquet(ITEMS)),
        (".parquet.gz", gzip.compress(parquet(ITEMS))),
    ],
    ids=["jsonl", "jsonl.gz", "json", "json-object", "json.gz", "json-lines", "jsonl.zst", "parquet", "parquet.gz"],
)
def test_every_format_gives_the_same_items(tmp_path: Path, fields: str, end: str, content: bytes) -> None:
    path = tmp_path / f"eggs{end}"
    path.write_bytes(content)
    assert read(path, fields) == [item._replace(item=item.item.format(end=end)) for item in EXPECTED]


@pytest.mark.parametrize("end", [".csv", ".csv.gz"])
def test_csv_cells_may_hold_line_breaks_and_several_answers(tmp_path: Path, end: str) -> None:
    content = (
        '\ufeffQuestion,Best Answer,Correct Answers,Incorrect Answers\n"Where, then?\nSay.",Here,Here; there,No;  \n'
    )
    path = tmp_path / f"TruthfulQA{end}"
    path.write_bytes(gzip.compress(content.encode()) if end.endswith("gz") else content.encode())
    question, answers = ("Where, then?\nSay.",), ("Here", "there", "No")
    assert read(path) == [EvaluationItem("truthfulqa", f"TruthfulQA{end}:1", question, answers, ())]


def test_json_lines_count_blank_lines_so_that_an_item_is_found_with_an_editor(tmp_path: Path) -> None:
    path = tmp_path / "nq_open.jsonl"
    path.write_text('\n{"question": "who", "answer": ["me", 7, "me"]}\n')
    assert read(path) == [EvaluationItem("nq_open", "nq_open.jsonl:2", ("who",), ("me", "7"), ())]


def test_a_folder_is_read_with_what_is_below_it_without_hidden_and_ignored_files(tmp_path: Path) -> None:
    for name in (
        "gsm8k/main/test.jsonl",
        "gsm8k/socratic/test.jsonl",
        "gsm8k/.cache/x.jsonl",
        "README.md",
        "a-labels.lst",
        "gsm8k/dataset_infos.json",
        "bbh/cot-prompts/navigate.txt",
    ):
        path = tmp_path / "evals" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"question": "q", "answer": "a"}\n')
    sets = read_evaluation_sets([str(tmp_path / "evals"), str(tmp_path / "evals" / "gsm8k" / "main" / "*.jsonl")])
    assert [(item.set, item.item) for item in sets.items] == [
        ("gsm8k", "main/test.jsonl:1"),
        ("gsm8k", "socratic/test.jsonl:1"),
    ]
    assert sorted(sets.identity) == ["gsm8k/main/test.jsonl", "gsm8k/socratic/test.jsonl"]


def test_several_question_fields_are_one_text_and_variants_are_each_a_text(tmp_path: Path) -> None:
    fields = tmp_path / "map.yaml"
    fields.write_text("sets:\n  rte:\n    files: rte.jsonl\n    question: [premise, hypothesis]\n    strip: '^Q: '\n")
    (tmp_path / "rte.jsonl").write_text('{"premise": "Q: It rains.", "hypothesis": ["It is wet.", "It is dry."]}\n')
    assert read(tmp_path / "rte.jsonl", str(fields))[0].question == ("It rains.\nIt is wet.", "It rains.\nIt is dry.")


def test_the_name_nearest_to_the_file_decides_its_set_and_the_users_map_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "mmlu" / "piqa.jsonl"
    path.parent.mkdir()
    path.write_text('{"goal": "g", "sol1": "s", "sol2": "t", "mine": "m"}\n')
    assert read(path)[0].set == "piqa"
    fields = tmp_path / "map.yaml"
    fields.write_text("sets:\n  mine:\n    files: mmlu/piqa.*\n    question: mine\n")
    assert read(path, str(fields)) == [EvaluationItem("mine", "piqa.jsonl:1", ("m",), (), ())]


def test_a_users_set_replaces_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    fields = tmp_path / "map.yaml"
    fields.write_text("sets:\n  piqa:\n    files: mine.*\n    question: mine\n")
    (tmp_path / "mine.jsonl").write_text('{"mine": "m"}\n')
    assert read(tmp_path / "mine.jsonl", str(fields))[0].question == ("m",)
    (tmp_path / "piqa.jsonl").write_text('{"goal": "g", "sol1": "s", "sol2": "t"}\n')
    with pytest.raises(InputError, match=r"piqa\.jsonl: belongs to no evaluation set"):
        read(tmp_path / "piqa.jsonl", str(fields))


def test_the_digest_follows_the_bytes_and_the_fields_but_not_other_sets(tmp_path: Path, fields: str) -> None:
    path = tmp_path / "eggs.jsonl"
    path.write_bytes(lines(ITEMS))
    before = read_evaluation_sets([str(path)], fields).identity
    Path(fields).write_text(FIELDS + "  other: {files: other, question: x}\n")
    assert read_evaluation_sets([str(path)], fields).identity == before
    Path(fields).write_text(FIELDS.replace("answer: options", "answer: question"))
    assert read_evaluation_sets([str(path)], fields).identity["eggs/eggs.jsonl"] != before["eggs/eggs.jsonl"]
    Path(fields).write_text(FIELDS)
    path.write_bytes(lines(ITEMS[:1]))
    assert read_evaluation_sets([str(path)], fields).identity["eggs/eggs.jsonl"] != before["eggs/eggs.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("eggs.jsonl", b"", "eggs.jsonl: is empty"),
        ("eggs.jsonl", lines(ITEMS) + b"{oops\n", "eggs.jsonl:3: not JSON: Expecting property name"),
        ("eggs.jsonl", b'{"question": "\xff"}', "eggs.jsonl:1: not UTF-8"),
        ("eggs.jsonl", b"[1, 2]\n", r"eggs.jsonl:1: an item should be an object with fields, not \[1, 2\]"),
        ("eggs.jsonl", lines([{"questions": "q", "options": []}]), "no field 'question'; .* did you mean 'questions'"),
        ("eggs.jsonl", lines([{**ITEMS[0], "about": {"txt": ""}}]), "eggs.jsonl:1: no field 'about.text'"),
        ("eggs.jsonl", lines([{**ITEMS[0], "question": {"stem": ""}}]), "field 'question' is an object; .* NAME.stem"),
        ("eggs.jsonl", lines([{**ITEMS[1], "question": " "}]), "question and about.text empty in every item"),
        ("eggs.json", lines(ITEMS) + b"{oops\n", "eggs.json:3: not JSON: Expecting property name"),
        ("eggs.json", b"[{]", "eggs.json:1: not JSON: Expecting property name"),
        ("eggs.json", b"[]", "eggs.json: has no items"),
        ("eggs.json", b'{"a": [], "b": []}', "eggs.json: should be a list of items"),
        ("eggs.jsonl.gz", gzip.compress(lines(ITEMS) * 99)[:-12], "eggs.jsonl.gz: cannot be read: Truncated compressed stream"),
        ("eggs.jsonl.gz", lines(ITEMS), "eggs.jsonl.gz: cannot be read: zlib inflate failed: incorrect header check"),
        ("eggs.jsonl", lines([{"q": "q", "options": []}]), "no field 'question'; the item has q, options; map the set"),
        ("eggs.csv", b"question,options\nq\n", "eggs.csv:2: 1 cells where the header has 2"),
        ("eggs.csv", b"question,option\nq,a\n", "eggs.csv:1: no field 'options'; .* did you mean 'option'"),
        ("eggs.csv", b'question,options\n"q,a\n', "eggs.csv:2: not CSV: unexpected end of data"),
        ("eggs.csv", b"question,options\n", "eggs.csv: has no items"),
        ("eggs.parquet", b"PAR1 no", "eggs.parquet: not Parquet"),
        ("eggs.jsonl.zst", lines(ITEMS), "eggs.jsonl.zst: cannot be read: ZSTD decompress failed"),
        ("eggs.tsv", b"question\toptions\nq\n", "eggs.tsv:2: 1 cells where the header has 2"),
        ("eggs.csv", b"\xef\xbb\xbf", "eggs.csv: has no items"),
        ("eggs.txt", b"text", "eggs.txt:1: no field .options.; the item has text"),
        ("eggs.xml", b"<item/>", r"eggs.xml: not one of .jsonl, .json, .csv, .tsv, .parquet, .txt \(also with .gz"),
        ("piqqa.jsonl", lines(ITEMS), "belongs to no evaluation set; .* did you mean 'piqa'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_that_names_it(
    tmp_path: Path, fields: str, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / name, fields)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_leads_to_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no evaluation file there"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"x\*\.jsonl: no evaluation file there"):
        read(tmp_path / "x*.jsonl")
    (tmp_path / "README.md").write_text("about")
    with pytest.raises(InputError, match="no evaluation file there; name at least one"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"nofs://x: .*nofs"):
        read_evaluation_sets(["nofs://x"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sets: [", "map.yaml: not YAML"),
        ("", "map.yaml: top level: Input should be a valid dictionary"),
        ("set: {}", "set: Extra inputs are not permitted; did you mean 'sets'"),
        ("sets: {a: {files: a, questions: q}}", "sets.a.questions: .* did you mean 'question'"),
        ("sets: {a: {question: q}}", "sets.a.files: Field required"),
        ("sets: {a: {files: a, answer: q}}", "sets.a: names no text"),
        ("sets: {a: {files: a, question: 3}}", "sets.a.question: "),
        ("sets: {a: {files: a, question: q, strip: '('}}", r"'\(' is not a regular expression"),
        ("sets: {a: {files: e*, question: q}, b: {files: '*l', question: q}}", "belongs to the sets a and b"),
    ],
)  # fmt: skip
def test_a_wrong_map_is_one_line_that_names_the_key(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "map.yaml").write_text(content)
    (tmp_path / "eggs.jsonl").write_bytes(lines(ITEMS))
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path / "eggs.jsonl", str(tmp_path / "map.yaml"))
    assert "\n" not in str(caught.value)


def test_the_shipped_map_reads_all_items_of_the_published_sets(shared_data: Path) -> None:
    items = read(shared_data / "evals")
    assert Counter(item.set for item in items) == {
        "agieval": 2100, "arc": 3548, "copa": 100, "gsm8k": 1319, "hellaswag": 1000, "humaneval": 164, "lambada": 5153,
        "mbpp": 974, "mmlu": 14042, "nq_open": 3610, "piqa": 1838, "truthfulqa": 817, "winograd_wsc": 273,
        "winogrande": 1267,
    }  # fmt: skip
    assert len({(item.set, item.item) for item in items}) == len(items)
    assert all(item.question and (item.answer or item.set == "lambada") for item in items)
    by_name = {(item.set, item.item): item for item in items}
    assert by_name["arc", "arc_easy.jsonl:1"].question[0].startswith("Which statement best explains")
    assert by_name["agieval", "logiqa-en.jsonl:1"].answer[0].startswith("Civic Park is north")
    assert by_name["gsm8k", "test.jsonl:2"].answer == (
        "It takes 2/2=1 bolt of white fiber\nSo the total amount of fabric is 2+1=3 bolts of fabric\n 3",
    )
    assert by_name["truthfulqa", "TruthfulQA.csv:1"].answer[1] == "Nothing happens"
    assert by_name["winogrande", "winogrande.jsonl:1"].question[1].endswith("Maria so Maria")
