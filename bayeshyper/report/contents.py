"""What a report says, before anybody decides how to write it down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bayeshyper.diagnostics import Evaluation
from bayeshyper.report.figures.figure import Figure
from bayeshyper.report.sections.calibration import calibration_section
from bayeshyper.report.sections.decisions import (
    abstention_section,
    novelty_section,
    uncertainty_section,
)
from bayeshyper.report.sections.groups import groups_section
from bayeshyper.report.sections.posterior import posterior_section
from bayeshyper.report.sections.repairs import repairs_section
from bayeshyper.report.sections.section import Section
from bayeshyper.report.sections.training import training_section

if TYPE_CHECKING:
    from bayeshyper.diagnostics.posterior.audit import Audit
    from bayeshyper.diagnostics.posterior.collapse import Collapse
    from bayeshyper.diagnostics.posterior.convergence import Convergence
    from bayeshyper.inference import History


@dataclass(frozen=True)
class Contents:
    """Everything that a report says.

    Args:
        title: The page's heading.
        models: Name to evaluation; the report is about the first.
        about: Data, split, seed, versions, recipe and time, as text.
        audit: The audited ELBO.
        history: The training curve.
        convergence: R̂ and ESS of the restarts' functions.
        collapse: What the noise does to the weights.
    """

    title: str
    models: dict[str, Evaluation]
    about: dict[str, str]
    audit: Audit | None = None
    history: History | None = None
    convergence: Convergence | None = None
    collapse: Collapse | None = None

    @property
    def evaluation(self) -> Evaluation:
        """Of the model that the report is about: the first one."""
        return next(iter(self.models.values()))

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The evidence, in the order of the page; what was not measured has no section."""
        first = self.evaluation
        sections = (
            calibration_section(self.models),
            None if first.groups is None else groups_section(first.groups),
            None if first.repairs is None else repairs_section(first.repairs),
            abstention_section(self.models),
            novelty_section(self.models),
            uncertainty_section(self.models),
            posterior_section(self.audit, self.convergence, self.collapse, self.history),
            None if self.history is None else training_section(self.history),
        )
        return tuple(section for section in sections if section is not None)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All of them, in the order of the page."""
        return tuple(figure for section in self.sections for figure in section.figures)
