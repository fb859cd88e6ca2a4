"""Untrusted HTML is parsed in a child process, so that a hang, a crash or a runaway costs one page.

One lean child per sandbox (`_child.py`), one sandbox per worker; started with `subprocess`, as Dask's workers are daemonic
and may not use multiprocessing. Bytes and nesting are capped before the page runs, the same way everywhere; CPU time and
address space while it runs. The deadline is CPU time, so that a busy machine does not change verdicts; wall clock at ten
times that is a backstop for a child that sleeps or is stopped.

- `max_html_bytes` 10 MB: twice the largest body Common Crawl stores (5 MiB), and about what trafilatura can do in 5 CPU seconds,
  so that above it the same answer comes from a fixed number. The largest of the 2,843 real pages is 3.1 MB.
- `max_nesting` 1,000: the deepest real page has 544. libxml2 gives up at 256 levels; resiliparse's main content is quadratic
  in them (0.05 s of CPU at 1,000, 3 s at 10,000).
- `memory_bytes` 2 GiB of address space: the most that a page of 10 MB took before its 5 seconds were up was 0.8 GB, real ones
  0.15. A child does not grow (113 MB resident after 500 pages of trafilatura as after 948), so age is no reason to renew it.

A failure is tried once more in a fresh child before it is the verdict, and a child that failed is never used again.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import types

from corpus.errors import ConfigError
from corpus.kernels import BYTES, kernel
from corpus.modules import load_module
from corpus.simd import bytes_of, finder
from pipeline.extractors._child import FRAME, Header

TOO_LARGE, TOO_DEEP, EMPTY = "too_large", "too_deep", "empty"
TIMEOUT, CRASH, MEMORY, ERROR = "timeout", "crash", "memory", "error"
FAILURES = frozenset({TIMEOUT, CRASH, MEMORY, ERROR})
MACHINE_DEPENDENT = frozenset({TIMEOUT, CRASH, MEMORY})  # what `refine replay` tries again

MAX_HTML_BYTES = 10_000_000  # of a page; no extractor gets a longer one

_WALL_PER_CPU_SECOND = 10
_START_SECONDS = 60.0
_PIECE_BYTES = 1 << 20
# Same bytes in, same text out: no random string hashes, and one malloc arena, which keeps the address space small.
_ENVIRONMENT = {"PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1"}

# Elements without content, and those whose end tag may be left out: they say nothing about nesting.
_UNNESTED_NAMES = (
    "area base br col embed hr img input link meta param source track wbr "
    "li dt dd p rt rp optgroup option colgroup caption thead tbody tfoot tr td th html head body"
)
_UNNESTED = np.array([int.from_bytes(name.encode(), "big") for name in _UNNESTED_NAMES.split()], np.int64)
_SLASH = ord("/")
_find_less, _find_greater = finder(bytes_of(b"<")), finder(bytes_of(b">"))


@kernel(types.int64(BYTES))
def nesting(html):
    """The deepest nesting that the page's tags ask for: a linear scan, no parser.

    Open tags less end tags, but for `_UNNESTED` and tags that close themselves ("/>"). Tags in scripts count as well. A page can
    hide from it, with stray end tags for instance, and then meets the deadline.
    """
    depth = deepest = 0
    end = len(html)
    position = _find_less(html, 0, end)
    while position < end:
        position += 1
        closes = position < end and html[position] == _SLASH
        position += closes
        name = length = 0
        while position < end:
            character = html[position] | 32
            if not (97 <= character <= 122 or (length and 48 <= character <= 57)):
                break
            if length < 8:
                name = name << 8 | character
            length += 1
            position += 1
        nests = length > 0
        if length <= 8:
            for unnested in _UNNESTED:
                nests &= name != unnested
        if length:
            position = _find_greater(html, position, end)
        if nests and closes:
            depth = max(depth - 1, 0)
        elif nests:
            depth += html[position - 1] != _SLASH
            deepest = max(deepest, depth)
        position = _find_less(html, position, end)
    return deepest


@dataclass(frozen=True, slots=True)
class Extraction:
    """`reason` is None where there is a text. `detail`: the exception's or signal's name, for people."""

    text: str
    reason: str | None = None
    detail: str = ""
    confidence: float | None = None  # of an extractor that has one


class Sandbox:
    """Extracts pages in a child process that is started when needed. A context manager; one caller at a time.

    `extractor`: the name of one of ours, a user's `.py` file or module; `options`: all of its options. Neither the end of
    this process, however it ends, nor the loss of the last reference to the sandbox leaves a child behind.
    """

    def __init__(
        self,
        extractor: str,
        options: Mapping[str, Any],
        *,
        timeout_seconds: float = 5.0,
        memory_bytes: int = 2 << 30,
        max_html_bytes: int = MAX_HTML_BYTES,
        max_nesting: int = 1000,
    ) -> None:
        """Raises ConfigError where there is no such extractor."""
        module = load_module("pipeline.extractors", extractor)
        if not hasattr(module, "extract"):
            raise ConfigError(f"{extractor}: an extractor needs a function extract(html, url, options)")
        self._settings: Header = {
            "extractor": str(Path(extractor).resolve()) if extractor.endswith(".py") else module.__name__,
            "options": dict(options),
            "timeout_seconds": timeout_seconds,
            "memory_bytes": memory_bytes,
        }
        self._max_html_bytes = max_html_bytes
        self._max_nesting = max_nesting
        self._child: _Child | None = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    @property
    def child_pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def extract(self, html: bytes, charset: str | None, url: str | None) -> Extraction:
        """The page's text or why there is none. `charset`: from the HTTP header.

        Raises ConfigError where the extractor does not start.
        """
        if len(html) > self._max_html_bytes:
            return Extraction("", TOO_LARGE)
        if html and nesting(np.frombuffer(html, np.uint8)) > self._max_nesting:
            return Extraction("", TOO_DEEP)
        request = {"charset": charset, "url": url}
        extraction = self._attempt(request, html)
        return self._attempt(request, html) if extraction.reason in FAILURES else extraction

    def _attempt(self, request: Header, html: bytes) -> Extraction:
        try:
            if self._child is None:
                self._child = _Child(self._settings)
            reply, body = self._child.ask(request, html, self._settings["timeout_seconds"] * _WALL_PER_CPU_SECOND)
        except TimeoutError:
            self.close()
            return Extraction("", TIMEOUT, "wall clock")
        except _ChildEndedError as ended:
            self.close()
            return Extraction("", TIMEOUT if ended.status == -signal.SIGPROF else CRASH, str(ended))
        except BaseException:  # Ctrl-C in a notebook: the answer still to come would be taken for the next page's
            self.close()
            raise
        if reply["reason"] is not None:
            self.close()
            return Extraction("", reply["reason"], reply["detail"])
        text = body.decode()
        return Extraction(text) if text.strip() else Extraction("", EMPTY)


class _ChildEndedError(Exception):
    """The child's end of a pipe is closed. `status` as in Popen.returncode."""

    def __init__(self, status: int) -> None:
        super().__init__(signal.Signals(-status).name if status < 0 else f"exit status {status}")
        self.status = status


