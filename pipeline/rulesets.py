"""Rule sets by name: `gopher_quality` is `filters/gopher_quality.py`, `./mine.py` a user's own file, `pkg.mod` a user's module.

There is no registry. A rule set is a module with RULES (thresholds as data), `measure`, and optionally OPTIONS (other
options and their defaults) and `identity` (digests of the models and lists that decide).
"""

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from corpus.documents import Documents
from corpus.errors import ConfigError
from corpus.rules import Measurement, Rule, with_thresholds


def shipped(package: str) -> list[str]:
    """Names of the modules of one of our packages that can be named in YAML: they have options, rules or both."""
    folder = Path(str(importlib.import_module(package).__file__)).parent
    return sorted(
        path.stem for path in folder.glob("*.py") if re.search(r"^(RULES|OPTIONS)\b", path.read_text("utf-8"), re.M)
    )


def load_module(package: str, name: str) -> ModuleType:
    """Module `name` of our package, or a user's `.py` file, or a user's importable module."""
    if name.endswith(".py"):
        return _load_file(Path(name))
    target = name if "." in name else f"{package}.{name}"
    try:
        return importlib.import_module(target)
    except ModuleNotFoundError as error:
        if error.name is None or not target.startswith(error.name):
            raise
        hint = ", ".join(shipped(package))
        raise ConfigError(f"{name!r} is neither one of {hint} nor a .py file nor an importable module") from None


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; name a .py file or one of ours")
    name = f"refine_user_{path.stem}_{hashlib.blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def source_digest(name: str) -> dict[str, str]:
    """A user's own file decides verdicts, so its bytes belong to what identifies an output."""
    if not name.endswith(".py"):
        return {}
    return {f"source {Path(name).name}": hashlib.blake2b(Path(name).read_bytes(), digest_size=16).hexdigest()}


class Section(BaseModel):
    """Part of a recipe: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _type_of(default: Any) -> Any:
    if default is None:
        return str | list | None  # a path, or the entries themselves
    return list if isinstance(default, tuple) else type(default)


def options_model(name: str, options: Mapping[str, Any], rules: tuple[Rule, ...] = ()) -> type[Section]:
    """The pydantic model of a rule set's or an extractor's section: a threshold a rule, an option each."""
    fields: dict[str, Any] = {rule.name: (float | None, rule.threshold) for rule in rules}
    fields |= {
        key: (_type_of(value), list(value) if isinstance(value, tuple) else value) for key, value in options.items()
    }
    return create_model(name, __base__=Section, **fields)


@dataclass(frozen=True)
class Ruleset:
    """A rule set with the thresholds and options of one configuration."""

    name: str
    module: ModuleType
    rules: tuple[Rule, ...]
    options: Mapping[str, Any]

    @classmethod
    def model(cls, name: str) -> type[Section]:
        module = load_module("filters", name)
        for needed in ("RULES", "measure"):
            if not hasattr(module, needed):
                raise ConfigError(f"{name}: a rule set needs {needed}; see 'How to add a filter' in the README")
        return options_model(name, getattr(module, "OPTIONS", {}), module.RULES)

    @classmethod
    def load(cls, name: str, section: Mapping[str, Any]) -> "Ruleset":
        """From a resolved section: every threshold and option is there."""
        module = load_module("filters", name)
        thresholds = {rule.name: section[rule.name] for rule in module.RULES}
        options = {key: section[key] for key in getattr(module, "OPTIONS", {})}
        short = Path(name).stem if name.endswith(".py") else name.rsplit(".", 1)[-1]
        return cls(short, module, with_thresholds(module.RULES, thresholds), options)

    def measure(self, documents: Documents) -> Measurement:
        measured: Measurement = self.module.measure(documents, self.options)
        return Measurement({f"{self.name}.{key}": values for key, values in measured.signals.items()}, measured.columns)

    def identity(self) -> dict[str, str]:
        found = getattr(self.module, "identity", None)
        return dict(found(self.options)) if found else {}
