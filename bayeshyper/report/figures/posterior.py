"""The figures of the posterior itself: the audited ELBO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayeshyper.diagnostics._words import number
from bayeshyper.report.figures.axes import number_axis, padded
from bayeshyper.report.figures.figure import Axis, Figure, Points

if TYPE_CHECKING:
    from bayeshyper.diagnostics.posterior.audit import Audit


def audit_figure(audit: Audit) -> Figure:
    """Draws the ELBO's two bounds and what training believed, each with two standard errors."""
    rows = (
        ("Upper bound", audit.elbo_upper, audit.elbo_upper_error),
        ("Training's estimate", audit.elbo_linearized, audit.elbo_linearized_error),
        ("Lower bound", audit.elbo_lower, audit.elbo_lower_error),
    )
    values = [value for _, value, _ in rows]
    low = [value - 2.0 * error for _, value, error in rows]
    high = [value + 2.0 * error for _, value, error in rows]
    return Figure(
        name="audit",
        title="The ELBO, between two bounds",
        x=number_axis("Nats, whole training set", *padded([*low, *high], 0.12), about=4),
        y=Axis("", -0.6, 2.6, tuple((2.0 - k, label) for k, (label, _, _) in enumerate(rows))),
        layers=(
            Points(
                values,
                (2.0, 1.0, 0.0),
                [f"{label}: {number(value, error=error)}" for label, value, error in rows],
                low=low,
                high=high,
            ),
        ),
        caption="Dots with two standard errors to either side. The true ELBO lies between the bounds; "
        "training's estimate is trustworthy if it does too.",
        summary=f"The ELBO lies between {number(audit.elbo_lower, error=audit.elbo_lower_error)} and "
        f"{number(audit.elbo_upper, error=audit.elbo_upper_error)} nats.",
        height=200,
    )
