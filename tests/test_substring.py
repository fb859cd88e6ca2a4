"""Exact substrings: the spans found are those of a brute force over all windows, however documents lie in shards."""

from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError, IntegrityError
from corpus.text import Texts
from corpus.tokens import tokens_of
from dedup import occurrences
from dedup.occurrences import FIRST, LATER, ONCE, Keys, count_occurrences, write_keys
from dedup.spans import Spans, apply_action, byte_spans, cut
from dedup.substring import ACTIONS, SubstringSettings, find_spans
from dedup.token_files import Shard, read_located, read_tokens, write_tokens
from dedup.units import tokens_at
from dedup.windows import Tokens, minimizers
from pipeline.tokens import Tokenizer, _load_gpt2

Document = tuple[int, ...]
Corpus = list[list[Document]]  # of each shard the documents, of each document the tokens
Places = list[tuple[int, int, int]]  # (shard, row, token)


def reader(documents: list[Document], per_batch: int) -> Shard:
    def read(rows: np.ndarray | None) -> Iterable[Tokens]:
        wanted = np.arange(len(documents), dtype=np.uint32) if rows is None else rows
        for start in range(0, len(wanted), per_batch):
            part = wanted[start : start + per_batch]
            tokens = [documents[row] for row in part]
            first = np.cumsum([0, *map(len, tokens)])
            yield Tokens(part, first, np.array([token for document in tokens for token in document], np.uint64))

    return read


def found_spans(
    corpus: Corpus, min_tokens: int, action: str = "cut", n_ranges: int = 1, per_batch: int = 2, n_earlier: int = 0
) -> list[tuple[int, int, int, int]]:
    """(shard, row, first token, token behind the last) of each span."""
    shards = [reader(documents, per_batch) for documents in corpus]
    chosen = SubstringSettings(min_tokens=min_tokens, action=action)
    with TemporaryDirectory() as folder:
        return [
            (shard, *map(int, span))
            for shard, runs in enumerate(find_spans(shards, chosen, Path(folder), n_ranges, n_earlier), n_earlier)
            for span in zip(*runs, strict=True)
        ]


def windows_of(corpus: Corpus, min_tokens: int) -> dict[tuple[int, int, int], Document]:
    return {
        (shard, row, at): document[at : at + min_tokens]
        for shard, documents in enumerate(corpus)
        for row, document in enumerate(documents)
        for at in range(len(document) - min_tokens + 1)
    }


def by_brute_force(corpus: Corpus, min_tokens: int, spare_first: bool) -> list[tuple[int, int, int, int]]:
    windows = windows_of(corpus, min_tokens)
    counts = Counter(windows.values())
    go: set[tuple[int, int, int]] = set()
    stay: set[tuple[int, int, int]] = set()
    seen: set[Document] = set()
    for (shard, row, at), window in windows.items():
        if counts[window] > 1:
            into = stay if spare_first and window not in seen else go
            into.update((shard, row, token) for token in range(at, at + min_tokens))
        seen.add(window)
    spans: list[tuple[int, int, int, int]] = []
    for shard, row, token in sorted(go - stay):
        if spans and spans[-1][:2] == (shard, row) and spans[-1][3] == token:
            spans[-1] = (*spans[-1][:3], token + 1)
        else:
            spans.append((shard, row, token, token + 1))
    return spans


def pieces(document: Document, spans: list[tuple[int, int]]) -> list[Document]:
    """What is left between the spans."""
    bounds = [0, *(bound for span in spans for bound in span), len(document)]
    return [document[start:stop] for start, stop in zip(bounds[::2], bounds[1::2], strict=True)]


FEW_TOKENS = st.lists(st.integers(0, 2), max_size=40).map(tuple)
PERIODIC = st.tuples(st.lists(st.integers(0, 5), min_size=1, max_size=7), st.integers(1, 12)).map(
    lambda parts: tuple(parts[0] * parts[1])
)
PHRASES = [tuple(range(10, 30)), tuple(range(15, 25)), (7,) * 18, tuple(range(12, 20)) * 2]  # nested and overlapping
PLANTED = st.lists(st.one_of(st.sampled_from(PHRASES), st.integers(100, 2**63).map(lambda n: (n,))), max_size=6).map(
    lambda parts: sum(parts, ())
)
CORPORA = st.lists(st.lists(st.one_of(FEW_TOKENS, PERIODIC, PLANTED), max_size=4), min_size=1, max_size=4)
ONE_WORD = [[(3,) * 200, (3,) * 30], [(3,) * 5], [(4,) * 12]]
NESTED = [[(9, *range(60), 8)], [(7, *range(20, 45), 6), (*range(30, 60), 5)], [(*range(10), *range(10, 31))]]


