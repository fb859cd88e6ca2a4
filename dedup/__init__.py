"""What overlaps: URLs, equal and nearly equal texts, evaluation sets.

`dedup_texts` is at hand as `from dedup import dedup_texts`; its module is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dedup.library import dedup_texts

__all__ = ["dedup_texts"]


def __getattr__(name: str) -> Any:
    if name == "dedup_texts":
        from dedup.library import dedup_texts

        return dedup_texts
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
