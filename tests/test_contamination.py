"""Evaluation items in training text: what is found, what counts, what is cut."""

import json
import pickle
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError
from corpus.text import Texts
from corpus.unicode import ALONE, DIGIT, LETTER, MARK, fold_of, kind_of
from dedup.contamination import ContaminationSettings, Decontaminated, contamination, cut, decontaminate
from dedup.contamination_methods import METHODS, find_spans, item_statuses
from dedup.evaluation_hits import document_frequency, find_hits
from dedup.evaluation_index import BITS_UNIT, SEED_BITS, SEED_WORDS, EvaluationIndex, build_index
from dedup.evaluation_runs import SEARCHED_WORDS
from dedup.evaluation_sets import EvaluationItem, read_evaluation_sets

QUESTION = (
    "A robe takes two bolts of blue fiber and half that much white fiber; how many bolts – in total – does "
    "the tailor's café take?"
)
CLEAN = "Nothing of the kind stands in this sentence, which only goes on for a while. "
ROCKS = (
    "igneous rock that cooled slowly under ground",
    "sandstone pressed together from old dunes",
    "limestone made of the shells of sea animals",
    "marble baked deep below a mountain range",
)


def item(
    question: str = "", *answers: str, passage: str = "", name: str = "f:1", set_name: str = "robes"
) -> EvaluationItem:
    return EvaluationItem(set_name, name, (question,) if question else (), answers, (passage,) if passage else ())


def rows(texts: list[str], *items: EvaluationItem, method: str = "default", passages: bool = False) -> list[dict]:
    index = build_index(items)
    return find_spans(find_hits(Texts.of(texts), index), index, none_of(index), METHODS[method], passages).to_pylist()


def found(text: str, *items: EvaluationItem, **options: str | bool) -> list[tuple[str, str]]:
    """(item, what was matched) of every span."""
    return [(row["item"], text.encode()[row["start"] : row["end"]].decode()) for row in rows([text], *items, **options)]


def none_of(index: EvaluationIndex) -> np.ndarray:
    return np.zeros(index.n_grams, np.bool_)


def clean(texts: list[str], *items: EvaluationItem, **options: object) -> Decontaminated:
    index = build_index(items)
    column = Texts.of(texts)
    return decontaminate(column, find_hits(column, index), index, none_of(index), ContaminationSettings(**options))


# --- what is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["default", "gpt3", "palm", "llama2"])
@pytest.mark.parametrize(
    "changed",
    [
        QUESTION,
        "\n".join(" ".join(QUESTION.split()[i : i + 3]) for i in range(0, 99, 3)).strip(),
        QUESTION.upper(),
        QUESTION.replace(";", "").replace(" – ", " - ").replace("?", ""),
        QUESTION.replace("'", "’").replace("A robe", "“A robe”"),
        QUESTION.replace("'", "&#39;").replace("A robe", "A &quot;robe&quot;"),
        QUESTION.replace("é", "e"),
        QUESTION.replace("é", "e\u0301"),
    ],
    ids=[
        "verbatim", "re-wrapped", "case", "punctuation", "quotes", "entities", "no accent", "decomposed accent"
    ],
)  # fmt: skip
def test_a_changed_item_is_found_whole(changed: str, method: str) -> None:
    start, end = changed.find(changed.split()[0]), len(changed)
    text = CLEAN * 9 + changed + " " + CLEAN * 9
    ((name, matched),) = found(text, item(QUESTION), method=method)
    assert name == "f:1"
    assert matched == changed[start:end].strip("“?")


@pytest.mark.parametrize(
    ("changed", "words_left"),
    [
        (QUESTION.replace("white", "green"), 24),
        (QUESTION.replace("white", "very clean white"), 25),
        (QUESTION.replace("half that much", "half"), 23),
    ],
    ids=["replaced", "put in", "left out"],
)
def test_a_word_replaced_put_in_or_left_out_costs_that_word(changed: str, words_left: int) -> None:
    (row,) = rows([CLEAN + changed], item(QUESTION), method="llama2")
    assert row["score"] == pytest.approx(words_left / 25)


