"""Products of an acquisition: ADC, trace, FA, phase and the header they inherit."""

from collections.abc import Iterator, Sequence
from typing import Final

from inference import labels
from inference.claims import acquisition_claim, product_claim
from inference.reading import Finding
from inference.rules.view import StackView
from inference.stacks import Stack

_ANATOMY: Final = frozenset({
    labels.T1, labels.T2, labels.PROTON_DENSITY, labels.FLUID_ATTENUATED, labels.STIR, labels.TOF,
    labels.SUSCEPTIBILITY,
})  # fmt: skip
_DIFFUSION_PRODUCTS: Final = {
    "ADC": "ADC",
    "TRACEW": "trace",
    "TRACE": "trace",
    "FA": "FA",
    "FA_MAP": "FA",
    "COLFA": "FA",
}


def description_image_type(view: StackView) -> Iterator[Finding]:
    """The words name one product of a diffusion series, or an anatomical contrast, and the image type another."""
    for keyword, text in view.texts:
        if text.label is None:
            continue
        expected = _contradicted(
            view, text.label, trace="product:trace" in text.concepts, fa="product:fa" in text.concepts
        )
        if expected is not None:
            yield view.finding(
                "description-image-type",
                "ImageType",
                f"{view.states('ImageType')}; {view.states(keyword)}, which names {text.label}",
                expected=expected,
            )
        elif keyword == "SeriesDescription" and text.label == labels.ADC and not _marks_a_map(view):
            yield view.finding(
                "description-image-type-unmarked" if _is_diffusion(view) else "description-image-type",
                "ImageType",
                f"{view.states('ImageType')}; {view.states(keyword)}, which names an ADC map",
                expected="DERIVED\\PRIMARY\\DIFFUSION\\ADC",
            )
        return


def image_type_contradiction(view: StackView) -> Iterator[Finding]:
    """Two products of diffusion in one Image Type."""
    products = {_DIFFUSION_PRODUCTS[value] for value in view.header.image_type if value in _DIFFUSION_PRODUCTS}
    if len(products) > 1:
        yield view.finding(
            "image-type-contradiction",
            "ImageType",
            f"{view.states('ImageType')}, which names {' and '.join(sorted(products))}; an image is one of them",
            expected="one product",
        )


def derived_inherits(view: StackView) -> Iterator[Finding]:
    """A map with the echo and repetition time of its source: usual, and no property of what it shows."""
    if not view.is_map:
        return
    kept = [name for name in ("EchoTime", "RepetitionTime", "InversionTime", "DiffusionBValue") if _number(view, name)]
    if kept:
        yield view.finding(
            "derived-inherits",
            kept[0],
            f"{', '.join(view.states(name) for name in kept)}; the image is computed ({view.claim.label}) and keeps "
            "the timing of the images it was made from",
        )


def derived_in_series(view: StackView) -> Iterator[Finding]:
    """Acquired and computed images in one series: a reader that takes the first for all is misled."""
    if not view.is_map:
        return
    acquired = [stack for stack in view.stacks if stack is not view.stack and _is_acquired(stack, view.stacks)]
    if acquired:
        yield view.finding(
            "derived-in-series",
            "ImageType",
            f"{view.states('ImageType')}; {len(acquired)} of {len(view.stacks)} stacks of the series are acquired "
            "images under the same series description",
            expected="a series of its own",
        )


def _contradicted(view: StackView, label: str, *, trace: bool, fa: bool) -> str | None:
    """What Image Type should say instead, None where it agrees or is silent."""
    values = set(view.header.image_type)
    products = {_DIFFUSION_PRODUCTS[value] for value in values if value in _DIFFUSION_PRODUCTS}
    named = "ADC" if label == labels.ADC else "trace" if trace and label == labels.DIFFUSION else "FA" if fa else None
    if named is not None:
        return named if products and named not in products else None
    if label in _ANATOMY:
        acquisition = acquisition_claim(view.header)
        if products or (acquisition == labels.DIFFUSION and "TENSOR_B0" not in values):
            return f"an image type of {label}"
        return f"an image type of {label}" if acquisition == labels.PERFUSION and "ASL" in values else None
    if label == labels.PHASE and product_claim(view.header) is None:
        magnitude = "M" in values or view.header.complex_image_component == "MAGNITUDE"
        return "P" if magnitude else None
    return None


def _is_acquired(stack: Stack, stacks: Sequence[Stack]) -> bool:
    """A magnitude that neither its image type nor its words call a map: vendors leave ADC maps unmarked."""
    return stack.kind == "magnitude" and product_claim(stack.header) is None and not StackView(stack, stacks).is_map


def _marks_a_map(view: StackView) -> bool:
    return product_claim(view.header) is not None or view.header.image_type[:1] != ("ORIGINAL",)


def _is_diffusion(view: StackView) -> bool:
    if view.technique.echo_planar or acquisition_claim(view.header) == labels.DIFFUSION:
        return True
    return any((stack.header.b_value_s_mm2 or 0) > 0 for stack in view.stacks)


def _number(view: StackView, keyword: str) -> bool:
    return view.recorded(keyword) not in (None, "0")
