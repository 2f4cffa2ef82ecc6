"""What worklists and statistics go by, taken from a series as it was read."""

from collections.abc import Sequence
from typing import Final

from dicom_node.ledger.records import Profile
from inference.header import FrameHeader
from inference.read import SeriesResult
from inference.reading import Status
from inference.sources import Instance

_BEST_FIRST: Final[tuple[Status, ...]] = ("read", "abstained", "unsupported")
_MAX_LENGTH: Final = 128


def profile_of(result: SeriesResult, instances: Sequence[Instance]) -> Profile:
    """The profile of a series that was read from `instances`."""
    statuses = {stack.status for stack in result.reading.stacks}
    records = [images.judgement.record for images in result.stacks if images.judgement is not None]
    distances = [record.gate_distance for record in records if record.gate_distance is not None]
    return Profile(
        status=next((status for status in _BEST_FIRST if status in statuses), None),
        scanner=scanner(instances[0].header),
        gate_distance=sum(distances) / len(distances) if distances else None,
    )


def scanner(header: FrameHeader) -> str | None:
    """Which machine it was: ManufacturerModelName (0008,1090), and StationName (0008,1010) or DeviceSerialNumber
    (0018,1000) to tell machines of one model apart; None where the header names none of them."""
    model = header.manufacturer_model_name or header.manufacturer
    named = " ".join(part for part in (model, header.station_name or header.device_serial_number) if part)
    # It goes into a column, a filter and a metric: PostgreSQL takes no NUL, and people cannot see control characters.
    shown = "".join(character if character.isprintable() else " " for character in named)
    return " ".join(shown.split())[:_MAX_LENGTH] or None
