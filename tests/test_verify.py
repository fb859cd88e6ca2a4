"""`refine verify` finds each kind of damage to a dataset, and nothing in a sound one."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from test_report import PAGES, STAGES, _output, page, write_manifest, write_run, write_shard

from corpus import storage
from corpus.dataset import StageFolder
from corpus.errors import InputError
from pipeline.verify import verify


@pytest.fixture(scope="module")
def sound_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_run(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def run(sound_run: str, tmp_path: Path) -> str:
    """A copy to damage."""
    return str(shutil.copytree(sound_run, tmp_path / "run"))


def _problems(url: str) -> list[str]:
    result = verify(url)
    assert all("\n" not in problem and ";" in problem for problem in result.problems)  # one line, with what to do
    return [problem.replace(f"{url}/", "") for problem in result.problems]


def _edit_json(path: str, edit: Callable[[Any], None]) -> None:
    value = storage.read_json(path)
    edit(value)
    storage.write_json(path, value)


def _replace_table(folder: StageFolder, kind: str, shard: int, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a file together with receipt and manifest, as a bug in a stage would."""
    path = folder.file(kind, shard)
    pq.write_table(change(pq.read_table(path)), path)
    output = _output(path)
    _edit_json(folder.receipt_file("documents", shard), lambda receipt: receipt["outputs"].update({kind: output}))
    _edit_json(folder.manifest_file, lambda manifest: manifest["shards"][f"part-{shard:05d}"].update({kind: output}))


def test_a_sound_run_has_no_problems(run: str) -> None:
    result = verify(run)
    assert (result.problems, result.notes, result.ok) == ((), (), True)
    assert (result.stages, result.shards) == (5, 10)
    assert result.checked_bytes == sum(path.stat().st_size for path in Path(run).rglob("*.parquet"))


def test_a_sound_stage_alone_has_no_problems(run: str) -> None:
    result = verify(f"{run}/filter")
    assert (result.problems, result.stages, result.shards) == ((), 1, 2)


@pytest.mark.parametrize(
    "file", ["extract/documents/part-00000", "filter/ledger/part-00001", "corpus/documents/part-00001"]
)
def test_one_changed_byte_is_found(run: str, file: str) -> None:
    path = Path(f"{run}/{file}.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (problem,) = _problems(run)
    assert problem.startswith(f"{file}.parquet: has checksum ")


def test_a_truncated_file_is_found(run: str) -> None:
    path = Path(f"{run}/dedup/documents/part-00000.parquet")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-10])
    assert _problems(run) == [
        f"dedup/documents/part-00000.parquet: has {size - 10} bytes, its receipt says {size}; "
        "delete its receipt and run again"
    ]


def test_a_deleted_file_is_found(run: str) -> None:
    Path(f"{run}/filter/documents/part-00001.parquet").unlink()
    assert _problems(run) == ["filter/documents/part-00001.parquet: missing; delete its receipt and run again"]


def test_a_deleted_shard_is_found(run: str) -> None:
    for kind in ("documents", "ledger"):
        Path(f"{run}/filter/{kind}/part-00001.parquet").unlink()
    Path(f"{run}/filter/receipts/documents/part-00001.json").unlink()
    problems = _problems(run)
    assert problems[0].startswith("filter/receipts/documents/part-00001.json: missing; ")
    assert problems[1].startswith("filter/manifest.json: lists part-00001, which has no receipt; ")
    assert problems[-1].startswith("dedup/ledger/part-00001.parquet: filter has no part-00001 ")


def test_two_swapped_files_are_found(run: str) -> None:
    first, second = (Path(f"{run}/filter/documents/part-0000{n}.parquet") for n in (0, 1))
    data = first.read_bytes(), second.read_bytes()
    first.write_bytes(data[1])
    second.write_bytes(data[0])
    assert [problem.split(":")[0] for problem in _problems(run)] == [
        "filter/documents/part-00000.parquet",
        "filter/documents/part-00001.parquet",
    ]


def test_two_shards_swapped_with_their_receipts_and_manifest_are_found(tmp_path: Path) -> None:
    run = write_run(tmp_path, [[page(s * 10 + n, "a.example", 60) for n in range(3)] for s in (0, 1)])
    folder = f"{run}/filter"
    for kind, suffix in (("documents", "parquet"), ("ledger", "parquet"), ("receipts/documents", "json")):
        first, second = (Path(f"{folder}/{kind}/part-0000{n}.{suffix}") for n in (0, 1))
        first.rename(f"{first}.x")
        second.rename(first)
        Path(f"{first}.x").rename(second)
    write_manifest(StageFolder(folder), "filter")
    assert [problem.split(";")[0] for problem in _problems(run)] == [
        "filter/ledger/part-00000.parquet: its ids are not those of extract part-00000",
        "filter/ledger/part-00001.parquet: its ids are not those of extract part-00001",
        "dedup/ledger/part-00000.parquet: its ids are not those of filter part-00000",
        "dedup/ledger/part-00001.parquet: its ids are not those of filter part-00001",
    ]


