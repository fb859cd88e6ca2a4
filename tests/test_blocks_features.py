"""Features of blocks beside slow, readable ones, from Python's strings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from corpus.sentences import SENTENCE_ENDS
from corpus.unicode import ALONE, DIGIT, LETTER, MARK, PUNCTUATION, SPACE, UPPER, fold_of, kind_of
from pipeline.blocks.features import FEATURES, LONG_BLOCK, MAX_LINK_SHARE, features_of
from pipeline.blocks.open_elements import CONTAINER_OF, LINK_CHARACTERS, PARENT
from pipeline.blocks.page import Blocks, read_blocks
from pipeline.blocks.text_features import SHORT_WORD, TEXT_FEATURES

Row = NDArray[np.float32]


def read(page: str) -> tuple[Blocks, dict[str, Row]]:
    blocks = read_blocks(np.frombuffer(page.encode(), np.uint8))
    return blocks, dict(zip(FEATURES, features_of(blocks), strict=True))


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def plain_words(text: str) -> list[str]:
    """Runs of letters, digits and marks, the first letter of what each folds to; characters of scripts without spaces alone."""
    words, word = [], ""
    for character in text + " ":
        kind = kind_of(character)
        inside = kind & (LETTER | DIGIT | MARK)
        if word and (not inside or kind & ALONE):
            words.append(word)
            word = ""
        if kind & ALONE:
            words.append(character)
        elif inside:
            word += (fold_of(character) or character)[0]
    return words


def plain_counts(text: str) -> dict[str, float]:
    kinds = [kind_of(character) for character in text if not kind_of(character) & SPACE]
    words = plain_words(text)
    n, in_words = len(kinds), sum(bool(kind & (LETTER | DIGIT | MARK)) for kind in kinds)
    punctuation = sum(bool(kind & PUNCTUATION) for kind in kinds)
    last = [c for c in text if not kind_of(c) & SPACE and (c in SENTENCE_ENDS or not kind_of(c) & PUNCTUATION)]
    alone = sum(bool(kind_of(word[0]) & ALONE) for word in words)
    return {
        "characters": n,
        "words": len(words),
        "short_word_share": share(sum(len(word) <= SHORT_WORD for word in words) - alone, len(words)),
        "punctuation_share": share(punctuation, n),
        "upper_share": share(sum(bool(kind & UPPER) for kind in kinds), n),
        "digit_share": share(sum(bool(kind & DIGIT) for kind in kinds), n),
        "symbol_share": share(n - in_words - punctuation, n),
        "word_characters": share(in_words, len(words)),
        "sentence_ends": sum(character in SENTENCE_ENDS for character in text),
        "ends_sentence": bool(last) and last[-1] in SENTENCE_ENDS,
        "breaks": text.count("\n"),
    }


WORDS = "the |Cat |sat. |İstanbul |Straße |한국어 |漢字|ไทย|1,200 |(ok.) |…|€ |«да!» |नमस्ते। "
ANY = st.characters(exclude_categories=["Cs", "Cn", "Co", "Cc"], exclude_characters="<&")
TEXT = st.lists(st.one_of(st.sampled_from(WORDS.split("|")), ANY)).map("".join)


@given(TEXT)
def test_characters_and_words_are_counted_in_any_script(text: str) -> None:
    page, values = read(f"<p>{text}")
    for i in range(len(page.rows)):
        for name, expected in plain_counts(page.block_text(i)).items():
            assert values[name][i] == np.float32(expected), name


@pytest.mark.parametrize("torn", [b"\xc3", b"\xe3\x81", b"\xf0\x9f\x98", b"\xff", b"\x80"])
def test_a_torn_character_is_not_completed_by_what_follows_the_block(torn: bytes) -> None:
    pages = [read_blocks(np.frombuffer(b"<p>a" + torn + b"<p>" + rest, np.uint8)) for rest in (b"b", b"\x81\x82\x83")]
    first, second = (features_of(page)[: len(TEXT_FEATURES) - 3, 0] for page in pages)
    assert first.tolist() == second.tolist()


def test_title_words_and_frequent_words_are_shares_of_words() -> None:
    filler = "".join(f"<p>the {word}" for word in ("alpha", "beta", "gamma", "delta"))
    _, values = read(f"<title>Old Ships of Malta</title><h1>SHIPS, old ships</h1><p>the malta</p>{filler}")
    assert values["title_words_found"][:3].tolist() == [0.5, 0.25, 0.0]
    assert values["share_of_words_in_title"][:3].tolist() == [1.0, 0.5, 0.0]
    assert values["frequent_word_share"][:3].tolist() == [0.0, 0.5, 0.5]


PAGE = """<body class=main><div id=content><h1>Head</h1><p>{0}<p>Short <a href=x>link</a><div>
<ul><li><a href=y>one</a><li>two</ul><section><table><tr><td>{0}<td>b</table></section></div></div>
<h2>x</h2><footer>{1}</footer>"""
LONG = "This is a long paragraph, with many words and no link in it. " * 3


@pytest.fixture(scope="module")
def page() -> tuple[Blocks, dict[str, Row]]:
    return read(PAGE.format(LONG, "z"))


def test_place_in_the_page(page: tuple[Blocks, dict[str, Row]]) -> None:
    _, values = page
    n = len(values["position"])
    assert n == 9
    assert values["position"].tolist() == [np.float32(i / n) for i in range(n)]
    before = np.concatenate([[0], np.cumsum(values["characters"])[:-1]]) / values["characters"].sum()
    assert values["text_before"].tolist() == pytest.approx(before.tolist())
    assert values["since_heading"].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    assert values["headings_before"].tolist() == [1, 1, 1, 1, 1, 1, 1, 2, 2]
    assert values["in_cell"].tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0]
    assert values["in_item"].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert values["keyword_content"].tolist() == [1] * 9
    assert values["inside_footer"].tolist() == [0] * 8 + [1]
    assert values["inside_ul"].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert values["link_share"].tolist() == [0, 0, np.float32(4 / 9), 1, 0, 0, 0, 0, 0]


def test_containers_are_summed_over_all_that_is_in_them(page: tuple[Blocks, dict[str, Row]]) -> None:
    blocks, values = page
    n = len(blocks.rows)
    characters, links = values["characters"], blocks.rows[:, LINK_CHARACTERS]
    is_long = (characters > LONG_BLOCK) & (links < MAX_LINK_SHARE * characters)

    def path(i: int) -> list[int]:
        found = [int(blocks.rows[i, CONTAINER_OF])]
        while found[-1] >= 0:
            found.append(int(blocks.containers[found[-1], PARENT]))
        return found[:-1]

    paths = [path(i) for i in range(n)]
    for i in range(n):
        for near in range(3):
            inside = [j for j in range(n) if near < len(paths[i]) and paths[i][near] in paths[j]]
            total = characters[inside].sum()
            expected = {
                "characters": total,
                "link_share": share(links[inside].sum(), total),
                "page_share": total / characters.sum(),
                "long_share": is_long[inside].sum() / is_long.sum(),
                "blocks": len(inside),
            }
            for name, value in expected.items():
                assert values[f"container_{near + 1}_{name}"][i] == np.float32(value)


def test_neighbours_and_running_means(page: tuple[Blocks, dict[str, Row]]) -> None:
    _, values = page
    n = len(values["words"])
    for i in range(n):
        for offset in (-2, -1, 1, 2):
            for name in ("characters", "words", "link_share", "tag", "short_word_share", "punctuation_share"):
                expected = values[name][i + offset] if 0 <= i + offset < n else 0
                assert values[f"{name}_at_{offset:+d}"][i] == expected
        for window in (7, 25):
            for name in ("words", "link_share", "short_word_share"):
                around = values[name][max(0, i - window // 2) : i + window // 2 + 1]
                assert values[f"{name}_mean_of_{window}"][i] == pytest.approx(around.mean(), abs=1e-5)


def test_page_totals_are_on_every_block(page: tuple[Blocks, dict[str, Row]]) -> None:
    _, values = page
    assert set(values["page_blocks"]) == {9}
    assert set(values["page_characters"]) == {values["characters"].sum()}
    assert set(values["page_long_blocks"]) == {2}
    assert set(values["page_words"]) == {values["words"].sum()}
    assert set(values["page_longest"]) == {values["characters"].max()}


def test_features_have_a_row_each_even_for_an_empty_page() -> None:
    assert len(set(FEATURES)) == len(FEATURES)
    assert features_of(read_blocks(np.zeros(0, np.uint8))).shape == (len(FEATURES), 0)
