"""Automatic guides on densities that are known exactly: the same steps, three seeds.

    python examples/benchmarks/known_densities.py --jobs 2
    python examples/benchmarks/known_densities.py --table

Two modes, a banana, Neal's funnel and a circle (`known_targets`). Their densities are normalised, so that the
ELBO is −KL(q‖p): no bound on it may be above 0, and whatever is, is wrong. Guides are trained as in
`posteriordb`, at rates of their own; a row of the CSV is one fit, and what each column is, `Row` says.
Beside Pyro's guides stand ours with one member, with four, and trained with the linearised entropy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import contest
import pandas as pd
import pyro
import torch
from distances import c2st, wasserstein
from funnel_depth import Depth, depth
from known_targets import TARGETS, WIDTH, KnownTarget
from posteriordb import GUIDES, drawn, per_draw, train
from pyro import poutine
from pyro.infer.autoguide import AutoGuide
from torch import Tensor

from bayeshyper import AutoHypernetwork

STEPS = 1000
RATES = (0.05, 0.2)
# Draws for moments and ELBOs, of which so many at once, and for those by q's own density; then for the
# other measures.
DRAWS, AT_ONCE, EXACT = 20_000, 4000, 1000
C2ST_DRAWS, DEPTH_DRAWS = 2000, 1_000_000
RESULTS = Path(__file__).parent / "results" / "known_densities.csv"

ALL: dict[str, Callable[..., AutoGuide]] = {
    **GUIDES,
    "AutoHypernetwork, 4 members": partial(AutoHypernetwork, members=4),
    "AutoHypernetwork, linearized": partial(AutoHypernetwork, entropy="linearized"),
}


@dataclass(frozen=True)
class Row:
    """One fit against the exact density.

    Args:
        posterior: A name in `TARGETS`.
        guide: A name in `ALL`.
        seed: Of everything random in the fit.
        learning_rate: At the first step: the one of `RATES` whose ELBO is highest after the first seed.
        steps: How many.
        elbo: −KL(q‖p), by fresh draws; for AutoHypernetwork by `log_density`, whatever it was trained with.
        elbo_error: Its standard error.
        believed: What the entropy that it was trained with takes the ELBO for.
        mean_error: The largest |mean − exact mean| of all numbers, in exact standard deviations.
        sd_low: The smallest ratio of standard deviations, guide to exact.
        sd_high: The largest.
        wasserstein: The largest 1-D Wasserstein distance of all numbers, in exact standard deviations.
        c2st: Accuracy of a classifier that tells the guide's draws from exact ones; 0.5 is the best.
        left: The share of draws whose first number is negative: of a mixture, that of the left mode.
        v_low: Of the funnel, `Depth` has this and the next three.
        v_high: See there.
        scale_low: See there.
        scale_high: See there.
        seconds: Of one CPU core, to make the guide and train it.
    """

    posterior: str
    guide: str
    seed: int
    learning_rate: float
    steps: int
    elbo: float
    elbo_error: float
    believed: float
    mean_error: float
    sd_low: float
    sd_high: float
    wasserstein: float
    c2st: float
    left: float
    v_low: float
    v_high: float
    scale_low: float
    scale_high: float
    seconds: float


@torch.no_grad()
def sampled(guide: AutoGuide, count: int) -> Tensor:
    """Draws of all sites of any automatic guide, ``(count, D)``, whose densities nobody asks for."""
    with poutine.mask(mask=False), pyro.plate("draws", count, dim=-1):
        values = guide()
    return torch.cat([value.reshape(count, -1) for value in values.values()], dim=-1)


def log_weights(target: KnownTarget, guide: AutoGuide) -> Tensor:
    """log p − log q at fresh draws, ``(20_000,)``."""
    return torch.cat([drawn(target.model, guide, AT_ONCE)[1] for _ in range(DRAWS // AT_ONCE)])


def exact_log_weights(target: KnownTarget, guide: AutoHypernetwork) -> Tensor:
    """Likewise by q's own density, of all members together, ``(1000,)``."""
    values = guide.sample_posterior(EXACT)
    with pyro.plate("draws", EXACT, dim=-1):
        scored = poutine.trace(poutine.condition(target.model, data=values)).get_trace()
    return per_draw(scored) - guide.log_density(values)


