"""Memory of one piece after another: arrays do not overlap, are used again after `clear`, and verdicts do not notice."""

import numpy as np
import pytest

from corpus.arena import Arena
from filters import filter_texts, ruleset


def test_arrays_of_one_piece_do_not_overlap_and_lie_where_those_of_the_last_lay() -> None:
    arena = Arena()
    addresses = []
    for size in (10, 10, 7):
        arena.clear()
        places, hashes = arena.empty(size, np.int32), arena.empty(size, np.uint64)
        assert (places.dtype, hashes.dtype, len(places), len(hashes)) == (np.int32, np.uint64, size, size)
        assert not np.shares_memory(places, hashes)
        addresses.append(places.ctypes.data)
    assert addresses[1] == addresses[2]


def test_more_than_the_last_piece_took_is_fresh_memory_and_is_there_the_next_time() -> None:
    arena = Arena()
    arena.empty(4, np.uint8)
    arena.clear()
    small, large = arena.empty(4, np.uint8), arena.empty(1000, np.int32)
    assert not np.shares_memory(small, large)
    arena.clear()
    small, large = arena.empty(4, np.uint8), arena.empty(1000, np.int32)
    assert small.base is not None
    assert large.base is not None


def test_verdicts_and_edited_texts_do_not_depend_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"Line {i} of it ends here.\n" * (i % 7) + "SHOUT AT ALL\nread more\n" + "x y " * i for i in range(60)]
    rulesets = ["gopher_repetition", "refinedweb_lines", "c4", "gopher_quality", "fineweb"]
    whole = filter_texts(texts, rulesets)
    monkeypatch.setattr(ruleset, "_PIECE_BYTES", 300)
    pieces = filter_texts(texts, rulesets)
    for name in whole.column_names:
        assert repr(pieces[name].to_pylist()) == repr(whole[name].to_pylist())
