"""The page and its Markdown twin: one set of contents, two templates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bayeshyper.diagnostics import Evaluation
from bayeshyper.report.evidence import calibration_figures
from bayeshyper.report.figures import Figure
from bayeshyper.report.fitting import audit_figure, training_figures
from bayeshyper.report.svg import draw, series
from bayeshyper.report.wording import (
    audit_rows,
    audit_sentences,
    comparison_sentences,
    method_sentence,
    score_rows,
    training_sentence,
)

if TYPE_CHECKING:
    from bayeshyper.diagnostics.posterior.audit import Audit
    from bayeshyper.inference import History

TONES = {
    "calibrated": "good",
    "nearly calibrated": "good",
    "undecided": "open",
    "under-confident": "care",
    "over-confident": "bad",
    "biased": "bad",
    "miscalibrated": "bad",
}
"""The colour and the sign of each verdict; the word is always there too."""


@dataclass(frozen=True)
class Contents:
    """Everything that a report says."""

    title: str
    models: dict[str, Evaluation]
    about: dict[str, str]
    audit: Audit | None = None
    history: History | None = None

    @property
    def evaluation(self) -> Evaluation:
        """Of the model that the report is about: the first one."""
        return next(iter(self.models.values()))

    @property
    def calibration(self) -> list[Figure]:
        """Coverage and PIT, or reliability and confidence."""
        return calibration_figures(self.models)

    @property
    def training(self) -> list[Figure]:
        """The training curves, of what was recorded."""
        return [] if self.history is None else training_figures(self.history)

    @property
    def bounds(self) -> Figure | None:
        """The audited ELBO."""
        return None if self.audit is None else audit_figure(self.audit)

    @property
    def figures(self) -> list[Figure]:
        """All of them, in the order of the page."""
        return [*self.calibration, *([self.bounds] if self.bounds else []), *self.training]


def render_html(contents: Contents) -> str:
    """Writes the page: one file, no script, nothing to load."""
    return _render("report.html", contents)


def render_markdown(contents: Contents) -> str:
    """Writes the same contents as Markdown, with the plots as files beside it."""
    text = _render("report.md", contents)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def escape_markdown(text: Any) -> str:
    r"""Escapes what Markdown, and the HTML inside it, would read as markup.

    Example:
        >>> escape_markdown("a|b <script> *c*")
        'a\\|b &lt;script&gt; \\*c\\*'
    """
    plain = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", plain).replace("\r", " ").replace("\n", " ")


def _render(template: str, contents: Contents) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    first = contents.evaluation
    return environment.get_template(template).render(
        contents=contents,
        names=list(contents.models),
        evaluation=first,
        verdict=first.verdict,
        tones=TONES,
        scores=score_rows(contents.models),
        comparisons=comparison_sentences(contents.models),
        audit_sentences=[] if contents.audit is None else audit_sentences(contents.audit, contents.history),
        audit_rows=[] if contents.audit is None else audit_rows(contents.audit),
        training_sentence="" if contents.history is None else training_sentence(contents.history),
        method=method_sentence(first),
        draw=draw,
        series=series,
    )
