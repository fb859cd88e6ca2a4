"""Band files: one row group a range, and the same documents matched however files and ranges are cut."""

from collections import defaultdict
from io import BytesIO
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


def by_buckets(shards: Shards) -> set[frozenset[int]]:
    buckets = defaultdict(list)
    for shard, documents in enumerate(shards):
        for row, keys in enumerate(documents):
            for band, key in enumerate(keys):
                buckets[band, key].append(shard << 32 | row)
    return components([(members[0], member) for members in buckets.values() for member in members[1:]])


def matched(files: list[tuple[int, BytesIO]], n_ranges: int) -> list[list[tuple[int, int]]]:
    return [[tuple(edge) for edge in match_range(files, r, n_ranges, SETTINGS).tolist()] for r in range(n_ranges)]


DOCUMENTS = st.lists(st.tuples(*[st.integers(0, 15)] * N_BANDS), max_size=6)


@given(st.lists(DOCUMENTS, max_size=4), st.randoms())
@settings(deadline=None, max_examples=50)
def test_matched_documents_are_those_that_share_a_bucket_for_any_ranges_and_order_of_files(shards, random) -> None:
    expected = by_buckets(shards)
    for n_ranges in (1, 2, 8):
        files = signed(shards, n_ranges)
        in_order = matched(files, n_ranges)
        assert components([edge for of_range in in_order for edge in of_range]) == expected
        random.shuffle(files)
        assert matched(files, n_ranges) == in_order
        for edges in in_order:
            members = [member for member, _ in edges]
            centres = {centre for _, centre in edges}
            assert len(members) == len(set(members))  # a forest: each member hangs on one centre,
            assert centres.isdisjoint(members)  # which is no member,
            assert all(member > centre for member, centre in edges)  # and the smallest


def test_equal_keys_in_different_bands_are_not_a_bucket() -> None:
    assert matched(signed([[(1, 2, 3), (2, 3, 1)]], 1), 1) == [[]]
    assert matched(signed([[(7, 7, 8), (9, 7, 7)], [(5, 7, 4)]], 1), 1) == [[(1, 0), (1 << 32, 0)]]


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
    assert [len(edges) for edges in matched(files, 8)] == [1, 0, 0, 0, 0, 0, 0, 0]
    assert match_range([], 0, 1, SETTINGS).shape == (0, 2)


def test_a_shard_may_have_several_files_and_a_file_may_be_a_path(tmp_path: Path) -> None:
    for part in range(2):
        keys = np.array([[5, 6, 7]], np.uint64)
        write_bands(tmp_path / f"{part}.parquet", keys, np.array([part], np.uint32), SETTINGS, 1)
    files = [(4, tmp_path / "0.parquet"), (4, str(tmp_path / "1.parquet"))]
    assert match_range(files, 0, 1, SETTINGS).tolist() == [[(4 << 32) + 1, 4 << 32]]


@pytest.mark.parametrize(
    ("settings", "n_ranges"),
    [(MinHashSettings(N_BANDS, 2, seed=2), 2), (MinHashSettings(N_BANDS, 2, ngram=4), 2), (SETTINGS, 4)],
)
def test_bands_signed_with_other_settings_are_refused(settings: MinHashSettings, n_ranges: int) -> None:
    files = signed([[(1, 2, 3)]], 2)
    with pytest.raises(IntegrityError, match="bands of shard 0 were signed with"):
        match_range(files, 0, n_ranges, settings)


def test_a_parquet_file_that_is_no_band_file_is_refused() -> None:
    file = BytesIO()
    pq.write_table(pa.table({"band": [1]}), file)
    with pytest.raises(IntegrityError, match="bands of shard 3 were signed with"):
        match_range([(3, file)], 0, 1, SETTINGS)


def test_more_entries_than_a_row_group_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "_MAX_ENTRIES", 10)
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