@given(CORPORA, st.sampled_from([1, 2, 3, 5, 12]), st.sampled_from([1, 2, 8]), st.booleans())
@example(ONE_WORD, 12, 2, False)
@example(ONE_WORD, 12, 2, True)
@example(NESTED, 12, 1, False)
@example(NESTED, 12, 1, True)
@settings(deadline=None, max_examples=150)
def test_spans_are_those_of_a_brute_force_over_all_windows(corpus, min_tokens, n_ranges, spare_first) -> None:
    action = "cut_later" if spare_first else "cut"
    assert found_spans(corpus, min_tokens, action, n_ranges) == by_brute_force(corpus, min_tokens, spare_first)


@given(CORPORA, st.sampled_from([1, 2, 3, 12]), st.sampled_from([1, 4]), st.booleans(), st.integers(1, 3))
@example(ONE_WORD, 12, 2, True, 1)
@example(NESTED, 12, 1, False, 2)
@example(NESTED, 12, 1, True, 1)
@settings(deadline=None, max_examples=100)
def test_against_earlier_shards_the_others_have_the_spans_that_all_together_have(
    corpus, min_tokens, n_ranges, spare_first, n_earlier
) -> None:
    n_earlier = min(n_earlier, len(corpus))
    found = found_spans(corpus, min_tokens, "cut_later" if spare_first else "cut", n_ranges, n_earlier=n_earlier)
    assert found == [span for span in by_brute_force(corpus, min_tokens, spare_first) if span[0] >= n_earlier]


@given(CORPORA, st.sampled_from([1, 3, 12]))
@settings(deadline=None, max_examples=100)
def test_spans_do_not_depend_on_shards_or_batches(corpus, min_tokens) -> None:
    in_one = [[document for documents in corpus for document in documents]]
    numbers = {place: n for n, place in enumerate((s, r) for s, of in enumerate(corpus) for r in range(len(of)))}
    for action in ("cut", "cut_later"):
        expected = [(numbers[span[:2]], *span[2:]) for span in found_spans(corpus, min_tokens, action)]
        assert [span[1:] for span in found_spans(in_one, min_tokens, action, per_batch=3)] == expected


@given(CORPORA, st.sampled_from([2, 3, 12]))
@example(ONE_WORD, 12)
@settings(deadline=None, max_examples=100)
def test_cutting_later_copies_leaves_one_of_each_window_whole(corpus, min_tokens) -> None:
    repeated = {window for window, n in Counter(windows_of(corpus, min_tokens).values()).items() if n > 1}
    spans = found_spans(corpus, min_tokens, "cut_later")
    left = [
        [
            piece
            for row, document in enumerate(documents)
            for piece in pieces(document, [span[2:] for span in spans if span[:2] == (shard, row)])
        ]
        for shard, documents in enumerate(corpus)
    ]
    assert repeated <= set(windows_of(left, min_tokens).values())


def test_a_sequence_that_polynomial_hashes_confuse_is_not_confused() -> None:
    thue_morse = tuple(n.bit_count() % 2 for n in range(4096))
    corpus = [[thue_morse[:1500]], [thue_morse[1500:3000], tuple(1 - token for token in thue_morse[3000:])]]
    for min_tokens in (32, 64, 300):
        assert found_spans(corpus, min_tokens) == by_brute_force(corpus, min_tokens, False)


def test_of_one_word_200_times_the_first_50_stay() -> None:
    assert found_spans([[(1,) * 200]], 50, "cut") == [(0, 0, 0, 200)]
    assert found_spans([[(1,) * 200]], 50, "cut_later") == [(0, 0, 50, 200)]


def test_a_span_one_token_too_short_is_none() -> None:
    shared = tuple(range(100, 149))
    assert found_spans([[(1, *shared, 2)], [(3, *shared, 4)]], 50) == []
    assert found_spans([[(1, *shared, 2)], [(3, *shared, 2)]], 50) == [(0, 0, 1, 51), (1, 0, 1, 51)]


def test_documents_shorter_than_a_window_and_shards_without_documents_have_no_spans() -> None:
    assert found_spans([[], [()], [(1,) * 49, (1,) * 49]], 50, n_ranges=4) == []
    assert found_spans([], 50) == []


