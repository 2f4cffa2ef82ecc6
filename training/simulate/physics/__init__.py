"""Tissues, signal equations, and what a sequence is."""
