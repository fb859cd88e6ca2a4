"""Exact Jaccard similarity equals what Python's sets say, for any number of ranges, shards and batches."""

import itertools
from io import BytesIO

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError
from corpus.text import Texts
from dedup import verification
from dedup.minhash import MinHashSettings, shingles
from dedup.verification import (
    jaccard,
    overlaps,
    read_sets,
    sets_of_texts,
    shingle_ranges,
    shingle_sets,
    stored_sets,
    write_sets,
)

WORDS = [f"w{number}" for number in range(12)]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), min_size=1, max_size=8)


def by_python(texts: list[str], ngram: int) -> list[set[tuple[str, ...]]]:
    """The shingles as tuples of words; a text with fewer words than `ngram` is one shingle."""
    found = []
    for words in (text.split() for text in texts):
        width = min(ngram, len(words))
        found.append({tuple(words[i : i + width]) for i in range(len(words) - width + 1)} if words else set())
    return found


def all_pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    left, right = np.triu_indices(n, 1)
    return left.astype(np.int64), right.astype(np.int64)


def exchanged(shards: list[list[list[str]]], ngram: int, n_ranges: int) -> tuple[np.ndarray, np.ndarray]:
    """(common, union) of all pairs of texts, through files. `shards`: batches of texts."""
    files, first = [], [0]
    for shard, batches in enumerate(shards):
        starts = np.cumsum([0, *map(len, batches)])
        rows = [np.arange(start, end, dtype=np.uint32) for start, end in itertools.pairwise(starts)]
        file = BytesIO()
        parts = zip(rows, map(Texts.of, batches), strict=True)
        write_sets(file, sets_of_texts(parts, MinHashSettings(ngram=ngram), n_ranges))
        files.append((shard, file))
        first.append(first[-1] + int(starts[-1]))
    left, right = all_pairs(first[-1])
    common, union = np.zeros(len(left), np.int64), np.zeros(len(left), np.int64)
    for number in range(n_ranges):
        sets, offsets = read_sets(files, number, n_ranges, np.array(first))
        for total, part in zip((common, union), overlaps(sets, offsets, left, right), strict=True):
            total += part
    return common, union


@given(st.lists(st.lists(TEXTS, max_size=2), min_size=1, max_size=3), st.integers(1, 4))
@settings(max_examples=40)
def test_overlaps_equal_those_of_python_sets_for_any_ranges_shards_and_batches(shards, ngram) -> None:
    sets = by_python([text for batches in shards for batch in batches for text in batch], ngram)
    left, right = all_pairs(len(sets))
    expected_common = [len(sets[a] & sets[b]) for a, b in zip(left, right, strict=True)]
    expected_union = [len(sets[a] | sets[b]) for a, b in zip(left, right, strict=True)]
    for n_ranges in (1, 2, 16):
        common, union = exchanged(shards, ngram, n_ranges)
        assert common.tolist() == expected_common
        assert union.tolist() == expected_union


@given(TEXTS, st.sampled_from([1, 2, 16]), st.sets(st.integers(0, 7)))
@settings(max_examples=30)
def test_stored_sets_are_those_of_the_texts_that_are_asked_for(texts, n_ranges, wanted) -> None:
    rows = np.arange(3, len(texts) + 3, dtype=np.uint32)
    chosen = np.isin(rows - 3, list(wanted))
    stored, expected, found = BytesIO(), BytesIO(), BytesIO()
    write_sets(stored, sets_of_texts([(rows, Texts.of(texts))], MinHashSettings(ngram=2), 1))
    of_chosen = Texts.of([text for text, is_chosen in zip(texts, chosen, strict=True) if is_chosen])
    write_sets(expected, sets_of_texts([(rows[chosen], of_chosen)], MinHashSettings(ngram=2), n_ranges))
    write_sets(found, stored_sets(stored, rows[chosen], n_ranges))
    assert not chosen.any() or found.getvalue() == expected.getvalue()
    for number in range(n_ranges):
        left, right = (read_sets([(0, file)], number, n_ranges, np.array([0, 12])) for file in (found, expected))
        assert [column.tolist() for column in left] == [column.tolist() for column in right]


def test_sets_are_the_signed_shingles_each_once_and_in_order() -> None:
    texts = Texts.of(["a b c a b c", "", "x", "a b c d"])
    values, offsets = shingles(texts, MinHashSettings(ngram=2))
    expected = [sorted(set(values[offsets[i] : offsets[i + 1]].tolist())) for i in range(4)]
    assert [len(of_text) for of_text in expected] == [3, 0, 1, 3]
    for n_ranges in (1, 4):
        found: list[list[int]] = [[], [], [], []]
        for number, (text, shingle) in enumerate(shingle_sets(texts, MinHashSettings(ngram=2), n_ranges)):
            assert [value * n_ranges >> 32 for value in shingle.tolist()] == [number] * len(shingle)
            for owner, value in zip(text.tolist(), shingle.tolist(), strict=True):
                found[owner].append(value)
        assert found == expected


def test_a_piece_of_texts_has_a_row_group_for_each_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_PIECE_BYTES", 10)
    file = BytesIO()
    texts = Texts.of(["a longer text than ten bytes", "b c d", "e f g", "h"])
    write_sets(file, sets_of_texts([(np.arange(4, dtype=np.uint32), texts)], MinHashSettings(ngram=1), 4))
    parquet = pq.ParquetFile(file)
    pieces = [
        sorted(row["row"] for group in range(4) for row in parquet.read_row_group(4 * piece + group).to_pylist())
        for piece in range(parquet.num_row_groups // 4)
    ]
    assert pieces == [[0] * 6, [1, 1, 1, 2, 2, 2], [3]]


def test_jaccard_is_common_by_union_in_float32() -> None:
    found = jaccard(np.array([0, 1, 3, 0]), np.array([5, 3, 3, 0]))
    assert found.dtype == np.float32
    assert found.tolist() == [0.0, float(np.float32(1 / 3)), 1.0, 0.0]


def test_ranges_of_shingles_are_as_many_as_memory_asks_for() -> None:
    assert shingle_ranges(0, 2**30) == 1
    assert shingle_ranges(1000, 1000 * verification.BYTES_PER_SHINGLE) == 1
    assert shingle_ranges(1001, 1000 * verification.BYTES_PER_SHINGLE) == 2
    with pytest.raises(ConfigError, match="1 bytes are too few to verify 1000000 shingles"):
        shingle_ranges(10**6, 1)