def test_every_window_has_one_minimizer_and_few_ngrams_are_one_in_all_ranges() -> None:
    hashes = np.random.default_rng(1).integers(0, 2**64, 10_000, dtype=np.uint64)
    tokens = Tokens(np.array([5], np.uint32), np.array([0, 10_000]), hashes)
    keys, runs = minimizers(tokens, 50)
    assert runs.starts[0] == 0
    assert runs.stops[:-1].tolist() == runs.starts[1:].tolist()
    assert runs.stops[-1] == 10_000 - 49
    assert set(runs.rows) == {5}
    assert 10_000 / 18 < len(keys.high) < 10_000 / 14  # 2 / (31 + 1) of them, if hashes are random
    of_range = np.bincount((keys.high >> np.uint64(62)).astype(int))
    assert of_range.max() < 1.3 * of_range.mean()


# keys


def test_keys_that_differ_in_their_low_half_only_are_different_keys() -> None:
    file, other = BytesIO(), BytesIO()
    low = np.array([2, 1, 2, 3], np.uint64)
    entries = write_keys(file, Keys(np.full(4, 7, np.uint64), low), 1, {})
    assert entries.tolist() == [1, 0, 1, 2]
    write_keys(other, Keys(np.array([7, 7], np.uint64), np.array([3, 4], np.uint64)), 1, {})
    found = count_occurrences([file, other], 0, 1, {})
    assert [part.tolist() for part in found] == [[ONCE, FIRST, FIRST], [LATER, ONCE]]


def test_a_key_file_has_a_row_group_for_each_range_sorted() -> None:
    high = np.random.default_rng(2).integers(0, 2**64, 50, dtype=np.uint64)
    file = BytesIO()
    write_keys(file, Keys(np.concatenate([high, high[:5]]), np.zeros(55, np.uint64)), 8, {})
    parquet = pq.ParquetFile(file)
    found = [
        (number, row["high"], row["repeated"])
        for number in range(parquet.num_row_groups)
        for row in parquet.read_row_group(number).to_pylist()
    ]
    assert parquet.num_row_groups == 8
    assert found == [(int(key) >> 61, int(key), key in high[:5]) for key in sorted(high)]


KEYS = st.lists(st.integers(0, 7).map(lambda top: top << 61 | top % 2), min_size=1, max_size=8)


@given(st.lists(st.tuples(KEYS, st.sampled_from([1, 2, 4, 8])), min_size=2, max_size=4), st.sampled_from([1, 2, 8]))
@settings(deadline=None, max_examples=60)
def test_keys_of_earlier_runs_count_in_any_ranges_and_only_where_the_run_has_them(earlier, n_ranges) -> None:
    (own, _), *earlier = earlier
    shards = [*earlier, (own, n_ranges)]
    files = [BytesIO() for _ in shards]
    for file, (high, its_ranges) in zip(files, shards, strict=True):
        write_keys(file, Keys(np.array(high, np.uint64), np.zeros(len(high), np.uint64)), its_ranges, {})
    found = [count_occurrences(files, number, n_ranges, {}, len(earlier)) for number in range(n_ranges)]
    of_shards = [np.concatenate(parts).tolist() for parts in zip(*found, strict=True)]
    every = Counter(key for high, _ in shards for key in high)
    for shard, (high, _) in enumerate(shards):
        before = {key for others, _ in shards[:shard] for key in others}
        for key, occurrence in zip(sorted(set(high)), of_shards[shard], strict=True):
            is_repeated = key in own and every[key] > 1
            assert occurrence == ((LATER if key in before else FIRST) if is_repeated else ONCE)


def documents_of(batches: Iterable[Tokens]) -> dict[int, list[int]]:
    return {
        int(row): batch.hashes[batch.first[at] : batch.first[at + 1]].tolist()
        for batch in batches
        for at, row in enumerate(batch.rows)
    }


@given(st.lists(FEW_TOKENS | PLANTED, max_size=7), st.sets(st.integers(0, 6)))
@settings(deadline=None, max_examples=40)
def test_stored_tokens_are_read_again_for_the_documents_that_are_asked_for(documents, wanted) -> None:
    file, read = BytesIO(), reader(documents, 2)
    every = documents_of(write_tokens(file, read(None), located=False))
    assert every == {row: list(document) for row, document in enumerate(documents)}
    found = documents_of(read_tokens(file, np.array(sorted(wanted), np.uint32)))
    assert found == {row: tokens for row, tokens in every.items() if row in wanted}


