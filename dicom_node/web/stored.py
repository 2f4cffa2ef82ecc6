"""Readings as values again, from the JSON that the ledger keeps of them."""

from dataclasses import replace
from typing import Final

from pydantic import TypeAdapter

from dicom_node.ledger.records import ReadingRow
from inference.labels import UNKNOWN
from inference.reading import SeriesReading, StackReading

_READING: Final = TypeAdapter(SeriesReading)


def reading_of(row: ReadingRow) -> SeriesReading:
    """The reading as it was written when it was made."""
    reading = _READING.validate_json(row.outcome.document)
    return replace(reading, stacks=tuple(_with_claim(stack) for stack in reading.stacks))


def _with_claim(stack: StackReading) -> StackReading:
    """The stack with what its description claims, which is what the JSON keeps of the header's claim."""
    claim = stack.header.get("SeriesDescription_contrast")
    return replace(stack, claimed_contrast=claim if isinstance(claim, str) and claim != UNKNOWN else None)
