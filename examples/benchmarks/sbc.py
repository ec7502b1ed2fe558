"""Simulation-based calibration of guides: where the truth ranks among their draws, on three models.

    python examples/benchmarks/sbc.py --jobs 2
    python examples/benchmarks/sbc.py --table

Each model makes 100 data sets, and each guide is trained on each of them. Ranks of an exact posterior are
uniform. A row of the CSV is one rank; the picture shows for every quantity how far the distribution function
of its ranks is from the uniform one, with the band that 95 % of exact posteriors stay in: a line that falls
from above to below it belongs to a posterior that is too narrow.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import torch
from funnels import MUTED, SHADE, tidy
from matplotlib.figure import Figure
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoGuide, AutoNormal
from pyro.optim import ClippedAdam
from scipy import stats
from torch import Tensor

from bayeshyper import AutoHypernetwork
from bayeshyper.autoguide import calibrate_model
from bayeshyper.diagnostics import pit_difference
from bayeshyper.report.drawing.palette import LIGHT

STEPS, PARTICLES, RATE, DECAY = 300, 8, 0.1, 0.01
# One below a multiple of the bins, so that each bin holds as many ranks.
DRAWS, BINS = 99, 10
# Of a wrong alarm, for all quantities of a model and guide together.
LEVEL = 0.05
RESULTS = Path(__file__).parent / "results" / "sbc.csv"
GUIDES: dict[str, Callable[..., AutoGuide]] = {"AutoNormal": AutoNormal, "AutoHypernetwork": AutoHypernetwork}

# -- three models -------------------------------------------------------------------------------------------

X = torch.linspace(-1.0, 1.0, 12)
TIMES = torch.linspace(0.25, 3.0, 12)
ERRORS = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def line(y: Tensor) -> None:
    """A straight line with noise of unknown scale."""
    intercept = pyro.sample("intercept", dist.Normal(0.0, 1.0))
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    noise = pyro.sample("noise", dist.HalfNormal(1.0))
    with pyro.plate("rows", len(X)):
        pyro.sample("y", dist.Normal(intercept + slope * X, noise), obs=y)


def saturation(y: Tensor) -> None:
    """A curve that levels off: where its rate is low, only limit · rate is known."""
    limit = pyro.sample("limit", dist.LogNormal(0.0, 0.5))
    rate = pyro.sample("rate", dist.LogNormal(-1.0, 0.5))
    with pyro.plate("times", len(TIMES)):
        pyro.sample("y", dist.Normal(limit * (1.0 - (-rate * TIMES).exp()), 0.1), obs=y)


def schools(y: Tensor) -> None:
    """Eight schools, centred: a funnel."""
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfNormal(10.0))
    with pyro.plate("schools", 8):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, ERRORS), obs=y)


MODELS = {"line": (line, len(X)), "saturation": (saturation, len(TIMES)), "schools": (schools, 8)}

# -- ranks --------------------------------------------------------------------------------------------------


def trained(model: Callable[[], Any], _: int, *, make: Callable[..., AutoGuide]) -> dict[str, Tensor]:
    """Draws of a guide that is trained on a model."""
    pyro.clear_param_store()
    guide = make(model)
    guide()
    elbo = Trace_ELBO(num_particles=PARTICLES, vectorize_particles=True, max_plate_nesting=1)
    svi = SVI(model, guide, ClippedAdam({"lr": RATE, "lrd": DECAY ** (1 / STEPS)}), elbo)
    for _ in range(STEPS):
        svi.step()
    with torch.no_grad(), pyro.plate("draws", DRAWS, dim=-2):
        return {name: value.squeeze(1) for name, value in guide().items()}


def ranked(job: tuple[str, str], *, repetitions: int) -> pd.DataFrame:
    """All ranks of a guide on a model: a row each."""
    name, guide = job
    torch.set_num_threads(1)
    model, rows = MODELS[name]
    posterior = partial(trained, make=GUIDES[guide])
    found = calibrate_model(model, posterior, (torch.zeros(rows),), repetitions=repetitions, show=False)
    return pd.concat(
        pd.DataFrame({"model": name, "guide": guide, "quantity": quantity, "draws": DRAWS, "rank": ranks})
        for quantity, ranks in zip(found.names, found.ranks.T, strict=True)
    )


def run(options: argparse.Namespace) -> None:
    """Rank what is not in the file yet, and append it."""
    known = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame(columns=["model", "guide"])
    done = set(zip(known.model, known.guide, strict=True))
    jobs = [job for job in product(MODELS, GUIDES) if job not in done]
    with ProcessPoolExecutor(options.jobs) as pool:
        for job, rows in zip(
            jobs, pool.map(partial(ranked, repetitions=options.repetitions), jobs), strict=True
        ):
            rows.to_csv(options.out, mode="a", header=not options.out.exists(), index=False)
            print(", ".join(job), flush=True)


# -- what is shown ------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """Of a guide on a model.

    Args:
        flagged: Quantities whose ranks are not uniform, by chi-square tests at 5 % together (Bonferroni).
        of: How many there are.
        repetitions: Data sets.
        worst: The largest distance of a distribution function of ranks from the uniform one.
    """

    flagged: tuple[str, ...]
    of: int
    repetitions: int
    worst: float


def uniform_places(ranks: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Ranks 0 … S as places in [0, 1], in the middle of what a rank stands for."""
    return (ranks["rank"].to_numpy() + 0.5) / (ranks.draws.iloc[0] + 1)


