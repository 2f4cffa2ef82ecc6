"""Case by case (`--tracepreds`): one self-contained page of queries with what was retrieved for them."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from inference.captions import FIELDS, Caption


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One image, its own caption, and the captions that were nearest."""

    picture: Path
    name: str
    truth: Caption
    rank: int  # of the best right caption, from 1
    retrieved: Sequence[tuple[float, bool, Caption]]  # cosine, right, caption; the nearest first


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Retrieval, case by case</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }}
body {{ max-width: 70rem; margin: 1rem auto; padding: 0 1rem; }}
article {{ display: grid; grid-template-columns: 10rem 1fr; gap: 1rem; padding: 1rem 0; border-top: 1px solid #8886; }}
img {{ width: 100%; image-rendering: auto; background: #000; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; padding: .15rem .5rem .15rem 0; vertical-align: top; }}
.right {{ color: light-dark(#076b2a, #6fdd8b); }} .wrong {{ color: light-dark(#a3161e, #ff9a9a); }}
@media (max-width: 40rem) {{ article {{ grid-template-columns: 1fr; }} img {{ max-width: 10rem; }} }}
</style></head><body>
<h1>Retrieval, case by case</h1>
<p>{count} images, the worst ranks first. A caption is right if it carries the label of the image.</p>
{cases}
</body></html>
"""


def page(traces: Sequence[Trace]) -> str:
    """The page; pictures are part of it and nothing is loaded from elsewhere."""
    worst_first = sorted(traces, key=lambda trace: (-trace.rank, trace.name))
    return _PAGE.format(count=len(traces), cases="\n".join(_case(trace) for trace in worst_first))


def _case(trace: Trace) -> str:
    picture = base64.b64encode(trace.picture.read_bytes()).decode("ascii")
    rows = [_row("truth", "", _differences(trace.truth, None))]
    for cosine, right, caption in trace.retrieved:
        verdict = "right" if right else "wrong"
        rows.append(_row(f"{cosine:.3f}", verdict, _differences(caption, trace.truth)))
    return (
        f'<article><div><img alt="query" src="data:image/png;base64,{picture}"></div><div>'
        f"<h2>rank {trace.rank}</h2><p>{escape(trace.name)}</p>"
        f"<table><tr><th>cosine</th><th>caption, where it differs</th></tr>{''.join(rows)}</table></div></article>"
    )


def _row(first: str, verdict: str, words: str) -> str:
    return f'<tr class="{verdict}"><td>{escape(first)}</td><td>{escape(words)}</td></tr>'


def _differences(caption: Caption, truth: Caption | None) -> str:
    """The fields that differ from the truth, or all that are present."""
    said = [
        f"{field} {_plain(caption.get(field))}"
        for field in FIELDS
        if (caption.get(field) != truth.get(field) if truth else caption.get(field) is not None)
    ]
    return ", ".join(said) or "the same"


def _plain(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
