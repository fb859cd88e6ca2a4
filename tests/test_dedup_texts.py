"""Deduplication as a library: texts in, a verdict for each out."""

import gzip
import json
from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_substring import left_by_brute_force

from corpus.errors import ConfigError, InputError
from corpus.text import Texts
from dedup import dedup_texts, library
from dedup.minhash import MinHashSettings, band_keys, shingles
from dedup.substring import SubstringSettings
from pipeline.tokens import Tokenizer

ARTICLE = " ".join(f"w{number * 7919 % 1009}" for number in range(200))
NEARLY = ARTICLE + " and one more sentence at its end"
OTHER = " ".join(f"v{number * 7919 % 1009}" for number in range(200))


def verdicts(texts: list[str | None], **options) -> list[tuple[int | None, str | None, int]]:
    table = dedup_texts(texts, **options)
    assert table.schema == pa.schema(
        [("duplicate_of", pa.int64()), ("reason", pa.string()), ("cluster_size", pa.int64())]
    )
    return [tuple(row.values()) for row in table.to_pylist()]


def test_each_step_removes_its_own_duplicates_and_names_what_stays() -> None:
    texts = [ARTICLE, OTHER, ARTICLE.upper() + "!", NEARLY, "something else"]
    urls = ["http://a/", "http://b/", "http://c/", "http://d/", "HTTP://B#x"]
    assert verdicts(texts, urls=urls) == [
        (None, None, 3),
        (None, None, 2),
        (0, "dedup.exact", 3),
        (0, "dedup.minhash", 3),
        (1, "dedup.urls", 2),
    ]


def test_a_copy_whose_original_gives_way_points_to_what_stays() -> None:
    assert verdicts(["short", ARTICLE, NEARLY], urls=["u", "u", None], keep="longest") == [
        (2, "dedup.urls", 3),
        (2, "dedup.minhash", 3),
        (None, None, 3),
    ]


def test_the_longest_of_equal_texts_stays_if_asked_for_and_the_first_of_equally_long_ones() -> None:
    texts = ["one two", "One, two!", "one - two"]
    assert [duplicate_of for duplicate_of, _, _ in verdicts(texts)] == [None, 0, 0]
    assert [duplicate_of for duplicate_of, _, _ in verdicts(texts, keep="longest")] == [1, None, 1]


def test_identical_texts_shorter_than_a_shingle_are_duplicates() -> None:
    assert verdicts(["ok", "ok then", "OK.", "then ok"]) == [
        (None, None, 2),
        (None, None, 1),
        (0, "dedup.exact", 2),
        (None, None, 1),
    ]


def test_texts_without_words_are_duplicates_only_of_the_same_bytes() -> None:
    assert [v[:2] for v in verdicts(["...", "!!!", "", None, "..."])] == [
        (None, None),
        (None, None),
        (None, None),
        (2, "dedup.exact"),
        (0, "dedup.exact"),
    ]


def test_texts_without_a_url_are_not_duplicates_of_one_another() -> None:
    assert [v[1] for v in verdicts(["a b", "c d", "e f"], urls=[None, None, ""])] == [None, None, None]


def test_no_texts_give_an_empty_table() -> None:
    assert verdicts([], urls=[]) == []


def by_hand(texts: list[str], minhash: MinHashSettings) -> list[int]:
    """What stays for each text, from a dictionary of buckets (`keep="first"`)."""
    keys, n_shingles = band_keys(Texts.of(texts), minhash)
    buckets = defaultdict(set)
    for row, of_row in enumerate(keys):
        for band, key in enumerate(of_row):
            buckets[(band, key) if n_shingles[row] else texts[row]].add(row)
    groups = {row: {row} for row in range(len(texts))}
    for members in buckets.values():
        joined = set().union(*(groups[row] for row in members))
        groups.update(dict.fromkeys(joined, joined))
    return [min(groups[row]) for row in range(len(texts))]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "."]), max_size=9).map(" ".join), max_size=12))
@settings(deadline=None)
def test_what_stays_equals_a_dictionary_of_buckets(texts: list[str]) -> None:
    found = verdicts(texts, minhash=MinHashSettings(6, 2, 2))
    kept = [row if duplicate_of is None else duplicate_of for row, (duplicate_of, _, _) in enumerate(found)]
    assert kept == by_hand(texts, MinHashSettings(6, 2, 2))
    assert [size for _, _, size in found] == [kept.count(row) for row in kept]


def test_verdicts_do_not_depend_on_how_many_files_and_ranges_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    texts = [" ".join(random.choice(list("abcdefghijklmnopqrst"), 9)) for _ in range(300)]
    in_one = dedup_texts(texts, minhash=MinHashSettings(4, 2, 2))
    monkeypatch.setattr(library, "_DOCUMENTS_PER_FILE", 7)
    monkeypatch.setattr(library, "_MATCHING_BYTES", 10_000)
    in_many = dedup_texts(pa.chunked_array([texts[:100], texts[100:]]), minhash=MinHashSettings(4, 2, 2))
    assert in_many.equals(in_one)
    assert 50 < in_one["reason"].null_count < 250  # of 300: there is something to be wrong about


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("articles", ["articles_1000", "articles_2500"])
def test_all_planted_near_duplicates_are_found_and_nothing_else(shared_data, articles: str, verify: bool) -> None:
    folder = shared_data / "neardup/mccormick-minhash"
    names, texts = zip(
        *(line.split(" ", 1) for line in (folder / f"{articles}.train").read_text().splitlines()), strict=True
    )
    planted = {frozenset(line.split()) for line in (folder / f"{articles}.truth").read_text().splitlines()}
    found = dedup_texts(list(texts), verify=verify)["duplicate_of"].to_pylist()
    assert {frozenset([names[row], names[kept]]) for row, kept in enumerate(found) if kept is not None} == planted


