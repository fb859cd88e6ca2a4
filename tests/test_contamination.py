"""Evaluation items in training text: what is found, what counts, what is cut."""

import json
import pickle
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError
from corpus.text import Texts
from corpus.unicode import ALONE, DIGIT, LETTER, MARK, fold_of, kind_of
from corpus.words import text_digests
from dedup.contamination import ContaminationSettings, Decontaminated, contamination, cut, decontaminate, item_spans
from dedup.evaluation_index import (
    EvaluationIndex,
    Hits,
    build_index,
    document_frequency,
    find_hits,
    item_statuses,
)
from dedup.evaluation_sets import EvaluationItem, read_evaluation_sets

QUESTION = (
    "A robe takes two bolts of blue fiber and half that much white fiber; how many bolts – in total – does "
    "the tailor's café take?"
)
CLEAN = "Nothing of the kind stands in this sentence, which only goes on for a while. "


def item(
    question: str = "", *answers: str, passage: str = "", name: str = "f:1", set_name: str = "robes"
) -> EvaluationItem:
    return EvaluationItem(set_name, name, (question,) if question else (), answers, (passage,) if passage else ())


def found(text: str, *items: EvaluationItem, **options: int) -> list[tuple[str, str]]:
    """(item, what was matched) of every span."""
    index = build_index(items, **options)
    spans = item_spans(find_hits(Texts.of([text]), index), index, none_of(index))
    return [(row["item"], text.encode()[row["start"] : row["end"]].decode()) for row in spans.to_pylist()]


def none_of(index: EvaluationIndex) -> np.ndarray:
    return np.zeros(index.n_grams, np.bool_)


def clean(texts: list[str], *items: EvaluationItem, **options: object) -> Decontaminated:
    index = build_index(items)
    column = Texts.of(texts)
    return decontaminate(column, find_hits(column, index), index, none_of(index), ContaminationSettings(**options))


# --- what is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        QUESTION,
        "\n".join(" ".join(QUESTION.split()[i : i + 3]) for i in range(0, 99, 3)).strip(),
        QUESTION.upper(),
        QUESTION.replace(";", "").replace(" – ", " - ").replace("?", ""),
        QUESTION.replace("'", "’").replace("A robe", "“A robe”"),
        QUESTION.replace("é", "e"),
        QUESTION.replace("é", "e\u0301"),
    ],
    ids=["verbatim", "re-wrapped", "case", "punctuation", "quotes", "no accent", "decomposed accent"],
)
def test_a_changed_item_is_found_whole(changed: str) -> None:
    start, end = changed.find(changed.split()[0]), len(changed)
    text = CLEAN * 9 + changed + " " + CLEAN * 9
    ((name, matched),) = found(text, item(QUESTION))
    assert name == "f:1"
    assert matched == changed[start:end].strip("“?")


def test_twelve_words_of_a_long_item_are_not_enough_and_thirteen_are() -> None:
    words = QUESTION.split()
    assert found(CLEAN + " ".join(words[:12]) + ". " + CLEAN, item(QUESTION)) == []
    assert found(CLEAN + " ".join(words[:13]) + ". " + CLEAN, item(QUESTION)) == [("f:1", " ".join(words[:13]))]


def test_a_short_item_is_matched_whole_and_not_in_part() -> None:
    question = "When was the last time anyone was on the moon?"
    assert found(f"They ask: when was the last time anyone was ON the Moon. {CLEAN}", item(question)) == [
        ("f:1", "when was the last time anyone was ON the Moon")
    ]
    assert found("when was the last time anyone was on the", item(question)) == []


def test_a_question_below_the_floor_is_matched_with_its_answer_only() -> None:
    short = item("Who wrote Emma?", "It was Jane Austen who wrote it", "Paris")
    assert found("Who wrote Emma? Paris. It was Jane Austen who wrote it", short) == []
    assert found("Who wrote Emma – it was Jane Austen who wrote it", short) == [
        ("f:1", "Who wrote Emma – it was Jane Austen who wrote it")
    ]


