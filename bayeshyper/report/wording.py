"""The sentences and cells of the report that depend on numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayeshyper.diagnostics import Evaluation, Score, paired_difference
from bayeshyper.diagnostics._words import NO_BREAK, number, percent, plural

if TYPE_CHECKING:
    from bayeshyper.diagnostics.posterior.audit import Audit
    from bayeshyper.inference import History


@dataclass(frozen=True)
class Cell:
    """One score of one model: value and interval as text, and the score itself for the little drawing."""

    value: str
    interval: str
    score: Score | None = None

    @property
    def track(self) -> bool:
        """Whether a drawing from 0 to 100 % helps: a share with a nominal value and an interval."""
        s = self.score
        return s is not None and s.unit == "share" and None not in (s.value, s.nominal, s.lower, s.upper)


@dataclass(frozen=True)
class ScoreRow:
    """One line of the scores table, with a cell for each model."""

    label: str
    explanation: str
    direction: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class AuditRow:
    """One line of the audit's table."""

    label: str
    elbo: str
    entropy: str


def score_rows(models: dict[str, Evaluation]) -> list[ScoreRow]:
    """Lays out the scores: one line per score, one cell per model."""
    first = next(iter(models.values()))
    return [
        ScoreRow(
            label=score.label,
            explanation=score.explanation,
            direction=_direction(score),
            cells=tuple(_cell(model[score.name], model.n_rows) for model in models.values()),
        )
        for score in first.scores
    ]


def comparison_sentences(models: dict[str, Evaluation]) -> list[str]:
    """Compares the first model with each of the others, row by row, and tells what is wrong with those."""
    (_, first), *others = models.items()
    sentences = []
    for name, other in others:
        said = _difference(name, paired_difference(first, other))
        fault = f" Its own verdict: {other.verdict.headline}" if other.verdict.flagged else ""
        sentences.append(said + fault)
    return sentences


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


def audit_rows(audit: Audit) -> list[AuditRow]:
    """Lays out the audit: both bounds and training's estimate, each with its standard error."""
    return [
        AuditRow(
            label,
            _measured(getattr(audit, f"elbo_{kind}"), getattr(audit, f"elbo_{kind}_error")),
            _measured(getattr(audit, f"entropy_{kind}"), getattr(audit, f"entropy_{kind}_error")),
        )
        for label, kind in (
            ("Upper bound", "upper"),
            ("Training's estimate", "linearized"),
            ("Lower bound", "lower"),
        )
    ]


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


def method_sentence(evaluation: Evaluation) -> str:
    """Says where the intervals come from."""
    return (
        f"Intervals are at 95{NO_BREAK}%: bootstrap over rows "
        f"({plural(evaluation.n_bootstrap, 'replicate')}, seed {evaluation.seed}), exact binomial for "
        f"shares. Rows are taken to be independent. The verdict calls at most 5{NO_BREAK}% of calibrated "
        "models faulty."
    )


def interval_text(score: Score, n_rows: int) -> str:
    """Writes the interval of a score: "0.12 to 0.49", or why there is none."""
    if score.value is None or score.lower is None or score.upper is None:
        return score.reason
    return f"{_value(score, score.lower, n_rows)} to {_value(score, score.upper, n_rows)}"


def value_text(score: Score, n_rows: int) -> str:
    """Writes the value of a score with the digits that its interval supports."""
    return "not available" if score.value is None else _value(score, score.value, n_rows)


def _value(score: Score, value: float, n_rows: int) -> str:
    if score.unit == "share":
        return percent(value, 1000 if score.better == "lower" else n_rows)
    spread = 0.0 if score.lower is None or score.upper is None else score.upper - score.lower
    return number(value, error=spread / 4.0)


def _cell(score: Score, n_rows: int) -> Cell:
    return Cell(value_text(score, n_rows), interval_text(score, n_rows), score)


def _direction(score: Score) -> str:
    if score.better == "nominal":
        return ""
    unit = "" if score.unit in ("", "share") else score.unit
    return ", ".join(part for part in (unit, f"{score.better} is better") if part)


def _difference(name: str, difference: Score) -> str:
    if difference.value is None or difference.lower is None or difference.upper is None:
        return f"Against {name}: {difference.reason or 'no difference can be computed.'}"
    size = number(abs(difference.value), error=(difference.upper - difference.lower) / 4.0)
    side = "higher" if difference.value >= 0 else "lower"
    said = f"{size} nats per row {side} (95{NO_BREAK}% interval {interval_text(difference, 0)})"
    if difference.lower > 0 or difference.upper < 0:
        better = "better" if difference.lower > 0 else "worse"
        return f"Against {name}, its log score is {said}: it is {better} on rows like these."
    return f"Against {name}, its log score is {said}: these rows cannot tell the two apart."


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
