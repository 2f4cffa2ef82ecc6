"""The figures of a benchmark as a page of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any


def markdown(document: Mapping[str, Any]) -> str:
    """`benchmark.md`."""
    parts = [
        f"# Benchmark of {document['bundle']}",
        "",
        f"Bundle digest `{document['sha256'][:12]}`. Shares carry exact 95 % intervals.",
    ]
    for name, found in document["data"].items():
        parts += ["", f"## {name}", "", *_contrast(found), "", *_curve(found["abstention_curve"])]
        parts += ["", *_alarms(found), "", *_lists(found)]
        if "peer" in found:
            parts += ["", *_peer(found["peer"])]
        if "corruptions" in found:
            parts += ["", *_corruptions(found["corruptions"])]
    return "\n".join(parts) + "\n"


def _contrast(found: Mapping[str, Any]) -> list[str]:
    whole = found["contrast"]
    lines = [
        "| of people, counted classes | series | right of those answered | abstained |",
        "|---|---|---|---|",
        _row("all", whole),
    ]
    for name, groups in found["by"].items():
        lines += [_row(f"{name}: {value}", group) for value, group in groups.items() if group["series"]]
    lines += ["", "Confusion by stack (truth: answers; reasons of abstention in brackets):", ""]
    lines += [
        f"* {label}: {', '.join(f'{answer} {count}' for answer, count in sorted(row.items(), key=lambda i: -i[1]))}"
        for label, row in whole["confusion"].items()
    ]
    return lines


def _row(name: str, figures: Mapping[str, Any]) -> str:
    return f"| {name} | {figures['series']} | {figures['right_text']} | {figures['abstained_text']} |"


def _alarms(found: Mapping[str, Any]) -> list[str]:
    agent, fat = found["agent_auroc"], found["fat_suppression_auroc"]
    lines = [
        f"* Plane as known: {found['plane']}.",
        *_estimates(found["estimates"]),
        f"* Localizers, phantoms, noise and broken images that were not read: {found['strange_not_read']}.",
        f"* Clean series of people flagged at alarm rate {found['alarm_rate']:g}, rules counted: {found['flagged']}.",
        f"* Clean series of people with p <= 0.05: {found['p_at_most_5_percent']}.",
        f"* Contrast agent seen in T1, AUROC: {agent['auroc']:.3f} ({agent['yes']} with, {agent['no']} without).",
        f"* Fat suppression seen, AUROC: {fat['auroc']:.3f} ({fat['yes']} with, {fat['no']} without).",
    ]
    for one in found["flagged_series"]:
        source = "rules" if one["by_rules"] else "image"
        lines.append(f"  * flagged: {one['series']} by {source}: {', '.join(one['codes'])}")
    return lines


def _estimates(found: Mapping[str, Any]) -> list[str]:
    return [
        f"* {name} estimated against recorded, {one['stacks']} stacks: median factor {one['median_factor']:.2f}, "
        f"ninth decile {one['ninth_decile_factor']:.2f}; {100 * one['observed_coverage']:.0f} % of headers inside the "
        f"{100 * one['stated_coverage']:.0f} % interval."
        for name, one in found.items()
    ]


def _curve(found: Sequence[Mapping[str, float]]) -> list[str]:
    lines = ["| probability at least | answered | right of those |", "|---|---|---|"]
    lines += [
        f"| {one['probability']:g} | {one['answered']} of {one['stacks']} | {one['right']} of {one['answered']} |"
        for one in found
    ]
    return lines


def _peer(found: Mapping[str, Any]) -> list[str]:
    heard = f"right {found['right']}, no answer for {found['unanswered']}"
    return [f"{found['name']} on the same series, from headers alone, which it has to believe: {heard}."]


def _lists(found: Mapping[str, Any]) -> list[str]:
    lines = ["Answered wrongly (by stack):", ""]
    lines += [
        f"* {one['series']}: {one['label']} read as {one['answer']} ({one['probability']:.2f})"
        for one in found["wrong"][:40]
    ]
    lines += ["", "Of people, outside the counted classes:", ""]
    lines += [f"* {one['series']}: {one['label']}, {one['answer']}" for one in found["not_counted"][:40]]
    return lines


def _corruptions(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "| corruption | grade | series | AUROC (95 %) | flagged | flagged before | p <= 0.05 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        low, high = one["interval"]
        lines.append(
            f"| {name} | {one['grade']} | {one['series']} | {one['auroc']:.3f} ({low:.3f} to {high:.3f}) | "
            f"{one['flagged']} | {one['flagged_before']} | {one['p_at_most_5_percent']} |"
        )
    pairs = found.get("swap-header", {}).get("pairs", {})
    if pairs:
        lines += ["", "Whole headers swapped, by the two classes:", ""]
        lines += [f"* {pair}: AUROC {one['auroc']:.3f} ({one['series']} series)" for pair, one in pairs.items()]
    return lines
