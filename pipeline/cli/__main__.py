"""`python -m pipeline.cli` is `refine`."""

from pipeline.cli import main

main()
