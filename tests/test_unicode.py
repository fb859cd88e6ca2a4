"""The Unicode tables of the kernels against Python's `unicodedata`, over every code point."""

import unicodedata

import numpy as np
from numba import types

from corpus import unicode
from corpus.kernels import BYTES, kernel
from corpus.unicode import ALONE, DIGIT, FOLD_WIDTH, LETTER, N_CODE_POINTS, WORD, fold, fold_of, kind, kind_of

ASSIGNED = [
    code_point for code_point in range(N_CODE_POINTS) if unicodedata.category(chr(code_point)) not in ("Cn", "Cs", "Co")
]


@kernel(types.void(types.int64[::1], types.uint8[::1], types.int64[:, ::1]))
def _look_up(code_points, kinds, folds):
    for i in range(code_points.size):
        kinds[i] = kind(code_points[i])
        for position in range(folds.shape[1]):
            folds[i, position] = fold(code_points[i], position)


@kernel(types.int64(BYTES, types.int64[::1], types.uint8[::1]))
def _round_trip(data, code_points, out):
    at = 0
    written = 0
    n = 0
    while at < data.size:
        length = unicode.sequence_length(data[at])
        code_points[n] = unicode.decode(data, at, length)
        written = unicode.encode(code_points[n], out, written)
        n += 1
        at += length
    return n


def looked_up(code_points: list[int]) -> tuple[np.ndarray, np.ndarray]:
    kinds = np.empty(len(code_points), np.uint8)
    folds = np.empty((len(code_points), FOLD_WIDTH), np.int64)
    _look_up(np.array(code_points, np.int64), kinds, folds)
    return kinds, folds


def test_kind_is_that_of_unicodedata_for_every_assigned_character() -> None:
    kinds, _ = looked_up(ASSIGNED)
    different = {
        f"{code_point:04X}": (int(found), kind_of(chr(code_point)))
        for code_point, found in zip(ASSIGNED, kinds, strict=True)
        if found != kind_of(chr(code_point))
    }
    assert different == {}


def test_fold_is_that_of_unicodedata_for_every_assigned_letter_and_digit() -> None:
    words = [code_point for code_point in ASSIGNED if kind_of(chr(code_point)) & WORD]
    _, folds = looked_up(words)
    different = {}
    for code_point, found in zip(words, folds.tolist(), strict=True):
        folded = "".join(chr(part) for part in found[: (*found, 0).index(0)])
        if folded != fold_of(chr(code_point)):
            different[f"{code_point:04X}"] = (folded, fold_of(chr(code_point)))
    assert different == {}


def test_no_letter_folds_to_more_than_the_table_is_wide() -> None:
    assert max(len(fold_of(chr(code_point))) for code_point in ASSIGNED) == FOLD_WIDTH


def test_every_code_point_survives_decoding_and_encoding() -> None:
    text = "".join(map(chr, [c for c in range(N_CODE_POINTS) if not 0xD800 <= c < 0xE000]))
    raw = np.frombuffer(text.encode(), np.uint8)
    code_points = np.empty(len(text), np.int64)
    out = np.zeros(raw.size + 4, np.uint8)
    assert _round_trip(raw, code_points, out) == len(text)
    assert code_points.tolist() == list(map(ord, text))
    assert out[: raw.size].tobytes() == raw.tobytes()


def test_scripts_without_spaces_stand_alone_and_others_do_not() -> None:
    assert [bool(kind_of(c) & ALONE) for c in "漢あアกຂမខ𠀀"] == [True] * 8
    assert [bool(kind_of(c) & ALONE) for c in "aéяאعकक한"] == [False] * 8
    assert kind_of("一") & (LETTER | DIGIT) == LETTER
