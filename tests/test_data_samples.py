"""The sample crawl is what its generator, its texts and its table of fates say."""

import csv
import importlib
import itertools
import json
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest

SAMPLES = Path(__file__).resolve().parent.parent / "data_samples"
GENERATED = sorted(path.relative_to(SAMPLES) for path in [*SAMPLES.glob("crawl/*"), SAMPLES / "fates.tsv"])
GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"

REASONS = {
    "extract": {
        "url.max_blocklist_matches",
        "url.max_strict_words",
        "url.max_hard_words",
        "url.max_soft_words",
        "url.max_curated_matches",
        "http_status",
        "content_type",
        "damaged",
        "payload",
        "timeout",
        "too_deep",
        "empty",
        "language",
    },
    "filter": {"gopher_repetition", "gopher_quality", "refinedweb_lines"},
    "dedup": {"urls", "exact", "minhash"},
    "decontaminate": {"contaminated"},
}


def fates() -> list[dict[str, str]]:
    with (SAMPLES / "fates.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def members(path: Path) -> Iterator[bytes]:
    """What each gzip member holds; of a cut one, what is left."""
    for member in path.read_bytes().split(GZIP_HEADER)[1:]:
        yield zlib.decompressobj(-zlib.MAX_WBITS).decompress(member)


def header(record: bytes, name: str) -> str:
    head = record.partition(b"\r\n\r\n")[0].decode()
    found = re.search(rf"^{name}: (.*?)\r?$", head, re.MULTILINE)
    return found[1] if found else ""


def page_records(path: Path) -> list[tuple[str, str]]:
    """(record id, URL) of each response and conversion."""
    if path.name.endswith(".arc.gz"):
        return [("", record.split(b" ")[0].decode()) for record in members(path) if not record.startswith(b"filedesc:")]
    pages = [record for record in members(path) if header(record, "WARC-Type") in ("response", "conversion")]
    return [(header(record, "WARC-Record-ID"), header(record, "WARC-Target-URI")) for record in pages]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[start : start + n]) for start in range(len(found) - n + 1)}


def jaccard(one: str, other: str) -> float:
    first, second = ngrams(one, 5), ngrams(other, 5)
    return len(first & second) / len(first | second)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8").strip() for path in (SAMPLES / "pages").glob("*.txt")}


@pytest.fixture(scope="module")
def records() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SAMPLES))
        return importlib.import_module("records")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    subprocess.run([sys.executable, str(SAMPLES / "generate.py"), str(folder)], check=True)
    return folder


@pytest.mark.parametrize("name", GENERATED, ids=str)
def test_generator_writes_the_committed_file_byte_for_byte(generated: Path, name: Path) -> None:
    if name.suffix == ".gz" and "ng" in zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip("this Python is built with zlib-ng, which compresses to other bytes")
    assert (generated / name).read_bytes() == (SAMPLES / name).read_bytes()


def test_generator_writes_no_file_that_is_not_committed(generated: Path) -> None:
    assert sorted(path.relative_to(generated) for path in generated.rglob("*") if path.is_file()) == GENERATED


@pytest.mark.parametrize("name", sorted({fate["file"] for fate in fates()}))
def test_every_record_has_a_fate_and_every_fate_a_record(name: str) -> None:
    rows = [fate for fate in fates() if fate["file"] == name]
    assert [(row["record_id"], row["url"]) for row in rows] == page_records(SAMPLES / "crawl" / name)
    assert [int(row["record_index"]) for row in rows] == list(range(len(rows)))


def test_every_file_of_the_crawl_has_fates() -> None:
    assert {fate["file"] for fate in fates()} == {path.name for path in (SAMPLES / "crawl").iterdir()}


def test_fates_name_known_stages_and_reasons_and_leave_none_out() -> None:
    named = {fate["fate"] for fate in fates()}
    assert named == {"kept"} | {f"{stage}.{reason}" for stage, reasons in REASONS.items() for reason in reasons}


