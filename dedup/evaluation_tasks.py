"""Tasks of lm-evaluation-harness as maps of fields: a task's YAML beside its data says where an item's text is.

Read as its documentation has it (docs/task_guide.md): `include`, and `doc_to_text`, `doc_to_choice`, `doc_to_target`, each
the name of a column or a Jinja template. Where we differ:

- prompts are no evidence: what a template says in every item ("Question: ", "Answer:") is left out; only what it takes from
  the item's columns is text. A column named `passage`, `context`, `article` or `support` is the passage;
- templates run in Jinja's sandbox, and Python (`!function`, `process_docs`) is never run: a task that needs it is an error;
- nothing is downloaded: the data are files beside the YAML, named by `dataset_kwargs.data_files` or `dataset_path`, or else
  by the YAML's own name, the task's, the dataset's or the test split's.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from jinja2 import BaseLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from corpus.errors import ConfigError, InputError
from corpus.storage import exists, join, list_folder, open_input
from dedup.evaluation_files import list_files, row_format
from dedup.evaluation_map import Parts, strings_of

_PASSAGES = {"passage", "context", "article", "support"}
_ENVIRONMENT = ImmutableSandboxedEnvironment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)
_ENVIRONMENT.filters["regex_replace"] = lambda text, pattern, repl, count=0: re.sub(pattern, repl, text, count=count)
_BLANK_LINES = re.compile(r"\s*\n\s*\n")  # where a prompt was
# What a template raises that a row does not suit.
_ROW_ERRORS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, SyntaxError, re.error)


class _Function(str):
    """The name of a Python function: `!function utils.doc_to_text`."""


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!function", lambda _loader, node: _Function(node.value))


@dataclass(frozen=True, slots=True)
class Task:
    """`text`, `choice`, `target`: as in the YAML; `needs`: its `process_docs`, which is not run, or ""."""

    name: str
    path: str
    text: Any
    choice: Any
    target: Any
    needs: str

    @property
    def identity(self) -> str:
        """What decides the text that is read."""
        return json.dumps([self.text, self.choice, self.target])

    @property
    def text_fields(self) -> str:
        return f"doc_to_text of {self.path} is"

    def parts(self, row: Mapping[str, Any], where: str) -> Parts:
        """The texts of one item. Raises InputError if the templates do not suit it."""
        try:
            question, passage = self._texts(row)
            answers = strings_of(self._answers(row), f"{where}: doc_to_choice or doc_to_target")
        except _ROW_ERRORS as error:
            code = f"; {self.path} changes items by {self.needs}, which is not run" if self.needs else ""
            raise InputError(
                f"{where}: {' '.join(str(error).split())} in the templates of {self.path}; the item has "
                f"{', '.join(map(str, row))}{code}"
            ) from None
        answers = [answer.strip() for answer in answers if answer.strip()]
        return Parts((question,) * bool(question), tuple(dict.fromkeys(answers)), (passage,) * bool(passage))

    def _texts(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """(question, passage)"""
        if self.text in row:
            if not isinstance(row[self.text], str):
                raise TypeError(f"doc_to_text: column {self.text!r} is no text")
            return ("", row[self.text].strip()) if self.text in _PASSAGES else (row[self.text].strip(), "")
        question, passage = (_varying(self.text, part).render(row) for part in (False, True))
        return _BLANK_LINES.sub("\n", question).strip(), passage.strip()

    def _answers(self, row: Mapping[str, Any]) -> Any:
        if isinstance(self.choice, dict):
            return list(self.choice.values())
        if isinstance(self.choice, list):
            return [_whole(str(choice)).render(row) for choice in self.choice]
        if self.choice is not None:
            return row[self.choice] if self.choice in row else ast.literal_eval(_whole(self.choice).render(row))
        if isinstance(self.target, list):
            return [_varying(str(target), None).render(row) for target in self.target]
        if not isinstance(self.target, str):
            return self.target
        return row[self.target] if self.target in row else _listed(_varying(self.target, None).render(row))


def is_yaml(path: str) -> bool:
    return path.lower().endswith((".yaml", ".yml"))


def find_tasks(paths: Sequence[str]) -> dict[str, Task]:
    """Each data file that a task of these YAML files is about. Raises ConfigError, InputError if a task has none."""
    of_file: dict[str, Task] = {}
    configs = {path: _read(path) for path in paths}
    included = {name.rpartition("/")[2] for path in paths for name in _includes(_load(path))}
    for path, config in configs.items():
        is_common = "task" not in config and path.rpartition("/")[2] in included
        if is_common or isinstance(config.get("task"), list):  # a list is a group of tasks, each in a file of its own
            continue
        task = _task(path, config)
        for file in _data_files(path, config):
            if of_file.setdefault(file, task) is not task:
                raise ConfigError(
                    f"{file}: belongs to the tasks of {of_file[file].path} and {path}; name it in one's "
                    "dataset_kwargs.data_files"
                )
    return of_file


def _read(path: str, chain: tuple[str, ...] = ()) -> dict[str, Any]:
    """The task's settings, those of the files that it includes below its own."""
    if path in chain:
        raise ConfigError(f"{path}: includes itself")
    content = _load(path)
    merged: dict[str, Any] = {}
    for name in _includes(content):
        merged |= _read(join(_folder(path), name), (*chain, path))
    return merged | {key: value for key, value in content.items() if key != "include"}


