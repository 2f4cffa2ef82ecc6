"""How commands speak: plain lines on standard error, without the chatter of libraries."""

import logging
import sys


def configure(*, quiet: bool = False) -> None:
    """Show our own messages from INFO on, or from WARNING on where `quiet`, and those of libraries from WARNING on."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s", force=True)
    logging.getLogger("training").setLevel(logging.WARNING if quiet else logging.INFO)
