"""The corpus is packed into shards of the configured size, without losing, adding or reordering a document."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from conftest import run
from hypothesis import given
from hypothesis import strategies as st

from corpus.dataset import Receipt
from pipeline.config import resolve
from pipeline.stages.pack import packs


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10_000)), max_size=12), st.integers(1, 20_000))
def test_every_row_is_packed_once_and_in_order(shards: list[tuple[int, int]], shard_bytes: int) -> None:
    receipts = [
        (f"shard-{number}", Receipt("key", {"documents": {"rows": rows, "bytes": size, "checksum": "x"}}))
        for number, (rows, size) in enumerate(shards)
    ]
    packed = packs(receipts, shard_bytes)
    flat = [
        (piece["path"], row) for pieces in packed for piece in pieces for row in range(piece["start"], piece["stop"])
    ]
    assert flat == [(f"shard-{number}", row) for number, (rows, _) in enumerate(shards) for row in range(rows)]
    sizes = {f"shard-{number}": size / rows for number, (rows, size) in enumerate(shards) if rows}
    for pieces in packed:
        size = sum((piece["stop"] - piece["start"]) * sizes[piece["path"]] for piece in pieces)
        assert size <= shard_bytes + 1e-6 or sum(piece["stop"] - piece["start"] for piece in pieces) == 1


def test_shards_have_the_configured_size_and_all_documents(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    texts = [
        f"The {i}th text of this corpus is about the number {i * i} and that is all of it, to be honest."
        for i in range(2000)
    ]
    for part in range(4):
        pq.write_table(pa.table({"text": texts[part::4]}), tmp_path / "in" / f"{part}.parquet")
    recipe = resolve(
        {"stages": [{"dedup": {"methods": ["exact"]}}]}, ["cluster.workers=0", "output.shard_bytes=20kB"], "test"
    )
    run(recipe, tmp_path / "out", str(tmp_path / "in"))
    shards = sorted((tmp_path / "out" / "corpus" / "documents").iterdir())
    assert len(shards) > 2
    assert all(shard.stat().st_size < 40_000 for shard in shards)
    packed = pq.read_table(tmp_path / "out" / "corpus" / "documents")
    assert packed["text"].to_pylist() == [text for part in range(4) for text in texts[part::4]]
    assert packed["token_count"].null_count == 0

    larger = resolve(
        {"stages": [{"dedup": {"methods": ["exact"]}}]}, ["cluster.workers=0", "output.shard_bytes=1MB"], "test"
    )
    run(larger, tmp_path / "out", str(tmp_path / "in"))
    assert [path.name for path in (tmp_path / "out" / "corpus" / "documents").iterdir()] == ["part-00000.parquet"]
    assert pq.read_table(tmp_path / "out" / "corpus" / "documents")["text"] == packed["text"]
