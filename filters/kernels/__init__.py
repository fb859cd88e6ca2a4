"""What several rule sets have in common inside their kernels; no rule set is here."""
