"""Lists of domains, URLs and words for the rule set `filters.url`: how they are compiled and looked up, and those we ship."""
