"""The posterior itself: the audited ELBO, PSIS, the restarts' functions, and whether the noise collapsed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bayeshyper.diagnostics._words import listing, percent
from bayeshyper.report.sections.audit import audit_section
from bayeshyper.report.sections.section import Cell, Column, Section, Table

if TYPE_CHECKING:
    from bayeshyper.diagnostics.posterior.audit import Audit
    from bayeshyper.diagnostics.posterior.collapse import Collapse
    from bayeshyper.diagnostics.posterior.convergence import Convergence
    from bayeshyper.diagnostics.posterior.psis import PSIS
    from bayeshyper.inference import History

_FLAGS = {
    "noise": "noise unused",
    "rank": "one direction",
    "prior": "as wide as the prior",
    "point": "next to a point",
}


def posterior_section(
    audit: Audit | None,
    convergence: Convergence | None,
    collapse: Collapse | None,
    history: History | None,
) -> Section | None:
    """Shows the audit and the other checks of the posterior; nothing where nothing was checked."""
    psis = None if audit is None else audit.psis
    rows = [
        *([] if psis is None else [_khat(psis)]),
        *([] if convergence is None else [_rhat(convergence)]),
        *([] if collapse is None else [_collapse(collapse)]),
    ]
    if audit is None and not rows:
        return None
    section = Section("audit", "") if audit is None else audit_section(audit, history)
    columns = (Column("Check", numeric=False, first=""), Column("Found", numeric=False, first=""))
    table = Table("checks", "Further checks of the posterior", columns, tuple(rows))
    return replace(
        section, title="The posterior itself", tables=(*section.tables, *([table] if rows else []))
    )


def _khat(psis: PSIS) -> tuple[Cell, ...]:
    tone = {"close": "good", "usable": "good", "far": "care"}[psis.word]
    return Cell("Is it the exact posterior? (Pareto k̂)", psis.sentence), Cell(
        psis.word.capitalize(), tone=tone
    )


def _rhat(convergence: Convergence) -> tuple[Cell, ...]:
    check = Cell("Do the restarts agree? (R̂ on function values)", convergence.sentence)
    if convergence.rhat_max is None:
        return check, Cell("Not compared", tone="open")
    agree = convergence.rhat_max <= 1.05
    share = convergence.share_above_1_05
    apart = "They differ" if share is None else f"They differ in {percent(share)}"
    return check, Cell("They agree" if agree else apart, tone="good" if agree else "care")


def _collapse(collapse: Collapse) -> tuple[Cell, ...]:
    found = listing(_FLAGS[flag] for flag in collapse.flags)
    return (
        Cell("Does the noise still move the weights? (collapse)", " ".join(collapse.sentences)),
        Cell(found.capitalize() or "No collapse", tone="bad" if found else "good"),
    )
