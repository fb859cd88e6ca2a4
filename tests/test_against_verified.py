"""`--against` with `verify: true`: the verdicts of one run over everything, from shingles that earlier runs stored."""

import json
import shutil
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import digests, run
from hypothesis import given, settings
from hypothesis import strategies as st
from test_against import bridged, halves, ledger

from corpus.errors import ConfigError
from pipeline.config import resolve

SETTINGS = [
    "dedup.methods=[exact, minhash]",
    'dedup.minhash={"bands": 20, "rows": 1, "ngram": 1}',  # a fifth of the words in common makes a candidate
    "dedup.verify=true",
    "dedup.min_jaccard=0.4",
]
STORED = "dedup.store_shingles=true"
Document = tuple[int, int, int]  # its thirds: two in common are a Jaccard similarity of 0.5, one is 0.2


def write(folder: Path, documents: Sequence[Document], first: int = 0) -> str:
    """Two shards of documents that are named by their numbers from `first` on."""
    folder.mkdir()
    middle = len(documents) // 2
    for shard, numbers in enumerate((range(middle), range(middle, len(documents)))):
        texts = [
            " ".join(
                f"{side}{third}x{word}" for side, third in zip("abc", documents[n], strict=True) for word in range(10)
            )
            for n in numbers
        ]
        schema = pa.schema([("id", pa.string()), ("text", pa.string())])
        pq.write_table(pa.table([[str(first + n) for n in numbers], texts], schema=schema), folder / f"{shard}.parquet")
    return str(folder)


def dedup(out: Path, inputs: str | list[str], *given: str, against: Sequence[Path] = ()) -> None:
    every = ["cluster.workers=0", *SETTINGS, *given, f"dedup.against={json.dumps([str(path) for path in against])}"]
    run(resolve({"stages": [{"dedup": {}}]}, every, "test"), out, inputs, packed=False)


THIRD = st.integers(0, 3)


@given(st.lists(st.tuples(THIRD, THIRD, THIRD), min_size=8, max_size=24), st.sampled_from([99, 99, 3]), st.data())
@settings(max_examples=5)
def test_verdicts_and_similarities_are_those_of_one_run_over_everything(in_turn, documents, largest, data) -> None:
    bounds = [0, *sorted(data.draw(st.integers(1, len(documents) - 1)) for _ in range(2)), len(documents)]
    cap = f"dedup.max_bucket_documents={largest}"
    with TemporaryDirectory() as folder:
        root = Path(folder)
        parts: list[str] = []
        numbers: list[list[range]] = []
        found: list[dict[str, Any]] = []
        is_bridged: set[int] = set()
        for number, (start, stop) in enumerate(pairwise(bounds)):
            parts.append(write(root / f"in{number}", documents[start:stop], start))
            memory = f"dedup.memory={data.draw(st.sampled_from(['2GiB', '20kB', '3kB']))}"
            dedup(root / str(number), parts[-1], cap, STORED, memory, against=[root / str(n) for n in range(number)])
            numbers.append(halves(start, stop))
            found += ledger(root / str(number), [numbers[-1], *numbers[:-1]])
            if number:
                is_bridged |= {each[0] for each in bridged(root / str(number), [numbers[-1], *numbers[:-1]])}
        dedup(root / "all", parts, cap)
        everything = ledger(root / "all", [list(chain(*numbers))])
    new = slice(bounds[2], None)
    assert [row["reason"] for row in found[new]] == [row["reason"] for row in everything[new]]
    if largest == 99:  # where a bucket is capped, earlier runs compared more of their own
        assert found[new] == everything[new]
        assert [row["reason"] is None for row in found] == [
            row["reason"] is None or number in is_bridged for number, row in enumerate(everything)
        ]


OLD: list[Document] = [(0, 0, 0), (1, 1, 1), (1, 1, 2), (5, 5, 5)]
NEW: list[Document] = [(0, 0, 3), (0, 4, 4), (1, 7, 2), (8, 8, 8), (8, 8, 9)]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run that stored its shingles and was left without its documents, and those without their source."""
    dedup(tmp_path / "old", write(tmp_path / "in-old", OLD), STORED)
    shutil.rmtree(tmp_path / "old" / "documents")
    shutil.rmtree(tmp_path / "in-old")
    return tmp_path / "old"


def test_pairs_with_earlier_documents_are_verified_without_their_text_and_that_run_stays_as_it_is(
    tmp_path: Path, old: Path
) -> None:
    before = digests(old)
    dedup(tmp_path / "new", write(tmp_path / "in", NEW), against=[old])
    rows = ledger(tmp_path / "new", [halves(4, 9), halves(0, 4)])
    assert [row["duplicate_of"] for row in rows] == [0, None, 1, None, 7]
    assert [row["matched_with"] for row in rows] == [0, None, 2, None, 7]  # 2 went for 1
    assert [row["exact_jaccard"] for row in rows] == [0.5, None, 0.5, None, 0.5]
    assert digests(old) == before


def test_stored_shingles_workers_and_an_interruption_change_no_byte(tmp_path: Path, old: Path) -> None:
    source = write(tmp_path / "in", NEW)
    dedup(tmp_path / "none", source, "dedup.memory=3kB", against=[old])
    dedup(tmp_path / "two", source, "dedup.memory=3kB", "cluster.workers=2", against=[old])
    dedup(tmp_path / "stored", source, "dedup.memory=3kB", STORED, against=[old])
    expected = digests(tmp_path / "none")
    assert digests(tmp_path / "two") == expected
    stored = {path: digest for path, digest in digests(tmp_path / "stored").items() if "stored_shingles" not in path}
    assert stored == expected
    for step in ("earlier_shingles", "overlaps", "documents"):
        (tmp_path / "none" / "receipts" / step / "part-00000.json").unlink()
        (tmp_path / "none" / step / "part-00000.parquet").unlink()
    dedup(tmp_path / "none", source, "dedup.memory=3kB", against=[old])
    assert digests(tmp_path / "none") == expected


def test_an_earlier_run_without_shingles_or_of_other_thresholds_is_an_error(tmp_path: Path, old: Path) -> None:
    source = write(tmp_path / "in", NEW)
    with pytest.raises(ConfigError, match=r"old was made with min_jaccard 0.4 \(here 0.5\); make them equal"):
        dedup(tmp_path / "new", source, "dedup.min_jaccard=0.5", against=[old])
    with pytest.raises(ConfigError, match=r"old was made with verify True \(here False\); make them equal"):
        dedup(tmp_path / "new", source, "dedup.verify=false", against=[old])
    dedup(tmp_path / "bare", source)
    with pytest.raises(ConfigError, match=r"bare has no shingles to verify pairs by; .* dedup.store_shingles=true"):
        dedup(tmp_path / "new", source, against=[tmp_path / "bare"])
    with pytest.raises(ConfigError, match=r"store_shingles: none are compared; set dedup.verify=true"):
        dedup(tmp_path / "new", source, STORED, "dedup.verify=false")
    (old / "stored_shingles" / "part-00001.parquet").unlink()
    with pytest.raises(ConfigError, match=r"stored_shingles/part-00001.parquet is gone; run the dedup of .*old again"):
        dedup(tmp_path / "new", source, against=[old])