@pytest.mark.parametrize("name", ["documents", "text_bytes", "tokens"])
def test_an_edited_count_in_a_receipt_is_found(run: str, name: str) -> None:
    path = f"{run}/filter/receipts/documents/part-00000.json"
    rejected = next(c for c in storage.read_json(path)["counts"] if c["reason"] == "gopher_quality.min_words")
    true = rejected[name]
    _edit_json(path, lambda receipt: next(c for c in receipt["counts"] if c["reason"]).update({name: true + 1}))
    problems = _problems(run)
    assert problems[1] == (
        f"filter/receipts/documents/part-00000.json: says {true + 1} {name} for gopher_quality.min_words, language en, "
        f"the ledger {true}; delete its receipt and run again"
    )
    assert problems[0].startswith("filter/manifest.json: says ")


def test_an_edited_count_in_a_manifest_is_found(run: str) -> None:
    _edit_json(f"{run}/dedup/manifest.json", lambda manifest: manifest["counts"][0].update(documents=99))
    (problem,) = _problems(run)
    assert problem.startswith("dedup/manifest.json: says 99 documents for kept, language de, the receipts 1; ")


def test_edited_rows_in_are_found(run: str) -> None:
    _edit_json(f"{run}/filter/receipts/documents/part-00001.json", lambda receipt: receipt.update(rows_in=4))
    assert [problem.split(";")[0] for problem in _problems(run)] == [
        "filter/manifest.json: says 10 rows in, the receipts 9",
        "filter/ledger/part-00001.parquet: has 5 rows for 4 rows in",
        "filter/ledger/part-00001.parquet: 4 rows in, but extract kept 5",
    ]


def test_a_manifest_that_differs_from_a_receipt_is_found(run: str) -> None:
    _edit_json(
        f"{run}/corpus/manifest.json", lambda manifest: manifest["shards"]["part-00000"]["documents"].update(rows=7)
    )
    (problem,) = _problems(run)
    assert problem.startswith(
        "corpus/manifest.json: says other bytes, rows or checksum for part-00000 than its receipt"
    )


def test_a_lost_ledger_row_is_found_though_receipt_and_manifest_agree(run: str) -> None:
    _replace_table(StageFolder(f"{run}/filter"), "ledger", 0, lambda table: table.slice(0, 4))
    said = [problem.split(";")[0] for problem in _problems(run)]
    assert "filter/ledger/part-00000.parquet: has 4 rows for 5 rows in" in said
    assert "filter/ledger/part-00000.parquet: keeps 3 rows, but 4 documents were written" in said
    assert "filter/receipts/documents/part-00000.json: says 1 documents for kept, language de, the ledger 1" not in said


def test_a_repeated_source_row_is_found(run: str) -> None:
    repeated = pa.array([0, 1, 1, 3, 4], pa.int64())
    at = pq.read_schema(f"{run}/filter/ledger/part-00000.parquet").get_field_index("source_row")
    _replace_table(
        StageFolder(f"{run}/filter"), "ledger", 0, lambda table: table.set_column(at, "source_row", repeated)
    )
    assert _problems(run) == [
        "filter/ledger/part-00000.parquet: source_row is not 0, 1, 2, … without a gap; delete its receipt and run again"
    ]


def test_documents_in_another_order_than_the_ledger_are_found(run: str) -> None:
    _replace_table(StageFolder(f"{run}/filter"), "documents", 0, lambda table: table.take([1, 0, 2, 3]))
    assert [problem.split(";")[0] for problem in _problems(run)] == [
        "filter/documents/part-00000.parquet: its ids are not those that the ledger keeps, in order"
    ]


def test_documents_without_a_token_count_are_found(run: str) -> None:
    def forget(table: pa.Table) -> pa.Table:
        first = pc.equal(table.column("token_count"), table.column("token_count")[0])
        counts = pc.if_else(first, pa.scalar(None, pa.int32()), table.column("token_count"))
        return table.set_column(table.schema.get_field_index("token_count"), "token_count", counts)

    _replace_table(StageFolder(f"{run}/corpus"), "documents", 0, forget)
    (problem,) = _problems(run)
    assert problem.startswith("corpus/documents/part-00000.parquet: 1 documents have no token_count")


def test_columns_in_another_order_than_ours_are_found(run: str) -> None:
    _replace_table(StageFolder(f"{run}/corpus"), "documents", 0, lambda t: t.select(t.column_names[::-1]))
    (problem,) = _problems(run)
    assert problem.startswith("corpus/documents/part-00000.parquet: its first columns are not id, url, date")


