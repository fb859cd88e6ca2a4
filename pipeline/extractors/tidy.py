"""What every extracted text goes through: URLs out, at most two newlines in a row (RefinedWeb §3.2), characters safe to store.

The paper does not say what its URL pattern is. Ours takes http://, https://, ftp:// and www. with what RFC 3986 allows in a
URL, less closing punctuation, so that "(see http://a.b/c)." keeps its bracket and stop, and Chinese text that follows a URL
without a space stays. Line breaks of other kinds become newlines; other control characters go; lone surrogates become U+FFFD.

Every step is linear in the text, whatever the text: possessive groups in the patterns, and none that begins with a run.
"""

import re

_URL_CHARACTERS = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]"
_URL_END = r"[A-Za-z0-9\-_~/#@$&*+=%]"
_URL = rf"(?>(?:(?:https?|ftp)://|(?<![A-Za-z0-9@])www\.(?=[A-Za-z0-9])){_URL_CHARACTERS}*{_URL_END})"
# A URL that stands alone takes the space after it along; one glued to other text does not.
_URLS = re.compile(rf"(?<!\S){_URL}[ \t]|{_URL}", re.IGNORECASE | re.ASCII)
_LINE_BREAKS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_BREAKS_OR_CONTROLS = re.compile("[\x00-\x08\v-\x1f\x7f-\x9f\u2028\u2029]")
_MANY_NEWLINES = re.compile(r"\n{3,}")


def tidy(text: str) -> str:
    """The text as it is stored: valid UTF-8, no control characters but newline and tab, no URLs, no trailing spaces.

    A pattern is run only over lines or text that have something it could match: to look for a string is many times as fast.
    """
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if _BREAKS_OR_CONTROLS.search(text):
        text = _CONTROLS.sub("", _LINE_BREAKS.sub("\n", text))
    lines = text.split("\n")
    if "://" in text or "www." in text.lower():
        lines = [_URLS.sub("", line) if "://" in line or "www." in line.lower() else line for line in lines]
    text = "\n".join(map(str.rstrip, lines))
    return (_MANY_NEWLINES.sub("\n\n", text) if "\n\n\n" in text else text).strip()
