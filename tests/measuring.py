"""What the tests of rule sets share: measure texts, see the tokens, decide."""

from types import ModuleType
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from corpus.documents import Documents
from corpus.rules import Measurement, decide
from corpus.text import Texts
from corpus.tokens import tokens_of
from corpus.unicode import LETTER, SPACE, WORD, kind_of

PAGES = st.text(
    st.one_of(
        st.sampled_from("  \n\n..,'-:;…•#\"[]{}!?"),
        st.sampled_from("abcdIT019"),
        st.sampled_from("日本é\u00a0\u0301\r\t—€"),
        st.characters(exclude_categories=["Cs", "Cn", "Co"]),
    ),
    max_size=80,
) | st.lists(
    st.sampled_from(
        ["the cat ", "sat on ", "a mat", ".", "\n", "\n\n", "3 likes", "Read more…", "[1]", "{", "x " * 12]
    ),
    max_size=40,
).map("".join)


def documents(texts: list[str | None]) -> Documents:
    return Documents(pa.record_batch({"text": pa.array(texts, pa.large_string())}))


def measure(ruleset: ModuleType, texts: list[str | None], **options: Any) -> Measurement:
    return ruleset.measure(documents(texts), {**getattr(ruleset, "OPTIONS", {}), **options})


def reasons(ruleset: ModuleType, texts: list[str | None], **options: Any) -> list[list[str]]:
    """All failing rules of each text."""
    signals = {f"x.{name}": values for name, values in measure(ruleset, texts, **options).signals.items()}
    return [
        [name[2:] for name in failed] for failed in decide({"x": ruleset.RULES}, signals, len(texts)).failed.to_pylist()
    ]


def tokens(text: str) -> list[str]:
    scanned = tokens_of(Texts.of([text]))
    raw = text.encode()
    return [raw[start:end].decode() for start, end in zip(scanned.starts, scanned.ends, strict=True)]


def has_letter(text: str) -> bool:
    return any(kind_of(c) & LETTER for c in text)


def is_word(token: str) -> bool:
    return any(kind_of(c) & WORD for c in token)


def words(text: str) -> list[str]:
    return [token for token in tokens(text) if is_word(token)]


def strip(text: str) -> str:
    """Without white space on either side, all of Unicode's."""
    start, end = 0, len(text)
    while start < end and kind_of(text[start]) & SPACE:
        start += 1
    while end > start and kind_of(text[end - 1]) & SPACE:
        end -= 1
    return text[start:end]


def lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.split("\n")]
