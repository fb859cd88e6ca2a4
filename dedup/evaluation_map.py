"""Which fields of an evaluation set hold its text: a map in YAML, the user's own or ours.

Ours is `evaluation_fields.yaml`, which also describes the form; it knows 31 sets by the names of their files.
"""

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ValidationError

from corpus.errors import ConfigError, InputError
from corpus.storage import open_input

_NAMES_ABOVE = 3  # folders above a file that may name its set


class Parts(NamedTuple):
    """An item's texts; several questions are variants of one (Winograd schemas), several answers are the choices."""

    question: tuple[str, ...]
    answer: tuple[str, ...]
    passage: tuple[str, ...]


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


class SetFields(BaseModel, frozen=True, extra="forbid"):
    files: _Names
    question: _Names = ()
    answer: _Names = ()
    passage: _Names = ()
    strip: Annotated[_Names, AfterValidator(_compilable)] = ()
    split: str | None = None
    blank: str | None = None
    items: _Names = ()
    columns: _Names = ()

    @property
    def identity(self) -> str:
        """What decides the text that is read."""
        return self.model_dump_json(exclude={"files"}, exclude_defaults=True)

    @property
    def text_fields(self) -> str:
        return " and ".join(self.question + self.passage)

    def parts(self, row: Mapping[str, Any], where: str) -> Parts:
        """The texts of one item. Raises InputError if a field is missing or holds no text."""
        answers = [answer for field in self.answer for answer in self._strings(row, field, where)]
        if self.split:
            answers = [part.strip() for answer in answers for part in answer.split(self.split) if part.strip()]
        answers = list(dict.fromkeys(answers))
        questions = self._joined(row, self.question, where)
        blank = self.blank
        if blank and any(blank in text for text in questions):
            filled = [text.replace(blank, answer) for text in questions for answer in answers]
            questions, answers = (*questions, *filled), []
        return Parts(questions, tuple(answers), self._joined(row, self.passage, where))

    def _joined(self, row: Mapping[str, Any], fields: Sequence[str], where: str) -> tuple[str, ...]:
        """The fields one after the other; where one holds several strings, a text for each."""
        parts = [strings for field in fields if (strings := self._strings(row, field, where))]
        return tuple(dict.fromkeys("\n".join(choice) for choice in itertools.product(*parts))) if parts else ()

    def _strings(self, row: Mapping[str, Any], field: str, where: str) -> list[str]:
        """What is at the field, or the first of `a | b`, as strings that are not blank."""
        for path in _alternatives(field):
            if not path:  # `a |`: an item may be without it
                return []
            try:
                value = row[path] if path in row else _at(row, path.split("."))
            except KeyError:
                continue
            values = [value] if isinstance(value, str) else strings_of(value, f"{where}: field {path!r}")
            for pattern in self.strip:
                values = [re.sub(pattern, "", value) for value in values]
            return [text for value in values if (text := value.strip())]
        hint = next((hint for path in _alternatives(field) if (hint := nearest(path, list(row)))), "")
        raise InputError(
            f"{where}: no field {field!r}; the item has {', '.join(map(str, row))}{hint or '; map the set in `fields`'}"
        )


@lru_cache(maxsize=1024)
def _alternatives(field: str) -> tuple[str, ...]:
    return tuple(alternative.strip() for alternative in field.split("|"))


class FieldMap(BaseModel, frozen=True, extra="forbid"):
    sets: dict[str, SetFields] = {}
    ignore: _Names = ()

    def ignores(self, path: str) -> bool:
        return any(_fit(path, pattern, 0) for pattern in self.ignore)


def read_map(path: str) -> FieldMap:
    """Raises ConfigError, InputError where there is no such file."""
    with open_input(path) as file:
        try:
            content = yaml.safe_load(file)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        field_map = FieldMap.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "top level"
        known = SetFields.model_fields if problem["loc"][:1] == ("sets",) else FieldMap.model_fields
        hint = nearest(str(problem["loc"][-1]), known) if problem["type"] == "extra_forbidden" else ""
        raise ConfigError(f"{path}: {where}: {problem['msg']}{hint}") from None
    for name, spec in field_map.sets.items():
        if not (spec.question or spec.passage):
            raise ConfigError(f"{path}: sets.{name}: names no text; give the fields of its `question` or `passage`")
    return field_map


def set_of(path: str, maps: Sequence[Mapping[str, SetFields]]) -> str:
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
    hint = next((hint for part in reversed(parts) if (hint := nearest(part, known))), "")
    raise InputError(
        f"{path}: belongs to no evaluation set; in a file given as `fields`, say under `sets:` where its text is, or "
        f"`ignore:` it (known sets: {', '.join(known)}){hint}"
    )


def _fit(path: str, pattern: str, above: int) -> bool:
    """Whether the name `above` folders over the file (with those before it, if the pattern has folders) fits."""
    parts = path.lower().strip("/").split("/")
    end = len(parts) - above
    return fnmatchcase("/".join(parts[max(0, end - pattern.count("/") - 1) : end]), pattern.lower())


def nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def strings_of(value: Any, where: str) -> list[str]:
    """Every string (or number) in a value, through lists; null is none. Raises InputError for anything else."""
    if value is None:
        return []
    if isinstance(value, list):
        return [string for element in value for string in strings_of(element, where)]
    if isinstance(value, dict):
        raise InputError(f"{where} is an object; name what is in it: {', '.join(f'NAME.{key}' for key in value)}")
    if not isinstance(value, str | int | float):
        raise InputError(f"{where} is {type(value).__name__}, not text; map another field")
    return [str(value)]


def _at(value: Any, path: Sequence[str]) -> Any:
    """What lies at a path, through the elements of lists; None where the way there is null; KeyError without a way."""
    if not path or value is None:
        return value
    if isinstance(value, list):
        return [_at(element, path) for element in value]
    if not isinstance(value, dict):
        raise KeyError(path[0])
    return list(value) if path[0] == "*" else _at(value[path[0]], path[1:])
