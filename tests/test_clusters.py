"""Clusters do not depend on the order of edges, each keeps exactly one document, and the policy says which."""

from collections import defaultdict, deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import IntegrityError
from dedup.clusters import Survivors, choose, clusters, document_keys, document_numbers, group_equal, largest_cluster

N = 12
EDGES = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), max_size=20)


def by_search(n_documents: int, edges: list[tuple[int, int]]) -> list[int]:
    """Smallest member of each document's component, breadth first."""
    neighbours = defaultdict(set)
    for left, right in edges:
        neighbours[left].add(right)
        neighbours[right].add(left)
    representative = [-1] * n_documents
    for start in range(n_documents):
        if representative[start] >= 0:
            continue
        queue = deque([start])
        while queue:
            document = queue.popleft()
            if representative[document] < 0:
                representative[document] = start
                queue.extend(neighbours[document])
    return representative


def as_edges(edges: list[tuple[int, int]]) -> np.ndarray:
    return np.array(edges, np.int64).reshape(-1, 2)


@given(EDGES, st.integers(0, 20), st.randoms())
@settings(deadline=None)
def test_clusters_equal_a_breadth_first_search_in_any_order_of_edges(edges, cut, random) -> None:
    expected = by_search(N, edges)
    assert clusters(N, [as_edges(edges[:cut]), as_edges(edges[cut:])]).tolist() == expected
    random.shuffle(edges)
    assert clusters(N, [as_edges([(right, left) for left, right in edges])]).tolist() == expected


def test_a_chain_of_a_million_documents_is_one_cluster() -> None:
    n = 1_000_000
    order = np.random.default_rng(0).permutation(n)
    chain = np.stack([order[:-1], order[1:]], axis=1)
    assert np.array_equal(clusters(n, [chain]), np.zeros(n))


def test_an_edge_to_a_document_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(IntegrityError, match=r"joins documents 1 … 12, but there are 12"):
        clusters(N, [as_edges([(1, 12)])])


@given(EDGES, st.lists(st.sampled_from([0.0, 1.0, 2.0, float("nan"), -1.0]), min_size=N, max_size=N))
@settings(deadline=None)
def test_of_each_cluster_the_highest_priority_stays_then_the_first(edges, priority) -> None:
    representative = by_search(N, edges)
    rank = [(-(p if p == p else -np.inf), number) for number, p in enumerate(priority)]
    expected = [
        min((n for n in range(N) if representative[n] == cluster), key=rank.__getitem__) for cluster in representative
    ]
    assert choose(np.array(representative), np.array(priority)).tolist() == expected


def test_clusters_that_are_not_flat_are_an_error() -> None:
    with pytest.raises(IntegrityError, match="not flat"):
        choose(np.array([0, 0, 1]), np.zeros(3))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
@settings(deadline=None)
def test_equal_digests_are_grouped_under_the_first_and_the_zero_digest_equals_nothing(digests) -> None:
    first: dict[tuple[int, int], int] = {}
    expected = [
        number if digest == (0, 0) else first.setdefault(digest, number) for number, digest in enumerate(digests)
    ]
    assert group_equal(np.array(digests, np.uint64).reshape(-1, 2)).tolist() == expected


def test_documents_that_share_half_a_digest_are_not_equal() -> None:
    assert group_equal(np.array([[5, 1], [5, 2], [6, 1], [5, 1]], np.uint64)).tolist() == [0, 1, 2, 0]


def test_keys_of_shard_and_row_become_numbers_over_all_shards() -> None:
    first = np.array([0, 3, 3, 5])  # shard 1 is empty
    keys = np.concatenate(
        [document_keys(0, np.arange(3, dtype=np.uint32)), document_keys(2, np.arange(2, dtype=np.uint32))]
    )
    assert keys.tolist() == [0, 1, 2, 2 << 32, (2 << 32) + 1]
    assert document_numbers(keys, first).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("shard", "row", "message"), [(0, 3, "row 3 of shard 0"), (3, 0, "shard 3 is matched")])
def test_a_key_beyond_its_shard_is_an_error(shard: int, row: int, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        document_numbers(document_keys(shard, np.array([row], np.uint32)), np.array([0, 3, 3, 5]))


def test_a_document_removed_early_points_to_what_stays_in_the_end() -> None:
    survivors = Survivors(np.array([1.0, 2.0, 5.0, 0.0, 9.0]))
    survivors.remove(0, np.array([0, 0, 2, 3, 4]))  # 0 and 1 are one: 1 has the higher priority
    assert survivors.left.tolist() == [1, 2, 3, 4]
    survivors.remove(1, np.array([0, 0, 2, 2]))  # of what is left, 1 and 2 are one, and 3 and 4
    assert survivors.kept.tolist() == [2, 2, 2, 4, 4]
    assert survivors.removed_by.tolist() == [0, 1, -1, 1, -1]
    assert survivors.cluster_sizes().tolist() == [3, 3, 3, 2, 2]


def test_documents_of_earlier_runs_keep_their_verdicts_and_are_preferred() -> None:
    by_own_runs = np.array([0, 0, 2]), np.array([-1, 1, -1], np.int8)  # 1 was removed for 0, in step 1
    survivors = Survivors(np.array([9.0, 8.0, 9.0, 1.0, 2.0, 3.0]), by_own_runs)
    survivors.remove(0, np.array([0, 1, 2, 1, 4, 4]))  # 1 and 3 are one, 4 and 5 are one
    assert survivors.left.tolist() == [0, 1, 2, 5]
    survivors.remove(1, np.array([0, 0, 2, 3]))
    assert survivors.left.tolist() == [0, 2, 5]
    survivors.remove(2, np.array([0, 0, 0]))  # 5 is like both 0 and 2
    assert survivors.removed_by.tolist() == [-1, 1, -1, 0, 0, 2]
    assert survivors.kept.tolist() == [0, 0, 2, 0, 0, 0]
    survivors.check()


@pytest.mark.parametrize(
    ("number", "kept", "removed_by", "message"),
    [
        (3, 2, -1, "first number 3, which 2 was kept for"),  # it stays, and another does so in its place
        (3, 3, 1, "first number 3, which 3 was kept for"),  # none stays
        (1, 2, -1, "first number 1, which 2 was kept for"),  # an earlier document gives way to a new one
    ],
)
def test_a_cluster_that_does_not_keep_exactly_one_is_an_error(
    number: int, kept: int, removed_by: int, message: str
) -> None:
    survivors = Survivors(np.zeros(4), (np.array([0, 1]), np.array([-1, -1], np.int8)))
    survivors.check()
    survivors.kept[number], survivors.removed_by[number] = kept, removed_by
    with pytest.raises(IntegrityError, match=f"1 documents are not in a cluster that keeps exactly one, {message}"):
        survivors.check()


def test_a_duplicate_of_what_is_itself_removed_is_an_error() -> None:
    survivors = Survivors(np.zeros(3))
    survivors.kept[:], survivors.removed_by[:] = [0, 0, 1], [-1, 1, 1]
    with pytest.raises(IntegrityError, match="1 documents are not in a cluster that keeps exactly one, first number 2"):
        survivors.check()


def test_the_largest_cluster_is_named_with_its_size() -> None:
    assert largest_cluster(np.array([0, 1, 1, 0, 1])) == (1, 3)
    assert largest_cluster(np.empty(0, np.int64)) == (-1, 0)
