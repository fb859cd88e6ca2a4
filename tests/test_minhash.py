"""MinHash: signatures are datasketch's, keys are signatures by band, and the collision curve is the published one."""

import hashlib
from itertools import pairwise

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
from dedup.minhash import OUTPUT_VERSION, SCHEMES, MinHashSettings, band_keys, shingles, signatures
from dedup.sketch import sketches

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


every_scheme = pytest.mark.parametrize("scheme", SCHEMES)


def premixed(value: int) -> int:
    """MurmurHash3's 32-bit finalizer."""
    for shift, multiplier in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = (value ^ value >> shift) * multiplier % 2**32
    return value ^ value >> 16


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


@given(st.lists(st.text(ALPHABET, max_size=60), max_size=4), st.integers(1, 9))
@settings(deadline=None)
def test_shingles_are_the_hashes_of_all_runs_of_words(texts: list[str], ngram: int) -> None:
    values, offsets = shingles(Texts.of(texts), MinHashSettings(ngram=ngram))
    found = [values[start:end].tolist() for start, end in pairwise(offsets)]
    assert found == [[premixed(shingle) for shingle in shingles_of(text, ngram)] for text in texts]


def test_signatures_by_sketch_are_sketches_of_the_shingles() -> None:
    texts = Texts.of(["the quick brown fox jumps over the lazy dog", "", "two words"])
    minhash = MinHashSettings(9, 7, seed=3, scheme="sketch")
    assert np.array_equal(signatures(texts, minhash), sketches(*shingles(texts, minhash), 63, 3))


@every_scheme
def test_a_text_without_words_has_datasketchs_empty_signature_and_no_place_in_a_bucket(scheme: str) -> None:
    texts = Texts.of(["", "…!?", "one", None])
    minhash = MinHashSettings(2, 3, scheme=scheme)
    empty = MinHash(num_perm=6, scheme="affine32").hashvalues.tolist()
    assert signatures(texts, minhash)[[0, 1, 3]].tolist() == [empty] * 3
    assert band_keys(texts, minhash)[1].tolist() == [0, 0, 1, 0]


@every_scheme
def test_keys_are_equal_exactly_in_the_bands_whose_rows_are_equal(scheme: str) -> None:
    words = np.random.default_rng(5).integers(0, 99999, 300).astype(str)
    texts = Texts.of([" ".join(words), " ".join(words[:280]), " ".join(words[60:]), "another text"])
    minhash = MinHashSettings(bands=40, rows=3, scheme=scheme)
    bands = signatures(texts, minhash).reshape(4, 40, 3)
    keys, _ = band_keys(texts, minhash)
    equal_rows = (bands[:, None] == bands[None]).all(axis=3)
    assert np.array_equal(keys[:, None] == keys[None], equal_rows)
    assert 0 < equal_rows[0, 1].sum() < 40


@every_scheme
def test_a_text_has_the_same_keys_wherever_in_a_column_it_is(scheme: str) -> None:
    minhash = MinHashSettings(3, 2, scheme=scheme)
    distinct = [f"text number {i} of a column that is signed in parts" for i in range(7)]
    keys, n_shingles = band_keys(Texts.of(distinct * 100), minhash)
    assert np.array_equal(keys, np.tile(band_keys(Texts.of(distinct), minhash)[0], (100, 1)))
    assert n_shingles.tolist() == [7] * 700


@every_scheme
def test_the_share_of_equal_places_of_two_texts_is_about_their_jaccard_similarity(scheme: str) -> None:
    words = np.random.default_rng(9).integers(0, 10**9, 400).astype(str)
    texts = Texts.of([" ".join(words[:300]), " ".join(words[100:]), " ".join(words[:300]), "another text"])
    found = signatures(texts, MinHashSettings(450, 20, ngram=1, scheme=scheme))
    estimates = (found[[0, 0, 0]] == found[1:]).mean(axis=1)
    assert abs(estimates[0] - 0.5) < 4 * np.sqrt(0.5 * 0.5 / 9000)
    assert estimates[1:].tolist() == [1.0, 0.0]


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


@every_scheme
def test_two_texts_shorter_than_a_shingle_share_keys_only_if_their_words_are_equal(scheme: str) -> None:
    texts = Texts.of(["two words", "Two, words.", "two word", "words two"])
    keys, _ = band_keys(texts, MinHashSettings(scheme=scheme))
    assert keys[0].tolist() == keys[1].tolist()
    assert not (keys[0] == keys[2:]).any()


@pytest.mark.parametrize(("scheme", "expected"), [("minhash", "c11419413e6990c3"), ("sketch", "fafdd6d71c3554a1")])
def test_keys_of_this_output_version_stay_what_they_are(scheme: str, expected: str) -> None:
    """If this fails on purpose, raise OUTPUT_VERSION: band files on disk hold keys of the version they were made by."""
    texts = Texts.of(["The quick brown fox jumps over the lazy dog.", "été 日本 ๑"])
    keys, _ = band_keys(texts, MinHashSettings(scheme=scheme))
    digest = hashlib.sha256(keys.astype("<u8").tobytes()).hexdigest()[:16]
    assert (OUTPUT_VERSION, digest) == (1, expected)


@pytest.mark.parametrize(("bands", "rows", "scheme"), [(14, 8, "minhash"), (450, 20, "minhash"), (450, 20, "sketch")])
@pytest.mark.parametrize("similarity", [0.6, 0.7, 0.75, 0.8, 0.9])
def test_pairs_of_known_similarity_collide_as_often_as_the_formula_says(
    bands: int, rows: int, scheme: str, similarity: float
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
    minhash = MinHashSettings(bands, rows, ngram=1, scheme=scheme)
    same = band_keys(Texts.of(left), minhash)[0] == band_keys(Texts.of(right), minhash)[0]
    expected = 1 - (1 - similarity**rows) ** bands
    deviation = np.sqrt(max(expected * (1 - expected), 1 / n_pairs) / n_pairs)
    assert abs(same.any(axis=1).mean() - expected) < 4 * deviation


@pytest.mark.parametrize(("name", "value"), [("bands", 0), ("rows", 0), ("ngram", 0), ("seed", -1), ("bands", 10**6)])
def test_a_setting_out_of_range_is_an_error_that_names_it(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"minhash.{name} is {value}"):
        MinHashSettings(**{name: value})


def test_an_unknown_scheme_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="scheme is 'oph': give one of minhash, sketch"):
        MinHashSettings(scheme="oph")


def test_a_sketch_of_too_many_places_is_an_error_and_a_minhash_is_not() -> None:
    with pytest.raises(ConfigError, match="bands · rows is 40000: a sketch has at most 32749"):
        MinHashSettings(400, 100, scheme="sketch")
    assert MinHashSettings(400, 100).permutations == 40_000


def test_keys_of_two_schemes_are_never_compared() -> None:
    assert MinHashSettings().identity() != MinHashSettings(scheme="sketch").identity()
