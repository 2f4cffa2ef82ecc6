"""Folders and JSON as this package writes them."""

import json
import os
from pathlib import Path
from typing import Any

from inference.atomic import replace_file
from training.errors import RefusedError


def make_folder(folder: Path) -> None:
    """Make a folder to write to; RefusedError names it where that cannot be, before any work for it is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedError(f"{folder}: cannot be made: {error.strerror}") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise RefusedError(f"{folder}: is no folder that can be read and written")


def write_json(path: Path, document: Any) -> None:
    """Write `document` indented, keys in their order, whole or not at all; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
