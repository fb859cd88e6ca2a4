"""Vector instructions, and what else Numba has no name for. Most are masks: which of 64 bytes of text belong to a class.

Bit i of a mask (uint64) stands for byte `at + i`. One vector comparison and one mask replace 64 branches, which is what makes a
scan run at the speed of memory: classes of ASCII bytes come out at about 20 GB/s with AVX-512, half of that with AVX2; a table
lookup a byte gives 1 GB/s. LLVM lowers the vectors to what a processor has, so nothing here names one.

All that is unreadable about speed is in this file; each intrinsic has a plain twin in tests/test_simd.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from corpus.kernels import helper

BLOCK = 64  # bytes a mask stands for

Ranges = tuple[tuple[int, int], ...]
"""A class of bytes: (lowest, highest) of each run of byte values, both included."""
Flags = int
"""Another: bytes that have at least one of these bits."""

UPPERCASE: Ranges = ((65, 90),)
LOWERCASE: Ranges = ((97, 122),)
LETTERS: Ranges = (*UPPERCASE, *LOWERCASE)
DIGITS: Ranges = ((48, 57),)
WHITE_SPACE: Ranges = ((9, 13), (28, 32))  # what str.isspace says of ASCII
BEYOND_ASCII: Ranges = ((128, 255),)
CONTINUATION: Ranges = ((128, 191),)  # bytes of a UTF-8 sequence after its first
LEADS: Ranges = ((192, 255),)  # the first of each
NEWLINE: Ranges = ((10, 10),)

LINE = 8  # 64-bit words in as many bytes, which are a line of the processor's cache


def bytes_of(characters: bytes) -> Ranges:
    """The class of these byte values."""
    return tuple((byte, byte) for byte in characters)


_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_VECTOR = ir.VectorType(_BYTE, BLOCK)
_FIRST_LANE = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)


def _splat(byte: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [byte] * BLOCK)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> tuple[Any, Any]:
    """(pointer to element `index`, how many elements there are from it on)."""
    parts = context.make_array(array_type)(context, builder, array)
    return builder.gep(parts.data, [index]), builder.sub(parts.nitems, index)


def _load_block(builder: Any, pointer: Any, left: Any) -> Any:
    """The 64 bytes at `pointer`; zeros for those behind the end of the array, which are never read."""
    with builder.if_else(builder.icmp_signed(">=", left, _WORD(BLOCK)), likely=True) as (whole, part):
        with whole:
            direct = builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=1)
            after_whole = builder.block
        with part:
            room = cgutils.alloca_once(builder, _VECTOR)
            builder.store(_splat(0), room)
            cgutils.raw_memcpy(builder, builder.bitcast(room, _BYTE.as_pointer()), pointer, left, 1)
            padded = builder.load(room)
            after_part = builder.block
    block = builder.phi(_VECTOR)
    block.add_incoming(direct, after_whole)
    block.add_incoming(padded, after_part)
    return block


def _mask_of(builder: Any, block: Any, wanted: Ranges | Flags) -> Any:
    if isinstance(wanted, Flags):
        return builder.bitcast(builder.icmp_unsigned("!=", builder.and_(block, _splat(wanted)), _splat(0)), _WORD)
    bits = None
    for low, high in wanted:
        if low == high:
            inside = builder.icmp_unsigned("==", block, _splat(low))
        else:
            inside = builder.icmp_unsigned("<=", builder.sub(block, _splat(low)), _splat(high - low))
        bits = inside if bits is None else builder.or_(bits, inside)
    return builder.bitcast(bits, _WORD)


def masks(*classes: Ranges | Flags) -> Any:
    """A function for kernels, `f(data, at)`: one mask (uint64) for each of the classes, of the 64 bytes from `at` on.

    `at` <= data.size. Bytes behind the end of `data` count as zeros.
    """

    @intrinsic
    def found(typing_context: Any, data: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer, left = _address(context, builder, signature.args[0], *args)
            block = _load_block(builder, pointer, left)
            return context.make_tuple(
                builder, signature.return_type, [_mask_of(builder, block, wanted) for wanted in classes]
            )

        return types.UniTuple(types.uint64, len(classes))(data, types.int64), generate

    return found


@intrinsic
def first_bit(typing_context: Any, mask: Any) -> Any:
    """Index (int64) of the lowest bit that is set; undefined for 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def last_bit(typing_context: Any, mask: Any) -> Any:
    """Index (int64) of the highest bit that is set; undefined for 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sub(_WORD(BLOCK - 1), builder.ctlz(args[0], ir.Constant(ir.IntType(1), 1)))

    return types.int64(types.uint64), generate


@intrinsic
def count_bits(typing_context: Any, mask: Any) -> Any:
    """How many bits (int64) are set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate


