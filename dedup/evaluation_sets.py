"""Evaluation sets as people keep them: files of items, and a map that says which fields are text.

The shipped map (`evaluation_fields.yaml`, where its form is described) knows common sets by the names of their files; a
user's own map comes before it. An item keeps question, answers and passage apart: they do not weigh the same as evidence.

Nothing passes for clean by accident: a file that cannot be read, is empty, belongs to no set, or lacks a mapped field is an
error, and so is one in which no item has a question or a passage.
"""

import difflib
import hashlib
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ValidationError

from corpus.errors import ConfigError, InputError
from corpus.storage import open_input
from dedup.evaluation_files import list_files, read_content, read_rows

_SHIPPED = Path(__file__).with_name("evaluation_fields.yaml")
_NAMES_ABOVE = 2  # folders above a file that may name its set


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


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _compilable(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return patterns


_Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class _SetFields(BaseModel, frozen=True, extra="forbid"):
    files: _Names
    question: _Names = ()
    answer: _Names = ()
    passage: _Names = ()
    strip: Annotated[_Names, AfterValidator(_compilable)] = ()
    split: str | None = None


class _FieldMap(BaseModel, frozen=True, extra="forbid"):
    sets: dict[str, _SetFields] = {}
    ignore: _Names = ()


def read_evaluation_sets(paths: Sequence[str], fields: str | None = None) -> EvaluationSets:
    """All items of the files, folders (with what is below them) and globs `paths`, sorted by file.

    `fields`: the user's own map; its sets come before the shipped ones and replace those of the same name.
    Raises InputError (files, items) or ConfigError (the map).
    """
    shipped = _read_map(str(_SHIPPED))
    own = _read_map(fields) if fields is not None else _FieldMap()
    others = {name: spec for name, spec in shipped.sets.items() if name not in own.sets}
    names = {
        path: _set_of(path, (own.sets, others))
        for path in list_files(paths)
        if not any(_fit(path, pattern, 0) for pattern in (*own.ignore, *shipped.ignore))
    }
    if not names:
        raise InputError(f"{', '.join(paths)}: no evaluation file there; name at least one, or leave the check out")
    sets = own.sets | others
    labels = _labels(names)
    items: list[EvaluationItem] = []
    identity = {}
    for path, name in names.items():
        content = read_content(path)
        spec = sets[name]
        identity[f"{name}/{labels[path]}"] = hashlib.blake2b(
            spec.model_dump_json(exclude={"files"}).encode() + content, digest_size=16
        ).hexdigest()
        items.extend(_items(path, content, name, spec, labels[path]))
    return EvaluationSets(items, identity)


# --- the map ----------------------------------------------------------------------------------------------------------


def _read_map(path: str) -> _FieldMap:
    with open_input(path) as file:
        try:
            content = yaml.safe_load(file)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        field_map = _FieldMap.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "top level"
        known = _SetFields.model_fields if problem["loc"][:1] == ("sets",) else _FieldMap.model_fields
        hint = _nearest(str(problem["loc"][-1]), known) if problem["type"] == "extra_forbidden" else ""
        raise ConfigError(f"{path}: {where}: {problem['msg']}{hint}") from None
    for name, spec in field_map.sets.items():
        if not (spec.question or spec.passage):
            raise ConfigError(f"{path}: sets.{name}: names no text; give the fields of its `question` or `passage`")
    return field_map


def _nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _fit(path: str, pattern: str, above: int) -> bool:
    """Whether the name `above` folders over the file (with those before it, if the pattern has folders) fits."""
    parts = path.lower().strip("/").split("/")
    end = len(parts) - above
    return fnmatchcase("/".join(parts[max(0, end - pattern.count("/") - 1) : end]), pattern.lower())


def _set_of(path: str, maps: Sequence[Mapping[str, _SetFields]]) -> str:
    """The set that a file belongs to by the first map that knows one."""
    for sets, above in itertools.product(maps, range(_NAMES_ABOVE + 1)):
        fits = sorted(
            (-len(pattern), name) for name, spec in sets.items() for pattern in spec.files if _fit(path, pattern, above)
        )
        if fits:
            rivals = sorted({name for length, name in fits if length == fits[0][0]})
            if len(rivals) > 1:
                raise ConfigError(
                    f"{path}: belongs to the sets {' and '.join(rivals)}; make one `files:` pattern longer"
                )
            return fits[0][1]
    known = sorted(name for sets in maps for name in sets)
    parts = re.split(r"[/.]", path)
    hint = next((hint for part in reversed(parts) if (hint := _nearest(part, known))), "")
    raise InputError(
        f"{path}: belongs to no evaluation set; in a file given as `fields`, say under `sets:` where its text is, or "
        f"`ignore:` it (known sets: {', '.join(known)}){hint}"
    )


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


# --- items ------------------------------------------------------------------------------------------------------------


def _items(path: str, content: bytes, name: str, spec: _SetFields, label: str) -> list[EvaluationItem]:
    items = []
    for number, row in read_rows(path, content):
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: an item should be an object with fields, not {json.dumps(row)[:40]}")
        where = f"{path}:{number}"
        answers = [answer for field in spec.answer for answer in _strings(row, field, spec, where)]
        if spec.split:
            answers = [part.strip() for answer in answers for part in answer.split(spec.split) if part.strip()]
        items.append(
            EvaluationItem(
                name,
                f"{label}:{number}",
                _joined(row, spec.question, spec, where),
                tuple(dict.fromkeys(answers)),
                _joined(row, spec.passage, spec, where),
            )
        )
    if not items:
        raise InputError(f"{path}: has no items")
    if not any(item.question or item.passage for item in items):
        raise InputError(
            f"{path}: {' and '.join(spec.question + spec.passage)} empty in every item; map set {name!r} to other fields"
        )
    return items


def _joined(row: Mapping[str, Any], fields: Sequence[str], spec: _SetFields, where: str) -> tuple[str, ...]:
    """The fields one after the other; where one holds several strings, a text for each."""
    parts = [strings for field in fields if (strings := _strings(row, field, spec, where))]
    return tuple(dict.fromkeys("\n".join(choice) for choice in itertools.product(*parts))) if parts else ()


def _strings(row: Mapping[str, Any], field: str, spec: _SetFields, where: str) -> list[str]:
    """What is at the field, or the first of `a | b`, as strings that are not blank."""
    alternatives = [alternative.strip() for alternative in field.split("|")]
    for path in alternatives:
        try:
            values = _values(row[path] if path in row else _at(row, path.split(".")), f"{where}: field {path!r}")
        except KeyError:
            continue
        for pattern in spec.strip:
            values = [re.sub(pattern, "", value) for value in values]
        return [value.strip() for value in values if value.strip()]
    hint = next((hint for path in alternatives if (hint := _nearest(path, list(row)))), "")
    raise InputError(f"{where}: no field {field!r}; the item has {', '.join(map(str, row))}{hint}")


def _at(value: Any, path: Sequence[str]) -> Any:
    """What lies at a path, through the elements of lists; None where the way there is null; KeyError without a way."""
    if not path or value is None:
        return value
    if isinstance(value, list):
        return [_at(element, path) for element in value]
    if not isinstance(value, dict):
        raise KeyError(path[0])
    return _at(value[path[0]], path[1:])


def _values(value: Any, where: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [string for element in value for string in _values(element, where)]
    if isinstance(value, dict):
        raise InputError(f"{where} is an object; name what is in it: {', '.join(f'NAME.{key}' for key in value)}")
    if not isinstance(value, str | int | float):
        raise InputError(f"{where} is {type(value).__name__}, not text; map another field")
    return [str(value)]
