"""What a hostile page can do: nothing, but to itself."""

import gc
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import ConfigError
from pipeline.extractors import sandbox as sandbox_module
from pipeline.extractors.sandbox import Extraction, Sandbox, nesting

PUPPET = '''
import ctypes, itertools, os, sys, time

OPTIONS = {}
calls = 0

def extract(html, url, options):
    """Does what the page says."""
    global calls
    calls += 1
    if html == "python loop":
        while True:
            pass
    if html == "c loop":
        sum(itertools.repeat(0))
    if html == "sleep":
        time.sleep(1000)
    if html == "hog":
        return str(len(bytearray(1 << 40)))
    if html in ("slow hog", "swallowing hog"):
        hoard = []
        try:
            while True:
                hoard.append(bytearray(1 << 20))
        except MemoryError:
            if html == "slow hog":
                raise ValueError("some library's other name for it") from None
            hoard.clear()
            return "another text than with enough memory"
    if html == "exit":
        os._exit(3)
    if html == "segfault":
        ctypes.string_at(0)
    if html == "raise":
        raise KeyError("no such thing")
    if html == "recurse":
        return extract(html, url, options)
    if html == "no text":
        return None
    if html == "once":  # fails in a child that has seen a page before
        if calls > 1:
            os._exit(1)
    if html == "chatter":
        for stream in (sys.stdout, sys.stderr):
            stream.write("x" * 300_000)
            stream.flush()
        os.write(1, b"y" * 300_000)
        os.write(2, b"y" * 300_000)
        os.read(0, 10)
    if html == "surrogate":
        return "a\\ud800b"
    return f"{html} {url}"
'''


@pytest.fixture
def puppet(tmp_path: Path) -> str:
    path = tmp_path / "puppet.py"
    path.write_text(PUPPET)
    return str(path)


@pytest.fixture
def sandbox(puppet: str) -> Iterator[Sandbox]:
    with Sandbox(puppet, {}, timeout_seconds=0.5, memory_bytes=256 << 20) as opened:
        yield opened


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie (nobody may be there to reap it)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    for _ in range(600):
        if not runs(pid):
            return True
        time.sleep(0.05)
    return False


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def test_a_page_gives_its_text(sandbox: Sandbox) -> None:
    assert sandbox.extract(b"hello", None, "http://a.example/") == Extraction("hello http://a.example/")


@pytest.mark.parametrize(
    ("page", "reason", "detail"),
    [
        (b"python loop", "timeout", "SIGPROF"),
        (b"c loop", "timeout", "SIGPROF"),
        (b"hog", "memory", "MemoryError"),
        (b"slow hog", "memory", "ValueError"),
        (b"swallowing hog", "memory", ""),
        (b"exit", "crash", "exit status 3"),
        (b"segfault", "crash", "SIGSEGV"),
        (b"raise", "error", "KeyError"),
        (b"recurse", "error", "RecursionError"),
        (b"no text", "error", "AttributeError"),
    ],
)
def test_a_bad_page_costs_itself_and_the_next_page_is_fine(
    sandbox: Sandbox, page: bytes, reason: str, detail: str
) -> None:
    assert sandbox.extract(page, None, None) == Extraction("", reason, detail)
    assert sandbox.extract(b"next", None, None) == Extraction("next None")


def test_a_child_that_sleeps_is_ended_by_the_wall_clock(puppet: str) -> None:
    with Sandbox(puppet, {}, timeout_seconds=0.05) as sandbox:
        assert sandbox.extract(b"sleep", None, None) == Extraction("", "timeout", "wall clock")


def test_a_child_that_is_stopped_in_the_middle_of_a_large_page_is_ended_by_the_wall_clock(puppet: str) -> None:
    with Sandbox(puppet, {}, timeout_seconds=0.2) as sandbox:
        sandbox.extract(b"hello", None, None)
        assert sandbox.child_pid is not None
        os.kill(sandbox.child_pid, signal.SIGSTOP)
        large = b"x" * 5_000_000  # more than a pipe holds
        assert sandbox.extract(large, None, None) == Extraction(large.decode() + " None")


def test_what_libraries_print_neither_breaks_nor_blocks_the_child(sandbox: Sandbox) -> None:
    for _ in range(3):
        assert sandbox.extract(b"chatter", None, None) == Extraction("chatter None")


