"""Time zones by their IANA names."""

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, available_timezones


def zone(name: str) -> tzinfo:
    """The zone of that name; ValueError where this machine knows none. UTC needs no data of zones."""
    if name == "UTC":
        return UTC
    known = available_timezones()
    if not known:
        raise ValueError(f"{name!r} needs data of time zones, and this machine has none: install tzdata, or set UTC")
    if name not in known:
        raise ValueError(f"{name!r} is not known here; must be an IANA name such as Europe/Berlin, or UTC")
    return ZoneInfo(name)


def zone_name(name: str) -> str:
    """The name itself, once it is known to be one; ValueError as above."""
    zone(name)
    return name