@helper
def first_bits(n):
    """A mask with the lowest `n` >= 0 bits set; all of them from 64 on: what cuts a block at the end of a text."""
    return ~np.uint64(0) >> np.uint64(max(BLOCK - n, 0)) if n else np.uint64(0)


def counter(wanted: Ranges) -> Callable[..., Any]:
    """A function for kernels, `f(data, start, end)`: how many bytes of data[start:end] are of the class."""
    find = masks(wanted)

    @helper
    def count(data, start, end):
        n = 0
        for at in range(start, end, BLOCK):
            n += count_bits(find(data, at)[0] & first_bits(end - at))
        return n

    return count


def finder(wanted: Ranges) -> Callable[..., Any]:
    """A function for kernels, `f(data, start, end)`: where the first byte of the class is in data[start:end], else `end`."""
    find = masks(wanted)

    @helper
    def first(data, start, end):
        for at in range(start, end, BLOCK):
            found = find(data, at)[0]
            if found:
                return min(at + first_bit(found), end)
        return end

    return first


@intrinsic
def _equal_mask(typing_context: Any, data: Any, at: Any, byte: Any) -> Any:
    """As a mask of `masks`, of the class that has this one byte (uint8), which need not be known before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, left = _address(context, builder, signature.args[0], args[0], args[1])
        block = _load_block(builder, pointer, left)
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        first_lane = builder.insert_element(undefined, args[2], ir.IntType(32)(0))
        all_lanes = builder.shuffle_vector(first_lane, undefined, _FIRST_LANE)
        return builder.bitcast(builder.icmp_unsigned("==", block, all_lanes), _WORD)

    return types.uint64(data, types.int64, types.uint8), generate


@helper
def find_byte(data, start, end, byte):
    """Where the first `byte` (uint8) is in data[start:end], else `end`."""
    for at in range(start, end, BLOCK):
        found = _equal_mask(data, at, byte)
        if found:
            return min(at + first_bit(found), end)
    return end


def last_finder(wanted: Ranges) -> Callable[..., Any]:
    """As `finder`, for the last byte of the class; start - 1 if there is none. `end` >= BLOCK."""
    find = masks(wanted)

    @helper
    def last(data, start, end):
        while start < end:
            found = find(data, end - BLOCK)[0]
            if found:
                return max(end - BLOCK + last_bit(found), start - 1)
            end -= BLOCK
        return start - 1

    return last


@intrinsic
def pair_mask(typing_context: Any, data: Any, at: Any, pairs: Any) -> Any:
    """Which of the 63 bytes from `at` on begin one of `pairs` (uint8[:, 2]), bit 5 (0x20) of each byte aside.

    So ASCII letters count in either case, and the caller sorts out the few pairs that differ otherwise ("@" and "`").
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, left = _address(context, builder, signature.args[0], args[0], args[1])
        block = builder.or_(_load_block(builder, pointer, left), _splat(0x20))
        byte, n_bytes = _address(context, builder, signature.args[2], args[2], _WORD(0))
        found = cgutils.alloca_once_value(builder, _WORD(0))

        def equal(index: Any) -> Any:
            wanted = builder.or_(builder.load(builder.gep(byte, [index])), _BYTE(0x20))
            first_lane = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), wanted, ir.IntType(32)(0))
            all_lanes = builder.shuffle_vector(first_lane, ir.Constant(_VECTOR, ir.Undefined), _FIRST_LANE)
            return builder.bitcast(builder.icmp_unsigned("==", block, all_lanes), _WORD)

        with cgutils.for_range(builder, builder.udiv(n_bytes, _WORD(2))) as loop:
            first = builder.mul(loop.index, _WORD(2))
            second = builder.add(first, _WORD(1))
            here = builder.and_(equal(first), builder.lshr(equal(second), _WORD(1)))
            builder.store(builder.or_(builder.load(found), here), found)
        return builder.load(found)

    return types.uint64(data, types.int64, pairs), generate


