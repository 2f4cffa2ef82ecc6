"""Train, validation and test without a patient on two sides."""

import random
from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

from training.errors import RefusedError

Part = Literal["train", "val", "test"]
PARTS: Final[tuple[Part, ...]] = ("train", "val", "test")


def split(groups: Mapping[str, str], shares: Mapping[Part, float], *, seed: int) -> dict[str, Part]:
    """A part for every volume. `groups` maps volume to patient; all volumes of a patient get the same part.

    Patients are shuffled by `seed`, then each goes where most volumes are still wanted, so the shares are met as well
    as whole patients allow. A part with a positive share gets at least one patient, or the split is refused.
    """
    if not groups:
        raise RefusedError("there is no volume to split")
    wanted: list[Part] = [part for part in PARTS if shares.get(part, 0.0) > 0]
    sizes = Counter(groups.values())
    if len(sizes) < len(wanted):
        raise RefusedError(
            f"{len(sizes)} patient(s) cannot be split into {', '.join(wanted)} without one on two sides; "
            "add patients, or set the share of a part to 0"
        )
    order = sorted(sizes)
    random.Random(seed).shuffle(order)  # noqa: S311 - a split, no secret
    total = sum(shares[part] for part in wanted)
    lacking = {part: shares[part] / total * len(groups) for part in wanted}
    empty = list(wanted)
    chosen: dict[str, Part] = {}
    for position, patient in enumerate(order):
        # the last patients go to parts that would stay empty
        candidates = empty if len(order) - position <= len(empty) else wanted
        part = max(candidates, key=lambda part: lacking[part])
        chosen[patient] = part
        lacking[part] -= sizes[patient]
        if part in empty:
            empty.remove(part)
    return {volume: chosen[patient] for volume, patient in groups.items()}
