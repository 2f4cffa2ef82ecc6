"""Pulls an archive through the node: at a polite rate, never in the way of live series, and again from where it was."""
