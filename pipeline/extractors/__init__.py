"""Extractors: HTML in, text out. One file, one extractor, and its file name is its name in YAML.

    OPTIONS: dict[str, object]                  its options and their defaults
    extract(html: str, url: str | None, options: Mapping[str, Any]) -> str      "" where there is no text; may raise
    identity(options) -> dict[str, str]         versions of the libraries that decide the output

Such an extractor runs in the sandbox (`sandbox.py`), so it may hang, crash or eat memory: that costs one page. One whose time
and memory are bounded for any bytes at all can do without, and without the two copies and switches of a page's way there and
back, which are about a millisecond. It has, instead of `extract`,

    extract_bytes(html: bytes, charset: str | None, options: Mapping[str, Any]) -> tuple[str, float]

the text and how sure it is of it, from 0 to 1; it never raises. `chosen.py` has which of the two a recipe gets, or both.
"""