def test_grams_cross_from_the_question_into_each_answer_but_not_between_answers_or_from_the_passage() -> None:
    first, second = "one of them is red", "the other one is blue and green"
    both = item(QUESTION, first, second, passage="Some passage of several words that the question is about.")
    tail = " ".join(QUESTION.split()[-11:])
    assert found(f"{tail} {first}", both) == [("f:1", f"{tail} {first}")]
    assert found(f"{tail} {second}", both) == [("f:1", f"{tail} {second}")]
    assert found(f"{first} {second} {first} {second}", both) == []
    assert found(f"several words that the question is about. {' '.join(QUESTION.split()[:6])}", both) == []


def test_an_answer_goes_on_from_the_passage_where_there_is_no_question() -> None:
    passage = "He said that all of this was nothing but one more of the usual"
    lambada = item("", "signs", passage=passage)
    assert found(" ".join([*passage.split()[2:], "signs"]), lambada) == [("f:1", passage[8:] + " signs")]


def test_chinese_is_matched_by_its_characters() -> None:
    question = "战国时期，孟子将儒家“仁”的观念升华为“仁政”学说，提出"
    assert found(f"問：战国时期孟子将儒家仁的观念升华为仁政学说提出？{CLEAN}", item(question)) == [
        ("f:1", "战国时期孟子将儒家仁的观念升华为仁政学说提出")
    ]


def test_an_item_in_a_100_kb_document_is_found_where_it_is() -> None:
    text = CLEAN * 700 + QUESTION + CLEAN * 700
    assert found(text, item(QUESTION)) == [("f:1", QUESTION[:-1])]


def test_spans_of_several_items_overlap_and_those_apart_stay_apart() -> None:
    words = QUESTION.split()
    halves = item(" ".join(words[:16]), name="f:1"), item(" ".join(words[4:]), name="f:2")
    again = " ".join(words[:14])
    assert found(f"{QUESTION} {CLEAN} {again}", *halves) == [
        ("f:1", " ".join(words[:16])),
        ("f:2", " ".join(words[4:])[:-1]),
        ("f:1", again[:-1]),
    ]


def test_the_score_is_the_share_of_the_best_covered_text() -> None:
    words = [f"w{i}" for i in range(30)]
    index = build_index([item(" ".join(words), " ".join(f"a{i}" for i in range(20)))])
    texts = Texts.of([" ".join(words), " ".join(words[:21]), "x"])
    spans = item_spans(find_hits(texts, index), index, none_of(index))
    assert spans["document"].to_pylist() == [0, 1]
    assert spans["score"].to_numpy().tolist() == [np.float32(1.0), np.float32(9 / 18)]
    suppressed = np.ones(index.n_grams, np.bool_)
    hits = find_hits(texts, index)
    suppressed[hits.gram[hits.document == 1][:6]] = False  # six grams of the question are left to count
    kept = Hits(*(column[~suppressed[hits.gram]] for column in hits))
    assert item_spans(kept, index, suppressed)["score"].to_pylist() == [1.0, 1.0]


def test_a_broken_limit_is_named() -> None:
    with pytest.raises(ConfigError, match="ngram: 5, min_item_words: 8"):
        build_index([], ngram=5)
    with pytest.raises(ConfigError, match="action: 'delete': should be one of drop, cut, tag"):
        ContaminationSettings(action="delete")
    with pytest.raises(ConfigError, match="max_pieces: -1"):
        ContaminationSettings(max_pieces=-1)


# --- against a slow reference -----------------------------------------------------------------------------------------


def slow_words(text: str) -> list[tuple[str, int, int]]:
    """(word, start, end) in characters, as `corpus.words` says."""
    words: list[tuple[str, int, int]] = []
    open_word = False
    for at, character in enumerate(text):
        bits = kind_of(character)
        if not bits & (LETTER | DIGIT | MARK):
            open_word = False
            continue
        folded = fold_of(character) if bits & (LETTER | DIGIT) else ""
        if bits & ALONE:
            words.append((folded, at, at + 1))
            open_word = False
        elif open_word:
            word, start, _ = words[-1]
            words[-1] = (word + folded, start, at + 1)
        elif folded:
            words.append((folded, at, at + 1))
            open_word = True
    return words


