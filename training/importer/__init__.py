"""Checkpoints that others trained with open_clip, as bundles."""