def pairs_at_least(similarity: float, texts: list[str]) -> list[tuple[int, int]]:
    """All pairs of texts of at least this Jaccard similarity, from a dictionary of their shingles."""
    values, offsets = shingles(Texts.of(texts), MinHashSettings())
    sets = [set(values[offsets[row] : offsets[row + 1]].tolist()) for row in range(len(texts))]
    texts_with = defaultdict(list)
    for row, of_text in enumerate(sets):
        for shingle in of_text:
            texts_with[shingle].append(row)
    common = Counter(pair for rows in texts_with.values() for pair in combinations(rows, 2))
    return [(a, b) for (a, b), n in common.items() if n / (len(sets[a]) + len(sets[b]) - n) >= similarity]


def test_all_near_duplicates_of_real_pages_are_found_and_verified_nothing_else(shared_data) -> None:
    with gzip.open(shared_data / "pages/gold.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [text for line in file if (text := json.loads(line)["gold_text"])]
    true_pairs = pairs_at_least(0.8, texts)
    assert len(true_pairs) > 20
    expected = np.arange(len(texts))
    for _ in range(10):  # as many as the longest chain of pairs
        for left, right in sorted(true_pairs):
            expected[[left, right]] = expected[[left, right]].min()
    for minhash in (MinHashSettings(), MinHashSettings(450, 20, scheme="sketch")):
        found = dedup_texts(texts, minhash=minhash, verify=True, min_jaccard=0.8)["duplicate_of"].to_pylist()
        assert [row if kept is None else kept for row, kept in enumerate(found)] == expected.tolist()


def test_an_unknown_policy_and_a_wrong_number_of_urls_are_errors() -> None:
    with pytest.raises(ConfigError, match="keep is 'newest': give one of first, longest"):
        dedup_texts(["a"], keep="newest")
    with pytest.raises(InputError, match="1 urls for 2 texts"):
        dedup_texts(["a", "b"], urls=["u"])


NO_NEAR_DUPLICATES = MinHashSettings(1, 500)


def test_exact_substrings_are_looked_for_in_the_texts_that_stay() -> None:
    notice = "the same notice at the end of each page"
    texts = [f"Tides rise twice a day: {notice}", "ok", f"Lamps are lit at dusk; {notice}", "OK!", notice]
    settings = SubstringSettings(min_tokens=8, min_characters_left=2)
    found = dedup_texts(texts, substring=settings, minhash=NO_NEAR_DUPLICATES)
    assert found["text"].to_pylist() == ["Tides rise twice a day: ", "ok", "Lamps are lit at dusk; ", None, ""]
    assert found["reason"].to_pylist() == [None, None, None, "dedup.exact", "dedup.substring"]
    assert found["duplicate_of"].to_pylist() == [None, None, None, 1, None]
    assert found["duplicate_spans"].to_pylist() == [
        [{"start": 24, "end": 63}], [], [{"start": 23, "end": 62}], None, [{"start": 0, "end": 39}],
    ]  # fmt: skip


@pytest.mark.parametrize("is_slow", [False, True])
def test_tokens_of_a_tokenizer_are_compared_instead_of_words(gpt2_json: str, is_slow: bool) -> None:
    gpt2 = Tokenizer.load(gpt2_json if is_slow else "gpt2")
    notice = "the same notice at the end of each page 🙂"
    texts = [f"Tides rise twice a day: {notice}", ARTICLE, f"Lamps are lit at dusk; {notice}", NEARLY]
    minhash = MinHashSettings(scheme="sketch", tokenizer=gpt2)
    found = dedup_texts(texts, minhash=minhash, substring=SubstringSettings(9, tokenizer=gpt2))
    assert found["duplicate_of"].to_pylist() == [None, None, None, 1]
    assert found["text"].to_pylist() == [*left_by_brute_force(texts[:3], 9), None]
    assert found["text"].to_pylist()[0] == "Tides rise twice a day:"


def test_substrings_do_not_depend_on_how_many_texts_are_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{' '.join(f'{page}.{word}' for word in range(9))} {ARTICLE[page : page + 300]}" for page in range(7)]
    settings = SubstringSettings(10, "cut_later")
    at_once = dedup_texts(texts, substring=settings, minhash=NO_NEAR_DUPLICATES)
    monkeypatch.setattr(library, "_DOCUMENTS_PER_FILE", 2)
    assert dedup_texts(texts, substring=settings, minhash=NO_NEAR_DUPLICATES).equals(at_once)
    assert [len(spans) for spans in at_once["duplicate_spans"].to_pylist()] == [0, 1, 1, 1, 1, 1, 1]


def test_a_similarity_beyond_1_and_a_bucket_of_one_are_errors() -> None:
    with pytest.raises(ConfigError, match="min_jaccard is 75: give a number above 0 and up to 1"):
        dedup_texts(["a"], verify=True, min_jaccard=75)
    with pytest.raises(ConfigError, match="max_bucket_documents is 1: give 2 or more"):
        dedup_texts(["a"], max_bucket_documents=1)
