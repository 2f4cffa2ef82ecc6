"""The node over HTTP: a JSON interface, metrics, and pages for people."""
