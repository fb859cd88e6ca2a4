"""Text by resiliparse (lexbor's HTML5 parser), the extractor of DCLM: 6 ms of CPU a page where trafilatura takes 77.

`main_content: false` gives all visible text of the page. Comments are left out, as with trafilatura, and so are alternative
texts of images, which nobody sees: word-level F1 on 1,199 real pages is 0.823 without them, 0.804 with both (its defaults).
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from resiliparse.extract.html2text import extract_plain_text

OPTIONS: dict[str, object] = {"main_content": True}


def extract(html: str, url: str | None, options: Mapping[str, Any]) -> str:
    return extract_plain_text(
        html, main_content=options["main_content"], preserve_formatting=True, comments=False, alt_texts=False
    )


def identity(options: Mapping[str, Any]) -> dict[str, str]:
    return {"resiliparse": version("resiliparse")}