def slow_texts(one: EvaluationItem, ngram: int, floor: int) -> set[tuple[str, ...]]:
    grams: set[tuple[str, ...]] = set()
    pairs = [("", text) for text in (*one.question, *one.passage)]
    pairs += [(lead, answer) for lead in one.question or one.passage or ("",) for answer in one.answer]
    for lead, text in pairs:
        head = [word for word, _, _ in slow_words(lead)]
        words = head + [word for word, _, _ in slow_words(text)]
        length = min(ngram, len(words))
        if length >= floor and len(words) > len(head):
            for first in range(len(words) - length + 1):
                if first + length > len(head):
                    grams.add(tuple(words[first : first + length]))
    return grams


def slow_hits(text: str, items: list[EvaluationItem], ngram: int, floor: int) -> dict[str, set[tuple[int, int]]]:
    words = slow_words(text)
    hits = defaultdict(set)
    for one in items:
        for gram in slow_texts(one, ngram, floor):
            for first in range(len(words) - len(gram) + 1):
                if tuple(word for word, _, _ in words[first : first + len(gram)]) == gram:
                    start = len(text[: words[first][1]].encode())
                    hits[one.item].add((start, len(text[: words[first + len(gram) - 1][2]].encode())))
    return dict(hits)


WORDS = st.sampled_from(["a", "b", "B,", "é", "e\u0301", "\n", "漢", "ไ", "don't", "—", "٣", "x" * 20])
PHRASES = st.lists(WORDS, max_size=12).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(PHRASES, st.lists(PHRASES, max_size=2), PHRASES), min_size=1, max_size=4),
    st.lists(PHRASES, max_size=4),
    st.integers(2, 5),
    st.integers(1, 2),
)
def test_the_probe_finds_what_a_search_word_by_word_finds(
    parts: list[tuple[str, list[str], str]], more: list[str], ngram: int, floor: int
) -> None:
    items = [item(q, *answers, passage=p, name=f"f:{i}") for i, (q, answers, p) in enumerate(parts)]
    texts = [*more, "", " ".join([*more, *(f"{q} {' '.join(a)} {p}" for q, a, p in parts)])]
    index = build_index(items, ngram, floor)
    hits = find_hits(Texts.of(texts), index)
    seen: list[dict[str, set[tuple[int, int]]]] = [defaultdict(set) for _ in texts]
    for document, start, end, gram in zip(*(column.tolist() for column in hits), strict=True):
        for text in index.gram_texts[index.gram_offsets[gram] : index.gram_offsets[gram + 1]]:
            seen[document][f"f:{index.text_item[text]}"].add((start, end))
    assert [dict(by_item) for by_item in seen] == [slow_hits(text, items, ngram, floor) for text in texts]


def test_more_hits_than_were_made_room_for_are_all_returned() -> None:
    index = build_index([item("ba " * 13)])
    hits = find_hits(Texts.of(["x", "ba " * 20_012]), index)
    assert len(hits.gram) == 20_000
    assert hits.document.tolist() == [1] * 20_000
    assert hits.start.tolist() == list(range(0, 60_000, 3))


