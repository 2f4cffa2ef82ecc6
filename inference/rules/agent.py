"""Contrast agent recorded against contrast agent described."""

from collections.abc import Iterator

from inference.claims import agent_claim
from inference.reading import Finding
from inference.rules.view import StackView


def agent_contradicts_description(view: StackView) -> Iterator[Finding]:
    """An agent recorded and `native` described, or `none` recorded and post-contrast described."""
    recorded = agent_claim(view.header.contrast_bolus_agent)
    keyword, described = _described(view)
    if recorded is None or described is None or recorded == described:
        return
    yield view.finding(
        "agent-contradicts-description",
        "ContrastBolusAgent",
        f"{view.states('ContrastBolusAgent')}; {view.states(keyword)}, which says "
        + ("post-contrast" if described else "that no agent was given"),
        expected="the agent's name" if described else "no value",
    )


def agent_missing(view: StackView) -> Iterator[Finding]:
    """Post-contrast in words only; many scanners leave the agent to the operator, so this is no more than a note."""
    keyword, described = _described(view)
    if described and agent_claim(view.header.contrast_bolus_agent) is None:
        yield view.finding(
            "agent-missing",
            "ContrastBolusAgent",
            f"{view.name('ContrastBolusAgent')} names no agent; {view.states(keyword)}, which says post-contrast",
            expected="the agent's name",
        )


def _described(view: StackView) -> tuple[str, bool | None]:
    return next(
        ((keyword, text.post_contrast) for keyword, text in view.texts if text.post_contrast is not None),
        ("SeriesDescription", None),
    )
