"""How the model was trained: how long, and the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayeshyper.diagnostics._words import plural
from bayeshyper.inference.improvement import unfinished
from bayeshyper.report.figures.training import training_figures
from bayeshyper.report.sections.section import Section

if TYPE_CHECKING:
    from bayeshyper.inference import History


def training_section(history: History) -> Section:
    """Shows what was recorded of training."""
    figures, doubt = tuple(training_figures(history)), unfinished(history)
    return Section(
        "training",
        "Training",
        sentences=(training_sentence(history), *([doubt] if doubt else [])),
        figures=figures,
        badge=("not converged", "bad") if doubt else None,
    )


def training_sentence(history: History) -> str:
    """Says how long training took, and why it ended.

    Example:
        >>> from types import SimpleNamespace
        >>> training_sentence(SimpleNamespace(steps=[10, 20], seconds=1.25, stopped_early=False, best_step=0))
        'Trained for 20 steps in 1.2 s.'
    """
    steps = history.steps[-1] if history.steps else 0
    spent = f"{history.seconds:.1f} s" if history.seconds < 100 else f"{history.seconds / 60:.1f} min"
    text = f"Trained for {plural(steps, 'step')} in {spent}"
    if history.stopped_early:
        text += "; stopped early, when the score of held-out rows no longer rose"
    if 0 < history.best_step < steps:
        text += f"; the state of step {history.best_step:,} was kept"
    return f"{text}."
