"""Helpers: one compilation for arguments of the same types, no machine code of their own, and the same results as in Python."""

from typing import Any

import numba
import pytest
from numba import types

from corpus.kernels import helper, kernel
from corpus.simd import first_bits


@helper
def inner(x, y):
    if y < 0:
        raise ValueError("y is negative")
    return 10 * x + y


@helper
def outer(x, y):
    return inner(x, 1) + inner(2, y)


@kernel(types.int64(types.int64, types.int64))
def both(x, y):
    return outer(x, y) + outer(3, 0)


@pytest.fixture(scope="module")
def compiled() -> Any:
    """`both`, not read from the cache."""
    cached: Any = both
    fresh = numba.njit(cached.py_func)
    assert fresh(5, 7) == both(5, 7)
    return fresh


def types_and_code(function: Any) -> tuple[Any, Any]:
    [found] = function.overloads.items()
    return found


def test_helpers_called_by_helpers_give_what_they_give_in_python() -> None:
    assert both(5, 7) == (51 + 27) + (31 + 20)


def test_an_error_in_a_helper_reaches_the_caller(compiled: Any) -> None:
    for function in (both, compiled):
        with pytest.raises(ValueError, match=r"^y is negative$"):
            function(5, -7)


def test_a_constant_and_a_variable_of_one_type_share_a_compilation(compiled: Any) -> None:
    assert types_and_code(inner)[0] == types_and_code(outer)[0] == (types.int64, types.int64)


def test_a_helper_has_no_machine_code_of_its_own(compiled: Any) -> None:
    of_helper, of_kernel = (types_and_code(function)[1] for function in (inner, compiled))
    engine = of_helper.library.codegen._engine
    assert not engine.is_symbol_defined(of_helper.fndesc.llvm_func_name)
    assert engine.is_symbol_defined(of_kernel.fndesc.llvm_func_name)


def test_a_helper_can_be_called_from_python() -> None:
    assert inner(4, 2) == 42
    assert first_bits(3) == 7
