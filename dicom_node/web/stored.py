"""Readings as values again, from what the ledger keeps of them."""

from dataclasses import replace
from typing import Final

from pydantic import TypeAdapter

from dicom_node.ledger.records import ReadingRow
from inference.labels import UNKNOWN
from inference.reading import SeriesReading, StackReading

_READING: Final = TypeAdapter(SeriesReading)
_CLAIMS: Final = TypeAdapter(list[str | None])


def reading_of(row: ReadingRow) -> SeriesReading:
    """The reading as it was when it was made; where its claims were not kept, with those of its descriptions."""
    reading, kept = _READING.validate_json(row.outcome.document), row.outcome.claims
    claims = [_described(stack) for stack in reading.stacks] if kept is None else _CLAIMS.validate_json(kept)
    stacks = zip(reading.stacks, claims, strict=True)
    return replace(reading, stacks=tuple(replace(stack, claimed_contrast=claim) for stack, claim in stacks))


def _described(stack: StackReading) -> str | None:
    """The contrast that the description claims, which is in the JSON."""
    claim = stack.header.get("SeriesDescription_contrast")
    return claim if isinstance(claim, str) and claim != UNKNOWN else None
