"""Numba kernels: one explicit signature each, compiled once a machine; `corpus.kernel_cache` has how they are kept.

Importing a module compiles nothing. A kernel is compiled, or read from the cache, when it is first called, or ahead of that
with all others that have been imported: a run does so before its workers start (`pipeline.compiling`), so that they only read.
"""

import pickle
from collections.abc import Callable
from typing import Any

import numba
from numba import types
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps

from corpus.errors import ConfigError
from corpus.inlining import inlined
from corpus.kernel_cache import CacheFile

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)

imported: "list[Kernel]" = []
"""All kernels of the modules imported so far, in that order."""


class Kernel(NullCache):  # type: ignore[misc]  # Numba has no types
    """A function that is compiled for its signature at its first use. Numba takes it for the function's cache."""

    def __init__(self, function: Callable[..., Any], signature: Any) -> None:
        self.function = function
        self.dispatcher = numba.njit(nogil=True, no_cfunc_wrapper=True)(function)
        self._signature = signature
        self._file = CacheFile(function, signature)
        self._compile = self.dispatcher.compile
        self.dispatcher._cache = self
        self.dispatcher.compile = self.compile  # what Numba calls at the first use, whatever the types of its arguments

    def is_compiled(self) -> bool:
        """Whether the cache has it."""
        return self._file.read() is not None

    def compile(self, _types: object = None, *, wait: bool = True) -> Any:
        """Have the code ready, for the declared signature. Without `wait`, not if another process is compiling it."""
        with global_compiler_lock:
            if not self.dispatcher.overloads:
                if self.is_compiled():
                    self._compile(self._signature)
                else:
                    with self._file.lock(wait=wait) as ours:
                        if not ours:
                            return None
                        self._compile(self._signature)
                self.dispatcher.disable_compile()
        return self.dispatcher  # Numba calls it with the arguments, which are then matched with the declared types

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        target_context.refresh()
        code = self._file.read()
        return None if code is None else CompileResult._rebuild(target_context, *pickle.loads(code))

    def save_overload(self, sig: Any, data: CompileResult) -> None:
        if data.library.has_dynamic_globals:
            raise ConfigError(
                f"{self.function.__module__}.{self.function.__name__} has an address or a large array as a global, which "
                "belongs to this process; make it an argument"
            )
        self._file.write(dumps(data._reduce()))


def kernel(signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a kernel for one explicit signature: without the GIL, kept in the safe cache."""

    def make(function: Callable[..., Any]) -> Callable[..., Any]:
        if numba.config.DISABLE_JIT:
            return function
        made = Kernel(function, signature)
        imported.append(made)
        return made.dispatcher

    return make


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kernels call; it has no signature of its own and is compiled into each of them (`corpus.inlining`).

    It may not allocate arrays: it is compiled without reference counting, which otherwise costs two atomic operations per
    array argument and call (the token scan is seven times faster without).
    """
    return inlined(function, nogil=True, forceinline=True, _nrt=False)
