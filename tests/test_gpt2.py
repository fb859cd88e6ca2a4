"""GPT-2's tokens by a kernel: what tiktoken makes, whatever the table of pieces holds."""

from itertools import pairwise

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from corpus.text import Texts
from pipeline.gpt2 import Gpt2Encoder
from pipeline.tokens import Tokenizer, _load_gpt2

PIECES = st.lists(
    st.sampled_from(
        [
            "the",
            " of",
            "'s",
            "'ll",
            "'S",
            " '",
            "\n",
            "  ",
            "\u00a0",
            "12",
            " ²",
            "日本",
            "é",
            "क्षि",
            "...",
            "\x1c",
            "\0",
            ":",
        ]
    )
).map("".join)
N_TOKENS = 50_256  # of the vocabulary, without the special one


@pytest.fixture(scope="module")
def encoding() -> tiktoken.Encoding:
    return _load_gpt2().encoding


@pytest.fixture(scope="module")
def encoder(encoding: tiktoken.Encoding) -> Gpt2Encoder:
    """Its table has room for 48 pieces: it fills, is full, and is emptied."""
    ranks = {encoding.decode_single_token_bytes(rank): rank for rank in range(N_TOKENS)}
    return Gpt2Encoder(encoding, ranks, n_slots=64)


def encoded(encoder: Gpt2Encoder | Tokenizer, texts: list[str]) -> list[list[int]]:
    ids, offsets = encoder.encode(Texts.of(texts))
    return [ids[start:end].tolist() for start, end in pairwise(offsets)]


@given(st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs", "Cn"])), min_size=1, max_size=5))
def test_tokens_are_tiktokens_with_a_table_that_is_always_full(
    encoding: tiktoken.Encoding, encoder: Gpt2Encoder, texts: list[str]
) -> None:
    expected = [encoding.encode_ordinary(text) for text in texts]
    assert encoded(encoder, texts) == expected
    assert encoded(Tokenizer.load("gpt2"), texts) == expected
    assert Tokenizer.load("gpt2").count(Texts.of(texts)).tolist() == [len(ids) for ids in expected]


def test_pieces_of_many_tokens_fill_the_table_too(encoding: tiktoken.Encoding, encoder: Gpt2Encoder) -> None:
    texts = [f"{number:0400d}" for number in range(20)]  # of 64 · 4 tokens there is room for
    for _ in range(3):
        assert encoded(encoder, texts) == [encoding.encode_ordinary(text) for text in texts]


@pytest.mark.parametrize("n_bytes", [511, 512, 513, 5000])
def test_a_long_piece_has_its_tokens_where_it_stands(
    encoding: tiktoken.Encoding, encoder: Gpt2Encoder, n_bytes: int
) -> None:
    word = ("internationalisation" * 300)[:n_bytes]
    texts = [f"one {word} two {word}{word}\n", "", word, "short", f"{word}."]
    assert encoded(encoder, texts) == [encoding.encode_ordinary(text) for text in texts]


def test_every_token_of_the_vocabulary_is_known(encoding: tiktoken.Encoding) -> None:
    tokens = [encoding.decode_single_token_bytes(rank) for rank in range(N_TOKENS)]
    readable = [token.decode() for token in tokens if len(token.decode("utf-8", "ignore").encode()) == len(token)]
    assert len(readable) > 49_000
    assert encoded(Tokenizer.load("gpt2"), readable) == [encoding.encode_ordinary(token) for token in readable]
