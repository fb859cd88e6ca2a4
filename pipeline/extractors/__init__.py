"""Extractors: HTML in, text out. One file, one extractor, and its file name is its name in YAML.

    OPTIONS: dict[str, object]                  its options and their defaults
    extract(html: str, url: str | None, options: Mapping[str, Any]) -> str      "" where there is no text; may raise
    identity() -> dict[str, str]                versions of the libraries that decide the output

An extractor runs in the sandbox (`sandbox.py`), so it may hang, crash or eat memory: that costs one page.
"""
