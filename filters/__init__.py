"""What to keep: one file for each published rule set. `filter_texts` applies them to texts in memory."""

from filters.ruleset import Ruleset, filter_texts

__all__ = ["Ruleset", "filter_texts"]
