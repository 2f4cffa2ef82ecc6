"""JSON as this package writes it."""

import json
from pathlib import Path
from typing import Any

from inference.atomic import replace_file


def write_json(path: Path, document: Any) -> None:
    """Write `document` indented, keys in their order, whole or not at all; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
