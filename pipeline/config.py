"""A recipe: the ordered list of stages with their settings, from YAML, checked before anything starts.

Every key is checked against what the stage, the rule sets and the extractor it names know; a key that is not known is an
error that suggests the nearest one. What comes out is *resolved*: plain JSON with every default written out, which goes
into the manifest and decides what has to be run again.
"""

import difflib
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import GenericAlias
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ValidationError, create_model

from corpus.errors import ConfigError
from corpus.modules import load_module, shipped, short_name
from corpus.rules import Rule
from filters.language_tables import read_table
from filters.ruleset import Ruleset
from pipeline.extractors import chosen
from pipeline.sections import STAGES, Cascade, Cluster, Filter, Guards, Output, Section


def _options_model(name: str, options: Mapping[str, Any], rules: tuple[Rule, ...] = ()) -> type[Section]:
    """The model of a rule set's or an extractor's section: a number (or null) a rule, the default's type an option.

    An option whose default is of a StrEnum takes the names of its members.
    """
    fields: dict[str, Any] = {rule.name: (float | None, rule.threshold) for rule in rules}
    for key, value in options.items():
        if isinstance(value, StrEnum):
            fields[key] = (Literal[tuple(member.value for member in type(value))], value.value)
            continue
        if isinstance(value, list | tuple):
            fields[key] = (GenericAlias(list, (type(value[0]) if value else str,)), list(value))
        else:
            fields[key] = (str | list[str] | None if value is None else type(value), value)
    return create_model(name, __base__=Section, **fields)


def _ruleset_model(name: str) -> type[Section]:
    ruleset = Ruleset.load(name, {})
    return _options_model(name, ruleset.options, ruleset.rules)


# What pydantic puts into the path of a union's member.
_TYPE_NAMES = ("int", "str", "float", "bool", "list", "dict", "Highest")


class StageConfig(BaseModel):
    """One stage: its kind, its folder's name (`filter`, `filter-2`), its resolved section."""

    kind: str
    name: str
    section: dict[str, Any]


class Recipe(BaseModel):
    stages: list[StageConfig]
    output: Output = Output()
    guards: Guards = Guards()
    cluster: Cluster = Cluster()


def read_recipe(path: str, settings: list[str] | None = None) -> Recipe:
    """The recipe in a YAML file, with `key.path=value` settings applied on top."""
    return resolve(_read_yaml(path), settings or [], path)


def stage_recipe(kind: str, path: str | None, settings: list[str] | None = None) -> Recipe:
    """A recipe of one stage: the first of that kind in the file, or the defaults."""
    if path is None:
        return resolve({"stages": [{kind: {}}]}, settings or [], "--set")
    raw = _read_yaml(path)
    whole = [entry for entry in raw["stages"] if kind == entry or (isinstance(entry, dict) and kind in entry)]
    if not whole:
        raise ConfigError(f"{path}: no stage `{kind}` in it; add `- {kind}: {{}}` to its stages or leave --config out")
    return resolve({**raw, "stages": whole[:1]}, settings or [], path)


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; check the path of the recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("stages"), list):
        raise ConfigError(f"{path}: a recipe has a list `stages:`; see configs/quickstart.yaml")
    return raw


def resolve(raw: Mapping[str, Any], settings: list[str], source: str) -> Recipe:
    """Check everything and write out every default."""
    sections: list[tuple[str, str, dict[str, Any]]] = []
    for entry in raw["stages"]:
        entry = {entry: {}} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or len(entry) != 1:
            raise ConfigError(f"{source}: stages: each is one `- NAME: {{settings}}`, not {entry!r}")
        kind, section = next(iter(entry.items()))
        if not isinstance(section, dict | None):
            raise ConfigError(
                f"{source}: stages: {kind}: {section!r} should be settings, such as {{}} for the defaults"
            )
        if kind not in STAGES:
            raise ConfigError(f"{source}: unknown stage {kind!r}{_nearest(kind, STAGES)}")
        before = sum(1 for other, _, _ in sections if other == kind)
        name, section = kind if not before else f"{kind}-{before + 1}", dict(section or {})
        if "languages" in section:  # read now, so that --set changes a part of a table that is named
            section["languages"] = read_table(section["languages"], f"{name}.languages")
        sections.append((kind, name, section))
    if not sections:
        raise ConfigError(f"{source}: stages: empty; name at least one of {', '.join(STAGES)}")
    general = {
        key: dict(value or {}) if isinstance(value, Mapping | None) else value
        for key, value in raw.items()
        if key != "stages"
    }
    for setting in settings:
        _apply(
            setting,
            {name: section for _, name, section in sections}
            | {key: general.setdefault(key, {}) for key in ("output", "guards", "cluster")},
        )
    known = ["stages", "output", "guards", "cluster"]
    for key in general:
        if key not in known:
            raise ConfigError(f"{source}: unknown key {key!r}{_nearest(key, known)}")
    return Recipe(
        stages=[
            StageConfig(kind=kind, name=name, section=_resolved(kind, section, name))
            for kind, name, section in sections
        ],
        output=_checked(Output, general.get("output", {}), "output"),
        guards=_checked(Guards, general.get("guards", {}), "guards"),
        cluster=_checked(Cluster, general.get("cluster", {}), "cluster"),
    )


