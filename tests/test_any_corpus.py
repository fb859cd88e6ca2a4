"""People who have text already: Parquet and JSONL that others made go through every stage after extract."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import run, sample_recipe

from corpus.errors import ShardError
from pipeline.config import resolve
from pipeline.inputs import find_inputs, read_documents

ARTICLE = (
    "The lighthouse was built in the year that the harbour froze, and the people of the town have told the story to their "
    "children ever since. It is said that the keeper walked across the ice with a lantern, and that the ships which had been "
    "waiting beyond the bar were guided in by the light of it. Nobody knows whether that is true, but the log of the harbour "
    "master has an entry for the night, and it speaks of a lantern."
)


def recipe(kind: str, *settings: str):
    return resolve({"stages": [{kind: {}}]}, ["cluster.workers=0", *settings], "test")


def documents(out: Path) -> pa.Table:
    return pq.read_table(out / "documents")


def test_columns_of_others_pass_through_untouched(tmp_path: Path) -> None:
    table = pa.table(
        {
            "content": [ARTICLE, "too short", ARTICLE.replace("lighthouse", "granary")],
            "labels": pa.array([["a"], [], None], pa.list_(pa.string())),
            "score": pa.array([1.5, 2.5, 3.5], pa.float64()),
        }
    )
    pq.write_table(table, tmp_path / "theirs.parquet")
    run(recipe("filter"), tmp_path / "out", str(tmp_path / "theirs.parquet"), packed=False, text_column="content")
    kept = documents(tmp_path / "out")
    assert kept["text"].to_pylist() == [ARTICLE, ARTICLE.replace("lighthouse", "granary")]
    assert kept["labels"].to_pylist() == [["a"], None]
    assert kept["score"].to_pylist() == [1.5, 3.5]
    assert kept.schema.field("score").type == pa.float64()
    assert "content" not in kept.schema.names
    assert all(token_count > 50 for token_count in kept["token_count"].to_pylist())
    assert len(set(kept["id"].to_pylist())) == 2


def test_fineweb_columns_take_our_types_and_keep_their_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": [ARTICLE],
            "id": ["<urn:uuid:1>"],
            "dump": ["CC-MAIN-2024-10"],
            "url": ["https://a.example/"],
            "date": ["2024-03-01T12:00:00Z"],
            "file_path": ["s3://commoncrawl/x.warc.gz"],
            "language": ["en"],
            "language_score": pa.array([0.97], pa.float64()),
            "token_count": pa.array([7], pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "fineweb.parquet")
    run(recipe("dedup"), tmp_path / "out", str(tmp_path / "fineweb.parquet"), packed=False)
    row = documents(tmp_path / "out").to_pylist()[0]
    assert row["date"].isoformat() == "2024-03-01T12:00:00+00:00"
    assert row["token_count"] == 7
    assert row["dump"] == "CC-MAIN-2024-10"


def test_jsonl_and_gzip_jsonl_go_through_dedup_and_keep_one(tmp_path: Path) -> None:
    rows = [
        {"text": ARTICLE, "source": "a"},
        {"text": ARTICLE + " ", "source": "b"},
        {"text": "hi", "source": "c"},
        {"text": "Hi!", "source": "d"},
    ]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    (tmp_path / "in" / "2.jsonl.gz").write_bytes(
        gzip.compress("".join(json.dumps(row) + "\n" for row in rows[2:]).encode())
    )
    run(recipe("dedup"), tmp_path / "out", str(tmp_path / "in"), packed=False)
    assert documents(tmp_path / "out")["source"].to_pylist() == ["a", "c"]
    ledger = pq.read_table(tmp_path / "out" / "ledger").to_pylist()
    assert [row["reason"] for row in ledger] == [None, "dedup.exact", None, "dedup.exact"]
    assert [row["duplicate_of"] for row in ledger] == [None, 0, None, 1 << 32]
    assert ledger[1]["duplicate_of_id"] == ledger[0]["id"]


def test_a_name_with_brackets_and_blanks_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "crawl [déjà vu]"
    folder.mkdir()
    (folder / "a b [1].jsonl").write_text(json.dumps({"text": ARTICLE}) + "\n")
    named = [str(folder / "a b [1].jsonl")]
    assert [source["path"] for source in find_inputs([str(folder)], (".jsonl",))] == named
    assert [source["path"] for source in find_inputs(named, (".jsonl",))] == named


def test_zstandard_jsonl_is_read(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl.zst"
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(json.dumps({"text": ARTICLE}).encode() + b"\n")
    assert [
        batch["text"].to_pylist() for _, batch in read_documents({"path": str(path), "identity": ""}, "text", None)
    ] == [[ARTICLE]]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_bytes_that_are_no_utf8_become_replacement_characters(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"texts.{ending}"
    if ending == "jsonl":
        path.write_bytes(b'{"text": "caf\xe9", "url": "\xff"}\n{"text": null, "url": "b"}\n')
    else:
        columns = {"text": [b"caf\xe9", None], "url": [b"\xff", b"b"]}
        strings = {name: pa.array(values, pa.binary()).view(pa.string()) for name, values in columns.items()}
        pq.write_table(pa.table(strings), path)
    ((_, batch),) = read_documents({"path": str(path), "identity": ""}, "text", None)
    assert batch["text"].to_pylist() == ["caf\ufffd", None]
    assert batch["url"].to_pylist() == ["\ufffd", "b"]


def test_an_empty_jsonl_shard_is_a_shard_without_documents(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.jsonl").write_text("")
    (tmp_path / "in" / "2.jsonl").write_text(json.dumps({"text": ARTICLE}) + "\n")
    run(recipe("dedup"), tmp_path / "out", str(tmp_path / "in"), packed=False)
    assert [pq.read_metadata(shard).num_rows for shard in sorted((tmp_path / "out" / "documents").iterdir())] == [0, 1]


def test_keep_policy_longest_newest_and_highest(tmp_path: Path) -> None:
    words = ARTICLE.split()
    near = [ARTICLE, " ".join([*words, "And so on."]), " ".join(["Once.", *words])]
    table = pa.table(
        {
            "text": near,
            "name": ["plain", "long", "third"],
            "date": ["2024-01-01T00:00:00Z", "2023-01-01T00:00:00Z", "2025-01-01T00:00:00Z"],
            "quality": [0.9, 0.1, 0.5],
        }
    )
    pq.write_table(table, tmp_path / "near.parquet")
    kept = {}
    for keep in ("first", "longest", "newest", "{highest: quality}"):
        out = tmp_path / f"out-{len(kept)}"
        run(recipe("dedup", f"dedup.keep={keep}"), out, str(tmp_path / "near.parquet"), packed=False)
        kept[keep] = documents(out)["name"].to_pylist()
    assert kept == {"first": ["plain"], "longest": ["long"], "newest": ["third"], "{highest: quality}": ["plain"]}


@pytest.mark.parametrize("method", ["urls", "exact", "minhash"])
def test_of_equal_ones_the_first_stays_and_what_has_no_value_goes(tmp_path: Path, method: str) -> None:
    texts = {"exact": [ARTICLE] * 5, "minhash": [f"{ARTICLE} {n}" for n in range(5)], "urls": list("abcde")}[method]
    table = pa.table(
        {
            "id": list("01234"),
            "text": texts,
            "url": ["http://a.example/"] * 5 if method == "urls" else list("01234"),
            "date": [None, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z", None],
            "quality": [float("nan"), None, -2.0, -1.0, -1.0],
        }
    )
    (tmp_path / "in").mkdir()
    for shard in range(2):
        pq.write_table(table.slice(3 * shard, 3), tmp_path / "in" / f"{shard}.parquet")
    kept = {}
    for keep in ("first", "longest", "newest", "{highest: quality}"):
        out = tmp_path / f"out-{len(kept)}"
        run(recipe("dedup", f"dedup.methods=[{method}]", f"dedup.keep={keep}"), out, str(tmp_path / "in"), packed=False)
        kept[keep] = documents(out)["id"].to_pylist()
    assert kept == {"first": ["0"], "longest": ["0"], "newest": ["2"], "{highest: quality}": ["3"]}


def test_the_highest_of_a_signal_in_the_ledger_of_the_stage_before_stays(tmp_path: Path) -> None:
    texts = [ARTICLE, "Too short.", f"{ARTICLE} and and and", f"{ARTICLE} And that is it."]
    pq.write_table(pa.table({"id": list("0123"), "text": texts}), tmp_path / "in.parquet")
    filtered = ["filter.rulesets=[gopher_quality]", "filter.gopher_quality.min_words=20"]
    run(recipe("filter", *filtered), tmp_path / "filtered", str(tmp_path / "in.parquet"), packed=False)
    signals = pq.read_table(tmp_path / "filtered" / "ledger")["gopher_quality.mean_word_length"].to_pylist()
    longest = max((0, 2, 3), key=lambda row: signals[row])
    keep = "dedup.keep={highest: gopher_quality.mean_word_length}"
    run(recipe("dedup", keep), tmp_path / "out", str(tmp_path / "filtered"), packed=False)
    assert documents(tmp_path / "out")["id"].to_pylist() == [str(longest)]
    run(
        recipe("filter", *filtered, "filter.gopher_quality.view=fields"),
        tmp_path / "filtered",
        str(tmp_path / "in.parquet"),
        packed=False,
    )
    before = (tmp_path / "out" / "receipts" / "digests" / "part-00000.json").read_text()
    run(recipe("dedup", keep), tmp_path / "out", str(tmp_path / "filtered"), packed=False)
    assert (tmp_path / "out" / "receipts" / "digests" / "part-00000.json").read_text() != before
    with pytest.raises(ShardError, match=r"dedup.keep.highest: no column 'gopher_quality.wrods'"):
        run(
            recipe("dedup", "dedup.keep={highest: gopher_quality.wrods}"),
            tmp_path / "wrong",
            str(tmp_path / "filtered"),
            packed=False,
        )


@pytest.mark.parametrize("method", ["urls", "exact", "minhash"])
def test_scope_dump_compares_within_a_crawl_by_every_method(tmp_path: Path, method: str) -> None:
    texts = {"exact": [ARTICLE] * 5, "minhash": [f"{ARTICLE} {n}" for n in range(5)], "urls": list("abcde")}[method]
    urls = ["http://a.example/"] * 5 if method == "urls" else list("01234")
    table = pa.table({"id": list("01234"), "text": texts, "url": urls, "dump": ["one", "two", "one", None, "two"]})
    pq.write_table(table, tmp_path / "crawls.parquet")
    settings = ["dedup.scope=dump", f"dedup.methods=[{method}]"]
    run(recipe("dedup", *settings), tmp_path / "out", str(tmp_path / "crawls.parquet"), packed=False)
    assert documents(tmp_path / "out")["id"].to_pylist() == ["0", "1", "3"]


def test_scope_dump_keeps_one_copy_a_crawl(tmp_path: Path) -> None:
    table = pa.table({"text": [ARTICLE] * 4, "url": ["https://a.example/x"] * 4, "dump": ["one", "one", "two", None]})
    pq.write_table(table, tmp_path / "crawls.parquet")
    run(recipe("dedup", "dedup.scope=dump"), tmp_path / "dump", str(tmp_path / "crawls.parquet"), packed=False)
    run(recipe("dedup"), tmp_path / "all", str(tmp_path / "crawls.parquet"), packed=False)
    assert documents(tmp_path / "dump")["dump"].to_pylist() == ["one", "two", None]
    assert documents(tmp_path / "all")["dump"].to_pylist() == ["one"]


def test_a_users_own_file_is_a_rule_set(tmp_path: Path) -> None:
    rules = tmp_path / "no_shouting.py"
    rules.write_text(
        "import numpy as np\n"
        "from corpus.rules import Measurement, Rule\n"
        "RULES = (Rule('max_exclamation_marks', 1, 'ours'),)\n"
        "def measure(documents, options):\n"
        "    counts = [text.as_py().count('!') for text in documents.texts.column]\n"
        "    return Measurement({'exclamation_marks': np.array(counts, np.float32)})\n"
    )
    pq.write_table(pa.table({"text": ["One!", "Two!!", "Three."]}), tmp_path / "in.parquet")
    settings = [f"filter.rulesets=[{rules}]"]
    run(recipe("filter", *settings), tmp_path / "out", str(tmp_path / "in.parquet"), packed=False)
    ledger = pq.read_table(tmp_path / "out" / "ledger")
    assert ledger["reason"].to_pylist() == [None, "no_shouting.max_exclamation_marks", None]
    assert ledger["no_shouting.exclamation_marks"].to_pylist() == [1.0, 2.0, 0.0]
    run(
        recipe("filter", *settings, "filter.no_shouting.max_exclamation_marks=2"),
        tmp_path / "lax",
        str(tmp_path / "in.parquet"),
        packed=False,
    )
    assert documents(tmp_path / "lax").num_rows == 3


def test_sample_takes_the_same_documents_every_time_and_says_so(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"id": [str(i) for i in range(1000)], "text": [f"text {i}" for i in range(1000)]}),
        tmp_path / "in.parquet",
    )
    ids = {}
    for fraction in (0.1, 0.3):
        out = tmp_path / str(fraction)
        run(recipe("dedup"), out, str(tmp_path / "in.parquet"), packed=False, sample=fraction)
        ids[fraction] = set(documents(out)["id"].to_pylist())
        assert json.loads((out / "manifest.json").read_text())["sample"] == fraction
    assert ids[0.1] < ids[0.3]
    assert 60 < len(ids[0.1]) < 140


def test_a_job_array_makes_the_same_shards_as_one_run(tmp_path: Path, blocklist: Path) -> None:
    whole = sample_recipe(blocklist, "extract.extractor=resiliparse")
    extract = whole.model_copy(update={"stages": whole.stages[:1]})
    run(extract, tmp_path / "one", packed=False)
    for job in range(2):
        assert not (tmp_path / "array" / "manifest.json").exists()
        run(extract, tmp_path / "array", packed=False, job=(job, 2))
    for shard in (tmp_path / "one" / "documents").iterdir():
        assert (tmp_path / "array" / "documents" / shard.name).read_bytes() == shard.read_bytes()
    assert (tmp_path / "array" / "manifest.json").read_text() == (tmp_path / "one" / "manifest.json").read_text()


def test_output_to_an_object_store_reads_back(tmp_path: Path) -> None:
    import fsspec

    pq.write_table(pa.table({"text": [ARTICLE, "short"]}), tmp_path / "in.parquet")
    run(recipe("filter"), "memory://bucket/out", str(tmp_path / "in.parquet"), packed=False)  # type: ignore[arg-type]
    store = fsspec.filesystem("memory")
    with store.open("/bucket/out/documents/part-00000.parquet") as file:
        assert pq.read_table(file)["text"].to_pylist() == [ARTICLE]
    assert not [name for name in store.find("/bucket/out") if "/.part" in name]
