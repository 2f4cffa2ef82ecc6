"""The wait between attempts doubles up to its limit."""

import pytest

from dicom_node.deliver import back_off


@pytest.mark.parametrize(
    ("attempt", "wait_s"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 600), (7, 600), (10_000, 600)]
)
def test_the_wait_doubles_up_to_the_longest(attempt: int, wait_s: float) -> None:
    assert back_off(attempt, first_s=30, longest_s=600) == wait_s


def test_there_is_no_attempt_zero() -> None:
    with pytest.raises(ValueError, match="must be >= 1"):
        back_off(0, first_s=30, longest_s=600)
