"""All entropy estimators and objectives in one table: what each credits, how noisy it is, and what it costs.

Three problems. A generator without bends, 60 weights from 6 noise values, whose mutual information I(θ; z) is
known exactly: how much of it is credited, and how much of its gradient comes through. A small trained
network, where the audit's bounds hold the truth between them. And for objectives a linear model, whose log
evidence is known exactly, with a posterior that is too narrow. Then each trains the same network from
scratch, and the audit says what came of it.

    python examples/entropy_estimators.py                           a quick look
    python examples/entropy_estimators.py --full --output FOLDER    minutes; also writes entropies.csv and .md
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from benchmarks.entropy_problems import (
    LinearProblem,
    NetworkProblem,
    Trained,
    affine_generator,
    as_gaussian,
    exact_information,
)
from torch import Tensor

from bayeshyper import Hypernetwork
from bayeshyper.inference import ENTROPIES, OBJECTIVES, Entropy
from bayeshyper.inference.entropies import SteinEntropy


@dataclass(frozen=True)
class Effort:
    """How much is done: draws and gradients of each measurement, steps of each kind."""

    draws: int = 400
    gradients: int = 40
    learning: int = 100
    fit_steps: int = 100
    audit_draws: int = 48
    timed_steps: int = 30


FULL = Effort(draws=4000, gradients=400, learning=2000, fit_steps=1000, audit_draws=400, timed_steps=300)


@dataclass(frozen=True)
class Row:
    """A line of the table, in nats but for shares and words.

    Args:
        name: In a recipe.
        kind: ``"entropy"`` or ``"objective"``.
        exact: I(θ; z) of the affine generator, or the linear model's log evidence.
        value: What is credited of it, or the objective's value; NaN where there is no value.
        error: Its standard error.
        deviation: Standard deviation of one draw's estimate, or of one step's objective.
        pull: The share of the exact gradient that comes through; NaN for objectives.
        gradient_noise: Standard deviation of one step's gradient, in norms of the exact (or the mean) one.
        trained_lower: The audit's lower bound on I(θ; z) of the trained network, or on its ELBO.
        trained_upper: The audit's upper bound.
        trained_error: Standard error of both.
        trained_value: What is credited there, or the objective's value.
        step_time: A training step's time, in steps of the ELBO with the linearised entropy.
        elbo_lower: Audited ELBO of the network that it trained itself.
        elbo_upper: Its upper bound.
        elbo_error: Standard error of both.
        evidence: The 8-draw importance-weighted bound on its log evidence, which is above the ELBO.
        estimates: In its own words.
        direction: In its own words.
        cost: In its own words.
    """

    name: str
    kind: str
    exact: float
    value: float
    error: float
    deviation: float
    pull: float
    gradient_noise: float
    trained_lower: float
    trained_upper: float
    trained_error: float
    trained_value: float
    step_time: float
    elbo_lower: float
    elbo_upper: float
    elbo_error: float
    evidence: float
    estimates: str
    direction: str
    cost: str


# -- what is measured ---------------------------------------------------------------------------------------


def learned(entropy: Entropy, net: Hypernetwork, steps: int) -> Entropy:
    """The estimator, after it has learned what it can of a generator that stands still."""
    parameters = list(entropy.parameters())
    own = [p for p in parameters if p.requires_grad]  # a discriminator's are not: it steps when it is asked
    optimizer = torch.optim.Adam(own, lr=5e-3) if own else None
    for _ in range(steps if parameters else 0):
        value = entropy(net, net.draw(32)).mean()
        if optimizer is not None:
            optimizer.zero_grad()
            (-value).backward(inputs=own)
            optimizer.step()
    return entropy.eval()


def credited(entropy: Entropy, net: Hypernetwork, draws: int) -> Tensor:
    """What is credited of I(θ; z), draw by draw; NaN where there is a gradient and no value."""
    with torch.no_grad():
        values = entropy.information(net, net.draw(draws))[0]
    return torch.full_like(values, math.nan) if isinstance(entropy, SteinEntropy) else values


def gradients(value: Callable[[], Tensor], parameters: Sequence[Tensor], count: int) -> Tensor:
    """Gradients of independent evaluations, ``(count, P)``."""
    rows = [torch.autograd.grad(value(), parameters) for _ in range(count)]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).double()


def seconds_per_step(problem: NetworkProblem, pairs: Sequence[tuple[str, str]], steps: int) -> list[float]:
    """The median processor time of a step (draw, score, differentiate) of each entropy and objective.

    They take turns, so that whatever else the machine does falls on all alike.
    """
    runs = []
    for entropy, objective in pairs:
        model, guide = problem.build(entropy)
        model.particles = 8
        runs.append((OBJECTIVES[objective](), model, guide, list[float]()))
    for _ in range(steps):
        for objective, model, guide, times in runs:
            started = time.process_time()
            objective.terms(model, guide, problem.x, problem.y).loss.backward()
            times.append(time.process_time() - started)
    return [sorted(times)[steps // 2] for *_, times in runs]


def entropy_row(name: str, problem: NetworkProblem, trained: Trained, effort: Effort) -> Row:
    """The line of an estimator."""
    torch.manual_seed(1)
    net = affine_generator()
    entropy = learned(ENTROPIES[name](net), net, effort.learning)
    values = credited(entropy, net, effort.draws)
    # By the head alone: the output noise's own entropy, which all have exactly, does not depend on it.
    (exact,) = torch.autograd.grad(as_gaussian(net).entropy(), [net.head.matrix])
    exact = exact.flatten().double()
    found = gradients(lambda: entropy(net, net.draw(8)).mean(), [net.head.matrix], effort.gradients)
    on_network = learned(ENTROPIES[name](trained.net), trained.net, effort.learning)
    given_noise = torch.distributions.Normal(0.0, trained.net.unit * trained.net.output_noise)
    noise = given_noise.entropy().sum().item()
    fitted = problem.train(name, "elbo", steps=effort.fit_steps, draws=effort.audit_draws)
    evidence, own = problem.value(fitted, "importance-weighted", effort.gradients), fitted.audit
    return Row(
        name=name,
        kind="entropy",
        exact=exact_information(net),
        value=values.mean().item(),
        error=values.std().item() / math.sqrt(len(values)),
        deviation=values.std().item(),
        pull=(found.mean(0) @ exact / exact.square().sum()).item(),
        gradient_noise=(found.var(0).sum().sqrt() / exact.norm()).item(),
        trained_lower=trained.audit.entropy_lower - noise,
        trained_upper=trained.audit.entropy_upper - noise,
        trained_error=trained.audit.entropy_upper_error,
        trained_value=credited(on_network, trained.net, effort.draws).mean().item(),
        step_time=math.nan,
        elbo_lower=own.elbo_lower,
        elbo_upper=own.elbo_upper,
        elbo_error=own.elbo_upper_error,
        evidence=evidence,
        estimates=entropy.estimates,
        direction=entropy.direction,
        cost=entropy.cost,
    )


def objective_row(name: str, problem: NetworkProblem, trained: Trained, effort: Effort) -> Row:
    """The line of an objective."""
    torch.manual_seed(1)
    objective = OBJECTIVES[name]()
    linear = LinearProblem(particles=8)

    def loss() -> Tensor:
        return objective.terms(linear.model, linear.guide, *linear.data).loss

    with torch.no_grad():
        values = -torch.stack([loss() for _ in range(effort.gradients)])
    found = gradients(loss, list(linear.guide.hypernetwork.parameters()), effort.gradients)
    fitted = problem.train("linearized", name, steps=effort.fit_steps, draws=effort.audit_draws)
    evidence, own = problem.value(fitted, "importance-weighted", effort.gradients), fitted.audit
    return Row(
        name=name,
        kind="objective",
        exact=linear.log_evidence,
        value=values.mean().item(),
        error=values.std().item() / math.sqrt(len(values)),
        deviation=values.std().item(),
        pull=math.nan,
        gradient_noise=(found.var(0).sum().sqrt() / found.mean(0).norm()).item(),
        trained_lower=trained.audit.elbo_lower,
        trained_upper=trained.audit.elbo_upper,
        trained_error=trained.audit.elbo_upper_error,
        trained_value=problem.value(trained, name, effort.gradients),
        step_time=math.nan,
        elbo_lower=own.elbo_lower,
        elbo_upper=own.elbo_upper,
        elbo_error=own.elbo_upper_error,
        evidence=evidence,
        estimates=objective.estimates,
        direction=objective.direction,
        cost=objective.cost,
    )


# -- the table ----------------------------------------------------------------------------------------------


def measure(effort: Effort) -> list[Row]:
    """All lines."""
    problem = NetworkProblem()
    trained = problem.train("linearized", "elbo", steps=effort.fit_steps, draws=effort.audit_draws)
    rows = [entropy_row(name, problem, trained, effort) for name in ENTROPIES]
    rows += [objective_row(name, problem, trained, effort) for name in OBJECTIVES]
    pairs = [(row.name, "elbo") if row.kind == "entropy" else ("linearized", row.name) for row in rows]
    times = seconds_per_step(problem, pairs, effort.timed_steps)
    return [replace(row, step_time=seconds / times[0]) for row, seconds in zip(rows, times, strict=True)]


def cells(row: Row) -> dict[str, str]:
    """A line as it is shown."""

    def number(value: float, digits: int = 1) -> str:
        return "–" if math.isnan(value) else f"{value:.{digits}f}"

    def between(lower: float, upper: float, error: float) -> str:
        return f"[{lower:.1f}, {upper:.1f}] ± {error:.1f}"

    return {
        row.kind: row.name,
        "exact": number(row.exact),
        "estimate": "no value" if math.isnan(row.value) else f"{row.value:.1f} ± {row.error:.1f}",
        "sd": number(row.deviation),
        "pull": number(row.pull, 2),
        "gradient sd": number(row.gradient_noise, 2),
        "trained, audited": between(row.trained_lower, row.trained_upper, row.trained_error),
        "trained, estimate": number(row.trained_value),
        "time": number(row.step_time, 2),
        "own ELBO": between(row.elbo_lower, row.elbo_upper, row.elbo_error),
        "own evidence": number(row.evidence),
        "direction": row.direction,
    }


def lines(rows: Sequence[Row]) -> list[str]:
    """The table as Markdown that is aligned as plain text, one part for each kind."""
    result = []
    for kind in ("entropy", "objective"):
        table = [cells(row) for row in rows if row.kind == kind]
        widths = {head: max(len(head), *(len(line[head]) for line in table)) for head in table[0]}
        result.append("| " + " | ".join(head.ljust(width) for head, width in widths.items()) + " |")
        result.append("|" + "|".join("-" * (width + 2) for width in widths.values()) + "|")
        for line in table:
            result.append("| " + " | ".join(line[head].ljust(width) for head, width in widths.items()) + " |")
        result.append("")
    return result


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--full", action="store_true", help="more of everything: minutes")
    parser.add_argument("--output", type=Path, help="a folder for entropies.csv and entropies.md")
    options = parser.parse_args()
    rows = measure(FULL if options.full else Effort())
    print("\n".join(lines(rows)))
    credit = {row.name: row.value / row.exact for row in rows if row.kind == "entropy"}
    for row in rows:
        share = (
            f" {credit[row.name]:.0%} of I(θ; z)." if math.isfinite(credit.get(row.name, math.nan)) else ""
        )
        print(f"{row.name}: {row.estimates};{share} {row.cost}.")
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        pd.DataFrame([asdict(row) for row in rows]).to_csv(options.output / "entropies.csv", index=False)
        (options.output / "entropies.md").write_text("\n".join(lines(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
