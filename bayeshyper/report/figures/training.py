"""The figures of training: the objective, and the score of held-out rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bayeshyper.diagnostics._words import number, plural
from bayeshyper.report.figures.axes import number_axis, padded
from bayeshyper.report.figures.figure import Figure, Line, Points, Rule

if TYPE_CHECKING:
    from bayeshyper.inference import History

_MOST_POINTS = 400  # of a training curve: more than a screen has


def training_figures(history: History) -> list[Figure]:
    """Draws the objective per row and, where rows were held out, their score."""
    curves = [
        (
            "training",
            f"{history.objective} while training",
            "Nats per row",
            history.elbo_per_datum,
            "What training maximises, per row of the training set. The first steps may run off the plot. A "
            "curve that still rises at the end could have been trained longer.",
        ),
        (
            "heldout",
            "Score of held-out rows while training",
            "Nats per row",
            history.heldout_score,
            "The log score of rows that were not trained on. Falling while the "
            f"{history.objective} rises would mean overfitting.",
        ),
    ]
    figures = []
    for name, title, unit, values, caption in curves:
        seen = [(s, v) for s, v in zip(history.steps, values, strict=False) if math.isfinite(v)]
        seen = seen[:: -max(1, len(seen) // _MOST_POINTS)][::-1]  # from the end: the last is always there
        if not seen:
            continue
        steps, heights = [float(s) for s, _ in seen], [float(v) for _, v in seen]
        # The climb out of the initial state would flatten everything after it.
        settled = heights[len(heights) // 5 :]
        low, high = padded(settled, 0.1)
        best = (
            (Rule(history.best_step, f"The state that was kept, of step {history.best_step:,}"),)
            if 0 < history.best_step < steps[-1]
            else ()
        )
        last = number(heights[-1], error=(high - low) / 50)
        marked = range(0, len(seen), max(1, len(seen) // 40))
        figures.append(
            Figure(
                name=name,
                title=title,
                x=number_axis("Step", 0.0, max(steps[-1], 1.0)),
                y=number_axis(unit, low, high),
                layers=(
                    *best,
                    Line(steps, heights, 0) if len(seen) > 1 else Points(steps, heights),
                    Points(
                        [steps[i] for i in marked],
                        [heights[i] for i in marked],
                        [
                            f"Step {steps[i]:,.0f}: {number(heights[i], error=(high - low) / 50)}"
                            for i in marked
                        ],
                        faint=True,
                    ),
                ),
                caption=caption,
                summary=f"After {plural(int(steps[-1]), 'step')} it is {last} nats per row.",
                header=("Step", unit),
                rows=tuple((f"{steps[i]:,.0f}", number(heights[i], error=(high - low) / 50)) for i in marked),
            )
        )
    return figures
