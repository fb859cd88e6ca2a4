"""The ground that filters, dedup and pipeline stand on: documents, datasets on disk, text as bytes, rules, errors."""
