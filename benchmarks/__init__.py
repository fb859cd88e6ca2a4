"""Benchmarks: one script a claim. `python -m benchmarks [DATA_FOLDER] [--only NAME] [--seconds N]`.

    run(data: Path, seconds: float) -> Findings      what every script has; its docstring says the claim and the measure

Both sides of a comparison get the same input, in turns, in one process; where they should give the same output, that is
checked in the same run. Ratios are medians over the rounds, so a noisy machine moves them less than it moves the speeds.
What was tried, predicted and found is in LOG.md, the last figures in results/.
"""