class _Child:
    """The process and its two pipes; every wait has a deadline. Raises TimeoutError and _ChildEndedError."""

    def __init__(self, settings: Header) -> None:
        command = [sys.executable, "-m", "pipeline.extractors._child", json.dumps({**settings, "parent": os.getpid()})]
        with tempfile.TemporaryFile() as messages:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                bufsize=0,
                env={**os.environ, **_ENVIRONMENT},
            )
            assert process.stdin is not None
            assert process.stdout is not None
            self.pid = process.pid
            self._process = process
            self._requests, self._replies = process.stdin.fileno(), process.stdout.fileno()
            os.set_blocking(self._requests, False)
            os.set_blocking(self._replies, False)
            self._end = weakref.finalize(self, _end, process)
            try:
                self._receive(time.monotonic() + _START_SECONDS)
            except TimeoutError:
                self.end()
                raise
            except _ChildEndedError as ended:
                if ended.status < 0:  # killed from outside
                    raise
                messages.seek(0)
                said = messages.read().decode(errors="replace").strip().splitlines() or [str(ended)]
                name, memory_bytes = settings["extractor"], settings["memory_bytes"]
                raise ConfigError(
                    f"extractor {name}: does not start with {memory_bytes} bytes of memory: {said[-1]}"
                ) from ended

    def end(self) -> None:
        self._end()

    def ask(self, header: Header, body: bytes, seconds: float) -> tuple[Header, bytes]:
        deadline = time.monotonic() + seconds
        encoded = json.dumps(header).encode()
        self._send(FRAME.pack(len(encoded), len(body)) + encoded, deadline)
        self._send(body, deadline)
        return self._receive(deadline)

    def _receive(self, deadline: float) -> tuple[Header, bytes]:
        header_bytes, body_bytes = FRAME.unpack(self._read(FRAME.size, deadline))
        header: Header = json.loads(self._read(header_bytes, deadline))
        return header, self._read(body_bytes, deadline)

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _wait(self._requests, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(self._requests, rest[:_PIECE_BYTES]) :]
            except BrokenPipeError:
                raise self._ended() from None

    def _read(self, n_bytes: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < n_bytes:
            _wait(self._replies, select.POLLIN, deadline)
            piece = os.read(self._replies, min(n_bytes - len(data), _PIECE_BYTES))
            if not piece:
                raise self._ended()
            data += piece
        return bytes(data)

    def _ended(self) -> _ChildEndedError:
        try:
            status = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:  # it closed its pipe and lives on
            status = -signal.SIGKILL
        self.end()
        return _ChildEndedError(status)


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        raise TimeoutError


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Not a method: as a finalizer it must not keep the child alive. Signal 9 to a process that has ended does nothing."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
