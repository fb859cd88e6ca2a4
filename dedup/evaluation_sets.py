"""Evaluation sets as people keep them: files of items, and where in an item its text is.

Three things say so, in this order: a task of lm-evaluation-harness that lies beside the files (`evaluation_tasks`), a user's
own map of fields, and the shipped map (`evaluation_fields.yaml`), which knows common sets by the names of their files. An
item keeps question, answers and passage apart: they do not weigh the same as evidence.

Nothing passes for clean by accident: a file that cannot be read, is empty, belongs to no set, or lacks a mapped field is an
error, and so is one in which no item has a question or a passage, or in which all items are the same.
"""

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from corpus.errors import InputError
from dedup.evaluation_files import list_files, nested, read_content, read_rows
from dedup.evaluation_map import FieldMap, SetFields, read_map, set_of
from dedup.evaluation_tasks import Task, find_tasks, is_yaml

_SHIPPED = Path(__file__).with_name("evaluation_fields.yaml")


class EvaluationItem(NamedTuple):
    """One item; several questions are variants of one (Winograd schemas), several answers are the choices."""

    set: str
    item: str  # FILE:ROW, both as the error messages have them; FILE has as many folders as tell a set's files apart
    question: tuple[str, ...]
    answer: tuple[str, ...]
    passage: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvaluationSets:
    """`identity`: for each file, as SET/FILE, a digest of its bytes and of the fields that are read from it."""

    items: list[EvaluationItem]
    identity: dict[str, str]


def read_evaluation_sets(paths: Sequence[str], fields: str | None = None) -> EvaluationSets:
    """All items of the files, folders (with what is below them) and globs `paths`, sorted by file.

    `fields`: the user's own map; its sets come before the shipped ones and replace those of the same name.
    Raises InputError (files, items) or ConfigError (the map, a task).
    """
    files, of_file = _assigned(paths, fields)
    labels = _labels({path: name for path, (name, _) in of_file.items()})
    items: list[EvaluationItem] = []
    identity = {}
    for path in files:
        name, source = of_file[path]
        content = read_content(path)
        identity[f"{name}/{labels[path]}"] = hashlib.blake2b(
            source.identity.encode() + content, digest_size=16
        ).hexdigest()
        items.extend(_items(path, content, name, source, labels[path]))
    return EvaluationSets(items, identity)


def _assigned(paths: Sequence[str], fields: str | None) -> tuple[list[str], dict[str, tuple[str, SetFields | Task]]]:
    """(the files of items, sorted; for each the name of its set and what reads its rows)."""
    shipped = read_map(str(_SHIPPED))
    own = read_map(fields) if fields is not None else FieldMap()
    others = {name: spec for name, spec in shipped.sets.items() if name not in own.sets}
    listed = [path for path in list_files(paths) if not (own.ignores(path) or shipped.ignores(path))]
    of_task = find_tasks([path for path in listed if is_yaml(path)])
    files = sorted({path for path in listed if not is_yaml(path)} | of_task.keys())
    if not files:
        raise InputError(f"{', '.join(paths)}: no evaluation file there; name at least one, or leave the check out")
    sets = own.sets | others
    of_file: dict[str, tuple[str, SetFields | Task]] = {}
    for path in files:
        if path in of_task:
            of_file[path] = (of_task[path].name, of_task[path])
        else:
            name = set_of(path, (own.sets, others))
            of_file[path] = (name, sets[name])
    return files, of_file


def _labels(names: Mapping[str, str]) -> dict[str, str]:
    """The file's name, after as many of its folders as it takes to tell it from the set's other files."""
    by_set = defaultdict(list)
    for path, name in names.items():
        by_set[name].append(path.split("/"))
    labels = {}
    for files in by_set.values():
        for parts in files:
            for n_parts in range(1, len(parts) + 1):
                label = parts[-n_parts:]
                if sum(other[-n_parts:] == label for other in files) == 1:
                    break
            labels["/".join(parts)] = "/".join(label)
    return labels


def _rows(path: str, content: bytes, source: SetFields | Task) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, item); where rows hold several items, their numbers count the items of the file."""
    columns, way = (source.columns, source.items) if isinstance(source, SetFields) else ((), ())
    count = itertools.count(1)
    for number, row in read_rows(path, content, columns):
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: an item should be an object with fields, not {json.dumps(row)[:40]}")
        if not way or way[0] not in row:
            yield number, row
            continue
        for item in nested(row, way, f"{path}:{number}"):
            yield next(count), item


def _items(path: str, content: bytes, name: str, source: SetFields | Task, label: str) -> list[EvaluationItem]:
    items = []
    for number, row in _rows(path, content, source):
        items.append(EvaluationItem(name, f"{label}:{number}", *source.parts(row, f"{path}:{number}")))
    if not items:
        raise InputError(f"{path}: has no items")
    fix = f"map set {name!r} to other fields"
    if not any(item.question or item.passage for item in items):
        raise InputError(f"{path}: {source.text_fields} empty in every item; {fix}")
    if len(items) > 1 and len({item[2:] for item in items}) == 1:
        raise InputError(f"{path}: {source.text_fields} the same in all {len(items)} items; {fix}")
    return items