def test_one_record_id_belongs_to_two_kept_pages() -> None:
    ids = [fate["record_id"] for fate in fates() if fate["record_id"]]
    repeated = {record_id for record_id in ids if ids.count(record_id) > 1}
    assert [(fate["page"], fate["fate"]) for fate in fates() if fate["record_id"] in repeated] == [
        ("papermaking", "kept"),
        ("knots", "kept"),
    ]


def test_a_duplicate_by_url_or_text_comes_after_the_page_it_repeats() -> None:
    earlier: list[dict[str, str]] = []
    for fate in fates():
        if fate["fate"] == "dedup.urls":
            assert fate["url"] in [page["url"] for page in earlier if page["fate"] == "kept"]
        elif fate["fate"].startswith("dedup."):
            assert fate["page"] in [page["page"] for page in earlier if page["fate"] == "kept"]
        earlier.append(fate)


def test_near_duplicates_are_near_and_not_equal(records: ModuleType, texts: dict[str, str]) -> None:
    near = [page for page in records.DUPLICATES if page.fate == "dedup.minhash"]
    assert [page.text for page in near] == ["tides", "lighthouse"]
    for page in near:
        assert 0.8 <= jaccard(page.edited(texts), texts[page.text]) < 1.0


def test_different_texts_share_almost_nothing(texts: dict[str, str]) -> None:
    grams = {name: ngrams(text, 5) for name, text in texts.items()}
    similar = {
        (one, other): len(grams[one] & grams[other]) / max(len(grams[one] | grams[other]), 1)
        for one, other in itertools.combinations(grams, 2)
    }
    assert max(similar.values()) < 0.1


def test_the_ordinary_articles_are_long_enough_to_be_articles(records: ModuleType, texts: dict[str, str]) -> None:
    lengths = [len(texts[page.text].split()) for page in records.ORDINARY if page.fate == "kept"]
    assert len(lengths) >= 14
    assert min(lengths) >= 400
    assert max(lengths) <= 900


def test_evaluation_items_are_in_the_quiz_pages_and_nowhere_else(texts: dict[str, str]) -> None:
    lines = (SAMPLES / "evals" / "quiz.jsonl").read_text(encoding="utf-8").splitlines()
    items = {item["id"]: item["question"] for item in map(json.loads, lines)}
    found = {
        (item, page)
        for item, question in items.items()
        for page, text in texts.items()
        if f" {' '.join(words(question))} " in f" {' '.join(words(text))} "
    }
    assert found == {(f"quiz-{number:02d}", "quiznight") for number in range(1, 6)} | {
        (f"quiz-{number:02d}", "quizposter") for number in range(6, 9)
    }
    assert all(items[item] in texts[page] for item, page in found if page == "quiznight")
    assert not any(items[item] in texts[page] for item, page in found if page == "quizposter")
    assert sorted(item for item, question in items.items() if len(words(question)) < 13) == ["quiz-04", "quiz-12"]


def test_no_other_page_shares_13_words_or_an_answer_with_an_evaluation_item(texts: dict[str, str]) -> None:
    lines = (SAMPLES / "evals" / "quiz.jsonl").read_text(encoding="utf-8").splitlines()
    fields = [item[field] for item in map(json.loads, lines) for field in ("question", "answer")]
    for page, text in texts.items():
        if page in ("quiznight", "quizposter"):
            continue
        assert not ngrams(text, 13) & {gram for value in fields for gram in ngrams(value, 13)}, page
        assert not [value for value in fields if " ".join(words(value)) in " ".join(words(text))], page


def test_no_address_is_that_of_a_real_person_or_site() -> None:
    hosts = {urlsplit(fate["url"].replace("dns:", "dns://")).hostname for fate in fates() if fate["url"]}
    assert [host for host in sorted(filter(None, hosts)) if not host.endswith(".example")] == ["en.wikipedia.org"]
    mail = re.compile(rb"[\w.+-]+@[\w-]+\.[a-z]{2,}|mailto:")
    contents = [path.read_bytes() for path in (SAMPLES / "pages").iterdir()]
    for path in sorted((SAMPLES / "crawl").iterdir()):
        contents.extend(members(path))
    assert not [found for content in contents for found in mail.findall(content)]


def test_the_folder_stays_small() -> None:
    sizes = [path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(sizes) < 500_000
