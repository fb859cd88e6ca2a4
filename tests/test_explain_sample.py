"""`refine explain` and `refine sample` on the small run of test_report: every page's story, and rejects with their text."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import fates
from rich.console import Console, RenderableType
from test_report import PAGES, _document, page, write_manifest, write_run, write_shard

from corpus import storage
from corpus.dataset import StageFolder
from corpus.errors import InputError, IntegrityError
from corpus.schema import DOCUMENTS
from pipeline.report import read_row
from pipeline.report.explain import explain
from pipeline.report.explain import render as render_story
from pipeline.report.sample import render as render_sample
from pipeline.report.sample import sample
from pipeline.steps import Plan, save_plan


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_run(tmp_path_factory.mktemp("run"))


def _printed(view: RenderableType, width: int = 200) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


def test_a_kept_page_is_followed_through_all_stages_into_the_corpus(run: str) -> None:
    (story,) = explain(run, "https://b.example/page-4")
    assert [(e.stage, e.shard, e.row, e.reason) for e in story.entries] == [
        ("extract", 0, 4, None),
        ("filter", 0, 3, None),  # page 2 went before it
        ("dedup", 0, 2, None),
        ("decontaminate", 0, 1, None),
        ("corpus", 1, 0, None),
    ]
    corpus = f"{run}/corpus/documents/part-00001.parquet"
    assert read_row(corpus, 0, ["url", "text"]) == {"url": "https://b.example/page-4", "text": PAGES[0][4]["text"]}


def test_a_rejected_page_shows_every_failed_rule_with_value_and_threshold(run: str) -> None:
    (story,) = explain(run, "https://a.example/page-1")
    last = story.entries[-1]
    assert (last.stage, last.reason) == ("filter", "gopher_quality.min_words")
    assert last.failures == (
        "gopher_quality.min_words: words = 12 < 50",
        "gopher_quality.max_symbol_ratio: symbol_ratio = 0.25 > 0.1",
    )
    printed = _printed(render_story([story]))
    assert "filter part-00000 row 1: rejected (gopher_quality.min_words)" in printed
    assert "failed gopher_quality.min_words: words = 12 < 50" in printed
    assert "from crawl-0.warc.gz, bytes 1,000 to 1,900" in printed
    assert "language en, score 0.90" in printed


def test_a_page_rejected_before_it_had_text_shows_the_detail(run: str) -> None:
    (story,) = explain(run, "https://b.example/page-2")
    assert [(e.stage, e.reason, e.failures) for e in story.entries] == [
        ("extract", "extract.status", ("extract.status",))
    ]
    assert "detail: 404" in _printed(render_story([story]))


def test_a_duplicate_names_the_page_that_was_kept_instead(run: str) -> None:
    (story,) = explain(run, "https://a.example/page-3")
    duplicate = story.entries[-1].duplicate_of
    assert duplicate is not None
    assert (duplicate.key, duplicate.id, duplicate.url) == (0, "<urn:uuid:0>", "https://a.example/page-0")
    assert "duplicate of https://a.example/page-0" in _printed(render_story([story]))


def test_a_duplicate_of_another_run_has_no_url(tmp_path: Path) -> None:
    lost = page(1, "a.example", 60, "dedup", "dedup.minhash", duplicate_of=(7, 3))
    (story,) = explain(write_run(tmp_path, [[page(0, "a.example", 60), lost]]), lost["url"])
    duplicate = story.entries[-1].duplicate_of
    assert duplicate is not None
    assert (duplicate.key, duplicate.url) == (7 << 32 | 3, "")


def test_a_contaminated_span_is_shown_in_its_text(run: str) -> None:
    (story,) = explain(run, "https://b.example/page-5")
    (span,) = story.entries[-1].spans
    assert (span.set, span.item, span.score) == ("quiz", "q-7", 0.75)
    assert (span.before, span.matched) == ("Page 5 ümlaut. w", "ord word w")  # offsets count bytes: ü is two
    assert span.after.startswith("ord word")
    assert len(span.after) == 200


def test_a_span_without_its_text_says_why(tmp_path: Path) -> None:
    url = write_run(tmp_path)
    storage.remove(f"{url}/dedup/documents")
    write_manifest(StageFolder(f"{url}/dedup"), "dedup", documents_dropped=True)
    (story,) = explain(url, "https://b.example/page-5")
    assert story.entries[-1].spans[0].matched == ""
    assert "the documents of dedup were dropped after use" in _printed(render_story([story]))


def test_captures_that_share_url_and_id_are_told_apart_by_their_place(run: str) -> None:
    stories = explain(run, "https://c.example/page-6")
    assert [(story.shard, story.row) for story in stories] == [(1, 0), (1, 2)]
    rows = [[entry.row for entry in story.entries] for story in stories]
    assert rows == [[0, 0, 0, 0, 1], [2, 2, 1, 1, 2]]
    tokens = [story.entries[0].ledger["token_count"] for story in stories]
    assert tokens == [73, 74]
    assert _printed(render_story(stories)).startswith("2 captures\n")


@pytest.mark.parametrize("name", ["<urn:uuid:7>", "urn:uuid:7", "7"])
def test_a_page_is_found_by_its_id_with_or_without_its_wrapping(run: str, name: str) -> None:
    assert [story.url for story in explain(run, name)] == ["https://a.example/page-7"]


@pytest.mark.parametrize("near", ["http://a.example/page-0", "https://www.a.example/page-0/", "a.example/page-0"])
def test_a_url_that_is_nearly_right_gets_the_right_one_as_hint(run: str, near: str) -> None:
    with pytest.raises(InputError, match=r"no record of 11 .* did you mean https://a\.example/page-0\?"):
        explain(run, near)


def test_a_url_that_is_nowhere_says_what_was_tried(run: str) -> None:
    with pytest.raises(InputError, match=r"https://z\.example: no record of 11 has this URL or id; http/https, www"):
        explain(run, "https://z.example")


def test_a_page_is_followed_as_far_as_an_unfinished_run_goes(tmp_path: Path) -> None:
    url = write_run(tmp_path)
    for stage in ("dedup", "decontaminate", "corpus"):
        storage.remove(f"{url}/{stage}")
    (story,) = explain(url, "https://a.example/page-0")
    assert [(e.stage, e.row) for e in story.entries] == [("extract", 0), ("filter", 0), ("dedup", None)]
    assert "dedup: not followed" in _printed(render_story([story]))
    assert "not started" in story.entries[-1].note


def test_a_sampled_stage_knows_the_pages_it_drew_by_their_source_row(tmp_path: Path) -> None:
    own, folder = _own_file(tmp_path), StageFolder(str(tmp_path / "out"))
    _write_single_stage(folder, own, [0, 2], sample=0.5)
    (story,) = explain(folder.url, "https://a.example/page-3")
    assert [(entry.row, entry.ledger["source_row"]) for entry in story.entries] == [(1, 2)]
    with pytest.raises(InputError, match="no record of 2 has this URL"):
        explain(folder.url, "https://a.example/page-1")


def test_nothing_of_a_page_reaches_the_terminal_as_command_or_markup(tmp_path: Path) -> None:
    evil = page(0, "a.example", 1, "filter", "gopher_quality.min_words", url="https://a/\x1b[2J[bold]\x9b")
    url = write_run(tmp_path, [[evil | {"text": "\x1b]0;owned\x07 [red]text[/red]"}, page(1, "a.example", 60)]])
    printed = _printed(render_story(explain(url, evil["url"]))) + _printed(
        render_sample(sample(url, "gopher_quality", 1))
    )
    assert not {"\x1b", "\x07", "\x9b"} & set(printed)
    assert printed.count("[bold]") == 2
    assert "[red]text[/red]" in printed


def test_rejects_of_a_reason_come_with_the_text_that_the_stage_received(run: str) -> None:
    rows = sample(run, "gopher_quality.min_words", 20)
    assert [(row.stage, row.shard, row.row) for row in rows] == [("filter", 0, 1), ("filter", 1, 1)]
    assert [row.text for row in rows] == [PAGES[0][1]["text"], PAGES[1][1]["text"]]
    assert rows[1].failures == ("gopher_quality.min_words: words = 30 < 50",)
    assert "Page 7 ümlaut. word word" in _printed(render_sample(rows))


def test_a_rule_set_names_all_its_reasons(run: str) -> None:
    assert [row.url for row in sample(run, "gopher_quality")] == [
        "https://a.example/page-1",
        "https://a.example/page-7",
        "https://a.example/page-8",
    ]


def test_rejects_of_later_stages_have_their_text_too(run: str) -> None:
    assert [row.text for row in sample(run, "dedup.minhash")] == [PAGES[0][3]["text"]]
    assert [row.text for row in sample(run, "decontaminate")] == [PAGES[0][5]["text"]]


def test_a_reject_of_extract_names_its_place_in_the_archive(run: str) -> None:
    (row,) = sample(run, "extract.status")
    assert row.text == ""
    printed = _printed(render_sample([row]))
    assert "detail: 404" in printed
    assert "crawl-0.warc.gz at byte 2,000, 900 long" in printed
    assert "extract keeps no text" in printed


def test_the_same_seed_draws_the_same_pages_and_another_seed_others(tmp_path: Path) -> None:
    shards = [
        [page(s * 100 + i, "a.example", 5, "filter", "gopher_quality.min_words") for i in range(60)] for s in (0, 1)
    ]
    url = write_run(tmp_path, [[page(900, "a.example", 60), *shards[0]], shards[1] + [page(901, "a.example", 60)]])
    drawn = {seed: [row.id for row in sample(url, "gopher_quality", 10, seed)] for seed in (0, 1)}
    assert drawn[0] == [row.id for row in sample(url, "gopher_quality", 10)]
    assert [len(set(ids)) for ids in drawn.values()] == [10, 10]
    assert drawn[0] != drawn[1]
    everything = sample(url, "gopher_quality", 500)
    assert [
        row.text[: len(f"Page {i}")] for i, row in zip([*range(60), *range(100, 160)], everything, strict=True)
    ] == [f"Page {i}" for i in (*range(60), *range(100, 160))]


def test_kept_pages_can_be_sampled_too(run: str) -> None:
    rows = sample(run, "kept", 20)
    assert [row.stage for row in rows] == ["corpus"] * 5
    assert [row.text for row in rows] == [PAGES[s][i]["text"] for s, i in ((0, 0), (0, 4), (1, 0), (1, 2), (1, 4))]
    assert [row.text for row in sample(f"{run}/filter", "kept", 20)][1] == PAGES[0][3]["text"]


def test_an_unknown_reason_gets_the_nearest_and_the_list(run: str) -> None:
    with pytest.raises(InputError, match=r"did you mean 'gopher_quality\.min_words'\? reasons here: ") as error:
        sample(run, "min_word")
    for part in ("gopher_quality.min_words (2)", "extract.status (1)", "dedup.minhash (1)", "'kept'"):
        assert part in str(error.value)
    with pytest.raises(InputError, match=r"did you mean 'gopher_quality'\?"):
        sample(run, "gopher_qualty")


def test_a_prefix_that_is_no_whole_name_is_no_rule_set(run: str) -> None:
    with pytest.raises(InputError, match="nothing was rejected for it"):
        sample(run, "gopher_quality.min")


def test_a_sample_of_nothing_is_refused(run: str) -> None:
    with pytest.raises(InputError, match="-n 0: ask for at least 1"):
        sample(run, "gopher_quality", 0)


RECEIVED = [of_page for of_page in PAGES[0] if of_page["fate"][0] != "extract"]


def _own_file(folder: Path) -> Path:
    """A Parquet file of somebody's own, its text in `body`."""
    table = pa.Table.from_pylist([_document(of_page, 0) for of_page in RECEIVED], DOCUMENTS)
    path = folder / "own.parquet"
    pq.write_table(table.rename_columns(["body" if name == "text" else name for name in table.column_names]), path)
    return path


