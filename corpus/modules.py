"""What a recipe names: `gopher_quality` is a module of ours, `./mine.py` a user's own file, `pkg.mod` a user's module.

There is no registry: a rule set's or an extractor's file name is its name in YAML.
"""

import hashlib
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from corpus.errors import ConfigError

_USER = "refine_user_"  # begins the name under which a user's own file is imported


def shipped(package: str) -> list[str]:
    """Names of the modules of one of our packages that can be named in YAML: they have options, rules or both."""
    folder = Path(str(importlib.import_module(package).__file__)).parent
    return sorted(
        path.stem for path in folder.glob("*.py") if re.search(r"^(RULES|OPTIONS)\b.*=", path.read_text("utf-8"), re.M)
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
    name = f"{_USER}{path.stem}_{hashlib.blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SyntaxError | ImportError):
            raise ConfigError(f"{path}: {type(error).__name__}: {error}; mend the file") from None
        raise
    return module


def loadable_name(module: str) -> str | None:
    """What another process can give `load_module` for a module that is imported here; None where there is no such name."""
    if "." in module:
        return module
    return str(sys.modules[module].__file__) if module.startswith(_USER) else None


def source_digest(name: str) -> dict[str, str]:
    """A user's own file decides verdicts, so its bytes belong to what identifies an output."""
    if not name.endswith(".py"):
        return {}
    return {f"source {Path(name).name}": hashlib.blake2b(Path(name).read_bytes(), digest_size=16).hexdigest()}


def short_name(name: str) -> str:
    """`./my_rules.py` and `mine.my_rules` are configured and reported as `my_rules`."""
    return Path(name).stem if name.endswith(".py") else name.rsplit(".", 1)[-1]
