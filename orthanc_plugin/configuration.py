"""The section "Mrclip" of Orthanc's configuration, read strictly: a key that nobody knows is an error that names it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any, Final, Literal, cast

from orthanc_plugin.routing import Hours, Route, Rules

Forward = Literal["store", "notify"]

_HOURS: Final = re.compile(r"([0-2]\d):([0-5]\d)-([0-2]\d):([0-5]\d)")


class ConfigurationError(ValueError):
    """The section is not what it must be; the text names the key."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """How this Orthanc and the node work together."""

    node_url: str = "http://127.0.0.1:8104"
    page_url: str = ""  # how browsers reach the node; empty: as the plugin does
    token_file: Path | None = None  # a token of the node's, where it wants people to sign in
    forward: Forward = "store"  # store: C-STORE by a job of Orthanc's; notify: the node pulls over REST
    modality: str = "mrclip"  # the node in DicomModalities
    orthanc_url: str = "http://127.0.0.1:8042"  # how the node reaches this Orthanc, for notify
    rules: Rules = field(default_factory=Rules)
    routes: tuple[Route, ...] = ()
    retry_s: float = 30.0  # after the first failure, doubled after each further one ...
    retry_max_s: float = 3600.0  # ... up to this
    max_attempts: int = 200  # about a week
    unstable_s: float = 300.0  # after this a new series is looked at, also if Orthanc never called it stable

    @property
    def page(self) -> str:
        """The node's address for browsers, without a slash at the end."""
        return (self.page_url or self.node_url).rstrip("/")


def configuration(section: Mapping[str, Any]) -> Configuration:
    """The configuration of a section; ConfigurationError names what is wrong with it."""
    keys = _Keys("Mrclip", section)
    token_file = keys.text("TokenFile", "")
    found = Configuration(
        node_url=keys.url("NodeUrl", Configuration.node_url),
        page_url=keys.url("PageUrl", Configuration.page_url),
        token_file=Path(token_file) if token_file else None,
        forward=cast("Forward", keys.choice("Forward", ("store", "notify"))),
        modality=keys.text("Modality", Configuration.modality),
        orthanc_url=keys.url("OrthancUrl", Configuration.orthanc_url),
        rules=_rules(keys.section("Rules")),
        routes=tuple(_route(one) for one in keys.sections("Routes")),
        retry_s=keys.number("RetrySeconds", Configuration.retry_s),
        retry_max_s=keys.number("RetryMaxSeconds", Configuration.retry_max_s),
        max_attempts=int(keys.number("MaxAttempts", Configuration.max_attempts)),
        unstable_s=keys.number("UnstableSeconds", Configuration.unstable_s),
    )
    keys.check()
    return found


def _rules(keys: "_Keys") -> Rules:
    rules = Rules(
        modalities=keys.texts("Modalities", Rules.modalities),
        description=keys.pattern("Description"),
        not_description=keys.pattern("NotDescription"),
        origin_aets=keys.texts("OriginAets", ()),
        not_origin_aets=keys.texts("NotOriginAets", ()),
        hours=tuple(_hours(keys.name("Hours"), text) for text in keys.texts("Hours", ())),
        unless_read=keys.flag("UnlessRead", default=True),
    )
    keys.check()
    return rules


def _route(keys: "_Keys") -> Route:
    route = Route(
        to=keys.text("To", ""),
        contrasts=keys.texts("Contrast", ()),
        post_contrast=keys.perhaps("PostContrast"),
        flagged=keys.perhaps("Flagged"),
    )
    keys.check()
    if not route.to:
        raise ConfigurationError(f"{keys.name('To')} must name one of DicomModalities")
    return route


def _hours(name: str, text: str) -> Hours:
    match = _HOURS.fullmatch(text)
    try:
        first, last = (time(int(match[at]), int(match[at + 1])) for at in (1, 3)) if match else (None, None)
    except ValueError:
        first = last = None
    if first is None or last is None:
        raise ConfigurationError(f"{name}: {text!r} must be like 20:00-06:00")
    return Hours(first=first, last=last)


class _Keys:
    """A section whose keys are taken one by one; what is left over is unknown."""

    def __init__(self, path: str, section: object) -> None:
        if not isinstance(section, dict):
            raise ConfigurationError(f"{path} must be an object")
        self._path, self._rest = path, dict(cast("dict[str, Any]", section))

    def name(self, key: str) -> str:
        return f"{self._path}.{key}"

    def check(self) -> None:
        if self._rest:
            raise ConfigurationError(f"{self._path} has unknown keys: {', '.join(sorted(self._rest))}")

    def text(self, key: str, default: str) -> str:
        return self._typed(key, default, str, "a text")

    def url(self, key: str, default: str) -> str:
        text = self.text(key, default)
        if text and not text.startswith(("http://", "https://")):
            raise ConfigurationError(f"{self.name(key)} must begin with http:// or https://")
        if "@" in text:  # urllib sends neither
            raise ConfigurationError(f"{self.name(key)} must have no user and password in it")
        return text.rstrip("/")

    def choice(self, key: str, among: tuple[str, ...]) -> str:
        text = self.text(key, among[0])
        if text not in among:
            raise ConfigurationError(f"{self.name(key)} must be one of {', '.join(among)}")
        return text

    def number(self, key: str, default: float) -> float:
        value = self._rest.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ConfigurationError(f"{self.name(key)} must be a number above 0")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        return self._typed(key, default, bool, "true or false")

    def perhaps(self, key: str) -> bool | None:
        return None if self._rest.get(key) is None and not self._rest.pop(key, None) else self.flag(key, default=False)

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        values = self._typed(key, list(default), list, "a list of texts")
        if not all(isinstance(value, str) for value in values):
            raise ConfigurationError(f"{self.name(key)} must be a list of texts")
        return tuple(values)

    def pattern(self, key: str) -> re.Pattern[str] | None:
        text = self.text(key, "")
        try:
            return re.compile(text, re.IGNORECASE) if text else None
        except re.error as error:
            raise ConfigurationError(f"{self.name(key)} is no regular expression: {error}") from None

    def section(self, key: str) -> "_Keys":
        return _Keys(self.name(key), self._rest.pop(key, {}))

    def sections(self, key: str) -> "list[_Keys]":
        values = self._typed(key, [], list, "a list of objects")
        return [_Keys(f"{self.name(key)}[{index}]", value) for index, value in enumerate(values)]

    def _typed(self, key: str, default: Any, kind: type, words: str) -> Any:
        value = self._rest.pop(key, default)
        if not isinstance(value, kind):
            raise ConfigurationError(f"{self.name(key)} must be {words}")
        return value