def test_columns_of_the_user_after_ours_are_no_problem(run: str) -> None:
    _replace_table(StageFolder(f"{run}/corpus"), "documents", 0, lambda t: t.append_column("mine", pa.array(["x"])))
    assert _problems(run) == []


def test_a_stage_that_lost_a_document_of_the_one_before_is_found(run: str) -> None:
    folder = StageFolder(f"{run}/dedup")
    received = [p for p in PAGES[0] if p["fate"][0] not in ("extract", "filter")]
    write_shard(folder, "dedup", 0, received[:-1])
    write_manifest(folder, "dedup")
    said = [problem.split(";")[0] for problem in _problems(run)]
    assert "dedup/ledger/part-00000.parquet: 3 rows in, but filter kept 4" in said


def test_a_corpus_that_lost_a_shard_is_found(run: str) -> None:
    folder = StageFolder(f"{run}/corpus")
    for path in (folder.file("documents", 1), folder.receipt_file("documents", 1)):
        Path(path).unlink()
    _edit_json(folder.manifest_file, lambda manifest: manifest["shards"].pop("part-00001"))
    _edit_json(folder.manifest_file, lambda manifest: manifest.update(rows_in=1))
    assert _problems(run) == [
        "corpus: holds 1 documents, decontaminate kept 5; run again with --out of this folder",
        "corpus: holds 83 tokens, decontaminate kept 381; run again with --out of this folder",
    ]


def test_the_sample_crawl_as_the_pipeline_leaves_it_is_sound(sample_run: Path) -> None:
    result = verify(str(sample_run))
    assert (result.problems, result.stages) == ((), 5)


@pytest.mark.parametrize(
    ("name", "why"),
    [("part-00007.parquet", "no receipt speaks of it"), (".part-00001.parquet.0a1b", "left by an interrupted task")],
)
def test_a_file_that_no_receipt_speaks_of_is_found(run: str, name: str, why: str) -> None:
    shutil.copy(f"{run}/filter/documents/part-00000.parquet", f"{run}/filter/documents/{name}")
    assert _problems(run) == [f"filter/documents/{name}: {why}; delete it"]


def test_the_files_of_other_steps_are_checked_too(run: str) -> None:
    folder = StageFolder(f"{run}/dedup")
    path = Path(folder.file("bands", 0))
    path.parent.mkdir()
    pq.write_table(pa.table({"key": [1, 2, 3]}), path)
    receipt = {"key": "k", "outputs": {"bands": _output(str(path))}, "rows_in": 3, "counts": []}
    storage.write_json(folder.receipt_file("bands", 0), receipt)
    assert _problems(run) == []
    path.write_bytes(path.read_bytes() + b"x")
    (problem,) = _problems(run)
    assert problem.startswith("dedup/bands/part-00000.parquet: has ")


def test_dropped_documents_are_a_note_not_a_problem(run: str) -> None:
    for stage in STAGES:
        storage.remove(f"{run}/{stage}/documents")
        _edit_json(f"{run}/{stage}/manifest.json", lambda manifest: manifest.update(documents_dropped=True))
    result = verify(run)
    assert result.problems == ()
    assert result.notes == tuple(f"{run}/{stage}/documents: dropped after use" for stage in STAGES)
    assert result.checked_bytes == sum(path.stat().st_size for path in Path(run).rglob("*.parquet"))


def test_a_sampled_stage_may_leave_rows_out_but_not_change_their_order(tmp_path: Path) -> None:
    folder = StageFolder(str(tmp_path))
    storage.write_json(folder.inputs_file, [{"path": "own.parquet"}])
    received = [p for p in PAGES[0] if p["fate"][0] != "extract"]
    for rows, found in (([1, 3], []), ([3, 1], ["source_row is not increasing"])):
        write_shard(folder, "filter", 0, [received[row] for row in rows], source_rows=rows)
        write_manifest(folder, "filter", sample=0.5)
        assert [problem.split(": ")[1].split(";")[0] for problem in _problems(folder.url)] == found


def test_an_unfinished_stage_is_a_problem(run: str) -> None:
    Path(f"{run}/corpus/manifest.json").unlink()
    (problem,) = _problems(run)
    assert problem.startswith("corpus/manifest.json: missing, the stage is unfinished")


@pytest.mark.parametrize(
    "file", ["filter/manifest.json", "filter/receipts/documents/part-00000.json", "filter/inputs.json", "run.json"]
)
@pytest.mark.parametrize("content", ["", "{", '"x"', "\x00"])
def test_a_damaged_paper_is_a_problem_not_a_crash(run: str, file: str, content: str) -> None:
    Path(f"{run}/{file}").write_text(content)
    problems = _problems(run)
    assert any(file in problem for problem in problems)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset of refine"):
        verify(str(tmp_path))