def verdict(part: pd.DataFrame) -> Verdict:
    """What the ranks of a guide on a model say."""
    quantities = list(part.groupby("quantity", sort=False))
    flagged, worst = [], 0.0
    for name, ranks in quantities:
        places = uniform_places(ranks)
        counts = np.histogram(places, BINS, (0.0, 1.0))[0]
        if stats.chisquare(counts).pvalue < LEVEL / len(quantities):
            flagged.append(str(name))
        worst = max(worst, float(np.abs(pit_difference(places).difference).max()))
    return Verdict(tuple(flagged), len(quantities), len(quantities[0][1]), worst)


def lines(rows: pd.DataFrame) -> list[str]:
    """The table in Markdown."""
    result = ["| model | guide | data sets | not uniform | largest distance |", "|---|---|---|---|---|"]
    for (model, guide), part in rows.groupby(["model", "guide"], sort=False):
        found = verdict(part)
        named = f": {', '.join(found.flagged)}" if found.flagged else ""
        cells = (
            model,
            guide,
            found.repetitions,
            f"{len(found.flagged)} of {found.of}{named}",
            f"{found.worst:.2f}",
        )
        result.append("| " + " | ".join(map(str, cells)) + " |")
    return result


def plot(rows: pd.DataFrame, path: Path) -> None:
    """A panel for each guide and model, a line for each quantity."""
    models = list(dict.fromkeys(rows.model))
    figure = Figure(figsize=(3.6 * len(models), 5.8), layout="constrained", facecolor="white")
    axes = figure.subplots(len(GUIDES), len(models), squeeze=False, sharex=True, sharey=True)
    for (row, guide), (column, model) in product(enumerate(GUIDES), enumerate(models)):
        panel, part = axes[row, column], rows[(rows.model == model) & (rows.guide == guide)]
        for name, ranks in part.groupby("quantity", sort=False):
            found = pit_difference(uniform_places(ranks))
            last = name == "log likelihood"
            panel.plot(
                found.levels,
                found.difference,
                color=LIGHT["s1"] if last else LIGHT["s0"],
                lw=1.6,
                alpha=1.0 if last else 0.65,
                zorder=3,
            )
        panel.fill_between(found.levels, found.lower, found.upper, color=SHADE, alpha=0.6, lw=0)
        panel.set_title(f"{model}, {guide}", loc="left", fontsize=11)
        tidy(panel)
    for panel in axes[-1]:
        panel.set_xlabel("place of the truth among the draws")
    for panel in axes[:, 0]:
        panel.set_ylabel("share of ranks below, less uniform")
    figure.suptitle(
        "blue: parameters; red: log likelihood; grey: 95 % of exact posteriors", color=MUTED, fontsize=11
    )
    figure.savefig(path, dpi=125)


def main() -> None:
    """Rank, or show what has been ranked."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="show what has been ranked, and fit nothing")
    options = parser.parse_args()
    if not options.table:
        run(options)
    rows = pd.read_csv(options.out)
    table = "\n".join(lines(rows))
    print(table)
    options.out.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    plot(rows, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
