"""The sandbox's child process: one page at a time comes in on standard input, its text goes out on standard output.

`python -m pipeline.extractors._child SETTINGS` (JSON). Both directions speak in frames: two lengths, a JSON header, bytes.
It imports only what extraction needs; NumPy, Arrow and the rest of the project stay outside.

It ends when its input ends. While it works: on Linux the kernel kills it when the parent dies, and everywhere SIGPROF ends
a page that uses up its CPU time, inside C code too, because the signal keeps its default action. So no thread has to watch.
"""

import ctypes
import importlib
import importlib.util
import json
import os
import re
import resource
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, BinaryIO

from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

FRAME = struct.Struct("<IQ")  # bytes of the JSON header, bytes of the body

Header = dict[str, Any]

_PR_SET_PDEATHSIG = 1
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_META_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,500}?(?:charset|encoding)\s*=\s*["']?\s*([\w:.-]+)""", re.IGNORECASE
)
_META_BYTES = 4096
_ASCII = bytes(range(128))
# What these names mean on the web is the larger set (WHATWG); Python's codecs are the narrow ones.
_AS_BROWSERS_READ = {"shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs", "gbk": "gb18030"}


def decode(html: bytes, charset: str | None) -> str:
    """The page as text, in its real encoding; `charset` is what the HTTP header says. NULs, where libxml2 would stop, go.

    A byte order mark decides, then UTF-8 where the bytes bear it out: with at most 5% of those that are not ASCII damaged,
    as a page that is cut in the middle of a character, or has one quotation mark from elsewhere, is still UTF-8. Else the
    header, the page's own declaration and a guess from the bytes vote; without a majority the first of them that decodes
    without an error wins.
    """
    encoding = _unmistakable(html)
    if encoding:
        return _without_nuls(bytes_to_str(html, encoding, errors="replace", fallback_encodings=()))
    text = html.decode("utf-8", "replace")
    damaged = text.count("\ufffd") - html.count(b"\xef\xbf\xbd")
    is_utf_8 = damaged == 0 or damaged * 20 <= len(html.translate(None, delete=_ASCII))
    if is_utf_8 and b"\x1b" not in html:  # ESC: ISO-2022-JP is ASCII, too
        return _without_nuls(text)
    declared = _META_CHARSET.search(html[:_META_BYTES])
    names = [charset or "", declared[1].decode("ascii", "replace") if declared else ""]
    labels = [map_encoding_to_html5(name.strip(), False) for name in names]
    if not labels[0] or labels[0] != labels[1]:  # two of three have won
        labels.append(detect_encoding(html))
    votes = [_AS_BROWSERS_READ.get(label, label) for label in labels if label]
    winner, count = Counter(votes).most_common(1)[0]
    fallbacks = () if count > 1 else votes[1:]
    return _without_nuls(bytes_to_str(html, winner, errors="replace", fallback_encodings=fallbacks))


def _unmistakable(html: bytes) -> str | None:
    """The encoding that a byte order mark says, or UTF-16 where every other byte is mostly zero."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if html.startswith(mark):
            return encoding
    even, odd = html[:_META_BYTES:2], html[1:_META_BYTES:2]
    if odd.count(0) * 2 > len(odd):
        return "utf-16-le"
    return "utf-16-be" if even.count(0) * 2 > len(even) else None


def _without_nuls(text: str) -> str:
    return text.replace("\0", "") if "\0" in text else text


def confine(parent: int, memory_bytes: int) -> None:
    """Die with the parent, take no more address space than given, leave no core dump, and let Ctrl-C be the parent's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        allowed = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = memory_bytes if allowed == resource.RLIM_INFINITY else min(memory_bytes, allowed)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if os.getppid() != parent:  # it died before the signal was asked for
        os._exit(1)


def _came_near_memory_limit() -> bool:
    """Whether this process has ever used seven eighths of its address space; False where the system does not say."""
    if sys.platform != "linux":
        return False
    with open("/proc/self/status", "rb") as status:
        found = re.search(rb"VmPeak:\s+(\d+) kB", status.read())
    peak_bytes = int(found[1]) << 10 if found else 0
    return peak_bytes > resource.getrlimit(resource.RLIMIT_AS)[0] * 7 // 8


def _answer(extract: Callable[..., str], request: Header, html: bytes, settings: Header) -> tuple[Header, bytes]:
    """Reason and text of one page.

    A page that comes within an eighth of the memory limit counts as over it: libraries catch MemoryError (trafilatura
    does, in its fallbacks) or report it as something else (lxml: XPathEvalError), and go on with another text.
    """
    try:
        text = extract(decode(html, request["charset"]), request["url"], settings["options"])
        body, reason, detail = text.encode("utf-8", "replace"), None, ""
    except MemoryError:
        body, reason, detail = b"", "memory", "MemoryError"
    except Exception as error:  # noqa: BLE001  whatever the page made the extractor raise is this page's reason
        body, reason, detail = b"", "error", type(error).__name__
    if _came_near_memory_limit():
        body, reason = b"", "memory"
    return {"reason": reason, "detail": detail}, body


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Our two pipes, moved away from descriptors 0 and 1, so that a library that prints cannot break a frame."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return requests, replies


def _load(extractor: str) -> Callable[..., str]:
    if not extractor.endswith(".py"):
        return importlib.import_module(extractor).extract
    spec = importlib.util.spec_from_file_location("refine_user_extractor", extractor)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.extract


def _send(replies: BinaryIO, header: Header, body: bytes) -> None:
    encoded = json.dumps(header).encode()
    replies.write(FRAME.pack(len(encoded), len(body)) + encoded)
    replies.write(body)
    replies.flush()


def main(settings: Header) -> None:
    confine(settings["parent"], settings["memory_bytes"])
    requests, replies = _take_pipes()
    extract = _load(settings["extractor"])
    _send(replies, {}, b"")
    os.dup2(1, 2)  # from here on nobody reads what a library may print
    while prefix := requests.read(FRAME.size):
        header_bytes, body_bytes = FRAME.unpack(prefix)
        request, html = json.loads(requests.read(header_bytes)), requests.read(body_bytes)
        signal.setitimer(signal.ITIMER_PROF, settings["timeout_seconds"])
        header, body = _answer(extract, request, html, settings)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(replies, header, body)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