def _load(path: str) -> dict[str, Any]:
    with open_input(path) as file:
        try:
            content = yaml.load(file, _Loader)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: no task of lm-evaluation-harness; `ignore:` it in a file given as `fields`")
    return content


def _includes(content: Mapping[str, Any]) -> list[str]:
    names = content.get("include") or []
    return [names] if isinstance(names, str) else list(names)


def _task(path: str, config: Mapping[str, Any]) -> Task:
    name, text = config.get("task"), config.get("doc_to_text")
    if not isinstance(name, str) or not text:
        raise ConfigError(
            f"{path}: no task of lm-evaluation-harness, which has `task` and `doc_to_text`; `ignore:` it in a file given "
            "as `fields`"
        )
    choice, target = config.get("doc_to_choice"), config.get("doc_to_target")
    used = {"doc_to_text": text} | ({"doc_to_target": target} if choice is None else {"doc_to_choice": choice})
    for key, value in used.items():
        if isinstance(value, _Function):
            raise ConfigError(
                f"{path}: {key} is the Python function {value}, which is not run; give a template, or a map of the "
                "fields (`fields`)"
            )
        for source in value if isinstance(value, list) else [value]:
            if isinstance(source, str):
                try:
                    _whole(source)
                except TemplateSyntaxError as error:
                    raise ConfigError(f"{path}: {key}: not a Jinja template: {error.message}") from None
    if not isinstance(text, str):
        raise ConfigError(f"{path}: doc_to_text: {text!r} should be a column or a template")
    needs = config.get("process_docs")
    return Task(name, path, text, choice, target if choice is None else None, str(needs) if needs else "")


# --- data -------------------------------------------------------------------------------------------------------------


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "."


def _data_files(path: str, config: Mapping[str, Any]) -> list[str]:
    folder, dataset = _folder(path), str(config.get("dataset_path"))
    named = (config.get("dataset_kwargs") or {}).get("data_files")
    split = config.get("test_split") or config.get("validation_split")
    if isinstance(named, dict):
        named = named.get(split) or [name for names in named.values() for name in _as_list(names)]
    if not named and row_format(dataset) and exists(join(folder, dataset)):
        named = dataset
    if named:
        return list_files([name if "://" in name or name[0] == "/" else join(folder, name) for name in _as_list(named)])
    there = [name for name in list_folder(folder) if row_format(name)]
    stem = path.rpartition("/")[2].rpartition(".")[0]
    for names in ([stem, config["task"], config.get("dataset_name")], [split]):
        wanted = tuple(f"{name}{mark}".lower() for name in names if name for mark in ".-_")
        if found := [join(folder, name) for name in there if name.lower().startswith(wanted)]:
            return found
    raise InputError(
        f"{path}: no data beside it, and nothing is downloaded; put the items of {dataset} there as {stem}.jsonl, or name "
        "the file in dataset_kwargs.data_files"
    )


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


# --- templates --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _whole(source: str) -> Template:
    return _ENVIRONMENT.from_string(source)


@lru_cache(maxsize=1024)
def _varying(source: str, passage: bool | None) -> Template:
    """The template without what it says in every item, and of that only passages, only the rest, or (None) all."""
    tree = _ENVIRONMENT.parse(source)
    for said in tree.find_all(nodes.TemplateData):
        said.data = "\n" if "\n" in said.data else " "
    for added in tree.find_all(nodes.Add):
        added.left, added.right = _unsaid(added.left), _unsaid(added.right)
    for joined in tree.find_all(nodes.Concat):
        joined.nodes = [_unsaid(operand) for operand in joined.nodes]
    for place, node in enumerate(tree.body):
        if isinstance(node, nodes.Output) and passage is not None:
            node.nodes = [_blank(part) if _is_passage(part) is not passage else part for part in node.nodes]
        elif passage and not isinstance(node, nodes.Assign):
            tree.body[place] = nodes.Output([], lineno=node.lineno)
    return Template.from_code(_ENVIRONMENT, _ENVIRONMENT.compile(tree), _ENVIRONMENT.make_globals(None))


def _unsaid(node: nodes.Expr) -> nodes.Expr:
    return _blank(node) if isinstance(node, nodes.Const) and isinstance(node.value, str) else node


def _blank(node: nodes.Expr) -> nodes.Expr:
    return nodes.Const("\n", lineno=node.lineno)


def _is_passage(node: nodes.Expr) -> bool:
    names = {found.name for found in node.find_all(nodes.Name)} | (
        {node.name} if isinstance(node, nodes.Name) else set()
    )
    return bool(names) and names <= _PASSAGES


def _listed(text: str) -> Any:
    """A rendered list as a list, anything else as it is."""
    if text.strip().startswith("[") and text.strip().endswith("]"):
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            return text
    return text
