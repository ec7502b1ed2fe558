"""Two posteriors that mean field gets wrong, with one line changed: the centred eight schools, and a funnel.

How far apart the schools' effects θ are, τ, decides how far each can be from their mean μ: the posterior
narrows where τ is small, and independent Normals have one width for all of it. Both guides take the same
steps at the same rate, the best one for AutoNormal of 0.01, 0.05 and 0.1, and are held against draws that owe
nothing to either: NUTS on the schools' non-centred form, and the funnel's own.

    python examples/eight_schools.py                                            a quick look
    python examples/eight_schools.py --full --page docs/your_own_pyro_model.md  minutes; the page's tables
                                                                                and its picture
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyro
import pyro.distributions as dist
import torch
from benchmarks.funnels import Panel, draw
from benchmarks.pages import with_table
from pyro import poutine
from pyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from pyro.infer.autoguide import AutoGuide, AutoNormal
from pyro.infer.importance import psis_diagnostic
from pyro.infer.reparam import LocScaleReparam
from torch import Tensor

from bayeshyper import AutoHypernetwork

Draws = Mapping[str, Tensor]

# -- two models, and draws of their posteriors --------------------------------------------------------------

EFFECTS = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def schools() -> None:
    """What coaching changed in eight schools, each known to a standard error (Rubin 1981)."""
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", 8):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("effect", dist.Normal(theta, ERRORS), obs=EFFECTS)


def funnel() -> None:
    """Nine Normals whose common scale is e^(v/2) (Neal 2003)."""
    v = pyro.sample("v", dist.Normal(0.0, 3.0))
    with pyro.plate("places", 9):
        pyro.sample("x", dist.Normal(0.0, (v / 2).exp()))


def schools_by_nuts(draws: int) -> Draws:
    """A run of NUTS on the non-centred form θ = μ + τη, in which nothing narrows."""
    apart = poutine.reparam(schools, {"theta": LocScaleReparam(0.0)})
    mcmc = MCMC(NUTS(apart), num_samples=draws, warmup_steps=100 + draws // 10, disable_progbar=True)
    mcmc.run()
    found = mcmc.get_samples()
    return {
        "tau": found["tau"],
        "theta": found["mu"][:, None] + found["tau"][:, None] * found["theta_decentered"],
    }


def funnel_itself(draws: int) -> Draws:
    """Its own draws."""
    v = 3.0 * torch.randn(draws)
    return {"v": v, "x": (v / 2).exp()[:, None] * torch.randn(draws, 9)}


@dataclass(frozen=True)
class Problem:
    """A model, and what is looked at.

    Args:
        model: Takes no arguments.
        reference: Makes so many draws of its posterior by other means.
        source: Which.
        scale: The site that all others narrow with, and how it is written.
        panel: From draws to what is along and up in the picture, and how those are written.
        window: What is drawn: along from and to, up from and to.
    """

    model: Callable[[], None]
    reference: Callable[[int], Draws]
    source: str
    scale: tuple[str, str]
    along: tuple[Callable[[Draws], Tensor], str]
    up: tuple[Callable[[Draws], Tensor], str]
    window: tuple[float, float, float, float]


PROBLEMS = {
    "eight schools": Problem(
        schools,
        schools_by_nuts,
        "NUTS, non-centred",
        scale=("tau", "τ"),
        along=(lambda draws: draws["theta"][:, 0], "effect in the first school, θ₁"),
        up=(lambda draws: draws["tau"].log(), "log τ"),
        window=(-14.0, 28.0, -2.4, 3.4),
    ),
    "funnel": Problem(
        funnel,
        funnel_itself,
        "the funnel itself",
        scale=("v", "v"),
        along=(lambda draws: draws["x"][:, 0], "x₁"),
        up=(lambda draws: draws["v"], "v"),
        window=(-14.0, 14.0, -9.0, 9.0),
    ),
}

# -- one line changes ---------------------------------------------------------------------------------------

GUIDES: dict[str, Callable[..., AutoGuide]] = {"AutoNormal": AutoNormal, "AutoHypernetwork": AutoHypernetwork}


@dataclass(frozen=True)
class Fit:
    """What a guide found, or a reference.

    Args:
        draws: Of each site, ``(S, …)``.
        seconds: Of one core, for all of it.
        step: The median of a training step's.
        elbo: In nats.
        khat: Pareto k̂ of the importance weights.
    """

    draws: Draws
    seconds: float
    step: float = math.nan
    elbo: float = math.nan
    khat: float = math.nan


def fit(make: Callable[..., AutoGuide], model: Callable[[], None], steps: int) -> Fit:
    """Train a guide, and look at it."""
    pyro.clear_param_store()
    torch.manual_seed(0)
    times = [time.process_time()]
    guide = make(model)
    guide()
    times.append(time.process_time())
    optimizer = pyro.optim.ClippedAdam({"lr": 0.1, "lrd": 0.01 ** (1 / steps)})
    svi = SVI(model, guide, optimizer, Trace_ELBO(8, max_plate_nesting=1, vectorize_particles=True))
    for _ in range(steps):
        svi.step()
        times.append(time.process_time())
    elbo, khat = judged(model, guide)
    step = statistics.median(after - before for before, after in pairwise(times[1:]))
    return Fit(drawn(guide, 10_000), times[-1] - times[0], step, elbo, khat)


@torch.no_grad()
def drawn(guide: AutoGuide, draws: int) -> Draws:
    """Draws of each site of any automatic guide, ``(S, …)``."""
    with pyro.plate("draws", draws, dim=-2):
        return {name: value.squeeze(-1) for name, value in guide().items()}


def judged(model: Callable[[], None], guide: AutoGuide) -> tuple[float, float]:
    """The ELBO, and k̂."""
    with torch.no_grad():
        elbo = -Trace_ELBO(10_000, max_plate_nesting=1, vectorize_particles=True).loss(model, guide)
        khat = psis_diagnostic(
            model, guide, num_particles=2000, max_simultaneous_particles=2000, max_plate_nesting=1
        )
    return elbo, float(khat)


# -- what is shown ------------------------------------------------------------------------------------------


def lines(title: str, problem: Problem, fits: Mapping[str, Fit]) -> Iterator[str]:
    """A problem's table, in Markdown: a column for each fit."""

    def row(name: str, cell: Callable[[Fit], str]) -> str:
        cells = (cell(one).replace("-", "−") for one in fits.values())
        return f"| {name} | {' | '.join('' if 'nan' in text else text for text in cells)} |"

    site, name = problem.scale
    levels = torch.tensor([0.05, 0.95])
    first = next(iter(fits.values()))
    yield f"| {title} | {' | '.join(fits)} |"
    yield "| --- " * (len(fits) + 1) + "|"
    yield row(f"{name}, mean ± sd", lambda one: f"{one.draws[site].mean():.2f} ± {one.draws[site].std():.2f}")
    yield row(
        f"{name}, 5 % to 95 %",
        lambda one: "{:.2f} to {:.2f}".format(*one.draws[site].quantile(levels).tolist()),
    )
    yield row("ELBO in nats, higher is better", lambda one: f"{one.elbo:.2f}")
    yield row("k̂ of the importance weights, below 0.7 is good", lambda one: f"{one.khat:.2f}")
    yield row("time of a training step", lambda one: f"{one.step / first.step:.1f} ×")
    yield row("time in all", lambda one: f"{one.seconds / first.seconds:.1f} ×")
    yield ""


def panel(problem: Problem, fits: Mapping[str, Fit]) -> Panel:
    """A problem's part of the picture."""
    seen = {name: (problem.along[0](one.draws), problem.up[0](one.draws)) for name, one in fits.items()}
    reference = seen.pop(problem.source)
    return Panel(reference, problem.source, seen, problem.along[1], problem.up[1], problem.window)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--full", action="store_true", help="more steps, and a longer chain: minutes")
    parser.add_argument("--page", type=Path, help="a page to put the tables into, and its picture beside it")
    options = parser.parse_args()
    steps, draws = (2000, 10_000) if options.full else (200, 150)
    table, panels = [], []
    for title, problem in PROBLEMS.items():
        fits = {name: fit(make, problem.model, steps) for name, make in GUIDES.items()}
        started = time.process_time()
        reference = problem.reference(draws)
        fits[problem.source] = Fit(reference, time.process_time() - started)
        table += lines(title, problem, fits)
        panels.append(panel(problem, fits))
    print("\n".join(table))
    if options.page:
        page = with_table(options.page.read_text(encoding="utf-8"), "eight_schools", table)
        options.page.write_text(page, encoding="utf-8")
        draw(panels, options.page.with_name("eight_schools.png"))


if __name__ == "__main__":
    main()