@intrinsic
def load_word(typing_context: Any, data: Any, at: Any) -> Any:
    """Eight bytes at `at` of a uint8 array as a little-endian uint64; `at` + 8 <= data.size, unchecked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, _ = _address(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(pointer, _WORD.as_pointer()), align=1)

    return types.uint64(data, types.int64), generate


@intrinsic
def copy_bytes(typing_context: Any, data: Any, start: Any, n_bytes: Any, out: Any, at: Any) -> Any:
    """Copy data[start:start + n_bytes] to `out` at `at` (uint8 arrays that do not overlap there); returns the next free index."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, _ = _address(context, builder, signature.args[0], args[0], args[1])
        target, _ = _address(context, builder, signature.args[3], args[3], args[4])
        cgutils.raw_memcpy(builder, target, source, args[2], 1)
        return builder.add(args[4], args[2])

    return types.int64(data, types.int64, types.int64, out, types.int64), generate


@intrinsic
def copy_lower(typing_context: Any, data: Any, at: Any, out: Any, to: Any) -> Any:
    """Copy data[at:at + BLOCK] to `out` at `to`, with ASCII letters in lower case. Both must be that long: unchecked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, _ = _address(context, builder, signature.args[0], args[0], args[1])
        target, _ = _address(context, builder, signature.args[2], args[2], args[3])
        block = builder.load(builder.bitcast(source, _VECTOR.as_pointer()), align=1)
        is_upper = builder.icmp_unsigned("<", builder.sub(block, _splat(ord("A"))), _splat(26))
        lower = builder.select(is_upper, builder.or_(block, _splat(0x20)), block)
        builder.store(lower, builder.bitcast(target, _VECTOR.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(data, types.int64, out, types.int64), generate


@intrinsic
def in_line(typing_context: Any, table: Any, at: Any, key: Any) -> Any:
    """Whether `key` is one of the uint64 table[at:at + LINE]; unchecked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(_WORD, LINE)
        pointer, _ = _address(context, builder, signature.args[0], args[0], args[1])
        line = builder.load(builder.bitcast(pointer, kind.as_pointer()), align=8)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LINE), [0] * LINE)
        first_lane = builder.insert_element(ir.Constant(kind, ir.Undefined), args[2], ir.IntType(32)(0))
        wanted = builder.shuffle_vector(first_lane, ir.Constant(kind, ir.Undefined), lanes)
        found = builder.bitcast(builder.icmp_unsigned("==", line, wanted), ir.IntType(LINE))
        return builder.icmp_unsigned("!=", found, ir.IntType(LINE)(0))

    return types.boolean(table, types.int64, types.uint64), generate


