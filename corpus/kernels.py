"""Numba kernels: one explicit signature each, compiled once a machine, cached where stale code cannot be found.

Numba's own cache notices a change in the file of a kernel, but not in a helper of another file or in a global table: it
would run stale code. So the cache folder is named by a digest of every source that a kernel can depend on (ours: `corpus`
and the top-level package the kernel is in, with all below it), the versions of Python, Numba and llvmlite, and the processor.
One signature per kernel means that two processes which fill the cache at once write the same thing.

A kernel compiles when its module is imported, so a run compiles only what its configuration uses.
"""

import hashlib
import os
import platform
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from llvmlite import binding
from numba import types

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)


def cache_home() -> Path:
    """Where compiled kernels are kept: `$REFINE_CACHE`, else `$XDG_CACHE_HOME/refine`, else `~/.cache/refine`."""
    if own := os.environ.get("REFINE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "refine"


def _sources(folder: Path) -> list[Path]:
    """All of the top-level package that `folder` belongs to; where it is no package, the files in it."""
    if not (folder / "__init__.py").exists():
        return sorted(folder.glob("*.py"))
    while (folder.parent / "__init__.py").exists():
        folder = folder.parent
    return sorted(
        path for path in folder.rglob("*") if path.suffix in (".py", ".npz")
    )  # tables are frozen into kernels


@cache
def _cache_folder(folder: Path) -> Path:
    """Where kernels of the modules in `folder` are cached."""
    digest = hashlib.blake2b(digest_size=12)
    for part in (sys.version, numba.__version__, llvmlite.__version__, platform.machine(), binding.get_host_cpu_name()):
        digest.update(part.encode() + b"\0")
    digest.update(str(sorted(binding.get_host_cpu_features().items())).encode())
    for source in [*_sources(Path(__file__).parent), *_sources(folder)]:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return cache_home() / "kernels" / digest.hexdigest()


def kernel(signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function for one explicit signature, without the GIL, through the safe cache."""

    def compile_now(function: Callable[..., Any]) -> Callable[..., Any]:
        numba.config.CACHE_DIR = str(_cache_folder(Path(function.__code__.co_filename).parent))
        compiled: Callable[..., Any] = numba.njit(signature, cache=True, nogil=True)(function)
        return compiled

    return compile_now


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kernels call; it has no signature of its own and is compiled into each of them.

    It may not allocate arrays: it is compiled without reference counting, which otherwise costs two atomic operations per
    array argument and call (the token scan is seven times faster without).
    """
    compiled: Callable[..., Any] = numba.njit(nogil=True, forceinline=True, _nrt=False)(function)
    return compiled
