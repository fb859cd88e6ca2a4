"""Files of evaluation items: JSON lines, JSON, CSV, tab-separated values, Parquet or a text a line, each also packed (.gz, .zst).

Sets are small (MMLU is 2 MB), so a file is read whole. What is wrong with it is said with its path and line. A `.json` may
hold a list, an object with one list in it (SQuAD, BIG-bench), one item (MATH), or JSON lines.
"""

import csv
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from corpus.errors import InputError
from corpus.storage import PACKED, open_unpacked

_FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt")


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
        with open_unpacked(path) as file:
            content: bytes = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not content.strip():
        raise InputError(f"{path}: is empty; an evaluation file has at least one item")
    return content


def row_format(path: str) -> str | None:
    """The ending that says how to read a file of items; None if it is none."""
    name = Path(path.lower())
    end = Path(name.stem).suffix if name.suffix in PACKED else name.suffix
    return end if end in _FORMATS else None


def read_rows(path: str, content: bytes, columns: Sequence[str] = ()) -> Iterator[tuple[int, object]]:
    """(row, item): rows are line numbers for lines of JSON or text and otherwise count the items, from 1.

    `columns`: those of a table without a header. A line of text is an item with the field `text`.
    """
    form = row_format(path)
    if form is None:
        packed = " or ".join(PACKED)
        raise InputError(
            f"{path}: not one of {', '.join(_FORMATS)} (also with {packed}); `ignore:` it if it holds no items"
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
    if form in (".csv", ".tsv"):
        yield from _table(path, text, form == ".tsv", columns)
    elif form == ".txt":
        yield from ((number, {"text": line}) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    else:
        yield from (_json if form == ".json" else _json_lines)(path, text)


def _json_lines(path: str, text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}:{number}: not JSON: {error.msg} at column {error.colno}") from None


def _json(path: str, text: str) -> Iterator[tuple[int, object]]:
    """A list of items, an object that holds one list of them, one item, or lines after all."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            yield from _json_lines(path, text)
            return
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list) and all(map(_is_object, value))]
        lists = lists or [[content]]
    else:
        lists = [content]
    if len(lists) != 1 or not isinstance(lists[0], list):
        raise InputError(f"{path}: should be a list of items, or an object that holds one such list")
    yield from enumerate(lists[0], 1)


def nested(row: Mapping[str, Any], path: Sequence[str], where: str) -> Iterator[dict[str, Any]]:
    """The objects at a path through lists, each with the fields of those that it lies in."""
    if not path:
        yield dict(row)
        return
    inner = row.get(path[0])
    if not isinstance(inner, list) or not all(map(_is_object, inner)):
        raise InputError(f"{where}: no list of objects {path[0]!r}; the item has {', '.join(map(str, row))}")
    for one in inner:
        yield from nested({key: value for key, value in row.items() if key != path[0]} | one, path[1:], where)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _table(path: str, text: str, by_tabs: bool, columns: Sequence[str]) -> Iterator[tuple[int, object]]:
    """CSV (RFC 4180), or values between tabs, where a quotation mark is text like any other.

    The first row is the header unless `columns` are given and it has none of their first.
    """
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if by_tabs else csv.reader(lines, strict=True)
    try:
        rows: Iterator[list[str]] = (row for row in reader if row)
        first = next(rows, [])
        if columns and columns[0] not in first:
            header, source, rows = columns, "the map", itertools.chain([first], rows)
        else:
            header, source = first, "the header"
        for number, row in enumerate(rows, 1):
            if len(row) != len(header):
                raise InputError(f"{path}:{reader.line_num}: {len(row)} cells where {source} has {len(header)}")
            yield number, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV: {error}") from None