def test_an_index_is_the_same_for_the_same_items_and_survives_pickling() -> None:
    items = [item(QUESTION, "a b c", name=f"f:{i}") for i in range(3)]
    first, second = pickle.loads(pickle.dumps(build_index(items))), build_index(items)
    for name in ("hashes", "gram_texts", "gram_offsets", "directory", "prefixes", "lengths", "text_item"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.nbytes == second.nbytes


# --- what counts ------------------------------------------------------------------------------------------------------


def test_a_document_counts_a_gram_once() -> None:
    index = build_index([item("one two three four five six seven eight")])
    texts = Texts.of(
        ["one two three four five six seven eight. " * 3, "no", "One two three four five six seven, eight!"]
    )
    assert document_frequency(find_hits(texts, index), index).tolist() == [2]


def test_an_item_of_common_phrases_only_is_suspect_and_one_too_short_to_look_for_unmatchable() -> None:
    common = "which of the following is most likely to be true"
    items = [
        item(common, name="f:1"),
        item(common, "the second of them because it is much larger", name="f:2"),
        item("who won?", "Paris", name="f:3"),
    ]
    index = build_index(items)
    texts = Texts.of([f"They ask {common} ({i})" for i in range(3)])
    hits = find_hits(texts, index)
    suppressed = document_frequency(hits, index) > 2
    assert [(row["item"], row["grams"], row["suppressed"], row["status"]) for row in
            item_statuses(index, suppressed).to_pylist()] == [
        ("f:1", 1, 1, "suspect"), ("f:2", 7 + 1, 1, "matchable"), ("f:3", 0, 0, "unmatchable"),
    ]  # fmt: skip
    result = decontaminate(texts, hits, index, suppressed, ContaminationSettings())
    assert result.reason.to_pylist() == [None] * 3
    assert result.spans.to_pylist() == [None] * 3
    assert result.text.equals(texts.column)


def test_an_index_without_a_gram_finds_nothing() -> None:
    index = build_index([item("who won?")])
    hits = find_hits(Texts.of([CLEAN, ""]), index)
    assert (index.n_grams, len(hits.gram), len(document_frequency(hits, index))) == (0, 0, 0)
    assert build_index([]).n_grams == 0


# --- what becomes of a document ---------------------------------------------------------------------------------------


def test_drop_gives_the_reason_and_tag_only_the_spans() -> None:
    texts = [CLEAN, f"é {QUESTION}", CLEAN]
    span = {"start": 3, "end": 3 + len(QUESTION.encode()) - 1, "set": "robes", "item": "f:1", "score": 1.0}
    for action, reason in (("drop", "contaminated"), ("tag", None)):
        result = clean(texts, item(QUESTION), action=action)
        assert result.text.to_pylist() == texts
        assert result.reason.to_pylist() == [None, reason, None]
        assert result.spans.to_pylist() == [None, [span], None]


def test_cut_takes_the_span_with_200_characters_on_each_side() -> None:
    before, after = "b" * 450, "a" * 430
    result = clean([CLEAN, f"{before} {QUESTION} {after}", CLEAN], item(QUESTION), action="cut")
    assert result.text.to_pylist() == [
        CLEAN,
        f"{'b' * 251}\n\n{'a' * 232}",
        CLEAN,
    ]  # "?" and the blank are in the window
    assert result.reason.to_pylist() == [None, None, None]
    assert [spans is None for spans in result.spans.to_pylist()] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{QUESTION} {'a' * 500}", "a" * 302),
        (f"{'b' * 500} {QUESTION}", "b" * 301),
        (f"{'é漢😀' * 150} {QUESTION} {'😀' * 402}", "é漢😀" * 83 + "é漢" + "\n\n" + "😀" * 204),
        (f"{'b' * 500} {QUESTION} {'m' * 300} {QUESTION} {'a' * 500}", "b" * 301 + "\n\n" + "a" * 302),
        (f"{'b' * 500} {QUESTION} {'m' * 590} {QUESTION} {'a' * 500}", "b" * 301 + "\n\n" + "a" * 302),
        (f"{'b' * 398} {QUESTION} {'a' * 500}", "a" * 302),
        (f"{'b' * 399} {QUESTION} {'a' * 397}", "b" * 200),
    ],
    ids=["start", "end", "multi-byte", "overlapping windows", "short piece between", "short piece before", "exactly 200"],
)  # fmt: skip
def test_what_a_cut_leaves(text: str, left: str) -> None:
    result = clean([text], item(QUESTION), action="cut")
    assert (result.reason.to_pylist(), result.text.to_pylist()) == ([None], [left])


def test_a_text_of_which_nothing_is_left_goes() -> None:
    text = f"{'b' * 300} {QUESTION} {'a' * 300}"
    result = clean([text, QUESTION], item(QUESTION), action="cut")
    assert result.reason.to_pylist() == ["nothing_left", "nothing_left"]
    assert result.text.to_pylist() == [text, QUESTION]


