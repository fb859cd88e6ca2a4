"""The learned extractor's model: scores, labels, trees, second pass, choice."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.blocks import labels, scores
from pipeline.blocks.context import CONTEXT, write_context
from pipeline.blocks.gold import groups
from pipeline.blocks.model import SHARPNESS, choose
from pipeline.blocks.trees import MAX_LEAVES, ROWS, forest_of

WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "Кот", "猫"]), max_size=30)


def textbook_common_subsequence(found: list[str], wanted: list[str]) -> int:
    table = np.zeros((len(found) + 1, len(wanted) + 1), int)
    for i, one in enumerate(found):
        for j, other in enumerate(wanted):
            table[i + 1, j + 1] = table[i, j] + 1 if one == other else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


@given(WORDS, WORDS)
def test_scores_are_what_their_definitions_say(found: list[str], wanted: list[str]) -> None:
    text, gold = " ".join(found), " ".join(wanted)
    lower, gold_lower = [w.lower() for w in found], [w.lower() for w in wanted]
    n_both = max(len(found) + len(wanted), 1)
    common = sum(min(lower.count(word), gold_lower.count(word)) for word in set(lower))
    expected = 2 * common / n_both if found or wanted else 1.0
    assert scores.word_f1(text, gold) == pytest.approx(expected)
    expected = 2 * textbook_common_subsequence(lower, gold_lower) / n_both if found or wanted else 1.0
    assert scores.order_f1(text, gold) == pytest.approx(expected)
    one, other = Counter("".join(lower)), Counter("".join(gold_lower))
    expected = 2 * (one & other).total() / (one.total() + other.total()) if found or wanted else 1.0
    assert scores.character_f1(text, gold) == pytest.approx(expected)


def test_words_in_another_order_cost_order_f1_only() -> None:
    assert scores.word_f1("c d a b", "a b c d") == 1.0
    assert scores.order_f1("c d a b", "a b c d") == 0.5


def test_a_block_is_good_if_half_of_its_trigrams_are_in_the_gold_text() -> None:
    gold = "One two three four five six.\nThe title\n学习机器学习"
    blocks = [
        "one two three four",
        "three four five nine ten eleven",
        "four five six seven",
        "the title",
        "title",
        "机器学习",
    ]
    good, weights = labels.from_gold(blocks, gold)
    assert good.tolist() == [True, False, True, True, False, True]
    assert weights.tolist() == [4, 6, 4, 2, 1, 4]


def test_a_block_of_a_word_or_two_is_good_if_the_gold_text_has_it_beside_its_neighbours() -> None:
    gold = "Our kettles\nKettle | 1.5 l | red\nColour: blue as the sea"
    blocks = ["Menu", "Our kettles", "Kettle", "1.5 l", "red", "Share", "Colour:", "blue as the sea", "red", "…"]
    good, weights = labels.from_gold(blocks, gold)
    assert [block for block, is_good in zip(blocks, good, strict=True) if is_good] == [
        "Our kettles", "Kettle", "1.5 l", "red", "Colour:", "blue as the sea",
    ]  # fmt: skip
    assert weights[-1] == 0  # nothing is known of what has no word


def test_pieces_label_only_the_blocks_that_hold_them() -> None:
    blocks = ["In the beginning was the word.", "Subscribe to our newsletter!", "Something else"]
    good, weights = labels.from_pieces(blocks, ["beginning was"], ["our newsletter"])
    assert good.tolist() == [True, False, False]
    assert weights.tolist() == [6, 4, 0]


def row(number: int, url: str, text: str) -> dict[str, str]:
    return {"warc_record_id": str(number), "url": url, "gold_text": text}


def test_pages_of_a_site_and_near_copies_are_in_one_group() -> None:
    story = " ".join(f"word{n}" for n in range(100))
    rows = [
        row(0, "https://www.a.example/1", "one text"),
        row(1, "https://blog.a.example/2", "another text"),
        row(2, "https://b.co.uk/", story),
        row(3, "https://c.co.uk/", story + " and more"),
        row(4, "https://d.example/", "yet another"),
    ]
    assert groups(rows) == ["0", "0", "2", "2", "4"]


def random_tree(rng: np.random.Generator, n_features: int, n_leaves: int) -> dict[str, object]:
    if n_leaves == 1:
        return {"leaf_value": float(rng.normal())}
    n_left = int(rng.integers(1, n_leaves))
    return {
        "split_feature": int(rng.integers(n_features)),
        "threshold": float(rng.integers(-3, 4)) / 3,  # not a float32, and met by features
        "left_child": random_tree(rng, n_features, n_left),
        "right_child": random_tree(rng, n_features, n_leaves - n_left),
    }


def walked(node: dict, features: np.ndarray) -> np.float32:
    while "split_feature" in node:
        goes_left = float(features[node["split_feature"]]) <= node["threshold"]
        node = node["left_child"] if goes_left else node["right_child"]
    return np.float32(node["leaf_value"])


@given(st.integers(0, 2**32), st.integers(1, 4))
@settings(max_examples=40)
def test_all_trees_at_once_give_what_walking_each_gives(seed: int, n_trees: int) -> None:
    rng = np.random.default_rng(seed)
    trees = [random_tree(rng, 5, int(rng.integers(1, MAX_LEAVES + 1))) for _ in range(n_trees)]
    matrix = (rng.integers(-3, 4, (5, 2 * ROWS)) / 3).astype(np.float32)
    expected = np.zeros(2 * ROWS, np.float32)
    for tree in trees:
        expected += np.array([walked(tree, column) for column in matrix.T])
    forest = forest_of({"tree_info": [{"tree_structure": tree} for tree in trees]})
    assert forest.scores(matrix).tolist() == expected.tolist()


def plain_context(p: list[float], lengths: list[float], containers: list[int], parents: list[int]) -> list[list[float]]:
    """The rows of CONTEXT, one block after the other."""
    n = len(p)
    strong = [i for i in range(n) if p[i] > 0.7 and lengths[i] > 100]
    above = []
    for container in range(len(parents)):
        path = [container]
        while parents[path[-1]] >= 0:
            path.append(parents[path[-1]])
        above.append(path)

    def mean(members: list[int]) -> float:
        return sum(p[i] * lengths[i] for i in members) / (sum(lengths[i] for i in members) + 1)

    columns = []
    for i in range(n):
        column = [p[i]]
        column += [p[i + k] if 0 <= i + k < n else 0.0 for k in range(-4, 5) if k]
        column += [mean([j for j in range(n) if abs(j - i) <= reach]) for reach in (2, 5, 15, 40)]
        path = above[containers[i]]
        levels = [path[min(level, len(path) - 1)] for level in range(3)]
        column += [mean([j for j in range(n) if level in above[containers[j]]]) for level in levels]
        column += [i - strong[0], strong[-1] - i] if strong else [i, n]
        total = sum(p[j] * lengths[j] for j in range(n))
        columns.append([*column, total, total / (sum(lengths) + 1), max(p)])
    return [list(row) for row in zip(*columns, strict=True)]


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(1, 300), st.integers(0, 5)), min_size=1, max_size=100))
@settings(max_examples=40)
def test_the_second_pass_sees_what_a_plain_walk_over_the_page_sees(blocks: list[tuple[int, int, int]]) -> None:
    parents = [-1, 0, 1, 1, 3, 0]
    p = [tenths / 10 for tenths, _, _ in blocks]
    lengths = [float(length) for _, length, _ in blocks]
    containers = [container for _, _, container in blocks]
    rows = np.full((len(CONTEXT), len(blocks)), np.nan, np.float32)
    write_context(
        np.array(p, np.float32),
        np.array(lengths, np.float32),
        np.array(containers, np.int32),
        np.array(parents, np.int32),
        rows,
    )
    np.testing.assert_allclose(rows, plain_context(p, lengths, containers, parents), rtol=1e-5, atol=1e-6)


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(0, 200)), min_size=1, max_size=8))
def test_no_other_choice_of_blocks_can_be_expected_to_score_better(blocks: list[tuple[int, int]]) -> None:
    p = np.array([percent for percent, _ in blocks], np.float32) / 100
    words = np.array([n_words for _, n_words in blocks], np.float32)

    def expected_score(chosen: np.ndarray) -> float:
        good = p.astype(float) ** SHARPNESS * (words + 1)
        return 2 * good[chosen].sum() / ((words + 1)[chosen].sum() + good.sum())

    chosen, score = choose(p, words)
    every = [np.array(list(f"{n:0{len(blocks)}b}")) == "1" for n in range(1 << len(blocks))]
    assert score == pytest.approx(expected_score(chosen), rel=1e-5)
    assert score == pytest.approx(max(map(expected_score, every)), rel=1e-5)
