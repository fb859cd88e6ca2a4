"""`refine contamination` on corpora that others made, and the table of items that it and `decontaminate` write."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SAMPLES, run
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from corpus import storage
from corpus.errors import ConfigError, InputError, RefineError
from corpus.text import Texts
from dedup.contamination import contamination
from dedup.coverage import covered
from pipeline import json_lines
from pipeline.cli import app
from pipeline.config import resolve
from pipeline.inputs import BATCH_DOCUMENTS, find_text, read_documents
from pipeline.report.explain import explain, render
from pipeline.report.html import write_html
from pipeline.report.sample import sample
from pipeline.text_columns import text_of
from pipeline.verify import verify

QUIZ = [json.loads(line) for line in (SAMPLES / "evals" / "quiz.jsonl").read_text("utf-8").splitlines()]
EVALS = [f"decontaminate.evals=[{SAMPLES / 'evals'}]", f"decontaminate.fields={SAMPLES / 'eval_fields.yaml'}"]
CLEAN = "The tide comes in twice a day here, and nobody who lives by the harbour thinks much of it."
FIRST, SECOND = (f"{item['question']} {item['answer']}" for item in QUIZ[:2])
N_WORDS = len(FIRST.replace("-", " ").split())

CORPORA: dict[str, tuple[list[dict[str, Any]], str]] = {
    "text": ([{"text": CLEAN, "date": "long ago"}, {"text": FIRST, "date": "later"}], "text"),
    "content": ([{"content": CLEAN, "id": 1}, {"content": FIRST, "id": 2}], "content"),
    "messages": (
        [{"messages": [{"role": "user", "content": CLEAN}, {"role": "assistant", "content": said}]} for said in (CLEAN, FIRST)],
        "messages",
    ),
    "conversations": ([{"conversations": [{"from": "human", "value": said}]} for said in (CLEAN, FIRST)], "conversations"),
    "instruction with input": (
        [{"instruction": said, "input": "", "output": CLEAN} for said in (CLEAN, FIRST)], "instruction,input,output"),
    "instruction": ([{"instruction": CLEAN, "output": said} for said in (CLEAN, FIRST)], "instruction,output"),
    "prompt": ([{"prompt": QUIZ[0]["question"], "completion": said} for said in (CLEAN, QUIZ[0]["answer"])], "prompt,completion"),
}  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def measure(out: Path, path: str, text_column: str = "text", *settings: str) -> dict[str, Any]:
    recipe = resolve({"stages": ["decontaminate"]}, [*EVALS, "cluster.workers=0", *settings], "test")
    recipe.stages[0].kind = recipe.stages[0].name = "contamination"
    assert run(recipe, out, path, packed=False, text_column=text_column) == []
    found: dict[str, Any] = storage.read_json(str(out / "contamination.json"))
    return found


def printed(view: RenderableType) -> str:
    console = Console(width=160, force_terminal=False)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Six chats, of which the third has an item and the fourth two. Read only."""
    folder = tmp_path_factory.mktemp("measured")
    said = [CLEAN, CLEAN, FIRST, f"{FIRST} {CLEAN} {SECOND}", CLEAN, CLEAN]
    rows = [{"id": f"chat-{i}", "messages": [{"role": "user", "content": text}]} for i, text in enumerate(said)]
    measure(folder / "out", write(folder / "chats.jsonl", rows), "messages")
    return str(folder / "out")


# --- where the text is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["parquet", "jsonl"])
@pytest.mark.parametrize("name", CORPORA)
def test_the_text_of_common_formats_is_found_by_the_names_of_their_columns(tmp_path: Path, name: str, end: str) -> None:
    rows, form = CORPORA[name]
    source = {"path": write(tmp_path / f"corpus.{end}", rows), "identity": ""}
    assert find_text([source]) == form
    ((_, batch),) = read_documents(source, form, None, labels_only=True)
    texts = [" ".join(text.split()) for text in batch.column("text").to_pylist()]
    assert FIRST not in texts[0]
    assert FIRST in texts[1]