def _write_single_stage(folder: StageFolder, source: Path, rows: list[int], sample: float | None = None) -> None:
    write_shard(folder, "filter", 0, [RECEIVED[row] for row in rows], source_rows=rows)
    storage.write_json(folder.inputs_file, [{"path": str(source)}])
    save_plan(Plan("filter", folder.url, {}, [{"path": str(source), "identity": "1:2"}], "gpt2", "body", sample, {}))
    write_manifest(folder, "filter", sample=sample)


def test_a_reject_of_a_single_stage_is_read_from_the_users_own_file(tmp_path: Path) -> None:
    own, folder = _own_file(tmp_path), StageFolder(str(tmp_path / "out"))
    _write_single_stage(folder, own, [0, 1, 2, 3, 4])
    assert [row.text for row in sample(folder.url, "gopher_quality")] == [PAGES[0][1]["text"]]
    own.unlink()
    assert [row.missing for row in sample(folder.url, "gopher_quality")] == [f"{own} is no longer there"]


def test_a_reject_is_read_from_jsonl_too(tmp_path: Path) -> None:
    own, folder = tmp_path / "own.jsonl", StageFolder(str(tmp_path / "out"))
    own.write_text("".join(json.dumps({"body": of_page["text"]}) + "\n" for of_page in RECEIVED))
    _write_single_stage(folder, own, [0, 1, 2, 3, 4])
    assert [row.text for row in sample(folder.url, "gopher_quality")] == [PAGES[0][1]["text"]]


