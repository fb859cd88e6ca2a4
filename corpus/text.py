"""A string column as (bytes, offsets), without a copy.

Everything that looks at text looks at these two arrays: Arrow's large_string layout is UTF-8 bytes end to end and int64
offsets, which is what a kernel wants. Arrow guarantees valid UTF-8, so kernels do not check it again.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus.arena import Arena

Derived = TypeVar("Derived")


class Texts:
    """`data`: uint8[:], `offsets`: int64[n + 1], absolute into `data`; text i is data[offsets[i]:offsets[i + 1]].

    A null text counts as empty. Both arrays are read-only views of Arrow's buffers, which `column` keeps alive. What is
    derived from the texts lies in `arena`.
    """

    def __init__(self, column: pa.LargeStringArray, arena: Arena | None = None) -> None:
        self.column = column
        self.arena = arena or Arena()
        self._derived: dict[Callable[[Texts], Any], Any] = {}

    def once(self, make: Callable[["Texts"], Derived]) -> Derived:
        """`make(self)`, made at the first call and kept with the texts: what several rule sets read is computed once."""
        if make not in self._derived:
            self._derived[make] = make(self)
        result: Derived = self._derived[make]
        return result

    @classmethod
    def of(cls, column: pa.Array | pa.ChunkedArray | list[str], arena: Arena | None = None) -> "Texts":
        """Any Arrow string array (or list of str); one of another layout is cast, and a null made empty."""
        if isinstance(column, list):
            column = pa.array(column, pa.large_string())
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if column.type != pa.large_string():
            column = column.cast(pa.large_string())
        if column.null_count:
            column = pc.fill_null(column, "")
        return cls(column, arena)

    def __len__(self) -> int:
        return len(self.column)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        if not len(self.column):
            return np.zeros(1, np.int64)
        start = self.column.offset
        return np.frombuffer(self.column.buffers()[1], np.int64)[start : start + len(self.column) + 1]

    @cached_property
    def data(self) -> NDArray[np.uint8]:
        buffer = self.column.buffers()[2]
        return np.zeros(0, np.uint8) if buffer is None else np.frombuffer(buffer, np.uint8)

    @property
    def byte_lengths(self) -> NDArray[np.int64]:
        """UTF-8 bytes of each text, int64[n]."""
        return np.diff(self.offsets)

    @property
    def longest(self) -> int:
        """Bytes of the longest text: no per-text scratch array needs more entries."""
        return int(self.byte_lengths.max(initial=0))
