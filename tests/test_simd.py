"""Vector intrinsics beside their plain twins, at every distance from the end of the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import types

from corpus import simd
from corpus.kernels import BYTES, kernel

CLASSES = {
    "uppercase": simd.UPPERCASE,
    "letters": simd.LETTERS,
    "white space": simd.WHITE_SPACE,
    "beyond ASCII": simd.BEYOND_ASCII,
    "single value and a run": ((0, 0), (250, 255)),
}
_found = simd.masks(*CLASSES.values())


@kernel(types.UniTuple(types.uint64, 5)(BYTES, types.int64))
def _masks(data, at):
    return _found(data, at)


@kernel(types.UniTuple(types.int64, 2)(types.uint64))
def _bits(mask):
    return simd.first_bit(mask), simd.count_bits(mask)


@kernel(types.uint64(BYTES, types.int64))
def _word(data, at):
    return simd.load_word(data, at)


@kernel(types.int64(BYTES, types.int64, types.int64, types.uint8[::1], types.int64))
def _copy(data, start, n_bytes, out, at):
    return simd.copy_bytes(data, start, n_bytes, out, at)


def plain_mask(ranges: simd.Ranges, block: bytes) -> int:
    padded = block[: simd.BLOCK].ljust(simd.BLOCK, b"\0")
    return sum(1 << i for i, byte in enumerate(padded) if any(low <= byte <= high for low, high in ranges))


@given(st.binary(max_size=200), st.data())
def test_masks_are_those_of_a_loop_over_the_bytes(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    expected = [plain_mask(ranges, data[at:]) for ranges in CLASSES.values()]
    assert list(_masks(np.frombuffer(data, np.uint8), at)) == expected


@pytest.mark.parametrize("byte", range(256))
def test_each_byte_value_is_in_its_classes_only(byte: int) -> None:
    data = np.full(64, byte, np.uint8)
    expected = [plain_mask(ranges, bytes([byte] * 64)) for ranges in CLASSES.values()]
    assert list(_masks(data, 0)) == expected


def test_white_space_is_what_python_says_of_ascii() -> None:
    assert {byte for low, high in simd.WHITE_SPACE for byte in range(low, high + 1)} == {
        byte for byte in range(128) if chr(byte).isspace()
    }


@given(st.integers(1, 2**64 - 1))
def test_first_bit_and_count_of_bits(mask: int) -> None:
    assert _bits(np.uint64(mask)) == ((mask & -mask).bit_length() - 1, mask.bit_count())


@given(st.binary(min_size=8, max_size=80), st.data())
def test_words_load_unaligned(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) - 8))
    assert int(_word(np.frombuffer(data, np.uint8), at)) == int.from_bytes(data[at : at + 8], "little")


@given(st.binary(max_size=200), st.data())
def test_copied_bytes_stand_at_their_place_and_nothing_else_changes(data: bytes, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, len(data)))
    n_bytes = draw.draw(st.integers(0, len(data) - start))
    out = np.full(300, 7, np.uint8)
    assert _copy(np.frombuffer(data, np.uint8), start, n_bytes, out, 50) == 50 + n_bytes
    assert out.tobytes() == bytes([7] * 50) + data[start : start + n_bytes] + bytes([7] * (250 - n_bytes))


PAIRS = np.array([[ord("c"), ord("y")], [0xD0, 0xB0], [ord(" "), ord("o")]], np.uint8)
_count_uppercase = simd.counter(simd.UPPERCASE)
_find_newline = simd.finder(simd.NEWLINE)
_flagged = simd.masks(1, 6)


@kernel(types.UniTuple(types.int64, 2)(BYTES, types.int64, types.int64))
def _counted_and_found(data, start, end):
    return _count_uppercase(data, start, end), _find_newline(data, start, end)


@kernel(types.UniTuple(types.uint64, 2)(BYTES, types.int64))
def _flag_masks(data, at):
    return _flagged(data, at)


@kernel(types.uint64(BYTES, types.int64, types.uint8[:, ::1]))
def _pairs(data, at, pairs):
    return simd.pair_mask(data, at, pairs)


@kernel(types.uint64(types.int64))
def _first_bits(n):
    return simd.first_bits(n)


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 1000])
def test_first_bits_are_all_bits_from_64_on(n: int) -> None:
    assert int(_first_bits(n)) == (1 << min(n, 64)) - 1


@given(st.binary(max_size=200) | st.text("Ab\n", max_size=200).map(str.encode), st.data())
def test_bytes_of_a_class_are_counted_and_the_first_is_found_in_any_part(data: bytes, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    counted, found = _counted_and_found(np.frombuffer(data, np.uint8), start, end)
    assert counted == sum(65 <= byte <= 90 for byte in data[start:end])
    assert found == (data.find(b"\n", start, end) if b"\n" in data[start:end] else end)


@given(st.lists(st.integers(0, 31), max_size=100).map(bytes))
def test_masks_of_flags_are_of_bytes_with_one_of_the_bits(data: bytes) -> None:
    expected = [sum(1 << i for i, byte in enumerate(data[:64]) if byte & flags) for flags in (1, 6)]
    assert list(_flag_masks(np.frombuffer(data, np.uint8), 0)) == expected


@given(st.lists(st.sampled_from([*b"cCyYoO \0", 0xD0, 0xB0, 0xF0]), max_size=150).map(bytes), st.data())
def test_pairs_are_found_in_either_case_at_63_places(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    block = bytes(byte | 32 for byte in data[at : at + 64].ljust(64, b"\0"))
    wanted = [bytes(pair | 32) for pair in PAIRS]
    expected = sum(1 << i for i in range(63) if block[i : i + 2] in wanted)
    assert int(_pairs(np.frombuffer(data, np.uint8), at, PAIRS)) == expected


_first_wanted, _last_wanted = (make(simd.bytes_of(b"/?#")) for make in (simd.finder, simd.last_finder))


@kernel(types.UniTuple(types.int64, 2)(BYTES, types.int64, types.int64))
def _first_and_last(data, start, end):
    return _first_wanted(data, start, end), _last_wanted(data, start, end)


@kernel(types.void(BYTES, types.int64, types.uint8[::1], types.int64))
def _copy_lower(data, at, out, to):
    simd.copy_lower(data, at, out, to)


@given(st.text("ab/?#", max_size=200).map(str.encode), st.integers(0, 200), st.integers(0, 200))
def test_the_first_and_last_of_some_characters_are_found(text: bytes, start: int, end: int) -> None:
    """All around it is full of what is looked for, and does not count."""
    start, end = sorted((min(start, len(text)), min(end, len(text))))
    data = b"/" * simd.BLOCK + text + b"#" * simd.BLOCK
    places = [at for at in range(start, end) if text[at] in b"/?#"]
    expected = (places[0], places[-1]) if places else (end, start - 1)
    found = _first_and_last(np.frombuffer(data, np.uint8), simd.BLOCK + start, simd.BLOCK + end)
    assert (found[0] - simd.BLOCK, found[1] - simd.BLOCK) == expected


@pytest.mark.parametrize("first", range(0, 256, simd.BLOCK))
def test_ascii_letters_and_nothing_else_are_put_into_lower_case(first: int) -> None:
    data = bytes(range(256))
    out = np.full(simd.BLOCK + 2, 7, np.uint8)
    _copy_lower(np.frombuffer(data, np.uint8), first, out, 1)
    assert out.tobytes() == b"\7" + data[first : first + simd.BLOCK].lower() + b"\7"


_FLOATS = types.Array(types.float32, 2, "C", readonly=True, aligned=False)


@kernel(types.void(_FLOATS, types.uint32[::1], types.int64, types.int64, types.float32[::1], types.int64))
def _add_16_columns(rows, found, first, end, total, column):
    simd.add_16_columns(rows, found, first, end, total, column)


@given(st.lists(st.integers(0, 9), max_size=30), st.data())
def test_columns_are_added_row_after_row(found: list[int], draw: st.DataObject) -> None:
    """In float32 the order of additions decides the last bits."""
    first = draw.draw(st.integers(0, len(found)))
    rows = np.random.default_rng(0).normal(size=(10, 40)).astype(np.float32)
    total = np.zeros(40, np.float32)
    _add_16_columns(rows, np.array(found, np.uint32), first, len(found), total, 8)
    expected = np.zeros(40, np.float32)
    for row in found[first:]:
        expected[8:24] += rows[row, 8:24]
    assert total.tolist() == expected.tolist()


@kernel(types.void(_FLOATS, types.uint16[::1], types.float32[::1], types.uint32[::1], types.int64, types.uint32[::1]))
def _and_32_columns(rows, found, limits, kept, first, bits):
    simd.and_32_columns(rows, 3, found, limits, kept, first, len(found), bits)


@given(st.lists(st.integers(0, 9), max_size=30), st.data())
def test_masks_of_the_columns_beyond_a_limit_are_anded_row_after_row(found: list[int], draw: st.DataObject) -> None:
    first = draw.draw(st.integers(0, len(found)))
    random = np.random.default_rng(0)
    rows = random.integers(-3, 4, (10, 40)).astype(np.float32)
    limits = random.integers(-3, 4, len(found)).astype(np.float32)
    kept = random.integers(0, 1 << 32, len(found), np.uint32)
    bits = np.zeros(32, np.uint32)
    _and_32_columns(rows, np.array(found, np.uint16), limits, kept, first, bits)
    expected = np.full(32, 0xFFFFFFFF, np.uint32)
    for i in range(first, len(found)):
        expected[rows[found[i], 3:35] > limits[i]] &= kept[i]
    assert bits.tolist() == expected.tolist()


@kernel(types.boolean(types.uint64[::1], types.int64, types.uint64))
def _in_line(table, at, key):
    simd.prefetch(table, at)
    return simd.in_line(table, at, key)


@pytest.mark.parametrize("at", range(9))
def test_a_key_is_in_a_line_if_it_is_one_of_its_eight(at: int) -> None:
    table = np.arange(100, 116, dtype=np.uint64)
    assert [bool(_in_line(table, at, np.uint64(key))) for key in range(98, 118)] == [
        key in range(100 + at, 100 + at + simd.LINE) for key in range(98, 118)
    ]


@kernel(types.void(types.uint32[::1], types.float32[::1], types.int64, types.float32[::1], types.int64))
def _add_chosen_32(bits, values, start, total, column):
    simd.add_chosen_32(bits, values, start, total, column)


@given(st.lists(st.integers(1, (1 << 32) - 1), min_size=32, max_size=32))
def test_values_at_the_lowest_bits_are_added(bits: list[int]) -> None:
    values = np.random.default_rng(0).normal(size=40).astype(np.float32)
    total = np.ones(35, np.float32)
    _add_chosen_32(np.array(bits, np.uint32), values, 5, total, 3)
    lowest = [(word & -word).bit_length() - 1 for word in bits]
    assert total.tolist() == [1, 1, 1, *(np.float32(1) + values[[5 + place for place in lowest]]).tolist()]