def test_every_page_of_the_sample_crawl_has_a_story_that_ends_with_its_fate(sample_run: Path) -> None:
    archives = [Path(source["path"]).name for source in storage.read_json(f"{sample_run}/extract/inputs.json")]
    for fate in fates():
        at = (archives.index(fate["file"]), int(fate["record_index"]))
        ledger = f"{sample_run}/extract/ledger/part-{at[0]:05d}.parquet"
        name = read_row(ledger, at[1], ["id"])["id"]
        (story,) = [story for story in explain(str(sample_run), name) if (story.shard, story.row) == at]
        last = story.entries[-1]
        assert last.row is not None
        if fate["fate"] == "kept":
            assert (last.stage, last.reason) == ("corpus", None)
        else:
            reason = f"{last.stage}.{str(last.reason).removeprefix(last.stage + '.')}."
            assert reason.startswith(f"{fate['fate']}.")


def test_a_ledger_that_is_cut_short_is_reported_not_shown(tmp_path: Path) -> None:
    url = write_run(tmp_path)
    path = Path(f"{url}/filter/ledger/part-00000.parquet")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(IntegrityError, match=r"filter/ledger/part-00000.parquet: damaged"):
        sample(url, "gopher_quality")


def test_a_row_is_found_in_any_row_group(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"n": list(range(5_000))}), path, row_group_size=2_100)
    assert [read_row(str(path), n)["n"] for n in (0, 999, 1_000, 2_099, 2_100, 4_999)] == [
        0,
        999,
        1_000,
        2_099,
        2_100,
        4_999,
    ]
    with pytest.raises(IntegrityError, match="has no row 5000"):
        read_row(str(path), 5_000)