@given(st.lists(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)), max_size=9), max_size=7))
@settings(deadline=None, max_examples=40)
def test_where_stored_tokens_lie_is_read_again(documents) -> None:
    rows = np.arange(len(documents), dtype=np.uint32)
    places = np.array([place for document in documents for place in document], np.int32).reshape(-1, 2)
    starts, ends = places.T.copy()
    first = np.cumsum([0, *map(len, documents)])
    file = BytesIO()
    for _ in write_tokens(file, [Tokens(rows, first, np.zeros(len(starts), np.uint64), starts, ends)], located=True):
        pass
    wanted = rows[::2]
    found = {
        int(row): list(zip(batch.starts[start:stop].tolist(), batch.ends[start:stop].tolist(), strict=True))
        for batch in read_located(file, wanted)
        for row, start, stop in zip(batch.rows, batch.first, batch.first[1:], strict=False)
    }
    assert found == {row: documents[row] for row in wanted.tolist()}


def test_keys_of_other_settings_are_refused() -> None:
    file = BytesIO()
    write_keys(file, Keys(np.array([1], np.uint64), np.array([1], np.uint64)), 2, {"min_tokens": 50})
    for n_ranges, identity in ((2, {"min_tokens": 40}), (4, {"min_tokens": 50})):
        with pytest.raises(IntegrityError, match=r"keys were written with .*: delete them and run again"):
            count_occurrences([file], 0, n_ranges, identity)


def test_more_keys_than_a_row_group_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occurrences, "_MAX_ENTRIES", 2)
    keys = Keys(np.array([1, 2, 3], np.uint64), np.zeros(3, np.uint64))
    with pytest.raises(ConfigError, match="3 keys of a shard in 1 ranges: give more ranges, or smaller shards"):
        write_keys(BytesIO(), keys, 1, {})


# texts

PARTS = st.lists(
    st.sampled_from(["ä ö", "日本語", "one two", "three", "\n\n", " ", "🙂", "(x).", "naïve ", "e\u0301"]), max_size=12
)


@given(st.lists(PARTS.map("".join), min_size=1, max_size=5), st.sampled_from([1, 2, 3]))
@settings(deadline=None, max_examples=150)
def test_spans_of_texts_end_where_tokens_do(documents, min_tokens) -> None:
    texts = Texts.of(documents)
    tokens = tokens_of(texts)
    of_text = [
        tuple(tokens.hashes[start:stop].tolist()) for start, stop in zip(tokens.first, tokens.first[1:], strict=False)
    ]
    expected = documents[:]
    for _, row, start, stop in reversed(by_brute_force([of_text], min_tokens, False)):
        content = expected[row].encode()
        at = tokens.first[row]
        expected[row] = (content[: tokens.starts[at + start]] + content[tokens.ends[at + stop - 1] :]).decode()
    spans = spans_of(texts, min_tokens)
    left = cut(texts, spans)
    left.validate(full=True)
    assert left.to_pylist() == expected
    lengths = [len(text.encode()) - len(rest.encode()) for text, rest in zip(documents, expected, strict=True)]
    assert spans.total_bytes().tolist() == lengths


def spans_of(texts: Texts, min_tokens: int, tokenizer: Tokenizer | None = None) -> Spans:
    rows = np.arange(len(texts), dtype=np.uint32)

    def read(wanted: np.ndarray | None) -> Iterable[Tokens]:
        yield tokens_at(rows, texts, tokenizer)

    with TemporaryDirectory() as folder:
        (runs,) = find_spans([read], SubstringSettings(min_tokens), Path(folder))
    return byte_spans(texts, rows, runs, tokenizer)


# a tokenizer's tokens


def left_by_brute_force(documents: list[str], min_tokens: int) -> list[str]:
    """What is left of each text without the characters that lie in a repeated span of GPT-2's tokens whole."""
    encoding = _load_gpt2().encoding
    tokens = [tuple(encoding.encode_ordinary(text)) for text in documents]
    spans = by_brute_force([tokens], min_tokens, False)
    result = []
    for row, text in enumerate(documents):
        ends = np.cumsum([0, *(len(encoding.decode_single_token_bytes(token)) for token in tokens[row])])
        gone = [range(ends[start], ends[stop]) for _, of, start, stop in spans if of == row]
        left, at = "", 0
        for character in text:
            bytes_of_it = {at, at + len(character.encode()) - 1}  # the first and the last
            left += "" if any(bytes_of_it <= set(span) for span in gone) else character
            at = max(bytes_of_it) + 1
        result.append(left)
    return result