def test_words_count_by_what_they_are_worth() -> None:
    (common,) = rows([QUESTION.replace("does the", "does some")], item(QUESTION))
    (rare,) = rows([QUESTION.replace("tailor's", "sailor's")], item(QUESTION))
    assert rare["score"] < common["score"] < 1.0
    assert common["score"] == pytest.approx(1 - 4.6 / 290, abs=0.004)  # `the` is worth about 5 of its 290 bits


def test_a_short_item_is_matched_whole_and_without_anything_between() -> None:
    question = "When was the last time anyone was on the moon?"
    assert found(f"They ask: when was the last time anyone was ON the Moon. {CLEAN}", item(question)) == [
        ("f:1", "when was the last time anyone was ON the Moon")
    ]
    assert found("when was the last time anyone was on the", item(question)) == []
    assert found("when was the very last time anyone was on the moon", item(question)) == []


def test_a_question_that_says_nothing_needs_its_choices() -> None:
    template = "Which of the following is true?"
    rocks = item(template, *ROCKS)
    assert found(f"{template} {CLEAN}", rocks) == []
    assert found(f"{CLEAN} {' '.join(ROCKS)} {CLEAN}", rocks) == []
    with_labels = " ".join(f"{label}) {rock}" for label, rock in zip("ABCD", reversed(ROCKS), strict=True))
    (row,) = rows([f"{CLEAN} 7. {template}\n{with_labels}"], rocks)
    assert (row["question"], row["answer"], row["score"]) == (1.0, 1.0, 1.0)


def test_a_word_replaced_in_a_short_question_does_not_hide_it_beside_its_choices() -> None:
    question = "Which of these rocks was formed by heat and pressure?"
    changed = question.replace("formed", "shaped")
    assert found(f"{changed} {CLEAN}", item(question, *ROCKS)) == []
    (row,) = rows([f"{CLEAN} {changed} {' '.join(ROCKS)}"], item(question, *ROCKS))
    assert 0.7 < row["question"] < row["score"] < 1.0
    assert row["answer"] == 1.0


def test_a_famous_text_without_the_question_about_it_is_no_item() -> None:
    quoted = " ".join(f"famous{number}" for number in range(60))
    asks = "Which party would have opposed the view of this speaker in parliament?"
    assert found(f"{CLEAN} {quoted} {CLEAN}", item(f"{quoted} {asks}", "the Whigs")) == []
    assert len(found(f"{CLEAN} {quoted} {asks} {CLEAN}", item(f"{quoted} {asks}", "the Whigs"))) == 1


def test_a_passage_alone_is_no_item_unless_asked_for() -> None:
    passage = "The lighthouse of Gull Point was lit for the first time in the winter of 1874 by a keeper from Skye."
    boolq = item("was gull point lighthouse first lit in summer", "no", passage=passage)
    assert found(passage, boolq) == []
    assert found(passage, boolq, passages=True) == [("f:1", passage[:-1])]
    (row,) = rows([f"{passage} Was Gull Point lighthouse first lit in summer?"], boolq)
    assert (row["question"], row["answer"], row["passage"]) == (1.0, 0.0, 1.0)


def test_an_item_without_a_question_is_its_passage_with_the_answer_that_follows() -> None:
    passage = "He said that all of this was nothing but one more of the usual warnings and"
    lambada = item("", "signs", passage=passage)
    assert found(f"{passage} signs", lambada) == [("f:1", f"{passage} signs")]
    assert found(f"{passage} rumours", lambada) == []
    assert found(f"{passage} rumours", lambada, passages=True) == [("f:1", passage)]


def test_chinese_is_matched_by_its_characters() -> None:
    question = "战国时期，孟子将儒家“仁”的观念升华为“仁政”学说，提出"
    assert found(f"問：战国时期孟子将儒家仁的观念升华为仁政学说提出？{CLEAN}", item(question)) == [
        ("f:1", "战国时期孟子将儒家仁的观念升华为仁政学说提出")
    ]


