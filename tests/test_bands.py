"""Band files: one row group a range, and the same pairs matched however files and ranges are cut."""

from collections import Counter, defaultdict
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError, IntegrityError
from dedup import bands
from dedup.bands import match_range, ranges_for, write_bands
from dedup.minhash import MinHashSettings

N_BANDS = 3
SETTINGS = MinHashSettings(bands=N_BANDS, rows=2)
SPREAD = 0x9E3779B97F4A7C15  # so that small numbers become keys in all ranges

Shards = list[list[tuple[int, int, int]]]  # for each shard the keys of each row


def signed(shards: Shards, n_ranges: int) -> list[tuple[int, BytesIO]]:
    files = []
    for shard, documents in enumerate(shards):
        keys = np.array(documents, np.uint64).reshape(-1, N_BANDS) * np.uint64(SPREAD)
        file = BytesIO()
        write_bands(file, keys, np.arange(len(keys), dtype=np.uint32), SETTINGS, n_ranges)
        files.append((shard, file))
    return files


def components(pairs: list[tuple[int, int]]) -> set[frozenset[int]]:
    found: dict[int, frozenset[int]] = {}
    for left, right in pairs:
        joined = found.get(left, frozenset([left])) | found.get(right, frozenset([right]))
        found.update(dict.fromkeys(joined, joined))
    return set(found.values())


def by_buckets(shards: Shards) -> dict[tuple[int, int], list[int]]:
    """The documents of each bucket of more than one, ascending."""
    buckets = defaultdict(list)
    for shard, documents in enumerate(shards):
        for row, keys in enumerate(documents):
            for band, key in enumerate(keys):
                buckets[band, key].append(shard << 32 | row)
    return {bucket: members for bucket, members in buckets.items() if len(members) > 1}


def pairs_of(buckets: dict[tuple[int, int], list[int]], cap: int) -> Counter[tuple[int, int]]:
    """Each pair with its number of bands."""
    return Counter(
        pair
        for members in buckets.values()
        for pair in combinations(members, 2)
        if len(members) <= cap or pair[0] == members[0]
    )


def matched(files: list[tuple[int, BytesIO]], n_ranges: int, cap: int = 99) -> tuple[list[list[tuple[int, ...]]], int]:
    """(left, right, bands) of each range, and the number of capped buckets."""
    found = [match_range(files, number, n_ranges, SETTINGS, cap) for number in range(n_ranges)]
    pairs = [list(zip(p.left.tolist(), p.right.tolist(), p.bands.tolist(), strict=True)) for p, _ in found]
    return pairs, sum(n_capped for _, n_capped in found)


DOCUMENTS = st.lists(st.tuples(*[st.integers(0, 15)] * N_BANDS), max_size=6)


@given(st.lists(DOCUMENTS, max_size=4), st.integers(2, 5), st.randoms())
@settings(deadline=None, max_examples=50)
def test_pairs_are_those_that_share_a_bucket_for_any_ranges_and_order_of_files(shards, cap, random) -> None:
    buckets = by_buckets(shards)
    expected = pairs_of(buckets, cap)
    for n_ranges in (1, 2, 8):
        files = signed(shards, n_ranges)
        of_ranges, n_capped = matched(files, n_ranges, cap)
        found: Counter[tuple[int, int]] = Counter()
        for pairs in of_ranges:
            assert pairs == sorted(pairs, key=lambda pair: (pair[1], pair[0]))
            assert len(pairs) == len({pair[:2] for pair in pairs})  # each once
            found.update({(left, right): n_bands for left, right, n_bands in pairs})
        assert found == expected
        assert n_capped == sum(len(members) > cap for members in buckets.values())
        random.shuffle(files)
        assert matched(files, n_ranges, cap) == (of_ranges, n_capped)


@given(st.lists(DOCUMENTS, min_size=1, max_size=4), st.integers(0, 4), st.integers(2, 5))
@settings(deadline=None, max_examples=50)
def test_of_earlier_files_only_buckets_count_that_a_new_document_is_in(shards, n_earlier, cap) -> None:
    shards = [
        [tuple(N_BANDS * key + band for band, key in enumerate(keys)) for keys in documents] for documents in shards
    ]  # no key is in two bands
    buckets = {
        bucket: members for bucket, members in by_buckets(shards).items() if any(m >> 32 >= n_earlier for m in members)
    }
    expected = pairs_of(buckets, cap)
    for n_ranges, earlier_ranges in ((1, 1), (2, 8), (8, 2)):
        own, earlier = signed(shards, n_ranges)[n_earlier:], signed(shards, earlier_ranges)[:n_earlier]
        found: Counter[tuple[int, int]] = Counter()
        n_capped = 0
        for number in range(n_ranges):
            pairs, capped = match_range(own, number, n_ranges, SETTINGS, cap, earlier)
            n_capped += capped
            rows = zip(pairs.left.tolist(), pairs.right.tolist(), pairs.bands.tolist(), strict=True)
            found.update({(left, right): n_bands for left, right, n_bands in rows})
        assert found == expected
        assert n_capped == sum(len(members) > cap for members in buckets.values())


