"""Files of evaluation items: JSON lines, a JSON list, CSV with a header or Parquet, each also gzipped.

Sets are small (MMLU is 2 MB), so a file is read whole. What is wrong with it is said with its path and line.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from corpus.errors import InputError
from corpus.storage import open_input

_FORMATS = (".jsonl", ".json", ".csv", ".parquet")


def list_files(paths: Sequence[str]) -> list[str]:
    """Every file, once, sorted; a path that leads to none is an InputError."""
    found: set[str] = set()
    for path in paths:
        try:
            fs, inner = url_to_fs(path)
        except (ImportError, ValueError) as error:
            raise InputError(f"{path}: {error}") from None
        tops = [inner] if fs.exists(inner) else fs.glob(inner)
        below = [file for top in tops for file in fs.find(top) if "/." not in file[len(top) :]]  # nothing hidden
        if not below:
            raise InputError(f"{path}: no evaluation file there; check the path")
        found.update(str(fs.unstrip_protocol(file)).removeprefix("file://") for file in below)
    return sorted(found)


def read_content(path: str) -> bytes:
    """The file's bytes, unpacked."""
    try:
        with open_input(path) as file:
            content = file.read()
        if path.lower().endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not content.strip():
        raise InputError(f"{path}: is empty; an evaluation file has at least one item")
    return content


def row_format(path: str) -> str | None:
    """The ending that says how to read a file of items; None if it is none."""
    return next((end for end in _FORMATS if path.lower().removesuffix(".gz").endswith(end)), None)


def read_rows(path: str, content: bytes) -> Iterator[tuple[int, object]]:
    """(row, item): rows are line numbers for JSON lines and otherwise count the items, from 1."""
    form = row_format(path)
    if form is None:
        raise InputError(
            f"{path}: not one of {', '.join(_FORMATS)} (or .gz of these); `ignore:` it if it holds no items"
        )
    if form == ".parquet":
        try:
            rows = pq.read_table(pa.BufferReader(content)).to_pylist()
        except pa.ArrowException as error:
            raise InputError(f"{path}: not Parquet: {error}") from None
        yield from enumerate(rows, 1)
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8: {error.reason}; convert the file") from None
    reader = {".jsonl": _json_lines, ".json": _json, ".csv": _csv}[form]
    yield from reader(path, text)


def _json_lines(path: str, text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}:{number}: not JSON: {error.msg} at column {error.colno}") from None


def _json(path: str, text: str) -> Iterator[tuple[int, object]]:
    """A list of items, an object that holds one list of them (BIG-bench's `examples`), or one item (MATH)."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        hint = "; a file of one item a line is named .jsonl" if error.msg == "Extra data" else ""
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}{hint}") from None
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list) and all(map(_is_object, value))]
        lists = lists or [[content]]
    else:
        lists = [content]
    if len(lists) != 1 or not isinstance(lists[0], list):
        raise InputError(f"{path}: should be a list of items, or an object that holds one such list")
    yield from enumerate(lists[0], 1)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _csv(path: str, text: str) -> Iterator[tuple[int, object]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader)
        for number, row in enumerate((row for row in reader if row), 1):
            if len(row) != len(header):
                raise InputError(f"{path}:{reader.line_num}: {len(row)} cells where the header has {len(header)}")
            yield number, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV: {error}") from None
