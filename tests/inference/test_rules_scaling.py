"""Whole families of corruptions on every clean protocol: times by a thousand, SE for GR, other series' words."""

from typing import Any

import pytest

from clean_protocols import PROTOCOLS, clean_stack
from inference import labels
from inference.claims import claim
from inference.reading import Finding
from inference.rules import check

TIMES = {"EchoTime": "echo_time_ms", "RepetitionTime": "repetition_time_ms", "InversionTime": "inversion_time_ms"}
ENHANCED = {"EchoTime": "EffectiveEchoTime", "InversionTime": "InversionTimes"}
ULTRASHORT = {"siemens-petra", "siemens-spiral-vibe", "ge-zte", "ge-ozteo", "canon-mute"}  # microseconds are real there
# A repetition time that another sequence of the same kind has: nobody could tell from the header.
PLAUSIBLE_TR = {"siemens-trufi", "philips-bffe", "canon-mprage"}


def findings(protocol: str, **changes: Any) -> list[Finding]:
    stack = clean_stack(protocol, **changes)
    return [finding for finding in check(stack, [stack]) if finding.severity != "info"]


def scaled() -> list[tuple[str, str, float]]:
    return [
        (protocol, keyword, factor)
        for protocol, header in PROTOCOLS.items()
        for keyword, name in TIMES.items()
        for factor in (1000.0, 0.001)
        if header.get(name) and header.get("kind") != "derived" and protocol not in ULTRASHORT
        if not (keyword == "RepetitionTime" and factor > 1 and protocol in PLAUSIBLE_TR)
    ]


@pytest.mark.parametrize(("protocol", "keyword", "factor"), scaled())
def test_a_time_a_thousand_times_off_is_found_and_put_right(protocol: str, keyword: str, factor: float) -> None:
    true = PROTOCOLS[protocol][TIMES[keyword]]
    found = findings(protocol, **{TIMES[keyword]: true * factor})
    right = [one for one in found if one.attribute in (keyword, ENHANCED.get(keyword)) and one.suggestion is not None]
    if protocol == "ge-asl" and keyword == "RepetitionTime" and factor < 1:
        assert [one.code for one in found] == ["echo-near-repetition"]  # research mode: the kind of echo is not known
    else:
        assert right, [one.message for one in found]
        assert float(right[0].suggestion or 0) == pytest.approx(true)


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - ULTRASHORT - {"ge-asl"}))
def test_a_header_with_all_times_in_seconds_is_an_error(protocol: str) -> None:
    header = PROTOCOLS[protocol]
    changes = {name: header[name] / 1000 for name in TIMES.values() if header.get(name)}
    assert "error" in {finding.severity for finding in findings(protocol, **changes)}


@pytest.mark.parametrize(
    "protocol",
    sorted(
        protocol
        for protocol, header in PROTOCOLS.items()
        if {"SE", "GR"} & set(header.get("scanning_sequence", ()))
        and "EP" not in header["scanning_sequence"]
        and header.get("kind") != "derived"
    ),
)
def test_spin_echo_and_gradient_echo_exchanged_are_found(protocol: str) -> None:
    other = {"SE": "GR", "GR": "SE"}
    exchanged = tuple(other.get(value, value) for value in PROTOCOLS[protocol]["scanning_sequence"])
    assert findings(protocol, scanning_sequence=exchanged)


def test_nine_in_ten_descriptions_of_another_contrast_are_found() -> None:
    pasted = found = 0
    for protocol, header in PROTOCOLS.items():
        if header.get("kind") == "derived":
            continue
        own = claim(clean_stack(protocol, slices=1).header).label
        for other in PROTOCOLS:
            theirs = claim(clean_stack(other, slices=1).header)
            if labels.UNKNOWN in (own, theirs.label) or own == theirs.label:
                continue
            if header["manufacturer"] == PROTOCOLS[other]["manufacturer"]:
                pasted += 1
                found += bool(findings(protocol, slices=1, series_description=PROTOCOLS[other]["series_description"]))
    assert pasted > 1000
    assert found / pasted > 0.88