@given(st.lists(DOCUMENTS, max_size=4))
@settings(deadline=None, max_examples=50)
def test_the_components_do_not_depend_on_the_cap(shards) -> None:
    buckets = by_buckets(shards)
    expected = components([(members[0], member) for members in buckets.values() for member in members[1:]])
    for cap in (2, 3, 99):
        ((pairs,), _) = matched(signed(shards, 1), 1, cap)
        assert components([pair[:2] for pair in pairs]) == expected


def test_equal_keys_in_different_bands_are_not_a_bucket() -> None:
    assert matched(signed([[(1, 2, 3), (2, 3, 1)]], 1), 1) == ([[]], 0)
    assert matched(signed([[(7, 7, 8), (9, 7, 7)], [(5, 7, 4)]], 1), 1) == (
        [[(0, 1, 1), (0, 1 << 32, 1), (1, 1 << 32, 1)]],
        0,
    )


def test_a_file_has_a_row_group_for_each_range_sorted_by_band_key_and_row() -> None:
    keys = np.random.default_rng(1).integers(0, 2**64, (50, N_BANDS), dtype=np.uint64)
    keys[40:] = keys[:10]
    rows = np.arange(100, 150, dtype=np.uint32)
    file = BytesIO()
    write_bands(file, keys, rows, SETTINGS, 8)
    parquet = pq.ParquetFile(file)
    expected = sorted(
        (int(key) >> 61, band, int(key), int(row))
        for row, of_row in zip(rows, keys, strict=True)
        for band, key in enumerate(of_row)
    )
    found = [
        (number, row["band"], row["key"], row["row"])
        for number in range(parquet.num_row_groups)
        for row in parquet.read_row_group(number).to_pylist()
    ]
    assert parquet.num_row_groups == 8
    assert found == expected


def test_ranges_and_files_without_entries_are_read_as_empty() -> None:
    files = signed([[], [(0, 0, 0)], [(0, 1, 0)]], 8)
    assert matched(files, 8) == ([[(1 << 32, 2 << 32, 2)], [], [], [], [], [], [], []], 0)
    assert matched([], 2) == ([[], []], 0)


def test_a_shard_may_have_several_files_and_a_file_may_be_a_path(tmp_path: Path) -> None:
    for part in range(2):
        keys = np.array([[5, 6, 7]], np.uint64)
        write_bands(tmp_path / f"{part}.parquet", keys, np.array([part], np.uint32), SETTINGS, 1)
    files = [(4, tmp_path / "0.parquet"), (4, str(tmp_path / "1.parquet"))]
    assert matched(files, 1) == ([[(4 << 32, (4 << 32) + 1, 3)]], 0)


@pytest.mark.parametrize(
    ("settings", "n_ranges"),
    [(MinHashSettings(N_BANDS, 2, seed=2), 2), (MinHashSettings(N_BANDS, 2, ngram=4), 2), (SETTINGS, 4)],
)
def test_bands_signed_with_other_settings_are_refused(settings: MinHashSettings, n_ranges: int) -> None:
    files = signed([[(1, 2, 3)]], 2)
    with pytest.raises(IntegrityError, match="bands of shard 0 were signed with"):
        match_range(files, 0, n_ranges, settings, 2)


def test_a_parquet_file_that_is_no_band_file_is_refused() -> None:
    file = BytesIO()
    pq.write_table(pa.table({"band": [1]}), file)
    with pytest.raises(IntegrityError, match="bands of shard 3 were signed with"):
        match_range([(3, file)], 0, 1, SETTINGS, 2)


def test_more_entries_than_a_row_group_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "MAX_ROW_GROUP", 10)
    with pytest.raises(
        ConfigError, match="4 documents in 3 bands are too many for one band file: write several of at most 3"
    ):
        signed([[(1, 2, 3)] * 4], 1)


def test_ranges_are_as_many_as_memory_asks_for() -> None:
    entry = bands.BYTES_PER_ENTRY
    assert ranges_for(0, 14, 2**30) == 1
    assert ranges_for(1000, 10, 10_000 * entry) == 1
    assert ranges_for(1000, 10, 10_000 * entry - 1) == 2
    assert ranges_for(1000, 10, 1500 * entry) == 8
    with pytest.raises(ConfigError, match="1 bytes are too few to match 1000000 documents in 450 bands"):
        ranges_for(10**6, 450, 1)
