"""`python -m training`, for torchrun."""

from training.cli import main

main()