@intrinsic
def prefetch(typing_context: Any, data: Any, at: Any) -> Any:
    """Ask for the cache line of data[at], without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element, _ = _address(context, builder, signature.args[0], args[0], args[1])
        pointer = builder.bitcast(element, _BYTE.as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, keep, data_cache = (number(value) for value in (0, 3, 1))
        builder.call(function, [pointer, read, keep, data_cache])
        return context.get_dummy_value()

    return types.void(data, types.int64), generate


@intrinsic
def add_16_columns(typing_context: Any, rows: Any, found: Any, first: Any, end: Any, total: Any, column: Any) -> Any:
    """total[column:column + 16] += rows[row, column:column + 16] for the rows found[first:end]: sums stay in registers."""
    vector = ir.VectorType(ir.FloatType(), 16)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows, found, total = (context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 1, 4))
        first, end, column = args[2], args[3], args[5]
        width = cgutils.unpack_tuple(builder, rows.shape, 2)[1]
        place = builder.bitcast(builder.gep(total.data, [column]), vector.as_pointer())
        sums = cgutils.alloca_once_value(builder, builder.load(place, align=4))
        with cgutils.for_range_slice(builder, first, end, ir.Constant(first.type, 1)) as (i, _):
            row = builder.zext(builder.load(builder.gep(found.data, [i])), width.type)
            start = builder.gep(rows.data, [builder.add(builder.mul(row, width), column)])
            values = builder.load(builder.bitcast(start, vector.as_pointer()), align=1)
            builder.store(builder.fadd(builder.load(sums), values), sums)
        builder.store(builder.load(sums), place, align=4)
        return context.get_dummy_value()

    return types.none(rows, found, first, end, total, column), generate


@intrinsic
def and_32_columns(
    typing_context: Any, rows: Any, column: Any, found: Any, limits: Any, kept: Any, first: Any, end: Any, bits: Any
) -> Any:
    """bits[j], j < 32: the kept[i] of all i of [first, end) with rows[found[i], column + j] > limits[i], and-ed in registers."""
    n = 32
    floats, words = ir.VectorType(ir.FloatType(), n), ir.VectorType(ir.IntType(32), n)
    first_lane = ir.Constant(words, [0] * n)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows, found, limits, kept, bits = (
            context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 2, 3, 4, 7)
        )
        column, first, end = args[1], args[5], args[6]
        width = cgutils.unpack_tuple(builder, rows.shape, 2)[1]
        every = ir.Constant(words, [0xFFFFFFFF] * n)
        left = cgutils.alloca_once_value(builder, every)

        def splat(array: Any, i: Any, vector: ir.VectorType) -> Any:
            value = builder.load(builder.gep(array.data, [i]))
            undefined = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, undefined, first_lane)

        with cgutils.for_range_slice(builder, first, end, ir.Constant(first.type, 1)) as (i, _):
            row = builder.zext(builder.load(builder.gep(found.data, [i])), width.type)
            start = builder.gep(rows.data, [builder.add(builder.mul(row, width), column)])
            values = builder.load(builder.bitcast(start, floats.as_pointer()), align=4)
            holds = builder.fcmp_ordered("<=", values, splat(limits, i, floats))
            mask = builder.select(holds, every, splat(kept, i, words))
            builder.store(builder.and_(builder.load(left), mask), left)
        builder.store(builder.load(left), builder.bitcast(bits.data, words.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.none(rows, column, found, limits, kept, first, end, bits), generate


@intrinsic
def add_chosen_32(typing_context: Any, bits: Any, values: Any, start: Any, total: Any, column: Any) -> Any:
    """total[column + j] += values[start + index of the lowest bit set in bits[j]], j < 32; each has a bit set."""
    n = 32
    number = ir.IntType(32)
    floats, numbers, addresses, pointers, flags = (
        ir.VectorType(kind, n) for kind in (ir.FloatType(), number, _WORD, ir.FloatType().as_pointer(), ir.IntType(1))
    )
    every, first_lane = ir.Constant(flags, [1] * n), ir.Constant(numbers, [0] * n)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, values, total = (context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 1, 3))
        found = builder.load(builder.bitcast(bits.data, numbers.as_pointer()), align=4)
        kind = ir.FunctionType(numbers, [numbers, ir.IntType(1)])
        count = cgutils.get_or_insert_function(builder.module, kind, "llvm.cttz.v32i32")
        lowest = builder.zext(builder.call(count, [found, ir.IntType(1)(1)]), addresses)
        undefined = ir.Constant(addresses, ir.Undefined)
        start = builder.ptrtoint(builder.gep(values.data, [args[2]]), _WORD)
        starts = builder.shuffle_vector(builder.insert_element(undefined, start, number(0)), undefined, first_lane)
        places = builder.add(starts, builder.shl(lowest, ir.Constant(addresses, [2] * n)))
        kind = ir.FunctionType(floats, [pointers, number, flags, floats])
        gather = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.gather.v32f32.v32p0")
        places = builder.inttoptr(places, pointers)
        chosen = builder.call(gather, [places, number(4), every, ir.Constant(floats, ir.Undefined)])
        place = builder.bitcast(builder.gep(total.data, [args[4]]), floats.as_pointer())
        builder.store(builder.fadd(builder.load(place, align=4), chosen), place, align=4)
        return context.get_dummy_value()

    return types.none(bits, values, start, total, column), generate
