"""The operator's words against timing, plane, protocol name and fat suppression."""

from collections.abc import Iterator
from typing import Final

from inference import labels
from inference.claims import DescriptionClaim, description_claim, inversion_time_ms
from inference.reading import Finding
from inference.rules.expectations import doubt
from inference.rules.units import unit_findings
from inference.rules.view import StackView, joined

_PLANE_OBLIQUE_DEG: Final = 25.0  # beyond, the nearest plane need not be the one an operator would name
_REFORMATTED: Final = frozenset(
    {"MPR", "PROJECTION IMAGE", "MIP", "MAX_IP", "MIN_IP", "CSA MPR", "REFORMATTED", "MNIP"}
)
# Pairs that people use for one another: a T2-weighted inversion recovery, a b = 0 image, a dual echo.
_EXCHANGED: Final = tuple(map(frozenset, (
    {labels.T2, labels.STIR}, {labels.T2, labels.FLUID_ATTENUATED}, {labels.T2, labels.DIFFUSION},
    {labels.T2, labels.PROTON_DENSITY}, {labels.STIR, labels.PROTON_DENSITY},
)))  # fmt: skip
_WEIGHTINGS: Final = frozenset({
    labels.T1, labels.T2, labels.PROTON_DENSITY, labels.FLUID_ATTENUATED, labels.STIR, labels.DIFFUSION,
})  # fmt: skip


def description_contrast(view: StackView) -> Iterator[Finding]:
    """A contrast in words that the timing excludes, or seldom gives."""
    if _timing_is_not_its_own(view) or unit_findings(view):
        return
    for keyword, text in view.texts:
        if not text.allowed:
            continue
        doubts = [doubt(view, label) for label in sorted(text.allowed)]
        if all(doubts):
            first = max((one for one in doubts if one), key=lambda one: not one.excluded)
            timing = ", ".join(view.states(name) for name in _told(view))
            yield view.finding(
                "description-contrast" if first.excluded and text.certain else "description-parameters",
                keyword,
                f"{view.states(keyword)}, which names {joined(sorted(text.allowed))}; {timing}; "
                f"{joined(sorted(text.allowed))} has {first.expected}",
                expected=first.expected,
                severity=None if keyword == "SeriesDescription" else "warning",
            )
        return


def description_inversion(view: StackView) -> Iterator[Finding]:
    """FLAIR or STIR in words, and a spin echo without inversion pulse and inversion time."""
    sequence = view.technique
    if (
        not sequence.plain_spin_echo
        or sequence.inversion
        or inversion_time_ms(view.header)
        or _timing_is_not_its_own(view)
    ):
        return
    for keyword, text in view.texts:
        if text.allowed and text.allowed <= {labels.STIR, labels.FLUID_ATTENUATED}:
            yield view.finding(
                "description-inversion",
                keyword,
                f"{view.states(keyword)}, an inversion recovery; {view.states('ScanningSequence')} and "
                f"{view.name('InversionTime')} has no value",
                expected="IR in ScanningSequence (0018,0020) and an inversion time",
            )
            return


def description_protocol(view: StackView) -> Iterator[Finding]:
    """Description and protocol of one series that name different weightings, or differ about the contrast agent."""
    if len(view.texts) < 2 or view.is_map or view.is_localizer:
        return
    description, protocol = view.wording, view.texts[1][1]
    named = {label for label in (description.label, protocol.label) if label in _WEIGHTINGS}
    if len(named) == 2 and frozenset(named) not in _EXCHANGED:
        yield _differs(view, "another contrast")
    elif None not in (description.post_contrast, protocol.post_contrast) and (
        description.post_contrast != protocol.post_contrast
    ):
        yield _differs(view, "the opposite about the contrast agent")


def _differs(view: StackView, what: str) -> Finding:
    return view.finding(
        "description-protocol",
        "SeriesDescription",
        f"{view.states('SeriesDescription')} and {view.states('ProtocolName')}, which says {what}",
        expected="a description that agrees with the protocol",
    )


def description_plane(view: StackView) -> Iterator[Finding]:
    """A plane in words that is not the one of Image Orientation (Patient) (0020,0037)."""
    plane, planes = view.stack.plane, {stack.plane for stack in view.stacks if stack.plane}
    if plane is None or len(planes) > 1 or view.is_localizer:
        return
    for keyword, text in view.texts:
        if len(text.planes) > 1 or "plane:oblique" in text.concepts:
            return
        if text.planes:
            if plane not in text.planes:
                named = next(iter(text.planes))
                yield view.finding(
                    "description-plane-unusual" if _plane_is_a_matter_of_taste(view, text) else "description-plane",
                    keyword,
                    f"{view.states(keyword)}, which names {named}; {view.name('ImageOrientationPatient')} is {plane}, "
                    f"{view.stack.oblique_deg or 0:.0f} degrees oblique",
                    expected=plane,
                )
            return


def description_fat_suppression(view: StackView) -> Iterator[Finding]:
    """Fat suppression denied in words and set in the options, or the reverse where Enhanced MR says NONE."""
    text = next((text for _, text in view.texts if text.fat_suppressed is not None), None)
    if text is None:
        return
    denied = text.fat_suppressed is False and "FS" in view.header.scan_options
    named = text.fat_suppressed and view.header.spectrally_selected_suppression == "NONE" and text.label != labels.STIR
    if denied or named:
        yield view.finding(
            "description-fat-suppression",
            "ScanOptions" if denied else "SpectrallySelectedSuppression",
            f"{view.states('SeriesDescription')}; "
            + view.states("ScanOptions" if denied else "SpectrallySelectedSuppression"),
            expected="no fat suppression" if denied else "FAT",
        )


def acquisition_contrast(view: StackView) -> Iterator[Finding]:
    """Acquisition Contrast (0008,9209) against the words; scanners choose it by rules of their own."""
    recorded, named = view.header.acquisition_contrast, view.wording.label
    if recorded not in _WEIGHTINGS or named not in _WEIGHTINGS or recorded == named:
        return
    if frozenset({recorded, named}) not in _EXCHANGED:
        yield view.finding(
            "acquisition-contrast",
            "AcquisitionContrast",
            f"{view.states('AcquisitionContrast')}; {view.states('SeriesDescription')}, which names {named}",
            expected=named,
        )


def _timing_is_not_its_own(view: StackView) -> bool:
    """Maps, localizers and quantitative series, whose single images carry the timing of a part."""
    return view.is_map or view.is_localizer or any("relaxometry" in text.concepts for _, text in view.texts)


def _told(view: StackView) -> Iterator[str]:
    yield "ScanningSequence"
    yield "EchoTime"
    yield "RepetitionTime"
    if inversion_time_ms(view.header) is not None:
        yield "InversionTime"
    if view.header.b_value_s_mm2:
        yield "DiffusionBValue"


def _plane_is_a_matter_of_taste(view: StackView, text: DescriptionClaim) -> bool:
    """Limbs are named by their own axes, reformats keep their source's name, oblique slices lie between names."""
    words = text.concepts | description_claim(view.header.body_part_examined).concepts
    return (
        (view.stack.oblique_deg or 0) > _PLANE_OBLIQUE_DEG
        or bool(words & {"extremity", "reformat"})
        or bool(_REFORMATTED & set(view.header.image_type))
    )
