"""Files that exist whole or not at all, and the invariant that no row is lost."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import storage
from corpus.dataset import ShardWriter, StageFolder, TableWriter, add_counts, empty_documents
from corpus.errors import InputError, IntegrityError
from corpus.rules import Rule, decide
from corpus.schema import LEDGER


def ledger(reasons: list[str | None]) -> pa.RecordBatch:
    rows = [
        {"id": str(i), "reason": reason, "language": "en", "text_bytes": 10, "token_count": 3}
        for i, reason in enumerate(reasons)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=LEDGER)


def documents(n: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [{"id": str(i), "text": "text"} for i in range(n)], schema=empty_documents().schema
    )


def writer(folder: Path) -> ShardWriter:
    return ShardWriter({"documents": folder / "documents.parquet", "ledger": folder / "ledger.parquet"})


def test_a_lost_row_is_an_error_not_a_smaller_dataset(tmp_path: Path) -> None:
    shard = writer(tmp_path)
    shard.write(documents(1), ledger([None, "gopher_quality.min_words"]))
    with pytest.raises(IntegrityError, match="3 rows in, but 1 written, 1 kept and 1 rejected"):
        shard.close(3)


def test_a_document_that_the_ledger_rejects_but_that_was_written_is_an_error(tmp_path: Path) -> None:
    shard = writer(tmp_path)
    shard.write(documents(2), ledger([None, "gopher_quality.min_words"]))
    with pytest.raises(IntegrityError):
        shard.close(2)


def test_counts_are_by_reason_and_language(tmp_path: Path) -> None:
    shard = writer(tmp_path)
    shard.write(documents(2), ledger([None, "b.max_x", None]))
    shard.write(documents(0), ledger(["b.max_x"]))
    counts = shard.close(4)
    kept = {"reason": None, "language": "en", "documents": 2, "text_bytes": 20, "tokens": 6}
    assert counts == [kept, {**kept, "reason": "b.max_x"}]
    assert add_counts([counts, counts])[0] == {**kept, "documents": 4, "text_bytes": 40, "tokens": 12}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=10))
def test_row_groups_do_not_depend_on_how_rows_arrive(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    total = sum(sizes)
    in_pieces, at_once = TableWriter(folder / "pieces.parquet", 7), TableWriter(folder / "once.parquet", 7)
    column = pa.RecordBatch.from_pydict({"n": pa.array(range(total), pa.int64())})
    start = 0
    in_pieces.write(column.slice(0, 0))
    for size in sizes:
        in_pieces.write(column.slice(start, size))
        start += size
    at_once.write(column)
    in_pieces.close()
    at_once.close()
    assert (folder / "pieces.parquet").read_bytes() == (folder / "once.parquet").read_bytes()
    assert pq.read_table(folder / "pieces.parquet")["n"].to_pylist() == list(range(total))


def write_half(final: str) -> None:
    with storage.attempt(final) as (local, _):
        local.write_bytes(b"half of it")
        raise KeyboardInterrupt


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    final = str(tmp_path / "folder" / "part-00000.parquet")
    with pytest.raises(KeyboardInterrupt):
        write_half(final)
    assert list((tmp_path / "folder").iterdir()) == []


def test_an_attempt_is_invisible_until_it_is_promoted(tmp_path: Path) -> None:
    folder = StageFolder(str(tmp_path))
    with storage.attempt(folder.file("documents", 0)) as (local, attempted):
        local.write_bytes(b"whole")
    assert storage.list_folder(str(tmp_path / "documents")) == [Path(attempted).name]
    assert Path(attempted).name.startswith(".part-00000.parquet.")
    storage.promote(attempted, folder.file("documents", 0))
    assert storage.list_folder(str(tmp_path / "documents")) == ["part-00000.parquet"]


def test_a_missing_file_is_named_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.parquet: no such file; check the path"):
        storage.open_input(str(tmp_path / "gone.parquet"))


def test_a_file_is_known_by_size_and_etag_or_else_by_time() -> None:
    assert storage.identity_of({"size": 5, "ETag": "abc", "mtime": 1.5}) == "5:abc"
    assert storage.identity_of({"size": 5, "mtime": 1.5}) == "5:1.5"


def test_a_rule_is_decided_in_float32_and_the_limit_itself_passes() -> None:
    import numpy as np

    rules = {"set": (Rule("min_x", 0.1, "ours"), Rule("max_y", 0.3, "ours"), Rule("max_z", None, "ours"))}
    signals = {
        "set.x": np.array([0.1, 0.0999, np.nan], np.float32),
        "set.y": np.array([0.3, 0.31, 0.2], np.float32),
        "set.z": np.array([9, 9, 9], np.float32),
    }
    verdicts = decide(rules, signals, 3)
    assert verdicts.reason.to_pylist() == [None, "set.min_x", None]
    assert verdicts.failed.to_pylist() == [[], ["set.min_x", "set.max_y"], []]
