"""Near-duplicates by a tokenizer's ids: shingles are those of the reference, and the stage and its files know the unit."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import run
from hypothesis import given
from hypothesis import strategies as st
from test_minhash import BASE, premixed, words_of

from corpus.errors import IntegrityError
from corpus.text import Texts
from dedup.bands import match_range, write_bands
from dedup.minhash import SCHEMES, MinHashSettings, band_keys, shingles
from dedup.units import normalised_token_hashes
from dedup.verification import shingle_ranges
from pipeline.config import Recipe, resolve
from pipeline.tokens import Tokenizer, _load_gpt2

TEXT = st.text(
    st.one_of(
        st.sampled_from("aAbz09 \n.-'éÉßñﬁ日本ไक्षЙ한글🙂\u0301<|>"), st.characters(exclude_categories=["Cs", "Cn"])
    ),
    max_size=60,
)


def mixed(value: int) -> int:
    """`corpus.hashing.mix` in Python's integers: MurmurHash3's 64-bit finalizer."""
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ value >> 33) * multiplier % 2**64
    return value ^ value >> 33


def ids_of(text: str) -> list[int]:
    return _load_gpt2().encoding.encode_ordinary(" ".join(words_of(text)))


def shingles_of(text: str, ngram: int) -> list[int]:
    hashes = [mixed(token + 1) for token in ids_of(text)]
    width = min(ngram, len(hashes))
    windows = [hashes[i : i + width] for i in range(len(hashes) - width + 1)] if width else []
    sums = [sum(value * BASE ** (width - 1 - i) for i, value in enumerate(window)) % 2**64 for window in windows]
    return [premixed(total >> 32) for total in sums]


def settings_of(tokenizer: Tokenizer | None = None, **options: int | str) -> MinHashSettings:
    return MinHashSettings(**options, tokenizer=tokenizer)


@given(st.lists(TEXT, max_size=4), st.integers(1, 7))
def test_shingles_of_tokens_are_those_of_the_reference(texts: list[str], ngram: int) -> None:
    values, offsets = shingles(Texts.of(texts), settings_of(Tokenizer.load("gpt2"), ngram=ngram))
    found = [values[start:end].tolist() for start, end in pairwise(offsets)]
    assert found == [shingles_of(text, ngram) for text in texts]


def test_a_token_has_one_hash_whatever_tokenizer_it_is_of() -> None:
    class Numbers:
        def __init__(self) -> None:
            self.identity = {"tokenizer": "numbers"}

        def encode(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
            rows = [text.split() for text in texts.column.to_pylist()]
            return np.array([int(word) for row in rows for word in row], np.int32), np.cumsum([0, *map(len, rows)])

    hashes, offsets = normalised_token_hashes(Texts.of(["0 7 200000", "", "7"]), Numbers())
    assert hashes.tolist() == [mixed(1), mixed(8), mixed(200001), mixed(8)]
    assert offsets.tolist() == [0, 3, 3, 4]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_case_punctuation_and_accents_do_not_change_the_keys_and_a_token_does(scheme: str) -> None:
    texts = [
        "Ünïted, we stand — divided we fall!",
        "UNITED WE\nSTAND divided we fall",
        "united we stand divided we fell",
    ]
    keys, n_shingles = band_keys(Texts.of(texts), settings_of(Tokenizer.load("gpt2"), scheme=scheme))
    assert keys[0].tolist() == keys[1].tolist()
    assert keys[0].tolist() != keys[2].tolist()
    assert n_shingles.tolist() == [max(len(ids_of(text)) - 4, 1) for text in texts]


def test_a_text_without_words_has_no_tokens_and_no_place_in_a_bucket() -> None:
    texts = Texts.of(pa.array(["", "…!?", "one", None], pa.large_string()))
    assert band_keys(texts, settings_of(Tokenizer.load("gpt2")))[1].tolist() == [0, 0, 1, 0]


def test_special_tokens_in_a_page_are_the_words_that_they_are() -> None:
    texts = Texts.of(["<|endoftext|> one", "endoftext one", "one"])
    keys, _ = band_keys(texts, settings_of(Tokenizer.load("gpt2")))
    assert keys[0].tolist() == keys[1].tolist()
    assert keys[0].tolist() != keys[2].tolist()


def test_band_files_of_another_unit_are_refused(tmp_path: Path) -> None:
    tokens = settings_of(Tokenizer.load("gpt2"))
    assert tokens.identity()["unit"].startswith("gpt2 196139668be6")
    assert settings_of().identity()["unit"] == "words"
    write_bands(tmp_path / "bands", np.zeros((1, 14), np.uint64), np.zeros(1, np.uint32), tokens, 1)
    assert len(match_range([(0, tmp_path / "bands")], 0, 1, tokens, 16)[0]) == 0
    with pytest.raises(IntegrityError, match=r"signed with .*'unit': 'gpt2"):
        match_range([(0, tmp_path / "bands")], 0, 1, settings_of(), 16)


def test_ranges_of_shingles_are_planned_from_the_tokens_that_there_are(tmp_path: Path) -> None:
    texts = [" ".join(f"z{number * 7919 % 1009}qx" for number in range(40))] * 2  # a word is several tokens
    texts[1] += " qq"
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    n_ranges = {}
    for unit, tokenizer in (("words", None), ("tokens", Tokenizer.load("gpt2"))):
        recipe = dedup_recipe(f"dedup.unit={unit}", "dedup.verify=true", "dedup.memory=1500")
        run(recipe, tmp_path / unit, str(tmp_path / "in.parquet"), packed=False)
        n_ranges[unit] = len(list((tmp_path / unit / "overlaps").iterdir()))
        _, offsets = shingles(Texts.of(texts), settings_of(tokenizer))
        assert n_ranges[unit] == shingle_ranges(int(offsets[-1]), 1500)
    assert n_ranges["tokens"] > n_ranges["words"]


def dedup_recipe(*settings: str) -> Recipe:
    every = ["cluster.workers=0", "dedup.methods=[minhash]", *settings]
    return resolve({"stages": [{"dedup": {}}]}, every, "test")


def test_the_stage_finds_near_duplicates_by_words_or_tokens(tmp_path: Path) -> None:
    numbers = np.random.default_rng(4).integers(0, 99_999, (3, 400)).astype(str).tolist()
    near = [*numbers[0][:390], *numbers[2][:10]]  # 0.9 of the shingles
    table = pa.table({"text": [" ".join(row) for row in (numbers[0], numbers[1], near)], "id": ["a", "b", "c"]})
    pq.write_table(table, tmp_path / "in.parquet")
    bands = {}
    for unit in ("words", "tokens"):
        out = tmp_path / unit
        run(dedup_recipe(f"dedup.unit={unit}"), out, str(tmp_path / "in.parquet"), packed=False)
        assert pq.read_table(out / "ledger")["duplicate_of_id"].to_pylist() == [None, None, "a"]
        bands[unit] = pq.read_table(out / "bands")["key"].to_pylist()
    assert not set(bands["words"]) & set(bands["tokens"])
