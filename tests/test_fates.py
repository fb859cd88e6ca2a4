"""Every page of the sample crawl meets the fate that it was written for."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from conftest import CRAWL, fates, run, sample_recipe

from pipeline.inputs import find_inputs
from pipeline.run import ARCHIVE_ENDINGS

STAGES = ("extract", "filter", "dedup", "decontaminate")


def actual_fates(dataset: Path) -> dict[tuple[str, int], str]:
    """(archive, record) → `kept` or `stage.reason`, followed by position through the ledgers."""
    archives = [Path(entry["path"]).name for entry in find_inputs([CRAWL], ARCHIVE_ENDINGS)]
    result = {}
    for shard, archive in enumerate(archives):
        rows: list[int] = []
        for stage in STAGES:
            ledger = pq.read_table(dataset / stage / "ledger" / f"part-{shard:05d}.parquet")
            rows = rows if stage != "extract" else list(range(ledger.num_rows))
            assert len(rows) == ledger.num_rows
            for row, reason in zip(rows, ledger["reason"].to_pylist(), strict=True):
                if reason is not None:
                    result[archive, row] = reason if reason.startswith(f"{stage}.") else f"{stage}.{reason}"
            rows = [row for row, reason in zip(rows, ledger["reason"].to_pylist(), strict=True) if reason is None]
        result |= {(archive, row): "kept" for row in rows}
    return result


def test_every_page_of_the_sample_crawl_meets_its_fate(sample_run: Path) -> None:
    actual = actual_fates(sample_run)
    expected = {(row["file"], int(row["record_index"])): row for row in fates()}
    assert actual.keys() == expected.keys()
    wrong = {
        row["page"]: (row["fate"], actual[at])
        for at, row in expected.items()
        if not (actual[at] == row["fate"] or actual[at].startswith(row["fate"] + "."))
    }
    assert wrong == {}


def test_kept_pages_are_the_packed_corpus_with_token_counts(sample_run: Path) -> None:
    corpus = pq.read_table(sample_run / "corpus" / "documents")
    kept = [row for row in fates() if row["fate"] == "kept"]
    assert sorted(corpus["url"].to_pylist(), key=str) == sorted((row["url"] or None for row in kept), key=str)
    assert corpus["token_count"].null_count == 0
    assert pc.min(corpus["token_count"]).as_py() > 100
    assert corpus.schema.field("text").type == pa.large_string()


def test_pages_are_read_in_their_real_encoding(sample_run: Path) -> None:
    texts = " ".join(pq.read_table(sample_run / "corpus" / "documents")["text"].to_pylist())
    assert "\ufffd" not in texts
    assert "Ã©" not in texts


def test_texts_hold_no_urls_and_no_three_newlines(sample_run: Path) -> None:
    for text in pq.read_table(sample_run / "extract" / "documents")["text"].to_pylist():
        assert "http://" not in text
        assert "https://" not in text
        assert "\n\n\n" not in text


def test_resiliparse_extracts_the_same_clean_articles(tmp_path: Path, blocklist: Path, sample_run: Path) -> None:
    run(sample_recipe(blocklist, "extract.extractor=resiliparse"), tmp_path / "fast")
    fast = set(pq.read_table(tmp_path / "fast" / "corpus" / "documents")["id"].to_pylist())
    slow = set(pq.read_table(sample_run / "corpus" / "documents")["id"].to_pylist())
    assert len(fast & slow) >= 0.8 * len(slow)


def test_language_precheck_skips_foreign_pages_and_keeps_the_same_corpus(
    tmp_path: Path, blocklist: Path, sample_run: Path
) -> None:
    run(sample_recipe(blocklist, "extract.language_precheck=true"), tmp_path / "checked")
    ledger = pq.read_table(tmp_path / "checked" / "extract" / "ledger")
    skipped = ledger.filter(pc.equal(ledger["reason"], "extract.other_language"))
    assert skipped.num_rows >= 5
    assert set(skipped["detail"].to_pylist()) >= {"de", "fr", "es", "ru"}
    checked = pq.read_table(tmp_path / "checked" / "corpus" / "documents")
    assert checked["id"] == pq.read_table(sample_run / "corpus" / "documents")["id"]