def test_joined_columns_and_messages_without_text_leave_no_gaps() -> None:
    batch = pa.RecordBatch.from_pylist(
        [
            {"a": "one", "b": None, "c": "two", "m": [{"content": "x"}, {"content": None}, {"content": "y"}]},
            {"a": "", "b": None, "c": None, "m": None},
            {"a": None, "b": "", "c": "two", "m": []},
        ],
        pa.schema(
            [
                ("a", pa.string()),
                ("b", pa.string()),
                ("c", pa.string()),
                ("m", pa.list_(pa.struct([("content", pa.string())]))),
            ]
        ),
    )
    assert text_of(batch, "a,b,c", "x").to_pylist() == ["one\n\ntwo", "", "two"]
    assert text_of(batch, "m", "x").to_pylist() == ["x\n\n\n\ny", None, ""]
    assert text_of(batch.slice(1), "m", "x").to_pylist() == [None, ""]


def test_columns_that_were_joined_pass_through_other_stages(tmp_path: Path) -> None:
    source = {"path": write(tmp_path / "a.jsonl", CORPORA["instruction"][0]), "identity": ""}
    ((_, batch),) = read_documents(source, "instruction,output", None)
    assert batch.column("text")[1].as_py() == f"{CLEAN}\n\n{FIRST}"
    assert batch.column("instruction")[1].as_py() == CLEAN


def test_an_unknown_format_is_an_error_that_lists_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.jsonl", [{"body": CLEAN, "score": 1}])
    with pytest.raises(
        InputError, match=r"odd\.jsonl: no text found in its columns body, score; known are 'text', .*--text-column"
    ):
        find_text([{"path": path, "identity": ""}])


def test_a_long_jsonl_file_is_read_in_blocks_with_types_that_suit_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"text": f"{CLEAN} {i}", "when": "2024-01-01" if i < 9 else "soon", "n": i if i < 30 else i / 2}
        for i in range(40)
    ]
    rows[39]["late"] = True
    source = {"path": write(tmp_path / "long.jsonl", rows), "identity": ""}
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 500)
    batches = [batch for _, batch in read_documents(source, "text", None)]
    assert len(batches) > 5
    assert len({batch.schema for batch in batches}) == 1
    read = [row for batch in batches for row in batch.to_pylist()]
    assert [row["text"] for row in read] == [row["text"] for row in rows]
    assert [row["when"] for row in read] == [row["when"] for row in rows]
    assert [row["n"] for row in read] == [float(row["n"]) for row in rows]
    assert [row["late"] for row in read] == [None] * 39 + [True]
    assert all(batch.num_rows <= BATCH_DOCUMENTS for batch in batches)