def test_a_failure_is_tried_once_more_in_a_fresh_child(sandbox: Sandbox) -> None:
    sandbox.extract(b"first", None, None)
    first = sandbox.child_pid
    assert sandbox.extract(b"once", None, None) == Extraction("once None")
    assert sandbox.child_pid != first


def test_a_failed_page_has_had_two_attempts(tmp_path: Path) -> None:
    counting = tmp_path / "counting.py"
    log = tmp_path / "attempts"
    counting.write_text(
        f"def extract(html, url, options):\n    open({str(log)!r}, 'a').write(html + ' ')\n    raise ValueError\n"
    )
    with Sandbox(str(counting), {}) as sandbox:
        assert sandbox.extract(b"bad", None, None).reason == "error"
    assert log.read_text() == "bad bad "


def test_a_child_that_was_killed_is_replaced(sandbox: Sandbox) -> None:
    sandbox.extract(b"hello", None, None)
    assert sandbox.child_pid is not None
    os.kill(sandbox.child_pid, signal.SIGKILL)
    assert sandbox.extract(b"hello", None, None) == Extraction("hello None")


def test_text_that_is_not_unicode_is_made_so(sandbox: Sandbox) -> None:
    assert sandbox.extract(b"surrogate", None, None) == Extraction("a?b")


def test_pages_over_a_cap_are_not_parsed_at_all(puppet: str) -> None:
    with Sandbox(puppet, {}, max_html_bytes=1000, max_nesting=100) as sandbox:
        assert sandbox.extract(b"x" * 1001, None, None) == Extraction("", "too_large")
        assert sandbox.extract(b"<div>" * 101, None, None) == Extraction("", "too_deep")
        assert sandbox.child_pid is None
        assert sandbox.extract(b"x" * 1000, None, None).reason is None
        assert sandbox.extract(b"<div>" * 100, None, None).reason is None


def test_a_page_without_text_is_empty() -> None:
    with Sandbox("resiliparse", {"main_content": True}) as sandbox:
        assert sandbox.extract(b"<html><script>x</script></html>", None, None) == Extraction("", "empty")
        assert sandbox.extract(b"", None, None) == Extraction("", "empty")


def test_the_http_charset_and_the_meta_tag_reach_the_decoder() -> None:
    html = "<meta charset=shift_jis><p>漁船は毎朝日の出前に出港します。".encode("cp932")
    with Sandbox("resiliparse", {"main_content": False}) as sandbox:
        assert sandbox.extract(html, "iso-8859-1", None) == Extraction("漁船は毎朝日の出前に出港します。")


def article(number: int) -> bytes:
    shared = (
        "<p>This paragraph stands on every page of the site and would be dropped by a cache of repeated segments.</p>"
    )
    own = "".join(
        f"<p>Article {number}, sentence {n}: the boats number {number * n} left the harbour at dawn.</p>"
        for n in range(6)
    )
    return f"<html><body><article><h1>Article {number}</h1>{shared}{own}</article></body></html>".encode()


def test_a_page_gives_the_same_text_alone_after_others_and_in_any_number_of_sandboxes() -> None:
    pages = [article(number) for number in range(6)]
    options = {"favor": "precision"}
    alone = []
    for page in pages[:2]:
        with Sandbox("trafilatura", options) as sandbox:
            alone.append(sandbox.extract(page, None, None))
    with Sandbox("trafilatura", options) as sandbox:
        in_turn = [sandbox.extract(page, None, None) for page in pages]
    with Sandbox("trafilatura", options) as one, Sandbox("trafilatura", options) as other:
        shared_out = [(one, other)[n % 2].extract(page, None, None) for n, page in reversed(list(enumerate(pages)))]
    assert in_turn[:2] == alone
    assert shared_out[::-1] == in_turn
    assert [f"Article {n}, sentence 5" in extraction.text for n, extraction in enumerate(in_turn)] == [True] * 6
    assert ["stands on every page" in extraction.text for extraction in in_turn] == [True] * 6