def test_an_item_in_a_100_kb_document_is_found_where_it_is() -> None:
    text = CLEAN * 700 + QUESTION + CLEAN * 700
    assert found(text, item(QUESTION)) == [("f:1", QUESTION[:-1])]


def test_several_items_in_one_document_are_found_each() -> None:
    second = "Why does a bridge over a river often freeze in winter before the road that leads up to it does?"
    text = f"{QUESTION} {second} {CLEAN * 40} {QUESTION}"
    both = item(QUESTION, name="f:1"), item(second, name="f:2")
    assert found(text, *both) == [("f:1", QUESTION[:-1]), ("f:2", second[:-1]), ("f:1", QUESTION[:-1])]


def test_what_is_found_of_a_set_does_not_depend_on_other_sets() -> None:
    items = [
        item(f"{QUESTION} number {n}", *ROCKS[: n % 3], name=f"f:{n}") for n in range(40)
    ]  # a template: seeds are dropped
    texts = [f"{CLEAN} {QUESTION} number {n} {CLEAN} {ROCKS[0]}" for n in range(5)]
    other = [one._replace(set="other") for one in items]
    assert rows(texts, *items) == [row for row in rows(texts, *other, *items) if row["set"] == "robes"]


# --- published methods ------------------------------------------------------------------------------------------------


def test_gpt3_twelve_words_of_a_long_item_are_not_enough_and_thirteen_are() -> None:
    words = QUESTION.split()
    assert found(CLEAN + " ".join(words[:12]) + ". " + CLEAN, item(QUESTION), method="gpt3") == []
    thirteen = " ".join(words[:13])
    assert found(CLEAN + thirteen + ". " + CLEAN, item(QUESTION), method="gpt3") == [("f:1", thirteen)]


def test_gpt3_a_text_of_eight_words_is_one_gram_and_one_of_seven_is_not_looked_for() -> None:
    eight = "who wrote the opera that opened in Sydney"
    assert found(f"{CLEAN} {eight}", item(eight), method="gpt3") == [("f:1", eight)]
    assert found(f"{CLEAN} {eight}", item(eight[4:]), method="gpt3") == []


def test_palm_seventy_percent_of_the_8_grams_make_an_item() -> None:
    words = [f"word{number}" for number in range(27)]  # 20 8-grams
    assert rows([" ".join(words[:20])], item(" ".join(words)), method="palm") == []
    (row,) = rows([" ".join(words[:21])], item(" ".join(words)), method="palm")
    assert row["score"] == pytest.approx(14 / 20)


def test_llama2_four_words_of_a_stretch_may_differ_and_eighty_percent_must_be_in_one() -> None:
    words = [f"word{number}" for number in range(30)]

    def with_other(*places: int) -> str:
        return " ".join("other" if at in places else word for at, word in enumerate(words))

    (row,) = rows([with_other(5, 11, 17, 23)], item(" ".join(words)), method="llama2")
    assert row["score"] == pytest.approx(26 / 30)
    assert rows([with_other(5, 6, 12, 13, 19, 20, 26)], item(" ".join(words)), method="llama2") == []
    assert rows([" ".join(words[:10])], item(" ".join(words[:12])), method="llama2") == []


def test_a_broken_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="method: 'gpt4': should be one of default, gpt3, palm, llama2"):
        ContaminationSettings(method="gpt4")
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


WORDS = st.sampled_from(
    ["quark", "boson", "B-lepton,", "é", "e\u0301", "\n", "漢", "ไ", "don't", "—", "&quot;", "x" * 20]
)
PHRASES = st.lists(WORDS, max_size=14).map(" ".join)


def plain(text: str) -> list[str]:
    return [word for word, _, _ in slow_words(text.replace("&quot;", " "))]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(PHRASES, PHRASES), min_size=1, max_size=4), st.lists(PHRASES, max_size=4))
