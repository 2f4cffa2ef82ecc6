"""Reads the file of the settings: YAML as PyYAML understands it, but nothing stands twice in it. Says what is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from dicom_node.errors import SettingsError


def read_sections(file: Path) -> dict[str, Any]:
    """What the file says, by section; SettingsError names the file, and the line where there is one."""
    try:
        document: object = yaml.load(file.read_bytes(), Loader=UniqueKeyLoader)  # noqa: S506 - it is a SafeLoader
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except _KeyError as error:
        raise SettingsError(f"{file}{_line(error)}: {error.problem}") from None
    except RecursionError:
        raise SettingsError(f"{file} is nested too deeply") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}{_line(error)} is not YAML") from None
    except ValueError:  # characters that are no UTF-8, or what looks like a date or a number and is none
        raise SettingsError(f"{file} is not YAML: a character, date or number in it cannot be") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(f"{file} must hold sections, such as `scp:`")
    # A section without a key, or with comments only, is null in YAML and means its defaults.
    sections = cast("dict[object, object]", document)
    return {str(name): value for name, value in sections.items() if value is not None}


def complaint(item: Mapping[str, Any]) -> str:
    """What pydantic says of a value, with the key that the value stands under."""
    parts = [str(part) for part in item["loc"]]
    if parts[:1] == ["destinations"]:
        del parts[2:3]  # the kind of destination; it is no key
    key = ".".join(parts) or "settings"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    return f"{key}: {item['msg']}"


class _KeyError(yaml.MarkedYAMLError):
    """A key stands twice, or is none."""


class UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML itself keeps the last of two keys, and says nothing: who may send could be lost that way."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping as it stands, before what it merges (`<<`) is put into it."""
        node = super().compose_mapping_node(anchor)
        seen = set[object]()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _KeyError(problem="a key must be a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise _KeyError(problem=f"{key.value} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


def _line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}"
