"""The extractor that a recipe names, or two: the second gets the pages of which the first is not sure.

    extractor: blocks
    extractor: {first: blocks, fallback: trafilatura, min_confidence: 0.8}

The fallback's pages cost what they cost without a first extractor, so a share f of them bounds the gain in speed to 1/f.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Protocol

from corpus.modules import load_module, short_name
from pipeline.extractors.sandbox import EMPTY, MAX_HTML_BYTES, TOO_LARGE, Extraction, Sandbox


class Extractor(Protocol):
    def extract(self, html: bytes, charset: str | None, url: str | None) -> Extraction: ...


def names(extractor: str | Mapping[str, Any]) -> list[str]:
    """The extractors in a recipe's `extractor:`."""
    return [extractor] if isinstance(extractor, str) else [extractor["first"], extractor["fallback"]]


def load(section: Mapping[str, Any]) -> Extractor:
    """From the extract stage's section. Raises ConfigError where there is no such extractor."""
    chosen = section["extractor"]
    if isinstance(chosen, str):
        return _load(chosen, section)
    return Cascade(_load(chosen["first"], section), _load(chosen["fallback"], section), chosen["min_confidence"])


def _load(name: str, section: Mapping[str, Any]) -> Extractor:
    options = section[short_name(name)]
    module = load_module("pipeline.extractors", name)
    if hasattr(module, "extract_bytes"):
        return InProcess(module, options)
    return Sandbox(name, options, timeout_seconds=section["timeout_seconds"], memory_bytes=section["memory"])


@dataclass(frozen=True)
class InProcess:
    """An extractor that needs no sandbox."""

    module: ModuleType
    options: Mapping[str, Any]

    def extract(self, html: bytes, charset: str | None, url: str | None) -> Extraction:
        if len(html) > MAX_HTML_BYTES:
            return Extraction("", TOO_LARGE)
        text, confidence = self.module.extract_bytes(html, charset, self.options)
        return Extraction(text, None if text.strip() else EMPTY, confidence=confidence)


@dataclass(frozen=True)
class Cascade:
    """`confidence` is the first extractor's, whoever's the text: below `min_confidence` it is the fallback's."""

    first: Extractor
    fallback: Extractor
    min_confidence: float

    def extract(self, html: bytes, charset: str | None, url: str | None) -> Extraction:
        found = self.first.extract(html, charset, url)
        if found.confidence is None or found.confidence >= self.min_confidence:
            return found
        other = self.fallback.extract(html, charset, url)
        if other.reason == EMPTY and found.reason is None:
            return found
        return replace(other, confidence=found.confidence)