SHARED_BYTES = ["🙂", "🙃", "😂🙂", "日本語", "本日", "語", "é", "©", "क्षि", "\u0301", " 🙂", "ệ", "ế"]
ASCII_PARTS = [
    " the",
    "the",
    "\n",
    "\n\n",
    "  ",
    ".",
    " a b c d e f g h i j",
    "aaaaaaaa" * 4,
    "ab ab ab ab ab ab",
    "'s",
    "12",
]
NOTICES = ["We use cookies 🍪 here.", "cookies 🍪 here. 日本", "🍪🍪🍪🍪🍪🍪🍪🍪"]
TOKEN_TEXTS = st.lists(
    st.lists(st.sampled_from([*SHARED_BYTES, *ASCII_PARTS, *NOTICES]) | st.text(max_size=3), max_size=10).map("".join),
    min_size=1,
    max_size=5,
)


@given(TOKEN_TEXTS, st.sampled_from([1, 2, 3, 7]))
@example(["x 日本", "y 日本"], 2)
@example(["a🙂", "b😂", "c🙂🙂"], 1)
@example(["aé", "b©"], 1)
def test_of_a_span_of_gpt_2s_tokens_the_whole_characters_are_cut(documents: list[str], min_tokens: int) -> None:
    texts = Texts.of(documents)
    spans = spans_of(texts, min_tokens, Tokenizer.load("gpt2"))
    left = cut(texts, spans)
    left.validate(full=True)
    assert left.to_pylist() == left_by_brute_force(documents, min_tokens)
    for text, of_text in zip(documents, spans.as_column().to_pylist(), strict=True):
        for span in of_text:
            text.encode()[span["start"] : span["end"]].decode()


def test_a_copy_in_other_surroundings_may_keep_its_first_token() -> None:
    notice = " ".join(f"word{number}" for number in range(30))
    documents = [f"One page. {notice}", f"Another\n{notice}"]
    spans = spans_of(Texts.of(documents), 50, Tokenizer.load("gpt2"))
    left = cut(Texts.of(documents), spans).to_pylist()
    assert left == left_by_brute_force(documents, 50) == ["One page. word", "Another\nword"]


def test_keys_of_words_and_of_a_tokenizer_are_never_counted_together() -> None:
    words, tokens = SubstringSettings(), SubstringSettings(tokenizer=Tokenizer.load("gpt2"))
    assert words.identity("windows")["unit"] == "words"
    assert str(tokens.identity("windows")["unit"]).startswith("gpt2 196139668be6")


# actions


COPY = "We use cookies to make this site better for you."
DOCUMENTS = [f"Tides rise twice a day along most coasts. {COPY} Ask us.", f"Short: {COPY}", "A text of its own."]


@pytest.mark.parametrize(
    ("action", "texts", "dropped"),
    [
        ("cut", ["Tides rise twice a day along most coasts.  Ask us.", "Short: ", DOCUMENTS[2]], [False, True, False]),
        ("mask", DOCUMENTS, [False, True, False]),
        ("drop_partial", DOCUMENTS, [False, True, False]),
        ("drop_any", DOCUMENTS, [True, True, False]),
    ],
)
def test_each_action_does_what_it_says(action: str, texts: list[str], dropped: list[bool]) -> None:
    documents = Texts.of(DOCUMENTS)
    settings = SubstringSettings(5, action, max_duplicate_fraction=0.6, min_characters_left=10)
    made = apply_action(documents, spans_of(documents, 5), settings)
    assert made.text.to_pylist() == texts
    assert made.dropped.tolist() == dropped


def test_characters_are_counted_not_bytes_and_documents_without_a_span_are_never_too_short() -> None:
    documents = Texts.of(["ä" * 20 + " a b c", "ö" * 19 + " a b c", "ü"])
    made = apply_action(documents, spans_of(documents, 3), SubstringSettings(3, "cut", min_characters_left=21))
    assert made.text.to_pylist() == ["ä" * 20 + " ", "ö" * 19 + " ", "ü"]
    assert made.dropped.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"min_tokens": 0}, "substring.min_tokens is 0: give a number from 1 to 1000000"),
        ({"action": "shred"}, "substring.action is 'shred': give one of " + ", ".join(ACTIONS)),
        ({"max_duplicate_fraction": 2}, "substring.max_duplicate_fraction is 2: give a number from 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SubstringSettings(**setting)