def test_a_document_in_more_than_ten_pieces_goes() -> None:
    ten = ("b" * 700).join([f" {QUESTION} "] * 11)
    eleven = f"{ten} {'b' * 700}"
    result = clean([ten, eleven], item(QUESTION), action="cut")
    assert result.reason.to_pylist() == [None, "too_many_pieces"]
    assert result.text.to_pylist() == ["\n\n".join(["b" * 303] * 10), eleven]


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="aé漢😀 \n", max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), max_size=6),
    st.integers(0, 9),
)
def test_a_cut_leaves_the_characters_that_no_window_covers(
    text: str, places: list[tuple[int, int]], window: int
) -> None:
    spans = [(start, min(len(text), start + length)) for start, length in places if start < len(text)]
    covered = {at for start, end in spans for at in range(start - window, end + window)}
    marked = "".join("\0" if at in covered else character for at, character in enumerate(text))
    regions = np.array([[len(text[:at].encode()) for at in span] for span in spans], np.int64).reshape(-1, 2)
    expected = [piece.strip() for piece in marked.split("\0") if piece.strip()]
    assert cut(text.encode(), regions, window) == expected


def test_the_result_does_not_depend_on_how_documents_are_batched() -> None:
    rng = random.Random(3)
    texts = [CLEAN * rng.randrange(9) + (QUESTION if rng.random() < 0.3 else "") + CLEAN * 9 for _ in range(40)]
    whole = clean(texts, item(QUESTION), action="cut")
    column = pa.array(texts, pa.large_string())
    parts = [clean(column.slice(at, 7).to_pylist(), item(QUESTION), action="cut") for at in range(0, 40, 7)]
    index = build_index([item(QUESTION)])
    sliced = Texts.of(column.slice(7, 7))
    of_slice = decontaminate(
        sliced, find_hits(sliced, index), index, none_of(index), ContaminationSettings(action="cut")
    )
    for name in ("text", "reason", "spans"):
        assert getattr(whole, name).to_pylist() == [row for part in parts for row in getattr(part, name).to_pylist()]
        assert getattr(of_slice, name).to_pylist() == getattr(parts[1], name).to_pylist()


# --- library and real sets --------------------------------------------------------------------------------------------


def test_the_library_call_gives_a_row_for_every_span(tmp_path: Path) -> None:
    path = tmp_path / "gsm8k.jsonl"
    path.write_text(json.dumps({"question": QUESTION, "answer": "3"}) + "\n")
    texts = [CLEAN, f"é {QUESTION}", QUESTION.upper()]
    end = len(QUESTION.encode()) - 1
    assert contamination(texts, str(path)).to_pylist() == [
        {"document": 1, "start": 3, "end": 3 + end, "set": "gsm8k", "item": "gsm8k.jsonl:1", "score": 1.0,
         "matched": QUESTION[:-1]},
        {"document": 2, "start": 0, "end": end, "set": "gsm8k", "item": "gsm8k.jsonl:1", "score": 1.0,
         "matched": QUESTION.upper()[:-1]},
    ]  # fmt: skip
    assert contamination(texts, [str(path)], max_document_frequency=1).num_rows == 0
    assert contamination([], [str(path)]).schema == contamination(texts, [str(path)]).schema


def test_items_of_all_published_sets_are_found_in_clean_text_after_harmless_changes(shared_data: Path) -> None:
    items = read_evaluation_sets([str(shared_data / "evals")]).items
    index = build_index(items)
    questions = [(one.question or one.passage)[0] for one in items]
    n_words = text_digests(Texts.of(questions))[1]
    planted = sorted(random.Random(1).sample(np.flatnonzero(n_words >= index.min_item_words).tolist(), 2000))
    texts = []
    for row in planted:
        changed = "".join(c.swapcase() if c.isascii() else c for c in questions[row]).replace("'", "’").split()
        rewrapped = [" ".join(changed[at : at + 8]) for at in range(0, len(changed), 8)]
        texts.append(CLEAN * 3 + "\n".join(rewrapped))
    spans = item_spans(find_hits(Texts.of(texts), index), index, none_of(index))
    whole = {(row["document"], row["set"], row["item"]) for row in spans.to_pylist() if row["score"] == 1.0}
    missed = [items[row] for at, row in enumerate(planted) if (at, items[row].set, items[row].item) not in whole]
    assert missed == []