@example([("quark " * 7, "boson quark")], [])  # a run on a diagonal that another one had reached further on
def test_every_seed_is_found_and_every_run_is_of_equal_words(parts: list[tuple[str, str]], more: list[str]) -> None:
    items = [item(f"q {question}", f"a {answer}") for question, answer in parts]
    texts = [*more, "", " ".join([*more, *(f"{question} {answer}" for question, answer in parts)])]
    index = build_index(items)
    part_texts = [text for one in items for text in (*one.question, *one.answer)]
    part_words = [plain(text) for text in part_texts]
    assert np.diff(index.part_words).tolist() == [len(words) for words in part_words]
    hits = find_hits(Texts.of(texts), index)
    covered = set()
    for document, part, word, n_words, at, start, end in zip(*(column.tolist() for column in hits), strict=True):
        first = word - int(index.part_words[part])
        run = plain(texts[document])[at : at + n_words]
        assert run == part_words[part][first : first + n_words]
        assert plain(texts[document].encode()[start:end].decode()) == run
        covered |= {(document, part, first + k, at + k) for k in range(n_words)}
    for word in index.seeds.tolist():
        part = int(np.searchsorted(index.part_words, word, "right")) - 1
        first = word - int(index.part_words[part])
        seed = part_words[part][first : first + SEED_WORDS]
        assert index.bits[word : word + SEED_WORDS].sum() >= SEED_BITS * BITS_UNIT
        for document, text in enumerate(texts):
            words = plain(text)
            for at in range(len(words) - SEED_WORDS + 1):
                if words[at : at + SEED_WORDS] == seed:
                    assert (document, part, first, at) in covered