@pytest.mark.parametrize(
    ("end", "codec"), [("json", None), ("json.gz", "gzip"), ("jsonl.zst", "zstd"), ("jsonl.gz", "gzip")]
)
def test_json_lists_and_packed_lines_are_read_as_lines_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, codec: str | None
) -> None:
    rows, form = CORPORA["instruction with input"]
    lines = "".join(json.dumps(row) + "\n" for row in rows * 9)
    content = (lines if end.startswith("jsonl") else json.dumps(rows * 9, indent=1)).encode()
    path = tmp_path / f"alpaca.{end}"
    with pa.output_stream(str(path), compression=codec) as file:
        file.write(content)
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 500)
    source = {"path": str(path), "identity": ""}
    assert find_text([source]) == form
    read = [row for _, batch in read_documents(source, form, None) for row in batch.to_pylist()]
    assert [row["instruction"] for row in read] == [row["instruction"] for row in rows * 9]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'[{"text": "a"},', r"a\.json: neither Parquet nor JSONL: a JSON list that is damaged"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 99, mtime=0)[:-9], r"a\.jsonl\.gz: .*: Truncated compressed stream"),
        ("a.jsonl.zst", b'{"text": "a"}\n', r"a\.jsonl\.zst: .*: ZSTD decompress failed"),
        ("a.jsonl", b"\n", "no input has a row"),
        ("a.parquet", None, "no input has a row"),
    ],
    ids=["cut list", "cut gzip", "no zstd", "blank line", "no row"],
)  # fmt: skip
def test_a_damaged_or_empty_corpus_is_one_line_that_names_it(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is None:
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    source = {"path": str(tmp_path / name), "identity": ""}
    with pytest.raises(RefineError, match=message) as caught:
        list(read_documents(source, find_text([source]), None))
    assert "\n" not in str(caught.value)


# --- what is said -----------------------------------------------------------------------------------------------------


def test_the_table_counts_items_documents_and_words_of_each_set(measured: str) -> None:
    table = storage.read_json(f"{measured}/contamination.json")
    assert table["total"] == {"documents": 2, "tokens_removed": 0}
    assert (table["documents_in"], table["method"]) == (6, "default")
    quiz = table["sets"]["quiz"]
    assert (quiz["items"], quiz["dirty"], quiz["suspect"], quiz["unmatchable"], quiz["clean"]) == (12, 2, 0, 0, 10)
    assert quiz["documents"] == 2
    assert table["items"]["quiz"] == {"dirty": ["quiz.jsonl:1", "quiz.jsonl:2"], "suspect": [], "unmatchable": []}
    with Path(measured, "contamination.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[0] == {"set": "quiz", "item": "quiz.jsonl:1", "status": "dirty", "score": "1.0000", "documents": "2"}
    assert rows[2] == {"set": "quiz", "item": "quiz.jsonl:3", "status": "clean", "score": "", "documents": "0"}


def test_only_a_ledger_is_written_and_it_can_be_verified_sampled_and_explained(measured: str) -> None:
    assert not Path(measured, "documents").exists()
    assert verify(measured).problems == ()
    assert [row.id for row in sample(measured, "contamination.found")] == ["chat-2", "chat-3"]
    assert sample(measured, "contamination.found")[0].text == FIRST
    with pytest.raises(InputError, match="has no documents to sample"):
        sample(measured, "kept")
    story = printed(render(explain(measured, "chat-2")))
    assert "contamination part-00000 row 2: contaminated (contamination.found)" in story
    assert "contains quiz: quiz.jsonl:1 (score 1.00, question 100%" in story


def test_a_span_is_shown_beside_its_item(measured: str, tmp_path: Path) -> None:
    (story,) = explain(measured, "chat-3")
    first, second = story.entries[0].spans
    assert first.item_text == f"{QUIZ[0]['question']}\n- {QUIZ[0]['answer']}"
    assert second.before.strip().endswith("thinks much of it.")
    assert " ".join(QUIZ[1]["question"].split()[:4]) in second.matched
    write_html(measured, str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Evaluation sets in contamination" in page
    assert f"<mark>{first.matched}</mark>" in page
    assert "chat-2, contamination part-00000 row 2" in page


def test_an_item_whose_file_has_changed_since_is_not_shown(tmp_path: Path) -> None:
    evals = tmp_path / "quiz.jsonl"
    evals.write_text((SAMPLES / "evals" / "quiz.jsonl").read_text("utf-8"))
    measure(
        tmp_path / "out",
        write(tmp_path / "a.jsonl", [{"text": FIRST, "id": "a"}]),
        "text",
        f"decontaminate.evals=[{evals}]",
    )
    evals.write_text(json.dumps(QUIZ[3]) + "\n")
    (story,) = explain(str(tmp_path / "out"), "a")
    assert story.entries[0].spans[0].item_text == (
        "(its text is not to be had: quiz/quiz.jsonl is not the file of this run any more)"
    )


def test_words_that_several_items_of_a_set_cover_count_once() -> None:
    texts = Texts.of(["one two three four", "none", "é five six"])
    spans = [
        [{"start": 0, "end": 7, "set": "a"}, {"start": 4, "end": 13, "set": "a"}, {"start": 8, "end": 18, "set": "b"}],
        None,
        [{"start": 0, "end": 7, "set": "a"}],
    ]
    found = covered(texts, pa.array(spans)).to_pylist()
    assert found == [[{"set": "a", "words": 3}, {"set": "b", "words": 2}], None, [{"set": "a", "words": 2}]]


def test_a_lambada_item_is_found_with_another_last_word_but_not_without_its_last_sentence(tmp_path: Path) -> None:
    context = (
        "The ferry had left an hour ago, and with it the last of the summer guests. Ann folded the deck chairs one by one "
        "and carried them down to the cellar. Only the lamp above the landing stage was still"
    )
    evals = write(tmp_path / "lambada_test.jsonl", [{"context": context, "continuation": "burning"}])
    texts = [f"{CLEAN}\n{context} {end} {CLEAN}" for end in ("burning.", "swinging.")]
    found = contamination([*texts, f"{CLEAN}\n{context.rpartition('. ')[0]}. {CLEAN}"], evals)
    assert found["document"].to_pylist() == [0, 1]


def test_a_span_that_was_cut_is_no_document_removed_and_no_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": f"{CLEAN * 9} {FIRST} {CLEAN * 9}", "id": "a"}])
    recipe = resolve({"stages": ["decontaminate"]}, [*EVALS, "decontaminate.method=gpt3", "cluster.workers=0"], "test")
    assert run(recipe, tmp_path / "out", path, packed=False) == []
    notes = storage.read_json(str(tmp_path / "out" / "manifest.json"))["notes"]
    assert not any("removed nothing" in note for note in notes)
    removed = pq.read_table(tmp_path / "out" / "ledger")["tokens_removed"][0].as_py()
    assert f"{removed} tokens were cut out of it" in printed(render(explain(str(tmp_path / "out"), "a")))


@pytest.mark.parametrize(("action", "removed"), [("drop", "all"), ("cut", "some"), ("tag", "none")])
def test_decontaminate_writes_the_table_too_and_says_how_many_tokens_went(
    tmp_path: Path, action: str, removed: str
) -> None:
    long = f"{CLEAN * 9} {FIRST} {CLEAN * 9}"
    path = write(tmp_path / "a.parquet", [{"text": CLEAN}, {"text": long}])
    recipe = resolve(
        {"stages": ["decontaminate"]}, [*EVALS, f"decontaminate.action={action}", "cluster.workers=0"], "test"
    )
    run(recipe, tmp_path / "out", path, packed=False)
    table = storage.read_json(str(tmp_path / "out" / "contamination.json"))
    ledger = pq.read_table(tmp_path / "out" / "ledger").to_pylist()
    assert ledger[0]["tokens_removed"] == 0
    went = ledger[1]["tokens_removed"]
    assert table["total"] == {"documents": 1, "tokens_removed": went}
    assert table["sets"]["quiz"]["tokens_removed"] == went
    assert table["items"]["quiz"]["dirty"] == ["quiz.jsonl:1"]
    left = ledger[1]["token_count"]
    assert {"all": went == left, "some": 0 < went < left, "none": went == 0}[removed]


def test_a_corpus_without_any_text_is_not_called_clean(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text in any of 2 documents; name its column by --text-column"):
        measure(tmp_path / "out", write(tmp_path / "a.jsonl", [{"text": ""}, {"text": None}]))
    assert not (tmp_path / "out" / "contamination.json").exists()


def test_a_set_of_which_nothing_can_be_looked_for_is_named(tmp_path: Path) -> None:
    write(tmp_path / "piqa.jsonl", [{"goal": goal, "sol1": "a", "sol2": "b"} for goal in ("Dry it", "Wet it")])
    path = write(tmp_path / "a.jsonl", [{"text": CLEAN}])
    table = measure(tmp_path / "out", path, "text", f"decontaminate.evals=[{tmp_path / 'piqa.jsonl'}]")
    assert table["sets"]["piqa"] == {
        "items": 2, "dirty": 0, "suspect": 0, "unmatchable": 2, "clean": 0, "documents": 0, "words": 0, "tokens_removed": 0,
    }  # fmt: skip
    notes = storage.read_json(str(tmp_path / "out" / "manifest.json"))["notes"]
    assert notes[-1] == "none of the items of piqa can be looked for"


def test_a_rerun_without_evaluation_sets_leaves_no_table_behind(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": FIRST}])
    for settings, there in ((EVALS, True), ([], False)):
        recipe = resolve(
            {"stages": ["decontaminate"]}, ["decontaminate.action=tag", "cluster.workers=0", *settings], "test"
        )
        run(recipe, tmp_path / "out", path, packed=False)
        for name in ("contamination.json", "contamination.csv"):
            assert (tmp_path / "out" / name).exists() is there


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_the_table_and_needs_no_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": CLEAN}, {"text": FIRST}])
    evals = ["--evals", str(SAMPLES / "evals"), "--fields", str(SAMPLES / "eval_fields.yaml")]
    done = CliRunner().invoke(app, ["contamination", path, *evals, "--workers", "0"], catch_exceptions=False)
    assert "1 of 2 documents have an item" in done.output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jsonl"]


def test_without_evaluation_sets_the_command_says_how_to_name_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": CLEAN}])
    with pytest.raises(ConfigError, match="name files or folders by --evals"):
        CliRunner().invoke(app, ["contamination", path], catch_exceptions=False)


def test_measurements_are_no_documents_for_another_stage(measured: str, tmp_path: Path) -> None:
    recipe = resolve({"stages": ["filter"]}, ["cluster.workers=0"], "test")
    with pytest.raises(InputError, match="holds what was measured of documents, not documents"):
        run(recipe, tmp_path / "out", measured, packed=False)
