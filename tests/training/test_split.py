"""Splits: patients on one side only, whatever the seed; refused where that cannot be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.split import Part, split
from training.errors import RefusedError

SHARES: dict[Part, float] = {"train": 0.6, "val": 0.1, "test": 0.3}


@given(
    sizes=st.lists(st.integers(1, 6), min_size=3, max_size=30),
    seed=st.integers(0, 1000),
)
def test_no_patient_is_on_two_sides_and_no_part_is_empty(sizes: list[int], seed: int) -> None:
    groups = {f"v{patient}-{k}": f"p{patient}" for patient, size in enumerate(sizes) for k in range(size)}
    parts = split(groups, SHARES, seed=seed)
    assert set(parts) == set(groups)
    assert set(parts.values()) == {"train", "val", "test"}
    for patient in set(groups.values()):
        assert len({parts[volume] for volume, owner in groups.items() if owner == patient}) == 1


def test_shares_are_met_with_many_patients_and_the_seed_decides() -> None:
    groups = {f"v{k}": f"p{k}" for k in range(100)}
    parts = split(groups, SHARES, seed=42)
    assert [list(parts.values()).count(part) for part in ("train", "val", "test")] == [60, 10, 30]
    assert split(groups, SHARES, seed=42) == parts
    assert split(dict(reversed(groups.items())), SHARES, seed=42) == parts  # the order of the files does not matter
    assert split(groups, SHARES, seed=43) != parts


def test_one_patient_cannot_be_split() -> None:
    with pytest.raises(RefusedError, match="1 patient"):
        split({"a": "p", "b": "p"}, SHARES, seed=0)


def test_one_patient_is_enough_for_one_part() -> None:
    assert split({"a": "p", "b": "p"}, {"test": 1.0}, seed=0) == {"a": "test", "b": "test"}


def test_nothing_cannot_be_split() -> None:
    with pytest.raises(RefusedError, match="no volume"):
        split({}, SHARES, seed=0)
