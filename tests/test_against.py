"""`refine dedup NEW --against OLD`: the verdicts of one run over both, from OLD's index alone, which stays as it is."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import digests, refine, run
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError
from corpus.schema import document_place
from pipeline.config import resolve
from pipeline.report.explain import entry_lines, explain

MINHASH = 'dedup.minhash={"bands": 20, "rows": 1, "ngram": 1}'  # a third of the words in common is enough
Document = tuple[int, int, int | None, int]  # first half, second half, URL, score

NAMES = ("duplicate_of", "cluster_id", "matched_with")


def half(side: str, number: int) -> str:
    return " ".join(f"{side}{number}x{word}" for word in range(15))


def write(folder: Path, documents: Sequence[Document], first: int, above: int = 0, n_shards: int = 2) -> str:
    """Shards of documents that are named by their numbers from `first` on. Documents that share a half are near-duplicates."""
    folder.mkdir(parents=True)
    for shard in range(n_shards):
        numbers = range(len(documents) * shard // n_shards, len(documents) * (shard + 1) // n_shards)
        rows = [
            {
                "id": str(first + number),
                "url": None if url is None else f"http://a.example/{url}",
                "text": f"{half('a', left)} {half('b', right)}",
                "score": score + above,
            }
            for number in numbers
            for left, right, url, score in [documents[number]]
        ]
        schema = pa.schema([("id", pa.string()), ("url", pa.string()), ("text", pa.string()), ("score", pa.int64())])
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{shard}.parquet")
    return str(folder)


def dedup(out: Path, inputs: str | list[str], *given: str, against: Sequence[Path] = (), **options: object) -> None:
    every = ["cluster.workers=0", MINHASH, *given, f"dedup.against={json.dumps([str(path) for path in against])}"]
    run(resolve({"stages": [{"dedup": {}}]}, every, "test"), out, inputs, packed=False, **options)  # type: ignore[arg-type]


def ledger(out: Path, numbers: Sequence[Sequence[range]]) -> list[dict[str, Any]]:
    """Rows of the ledger with keys as numbers; `numbers`: of each shard of each run, its own run first."""
    rows = [row for path in sorted((out / "ledger").iterdir()) for row in pq.read_table(path).to_pylist()]
    for row in rows:
        del row["source_row"]
        for name in NAMES:
            if row[name] is not None:
                of_run, shard, at = document_place(row[name])
                row[name] = numbers[of_run][shard][at]
    return rows


def halves(start: int, stop: int) -> list[range]:
    middle = (stop - start) // 2
    return [range(start, start + middle), range(start + middle, stop)]


DOCUMENT = st.tuples(st.integers(0, 9), st.integers(0, 9), st.none() | st.integers(0, 15), st.integers(0, 3))


@given(st.lists(DOCUMENT, min_size=8, max_size=24), st.data())
@settings(max_examples=6)
def test_verdicts_are_those_of_one_run_over_everything_that_prefers_the_earlier(documents, data) -> None:
    cut = sorted(data.draw(st.integers(1, len(documents) - 1)) for _ in range(2))
    keep = data.draw(st.sampled_from(["first", "{highest: score}"]))
    bounds = [0, *cut, len(documents)]
    with TemporaryDirectory() as folder:
        root = Path(folder)
        parts = []
        for number in range(3):
            start, stop = bounds[number : number + 2]
            parts.append(write(root / f"in{number}", documents[start:stop], start, (2 - number) * 10))
            dedup(
                root / str(number), parts[-1], f"dedup.keep={keep}", against=[root / str(old) for old in range(number)]
            )
        dedup(root / "all", parts, f"dedup.keep={keep}")
        numbers = [halves(*bounds[number : number + 2]) for number in range(3)]
        everything = ledger(root / "all", [sum(numbers, [])])
        found = [ledger(root / str(number), [numbers[number], *numbers[:number]]) for number in range(3)]
        assert found[2] == everything[bounds[2] :]
