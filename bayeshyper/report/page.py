"""The page and its Markdown twin: one set of contents, two templates."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from markupsafe import Markup

from bayeshyper.report.contents import Contents
from bayeshyper.report.drawing.svg import draw, series
from bayeshyper.report.sections.comparison import comparison_sentences, differences_table, other_verdicts
from bayeshyper.report.sections.scores import method_sentence, models_table, score_lines
from bayeshyper.report.sections.section import MOST_ROWS
from bayeshyper.report.templating import FOLDER, render

TONES = {
    "calibrated": "good",
    "nearly calibrated": "good",
    "undecided": "open",
    "under-confident": "care",
    "over-confident": "bad",
    "biased": "bad",
    "miscalibrated": "bad",
    "wrong in places": "bad",
}
"""The colour and the sign of each verdict; the word is always there too."""


def render_html(contents: Contents) -> str:
    """Writes the page: one file, nothing to load, readable without its script.

    The page forbids itself every request, and every script but its own.
    """
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _render("report.html", contents, script=Markup(script), script_hash=digest)


def render_markdown(contents: Contents) -> str:
    """Writes the same contents as Markdown, with the plots as files beside it."""
    text = _render("report.md", contents)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _render(template: str, contents: Contents, **values: Any) -> str:
    models, first = contents.models, contents.evaluation
    several = len(models) > 1
    return render(
        template,
        contents=contents,
        names=list(models),
        evaluation=first,
        verdict=first.verdict,
        tones=TONES,
        scores=score_lines(first),
        models_table=models_table(models, TONES) if several else None,
        differences_table=differences_table(models) if several else None,
        comparisons=comparison_sentences(models) if several else (),
        verdicts=other_verdicts(models),
        method=method_sentence(first),
        most_rows=MOST_ROWS,
        draw=draw,
        series=series,
        **values,
    )