def _apply(setting: str, targets: dict[str, dict[str, Any]]) -> None:
    path, equals, value = setting.partition("=")
    keys = path.split(".")
    if not equals or len(keys) < 2:
        raise ConfigError(f"--set {setting}: should be STAGE.KEY=VALUE, such as filter.gopher_quality.min_words=30")
    if keys[0] not in targets:
        raise ConfigError(f"--set {setting}: no stage {keys[0]!r}{_nearest(keys[0], targets)}")
    at: Any = targets[keys[0]]
    for key in keys[1:-1]:
        if not isinstance(at.setdefault(key, {}), dict):
            at[key] = {}
        at = at[key]
    try:
        at[keys[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting}: the value is not YAML: {' '.join(str(error).split())}") from None


def _model(kind: str, section: Mapping[str, Any], where: str) -> tuple[type[Section], set[str]]:
    """The stage's model with the sections of what can be named in it, and which of these are named.

    A section of one of ours that is not named (the recipe's `trafilatura:` after `--set extract.extractor=resiliparse`) is
    checked like the others and then left out.
    """
    fields: dict[str, Any] = {}
    active: set[str] = set()
    if kind == "extract":
        extractor = section.get("extractor", "trafilatura")
        if not isinstance(extractor, str):
            extractor = _checked(Cascade, extractor, f"{where}.extractor").model_dump()
        names = chosen.names(extractor)
        for name in names + _others("pipeline.extractors", section):
            module = load_module("pipeline.extractors", name)
            if not hasattr(module, "extract") and not hasattr(module, "extract_bytes"):
                known = ", ".join(shipped("pipeline.extractors"))
                raise ConfigError(f"{where}.extractor: {name!r} has no extract or extract_bytes; known are {known}")
            if names[1:] and name == names[0] and not hasattr(module, "extract_bytes"):
                raise ConfigError(
                    f"{where}.extractor.first: {name!r} does not say how sure it is, so nothing would go to the fallback; "
                    "name `blocks`"
                )
            options = _options_model(name, getattr(module, "OPTIONS", {}))
            fields[short_name(name)] = (options, options())
        for ruleset in ("url", "language"):
            model = _ruleset_model(ruleset)
            fields[ruleset] = (model | None, model())
        active = {short_name(name) for name in names} | {"url", "language"}
    if kind == "filter":
        names = section.get("rulesets", Filter().rulesets)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"{where}.rulesets: {names!r} should be a list of names or .py files")
        if not names:
            raise ConfigError(
                f"{where}.rulesets: empty, so the stage would keep everything; name rule sets or leave the stage out"
            )
        if twice := [name for name, n in Counter(map(short_name, names)).items() if n > 1]:
            raise ConfigError(f"{where}.rulesets: {twice[0]!r} is there twice; take one out, or rename its file")
        for name in names + _others("filters", set(section).union(*(section["languages"] or {}).values())):
            model = _ruleset_model(name)
            fields[short_name(name)] = (model, model())
        language = create_model("Language", __base__=Section, **fields)
        fields["languages"] = (dict[str, language] | None, None)
        active = {short_name(name) for name in names}
    base = STAGES[kind]
    return create_model(base.__name__, __base__=base, **fields), set(base.model_fields) | active


def _others(package: str, named: Container[str]) -> list[str]:
    """Modules of ours that have a section here."""
    return [name for name in shipped(package) if name in named]


def _resolved(kind: str, section: Mapping[str, Any], where: str) -> dict[str, Any]:
    if kind == "filter":
        section = {**section, "languages": read_table(section.get("languages"), f"{where}.languages")}
    model, active = _model(kind, section, where)
    checked = _checked(model, section, where)
    resolved = {key: value for key, value in checked.model_dump(mode="json").items() if key in active}
    if resolved.get("languages"):  # only what the table says: the rest is in the sections
        said = checked.model_dump(mode="json", include={"languages"}, exclude_unset=True)["languages"]
        resolved["languages"] = {
            language: {name: settings for name, settings in entry.items() if name in active}
            for language, entry in said.items()
        }
    return resolved


def _checked(model: type[Section], section: Any, where: str) -> Any:
    try:
        return model.model_validate(section)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(part) for part in first["loc"] if str(part).isidentifier() and str(part) not in _TYPE_NAMES]
        path = ".".join([where, *keys])
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"{path}: unknown key{_nearest(str(first['loc'][-1]), _known(model, first['loc'][:-1]))}"
            ) from None
        message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise ConfigError(f"{path}: {first['input']!r} {message}") from None


def _known(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The fields of the model at `path`, which may go through dictionaries of models."""
    for part in path:
        if part in model.model_fields:
            model = next(_models(model.model_fields[part].annotation), model)
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


def _nearest(name: object, known: Any) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"