def measured(name: str, guide: AutoGuide) -> dict[str, float]:
    """What `Row` has of a trained guide."""
    target = TARGETS[name]
    believed = log_weights(target, guide)
    audited = exact_log_weights(target, guide) if isinstance(guide, AutoHypernetwork) else believed
    if not bool(torch.isfinite(audited).all()):
        raise ValueError("Got log weights that are not finite, expected a guide that has converged.")
    found, exact = sampled(guide, DRAWS), target.draws(DRAWS, seed=0)
    ratios = found.std(0) / target.sd
    return {
        "elbo": audited.mean().item(),
        "elbo_error": audited.std().item() / math.sqrt(len(audited)),
        "believed": believed.mean().item(),
        "mean_error": ((found.mean(0) - target.mean) / target.sd).abs().max().item(),
        "sd_low": ratios.min().item(),
        "sd_high": ratios.max().item(),
        "wasserstein": float(wasserstein(found, exact, target.sd).max()),
        "c2st": c2st(found[:C2ST_DRAWS], exact[:C2ST_DRAWS]),
        "left": (found[:, 0] < 0).double().mean().item(),
        **_depth(name, guide)._asdict(),
    }


def _depth(name: str, guide: AutoGuide) -> Depth:
    if name != "funnel":
        return Depth(*[math.nan] * 4)
    draws = sampled(guide, DEPTH_DRAWS)
    return depth(draws[:, 0], draws[:, 1:], WIDTH)


def fitted(name: str, guide: str, seed: int, rate: float, steps: int) -> Row:
    """One fit; its numbers are NaN, and its ELBO −∞, where it did not come to an end."""
    torch.manual_seed(seed)
    started = time.process_time()
    try:
        trained = train(TARGETS[name].model, ALL[guide], rate, steps)
        seconds = time.process_time() - started
        numbers = measured(name, trained)
    except (ValueError, RuntimeError) as error:  # Pyro's words for parameters that are NaN
        print(f"{name}, {guide}, rate {rate}: {error}"[:200], flush=True)
        seconds = time.process_time() - started
        numbers = {field.name: math.nan for field in fields(Row)[5:-1]} | {"elbo": -math.inf}
    return Row(name, guide, seed, rate, steps, **numbers, seconds=seconds)


def fits(job: tuple[str, str], *, steps: int, seeds: int) -> list[Row]:
    """All fits of a guide to a target: the first seed at every rate, the others at the best of them."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)  # which AutoIAFNormal takes for its network
    first = max((fitted(*job, 0, rate, steps) for rate in RATES), key=lambda row: row.elbo)
    return [first, *(fitted(*job, seed, first.learning_rate, steps) for seed in range(1, seeds))]


def lines(rows: pd.DataFrame) -> list[str]:
    """The table in Markdown: the mean of the ELBOs, of C2ST and of shares, and the worst of all else."""
    heads = (
        "density",
        "guide",
        "ELBO",
        "believed",
        "mean error",
        "sd ratio",
        "W1",
        "C2ST",
        "left",
        "seconds",
    )
    result = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for (name, guide), part in rows.groupby(["posterior", "guide"], sort=False):
        cells = (
            TARGETS[name].name,
            guide,
            f"{part.elbo.mean():.3f} ± {math.hypot(part.elbo.std(), part.elbo_error.max()):.3f}",
            f"{part.believed.mean():.3f}",
            f"{part.mean_error.max():.2f}",
            f"{part.sd_low.min():.2f}–{part.sd_high.max():.2f}",
            f"{part.wasserstein.max():.2f}",
            f"{part.c2st.mean():.2f}",
            f"{part.left.mean():.0%}" if "mixture" in name else "",
            f"{part.seconds.mean():.0f}",
        )
        result.append("| " + " | ".join(cells) + " |")
    funnels = rows[rows.posterior == "funnel"].groupby("guide", sort=False)
    result += ["", *(_reach(guide, part) for guide, part in funnels)]
    wrong = rows[rows.elbo > 2.0 * rows.elbo_error]
    for guide, part in wrong.groupby("guide", sort=False):
        names = ", ".join(TARGETS[name].name for name in part.posterior.unique())
        result.append(
            f"- No ELBO is above 0. That of {guide} is, on {names}: its density is an integral over noise "
            "that its draws do not find all of."
        )
    return result


def _reach(guide: str, part: pd.DataFrame) -> str:
    """Down to where all seeds are right, in the funnel's own v."""
    v = WIDTH * part.v_low.max(), WIDTH * part.v_high.min()
    scale = WIDTH * part.scale_low.max(), WIDTH * part.scale_high.min()
    return (
        f"- The funnel by {guide}: quantiles of v are right from {v[0]:.1f} to {v[1]:.1f}, the scale of x "
        f"given v from {scale[0]:.1f} to {scale[1]:.1f}."
    )


def main() -> None:
    """Fit, or print the table of what has been fitted."""
    options = contest.parser(str(__doc__), TARGETS, ALL, STEPS, RESULTS).parse_args()
    contest.run(options, partial(fits, steps=options.steps, seeds=options.seeds), lines)


if __name__ == "__main__":
    main()
