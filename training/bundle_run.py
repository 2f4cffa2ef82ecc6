"""Where a run keeps what it makes, what it is made from, and the folds that leave groups of real slices out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from training.bundle_data import RealSlice, read_real, shown

FOLDS: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One training: the whole one, or a fold of it, which shares its simulation and its beginning."""

    folder: Path
    real: Path | None
    labels: Path | None
    left_out: frozenset[str] = frozenset()  # groups of real slices
    shared: Path | None = None  # the folder of the whole run, for a fold

    @property
    def _simulation(self) -> Path:
        return self.shared or self.folder

    @property
    def cache(self) -> Path:
        """Simulated slices to train on."""
        return self._simulation / "cache" / "train"

    @property
    def objects(self) -> Path:
        """Simulated slices of test objects."""
        return self._simulation / "cache" / "objects"

    @property
    def clean(self) -> Path:
        """Clean simulated series of held-out anatomy, to calibrate on; `test` beside it is for the benchmark."""
        return self._simulation / "clean" / "calibration"

    @property
    def simulated_tower(self) -> Path:
        """The image tower trained on simulation alone, which every fold begins with."""
        return self._simulation / "simulated_tower.pt"

    @property
    def image_tower(self) -> Path:
        """The trained image tower."""
        return self.folder / "image_tower.pt"

    @property
    def towers(self) -> Path:
        """Both trained towers."""
        return self.folder / "towers.pt"

    @property
    def left_out_series(self) -> Path:
        """The real volumes that are left out, as DICOM; with other headers, to calibrate on, in `left_out_clean`."""
        return self.folder / "left-out" / "series"

    @property
    def left_out_clean(self) -> Path:
        """The same without those of patients or volunteers that are kept for evaluation."""
        return self.folder / "left-out" / "clean"

    def simulated_alone(self) -> "Run":
        """The same run without real slices."""
        return replace(self, real=None)

    def slices(self, size_px: int) -> tuple[list[RealSlice], list[RealSlice]]:
        """Real slices to train on, and those of the groups that are left out."""
        slices = read_real(self.real, size_px) if self.real else []
        trainable = of_several_groups([one for one in slices if not one.kept_from_training])
        seen = [one for one in trainable if one.group not in self.left_out]
        return seen, [one for one in slices if one.group in self.left_out]

    def folds(self, size_px: int) -> list["Run"]:
        """The same training with a part of the groups left out, each group once; none without real slices."""
        groups = {one.group for one in read_real(self.real, size_px)} if self.real else set[str]()
        return [
            replace(self, folder=self.folder / "folds" / str(number), left_out=part, shared=self.folder)
            for number, part in enumerate(dealt(groups))
        ]


def of_several_groups(slices: Sequence[RealSlice]) -> list[RealSlice]:
    """Those that show what another group shows too: of what only one shows, a tower learns the group.

    When all slices that show proton density were of one knee, other knees were read as that whatever they showed.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    for one in slices:
        groups[shown(one.caption)].add(one.group)
    return [one for one in slices if len(groups[shown(one.caption)]) > 1]


def dealt(groups: Iterable[str]) -> list[frozenset[str]]:
    """The groups (patients, or repositories that do not name any) by name, dealt to the folds in turn."""
    ordered = sorted(set(groups))
    return [frozenset(ordered[number::FOLDS]) for number in range(min(FOLDS, len(ordered)))]
