"""The comparison of losses: what the table says of outcomes, and that every candidate is a recipe."""

import pytest

from training.comparison.run import CANDIDATES
from training.comparison.table import Outcome, put_into, table
from training.recipe import load_recipe


def outcome(name: str, seed: int, recall: float) -> Outcome:
    return Outcome(
        name=name,
        seed=seed,
        recall_at_1=recall,
        chance_at_1=0.02,
        volume_recall_at_1=0.5,
        reverse_recall_at_1=0.4,
        echo_error_ms=10.0,
        probe_balanced=0.9,
        cpu_s=30.0,
    )


def test_differences_are_paired_by_seed() -> None:
    outcomes = [
        outcome("published", 1, 0.3),
        outcome("published", 0, 0.2),
        outcome("ours", 0, 0.25),
        outcome("ours", 1, 0.25),
    ]
    head, _, first, second = table(outcomes).splitlines()
    assert head.startswith("|  | R@1 slice |")
    assert (
        first
        == "| published | 0.250 ± 0.071 | 0.500 ± 0.000 | 0.400 ± 0.000 | 10.0 ± 0.0 | 0.900 ± 0.000 | 30 ± 0 |  |"
    )
    assert second.endswith("| +0.000 (+0.050, -0.050) |")


def test_a_missing_seed_is_no_pair() -> None:
    with pytest.raises(ValueError, match="zip"):
        table([outcome("published", 0, 0.3), outcome("published", 1, 0.3), outcome("ours", 0, 0.25)])


def test_the_table_takes_its_place_in_the_page() -> None:
    page = "a\n<!-- table: python -m training.comparison -->\nold\n<!-- end of table -->\nb\n"
    assert put_into(page, "new\n") == page.replace("old", "new")
    with pytest.raises(ValueError, match="no <!-- table"):
        put_into("nothing", "new\n")


def test_every_candidate_is_a_recipe_of_its_own() -> None:
    recipes = [load_recipe("tiny", candidate.overrides) for candidate in CANDIDATES]
    assert (
        len({(candidate.published_labels, repr(recipe)) for candidate, recipe in zip(CANDIDATES, recipes, strict=True)})
        == 9
    )
    assert len({candidate.name for candidate in CANDIDATES}) == 9
    steps = {(recipe.optimiser.steps, recipe.data.batch_size, repr(recipe.model.image)) for recipe in recipes}
    assert len(steps) == 1  # the same budget and the same image tower
