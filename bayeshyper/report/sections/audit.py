"""The audited ELBO: its two bounds, and whether training's own estimate can be believed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bayeshyper.diagnostics._words import NO_BREAK, number
from bayeshyper.report.figures.posterior import audit_figure
from bayeshyper.report.sections.section import Cell, Column, Section, Table

if TYPE_CHECKING:
    from bayeshyper.diagnostics.posterior.audit import Audit
    from bayeshyper.inference import History


def audit_section(audit: Audit, history: History | None = None) -> Section:
    """Shows the audit: both bounds and training's estimate."""
    return Section(
        "audit",
        "The audited ELBO",
        sentences=tuple(audit_sentences(audit, history)),
        figures=(audit_figure(audit),),
        tables=(audit_table(audit),),
        badge=("flagged", "bad") if audit.flagged else ("bounds agree", "good"),
    )


def audit_sentences(audit: Audit, history: History | None = None) -> list[str]:
    """Says what the audit found, what its flag means, and what qualifies it."""
    low, high = (
        _measured(audit.elbo_lower, audit.elbo_lower_error),
        _measured(audit.elbo_upper, audit.elbo_upper_error),
    )
    sentences = [
        f"The evidence lower bound (ELBO) of the fitted posterior lies between {low} and {high} nats over "
        "the whole training set, each with its standard error. The two bounds hold without trusting the "
        "approximation that training uses."
    ]
    estimate = _measured(audit.elbo_linearized, audit.elbo_linearized_error)
    if not audit.flagged:
        sentences.append(
            f"Training's own estimate, {estimate}, agrees with them up to chance and half a nat: what the "
            "training curve shows can be believed."
        )
    else:
        sentences.append(
            f"Flagged: training's own estimate, {estimate}, {_flag(audit)} Believe the lower bound, not the "
            "training curve; a smaller noise dimension (hypernetwork.noise_dim) makes the approximation "
            "easier."
        )
    if audit.n_members > 1:
        sentences.append(
            f"The posterior mixes {audit.n_members} restarts. The numbers are the members' means; the "
            f"mixture's own ELBO is higher, by log{NO_BREAK}{audit.n_members} = "
            f"{math.log(audit.n_members):.2f} nats at most."
        )
    if audit.temperature == 1.0:
        sentences.append("Temperature 1: prior and data were weighted as Bayes' rule says.")
    else:
        wide = audit.temperature > 1.0
        sentences.append(
            f"Temperature {audit.temperature:g}: training weighted the KL term {audit.temperature:g} times, "
            f"so the posterior is {'wider' if wide else 'narrower'} than Bayes' rule would make it. The "
            "bounds are those of the ELBO at full weight."
        )
    if history is not None and (history.objective, history.entropy) != ("ELBO", "linearized"):
        sentences.append(
            f"Training maximised the {history.objective} with the entropy estimator {history.entropy!r}; "
            "training's estimate stands here for what the ELBO with the linearised entropy would have said."
        )
    return sentences


def audit_table(audit: Audit) -> Table:
    """Lays out ELBO and entropy, each with its standard error."""
    return Table(
        name="bounds",
        caption="ELBO and entropy between their bounds, with standard errors",
        columns=(
            Column("Nats", numeric=False, first=""),
            Column("ELBO", first=""),
            Column("Entropy", first=""),
        ),
        rows=tuple(
            (
                Cell(label),
                Cell(_measured(getattr(audit, f"elbo_{kind}"), getattr(audit, f"elbo_{kind}_error"))),
                Cell(_measured(getattr(audit, f"entropy_{kind}"), getattr(audit, f"entropy_{kind}_error"))),
            )
            for label, kind in (
                ("Upper bound", "upper"),
                ("Training's estimate", "linearized"),
                ("Lower bound", "lower"),
            )
        ),
        narrow=True,
    )


def _flag(audit: Audit) -> str:
    """Says on which side of the bounds training's entropy lies, or that the bounds are far apart."""
    above = audit.entropy_linearized - audit.entropy_upper
    below = audit.entropy_lower - audit.entropy_linearized
    if max(above, below) > 0.5:
        side = "above the upper" if above > below else "below the lower"
        gap = number(max(above, below), error=1.0)
        return f"credits the posterior with an entropy {gap} nats {side} bound, more than chance explains."
    gap, bound = number(max(-above, -below), error=1.0), "lower" if -below > -above else "upper"
    return (
        f"uses an entropy {gap} nats from the {bound} bound, more than chance explains: different noise may "
        "give the same weights (a fold), which training cannot see."
    )


def _measured(value: float, error: float) -> str:
    shown = max(error, abs(value) / 1_000.0)  # both to the same decimal
    return f"{number(value, error=shown)}{NO_BREAK}±{NO_BREAK}{number(error, error=shown)}"
