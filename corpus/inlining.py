"""Helpers: functions that are compiled as a part of the kernels that call them, and never by themselves.

Numba compiles whatever a compiled function calls to the end: wrappers for Python and for C, LLVM's optimiser, machine code. For
helpers that call helpers it does so again at each level; and then the kernel inlines, optimises and translates all of it once
more. Here a helper stays LLVM's intermediate representation: it is simplified when it is made, and the rest is done once, in
the kernel. This is what Numba itself does with the functions that it calls internally (`no_compile`).

A helper is made once for arguments of the same types: a constant counts as its type (Numba would make one for each
constant), and becomes a constant again where the helper is inlined.

All 48 kernels took 80 s of CPU time to compile on a busy machine, where Numba's way took 138 s on an idle one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult


class _Library(JITCodeLibrary):  # type: ignore[misc]  # Numba has no types
    """A helper's code and that of what it calls, to be linked into what calls it."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout
        passes, builder = self._codegen._function_pass_manager()
        for function in module.functions:
            if not function.is_declaration:
                passes.run(function, builder)

    def finalize(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration:
                function.linkage = "linkonce_odr"  # may come from several helpers; goes when it has been inlined
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


class _Compiler(Compiler):  # type: ignore[misc]
    """Numba's passes, but for the last: making machine code."""

    def __init__(self, typing_context: Any, target_context: Any, library: None, *others: Any) -> None:
        super().__init__(typing_context, target_context, _Library(target_context.codegen(), "helper"), *others)
        self.state.flags.no_compile = True

    def _compile_core(self) -> CompileResult:
        made = super()._compile_core()
        made = made._replace(entry_point=partial(_not_compiled))  # a new object, which Numba finds the library by
        self.state.targetctx.insert_user_function(made.entry_point, made.fndesc, [made.library])
        return made


def _not_compiled() -> None:
    raise NotImplementedError("a helper has no machine code of its own")


def inlined(function: Callable[..., Any], **options: bool) -> Callable[..., Any]:
    """`numba.njit` for a helper. Called from Python, it is compiled after all, into a function of no other use."""
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    dispatcher = numba.njit(**options, pipeline_class=_Compiler)(function)
    compile_types, from_python = dispatcher.compile, numba.njit(lambda *arguments: dispatcher(*arguments))

    def add_overload(made: CompileResult) -> None:  # Numba would also take its address, for calls from Python
        dispatcher.overloads[tuple(made.signature.args)] = made

    dispatcher.add_overload = add_overload
    dispatcher.compile = lambda argument_types: compile_types(tuple(map(types.unliteral, argument_types)))
    dispatcher._compile_for_args = lambda *_: from_python  # what Numba calls, then, with what Python gave it
    return dispatcher
