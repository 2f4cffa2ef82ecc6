"""Families of sequences with the ranges of their parameters."""