LETTERS_ONLY = st.lists(st.sampled_from("abcd"), max_size=200)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4), LETTERS_ONLY, LETTERS_ONLY)
@example(["a", "b"], ["a", "b", *"d" * 119], [])  # a word too far before the question
@example(["a", "b"], [], [*"d" * 119, "a", "b"])  # and behind it
def test_an_answer_without_seeds_is_found_near_its_question_where_most_of_its_words_are(
    answer: list[str], before: list[str], after: list[str]
) -> None:
    question = [f"quark{n}" for n in range(6)]
    text = [*before, *question, *after]
    index = build_index([item(" ".join(question), " ".join(answer))])
    places = range(max(0, len(before) - SEARCHED_WORDS), len(before) + len(question) + SEARCHED_WORDS + 1)
    equal = {
        at: {(k, at + k) for k in range(len(answer)) if text[at + k] == answer[k]}
        for at in places
        if at + len(answer) <= len(text)
    }
    best = max(equal, key=lambda at: len(equal[at]))  # the first of the best
    hits = find_hits(Texts.of([" ".join(text)]), index)
    hits = hits.where(hits.part == 1)
    runs = zip(hits.word - len(question), hits.at, hits.n_words, strict=True)
    found = {(int(word + k), int(at + k)) for word, at, n_words in runs for k in range(n_words)}
    assert found == (equal[best] if len(equal[best]) > len(answer) // 2 else set())


def test_more_hits_than_were_made_room_for_are_all_returned() -> None:
    words = " ".join(f"w{number}" for number in range(6))
    index = build_index([item(words, name=f"f:{n}") for n in range(30)])
    hits = find_hits(Texts.of(["x", f"{words} and " * 2_000]), index)
    assert len(hits.at) == 30 * 2_000
    assert set(hits.n_words.tolist()) == {6}


def test_an_index_is_the_same_for_the_same_items_and_survives_pickling() -> None:
    items = [item(QUESTION, "a b c", name=f"f:{i}") for i in range(3)]
    first, second = pickle.loads(pickle.dumps(build_index(items))), build_index(items)
    for name in ("words", "bits", "seeds", "directory", "filter", "part_words", "part_bits", "part_seeded"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.nbytes == second.nbytes


# --- what counts ------------------------------------------------------------------------------------------------------


def test_a_document_counts_a_gram_once() -> None:
    index = build_index([item("one lepton three photons five quarks seven bosons")])
    texts = Texts.of(
        [
            "one lepton three photons five quarks seven bosons. " * 3,
            "no",
            "One lepton, three photons; five quarks, seven bosons!",
        ]
    )
    assert document_frequency(find_hits(texts, index), index).tolist() == [2] + [0] * 7


def test_an_item_of_common_phrases_only_is_suspect_and_one_too_short_to_look_for_unmatchable() -> None:
    common = "which of the following animals is most likely to survive in a desert with little water"
    items = [
        item(common, name="f:1"),
        item(f"{common} and hardly any plants but thorny bushes and dry grasses", name="f:2"),
        item("who won?", "Paris", name="f:3"),
    ]
    index = build_index(items)
    texts = Texts.of([f"They ask {common} ({i})" for i in range(3)])
    hits = find_hits(texts, index)
    suppressed = document_frequency(hits, index) > 2
    assert [tuple(row.values())[1:] for row in item_statuses(index, suppressed, METHODS["default"]).to_pylist()] == [
        ("f:1", 16, 16, "suspect"), ("f:2", 26, 16, "matchable"), ("f:3", 2, 0, "unmatchable"),
    ]  # fmt: skip
    result = decontaminate(texts, hits, index, suppressed, ContaminationSettings())
    assert result.reason.to_pylist() == [None] * 3
    assert result.spans.to_pylist() == [None] * 3
    assert result.text.equals(texts.column)
    assert len(decontaminate(texts, hits, index, none_of(index), ContaminationSettings()).reason.drop_null()) == 3


def test_an_index_without_a_seed_finds_nothing() -> None:
    index = build_index([item("who won?")])
    hits = find_hits(Texts.of([CLEAN, ""]), index)
    assert (len(index.seeds), len(hits.at), document_frequency(hits, index).tolist()) == (0, 0, [0, 0])
    assert build_index([]).n_grams == 0
    assert rows([CLEAN]) == []


# --- what becomes of a document ---------------------------------------------------------------------------------------


def test_drop_gives_the_reason_and_tag_only_the_spans() -> None:
    texts = [CLEAN, f"é {QUESTION}", CLEAN]
    span = {
        "start": 3,
        "end": 3 + len(QUESTION.encode()) - 1,
        "set": "robes",
        "item": "f:1",
        "score": 1.0,
        "question": 1.0,
        "answer": None,
        "passage": None,
    }
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
    coverage = {"set": "gsm8k", "item": "gsm8k.jsonl:1", "score": 1.0, "question": 1.0, "answer": 0.0, "passage": None}
    assert contamination(texts, str(path)).to_pylist() == [
        {"document": 1, "start": 3, "end": 3 + end, **coverage, "matched": QUESTION[:-1]},
        {"document": 2, "start": 0, "end": end, **coverage, "matched": QUESTION.upper()[:-1]},
    ]
    assert contamination(texts, [str(path)], max_document_frequency=1).num_rows == 0
    assert contamination([], [str(path)]).schema == contamination(texts, [str(path)]).schema


def test_items_of_all_published_sets_are_found_in_clean_text_after_harmless_changes(shared_data: Path) -> None:
    items = read_evaluation_sets([str(shared_data / "evals")]).items
    index = build_index(items)
    status = item_statuses(index, none_of(index), METHODS["default"])["status"].to_numpy(zero_copy_only=False)
    planted = sorted(random.Random(1).sample(np.flatnonzero(status == "matchable").tolist(), 2000))
    texts = []
    for row in planted:
        whole = "\n".join([*items[row].passage, *items[row].question, *items[row].answer])
        changed = "".join(c.swapcase() if c.isascii() else c for c in whole).replace("'", "’").split()
        rewrapped = [" ".join(changed[at : at + 8]) for at in range(0, len(changed), 8)]
        texts.append(CLEAN * 3 + "\n".join(rewrapped))
    spans = find_spans(find_hits(Texts.of(texts), index), index, none_of(index), METHODS["default"])
    found = {(row["document"], row["set"], row["item"]) for row in spans.to_pylist()}
    assert [items[row] for at, row in enumerate(planted) if (at, items[row].set, items[row].item) not in found] == []
