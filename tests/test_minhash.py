"""MinHash: signatures are datasketch's, keys are signatures by band, and the collision curve is the published one."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError
from corpus.hashing import NO_CHANGE, hash_bytes
from corpus.text import Texts
from corpus.unicode import ALONE, DIGIT, LETTER, MARK, fold_of, kind_of
from corpus.words import SEED
from dedup.minhash import OUTPUT_VERSION, MinHashSettings, band_keys, signatures

BASE = 0x9E3779B97F4A7C15
ALPHABET = "aAbz09 \n.-'éÉßçñﬁ日本ไทยक्षиЙ한글🙂\u0301"


def words_of(text: str) -> list[str]:
    words, current = [], ""
    for character in text:
        bits = kind_of(character)
        if bits & ALONE or not bits & (LETTER | DIGIT | MARK):
            words.append(current)
            current = ""
        if bits & ALONE:
            words.append(fold_of(character))
        elif bits & (LETTER | DIGIT):
            current += fold_of(character)
    return [word for word in [*words, current] if word]


def shingles_of(text: str, ngram: int) -> list[int]:
    """32-bit base hashes, spelled out in Python integers."""
    encoded = [np.frombuffer(word.encode(), np.uint8) for word in words_of(text)]
    hashes = [int(hash_bytes(word, 0, len(word), NO_CHANGE, SEED)) for word in encoded]
    width = min(ngram, len(hashes))
    if not width:
        return []
    windows = [hashes[i : i + width] for i in range(len(hashes) - width + 1)]
    return [sum(word * BASE ** (width - 1 - i) for i, word in enumerate(w)) % 2**64 >> 32 for w in windows]


def by_datasketch(text: str, minhash: MinHashSettings) -> list[int]:
    reference = MinHash(num_perm=minhash.permutations, seed=minhash.seed, scheme="affine32", hashfunc=int)
    reference.update_batch(shingles_of(text, minhash.ngram))
    return [int(value) for value in reference.hashvalues]


@given(
    st.lists(st.text(ALPHABET, max_size=60), max_size=4),
    st.sampled_from([MinHashSettings(), MinHashSettings(5, 3, 1, seed=7), MinHashSettings(1, 1, 9, seed=0)]),
)
@settings(deadline=None)
def test_signatures_equal_datasketch_affine32_on_the_same_shingles(texts: list[str], minhash: MinHashSettings) -> None:
    assert signatures(Texts.of(texts), minhash).tolist() == [by_datasketch(text, minhash) for text in texts]


def test_signature_of_a_text_of_many_blocks_equals_datasketch() -> None:
    numbers = np.random.default_rng(3).integers(0, 10**6, 9_000)
    text = " ".join(map(str, numbers))
    minhash = MinHashSettings(bands=9, rows=11, seed=2)
    assert signatures(Texts.of([text]), minhash)[0].tolist() == by_datasketch(text, minhash)


def test_signatures_of_real_texts_equal_datasketch(shared_data) -> None:
    lines = (shared_data / "neardup/mccormick-minhash/articles_1000.train").read_text().splitlines()[:20]
    minhash = MinHashSettings()
    assert signatures(Texts.of(lines), minhash).tolist() == [by_datasketch(line, minhash) for line in lines]


def test_a_text_without_words_has_datasketchs_empty_signature_and_no_place_in_a_bucket() -> None:
    texts = Texts.of(["", "…!?", "one", None])
    minhash = MinHashSettings(2, 3)
    empty = MinHash(num_perm=6, scheme="affine32").hashvalues.tolist()
    assert signatures(texts, minhash)[[0, 1, 3]].tolist() == [empty] * 3
    assert band_keys(texts, minhash)[1].tolist() == [False, False, True, False]


def test_keys_are_equal_exactly_in_the_bands_whose_rows_are_equal() -> None:
    words = np.random.default_rng(5).integers(0, 99999, 300).astype(str)
    texts = Texts.of([" ".join(words), " ".join(words[:280]), " ".join(words[60:]), "another text"])
    minhash = MinHashSettings(bands=40, rows=3)
    bands = signatures(texts, minhash).reshape(4, 40, 3)
    keys, _ = band_keys(texts, minhash)
    equal_rows = (bands[:, None] == bands[None]).all(axis=3)
    assert np.array_equal(keys[:, None] == keys[None], equal_rows)
    assert 0 < equal_rows[0, 1].sum() < 40


def test_case_punctuation_accents_and_line_breaks_do_not_change_the_keys() -> None:
    keys, _ = band_keys(
        Texts.of(["Ünïted, we stand — divided we fall!", "UNITED WE\nSTAND\u00a0divided we fall"]), MinHashSettings()
    )
    assert keys[0].tolist() == keys[1].tolist()


def test_a_slice_of_a_column_has_the_keys_of_its_own_rows() -> None:
    column = pa.array(["first text", "the second one", None, "a third"], pa.string())
    whole, _ = band_keys(Texts.of(column), MinHashSettings())
    sliced, _ = band_keys(Texts.of(column.slice(1, 3)), MinHashSettings())
    assert np.array_equal(whole[1:], sliced)


def test_two_texts_shorter_than_a_shingle_share_keys_only_if_their_words_are_equal() -> None:
    keys, _ = band_keys(Texts.of(["two words", "Two, words.", "two word", "words two"]), MinHashSettings())
    assert keys[0].tolist() == keys[1].tolist()
    assert not (keys[0] == keys[2:]).any()


def test_keys_of_this_output_version_stay_what_they_are() -> None:
    """If this fails on purpose, raise OUTPUT_VERSION: band files on disk hold keys of the version they were made by."""
    keys, _ = band_keys(Texts.of(["The quick brown fox jumps over the lazy dog.", "été 日本 ๑"]), MinHashSettings())
    digest = hashlib.sha256(keys.astype("<u8").tobytes()).hexdigest()[:16]
    assert (OUTPUT_VERSION, digest) == (1, "c11419413e6990c3")


@pytest.mark.parametrize(("bands", "rows"), [(14, 8), (450, 20)])
@pytest.mark.parametrize("similarity", [0.6, 0.7, 0.75, 0.8, 0.9])
def test_pairs_of_known_similarity_collide_as_often_as_the_formula_says(
    bands: int, rows: int, similarity: float
) -> None:
    n_pairs, n_union = 400, 200
    random = np.random.default_rng(int(similarity * 100))
    shared = round(similarity * n_union)
    left, right = [], []
    for _ in range(n_pairs):
        words = random.choice(10**9, n_union, replace=False).astype(str)
        only_left = (n_union - shared) // 2
        left.append(" ".join(words[: shared + only_left]))
        right.append(" ".join(np.concatenate([words[:shared], words[shared + only_left :]])))
    minhash = MinHashSettings(bands, rows, ngram=1)
    same = band_keys(Texts.of(left), minhash)[0] == band_keys(Texts.of(right), minhash)[0]
    expected = 1 - (1 - similarity**rows) ** bands
    deviation = np.sqrt(max(expected * (1 - expected), 1 / n_pairs) / n_pairs)
    assert abs(same.any(axis=1).mean() - expected) < 4 * deviation


@pytest.mark.parametrize(("name", "value"), [("bands", 0), ("rows", 0), ("ngram", 0), ("seed", -1), ("bands", 10**6)])
def test_a_setting_out_of_range_is_an_error_that_names_it(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"minhash.{name} is {value}"):
        MinHashSettings(**{name: value})