def test_an_extractor_that_does_not_exist_or_is_none_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'trafilatua' is neither"):
        Sandbox("trafilatua", {})
    with pytest.raises(ConfigError, match=r"nowhere\.py: no such file"):
        Sandbox("nowhere.py", {})
    (tmp_path / "other.py").write_text("X = 1\n")
    with pytest.raises(ConfigError, match="an extractor needs a function extract"):
        Sandbox(str(tmp_path / "other.py"), {})


@linux_only
def test_too_little_memory_to_start_is_a_config_error_that_says_so() -> None:
    with Sandbox("trafilatura", {"favor": "precision"}, memory_bytes=30 << 20) as sandbox:
        with pytest.raises(ConfigError, match="does not start with 31457280 bytes of memory"):
            sandbox.extract(b"<p>hello</p>", None, None)
        assert sandbox.child_pid is None


@linux_only
def test_no_child_outlives_close_or_the_last_reference(puppet: str) -> None:
    closed, forgotten = Sandbox(puppet, {}), Sandbox(puppet, {})
    closed.extract(b"hello", None, None)
    forgotten.extract(b"hello", None, None)
    pids = [closed.child_pid, forgotten.child_pid]
    assert [runs(pid) for pid in pids if pid] == [True, True]
    closed.close()
    del forgotten
    gc.collect()
    assert [ends(pid) for pid in pids if pid] == [True, True]


PARENT = """
import sys
from pipeline.extractors.sandbox import Sandbox
sandbox = Sandbox(sys.argv[1], {}, timeout_seconds=600)
sandbox.extract(b"hello", None, None)
print(sandbox.child_pid, flush=True)
if sys.argv[2]:
    sandbox.extract(sys.argv[2].encode(), None, None)
"""


@linux_only
@pytest.mark.parametrize("busy_with", ["c loop", "sleep"])
def test_no_child_outlives_a_parent_that_is_killed(puppet: str, busy_with: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, puppet, busy_with], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert runs(child)
        parent.kill()
    assert ends(child)


@linux_only
def test_no_child_outlives_a_parent_that_ends_without_closing(puppet: str) -> None:
    finished = subprocess.run([sys.executable, "-c", PARENT, puppet, ""], capture_output=True, text=True, check=True)
    assert ends(int(finished.stdout))
    assert finished.stderr == ""


def test_a_package_of_our_name_in_the_working_directory_is_not_taken_for_ours(
    puppet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    with Sandbox(puppet, {}) as sandbox:
        assert sandbox.extract(b"hello", None, None) == Extraction("hello None")


def slow_nesting(html: bytes) -> int:
    unnested = set(sandbox_module._UNNESTED_NAMES.split())
    depth = deepest = 0
    for closes, name, rest in re.findall(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^>]*)", html):
        if name.lower().decode() in unnested:
            continue
        if closes:
            depth = max(depth - 1, 0)
        elif not rest.endswith(b"/"):
            depth += 1
            deepest = max(deepest, depth)
    return deepest


@pytest.mark.parametrize(
    ("html", "deepest"),
    [
        (b"", 0),
        (b"plain < text <3 <", 0),
        (b"<div><DIV a='b'><b>x</b></div></div>", 3),
        (b"<p>a<p>b<p>c<br><br><li>d<li>e", 0),
        (b"<svg><path d='1'/><path d='2'/><path/></svg>", 1),
        (b"</div></div><div><div></div></div>", 2),
        (b"<div", 1),
        (b"<p<div></i<div>", 0),
        (b"<colgroup><blockquote><blockquote>", 2),
    ],
)
def test_nesting_counts_the_elements_that_nest(html: bytes, deepest: int) -> None:
    assert nesting(np.frombuffer(html, np.uint8)) == deepest == slow_nesting(html)


TAG_PARTS = [
    b"<",
    b">",
    b"/",
    b"div",
    b"DIV",
    b"p",
    b"br",
    b"tbody",
    b"optgroup",
    b"blockquote",
    b"h1",
    b"!--",
    b" a='b'",
    b"3",
    b" ",
]


@given(st.lists(st.one_of(st.sampled_from(TAG_PARTS), st.binary(max_size=2))).map(b"".join))
def test_nesting_is_what_the_slow_reference_says(html: bytes) -> None:
    assert nesting(np.frombuffer(b" " + html, np.uint8)) == slow_nesting(html)
