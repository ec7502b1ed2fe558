"""One call that scores a prediction against what happened, and judges it."""

from __future__ import annotations

from bayeshyper.diagnostics.evaluation.difference import paired_difference
from bayeshyper.diagnostics.evaluation.evaluate import evaluate
from bayeshyper.diagnostics.evaluation.results import Evaluation
from bayeshyper.diagnostics.evaluation.verdict import Verdict

__all__ = ["Evaluation", "Verdict", "evaluate", "paired_difference"]
