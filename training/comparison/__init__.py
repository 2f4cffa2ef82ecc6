"""Losses and metadata towers on the same data and budget: `python -m training.comparison OUT`."""
