"""Rules: one header held against itself, physics and units. A finding is a sentence a technologist can act on.

Rules are small functions of a `StackView`; `RULES` is all of them, `docs/rules.md` lists what they may say. They need
no model and no pixels. Vendors' conventions are no findings: severity `error` is for what no vendor writes.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final

from inference.claims_wording import LEXICON
from inference.reading import Finding
from inference.rules.agent import agent_contradicts_description, agent_missing
from inference.rules.derived import (
    derived_in_series,
    derived_inherits,
    description_image_type,
    image_type_contradiction,
)
from inference.rules.description import (
    acquisition_contrast,
    description_contrast,
    description_fat_suppression,
    description_inversion,
    description_plane,
    description_protocol,
)
from inference.rules.diffusion import b_value_implausible, b_value_missing, b_value_unexpected, description_b_value
from inference.rules.geometry import orientation_vectors, pixel_spacing, slice_spacing, slice_thickness
from inference.rules.inversion import inversion_exceeds_repetition, inversion_time_missing, inversion_time_unexpected
from inference.rules.mixture import mixed_equipment, mixed_geometry, mixed_objects, mixed_timing
from inference.rules.physics import (
    echo_exceeds_repetition,
    gradient_echo_flip_angle,
    impossible_value,
    spin_echo_flip_angle,
)
from inference.rules.required import required_attribute, unknown_attribute, unusable_value
from inference.rules.sequence import description_sequence, sequence_name, sequence_timing
from inference.rules.units import echo_time_unit, field_strength_unit, inversion_time_unit, repetition_time_unit
from inference.rules.view import StackView
from inference.stacks import Stack

VERSION: Final = "3"  # goes up whenever a rule answers otherwise than before

Rule = Callable[[StackView], Iterable[Finding]]

RULES: Final[tuple[Rule, ...]] = (
    echo_time_unit, repetition_time_unit, inversion_time_unit, field_strength_unit,
    impossible_value, echo_exceeds_repetition, spin_echo_flip_angle, gradient_echo_flip_angle,
    inversion_time_missing, inversion_time_unexpected, inversion_exceeds_repetition,
    sequence_name, sequence_timing, description_sequence,
    description_contrast, description_inversion, description_protocol, description_plane, description_image_type,
    description_fat_suppression, acquisition_contrast,
    agent_contradicts_description, agent_missing,
    description_b_value, b_value_implausible, b_value_unexpected, b_value_missing,
    image_type_contradiction, derived_inherits, derived_in_series,
    orientation_vectors, pixel_spacing, slice_thickness, slice_spacing,
    required_attribute, unknown_attribute, unusable_value,
    mixed_equipment, mixed_timing, mixed_geometry, mixed_objects,
)  # fmt: skip

_GRAVITY: Final = {"error": 0, "warning": 1, "info": 2}


def check(stack: Stack, stacks: Sequence[Stack]) -> tuple[Finding, ...]:
    """Everything the rules have to say about one stack of the series `stacks`, the gravest first.

    Objects of another modality than MR are not MR headers and get no findings.
    """
    if stack.header.modality not in (None, "MR"):
        return ()
    view = StackView(stack, stacks)
    return tuple(sorted((finding for rule in RULES for finding in rule(view)), key=lambda one: _GRAVITY[one.severity]))


@cache
def digest() -> str:
    """SHA-256 over the version of the rules and the bytes of the lexicon: equal digests answer alike."""
    total = hashlib.sha256(f"mrclip rules {VERSION}\n".encode())
    for entry in sorted(LEXICON.glob("*.json")):
        content = entry.read_bytes()
        total.update(f"{entry.name} {len(content)}\n".encode() + content)
    return total.hexdigest()
