"""Four automatic guides on 23 posteriors whose draws others made: the same steps, three seeds.

    python examples/benchmarks/posteriordb.py --folder ../shared/data/posteriordb --jobs 2
    python examples/benchmarks/posteriordb.py --table --page README.md

Every guide is trained by stock SVI with as many particles, side by side, and as many steps of ClippedAdam,
whose rate falls to a hundredth. The rate is chosen for each guide and posterior by the ELBO that the first
seed ends at, from the same list for all. (A shorter run would choose rates that are too high, for flows above
all.) A row of the CSV is one fit, appended when it is done: a run can end anywhere and go on. What a column
is, `Row` says.
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
from pages import with_table
from posteriors import POSTERIORS, Posterior, posterior
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoGuide, AutoIAFNormal, AutoLowRankMultivariateNormal, AutoNormal
from pyro.optim import ClippedAdam
from torch import Tensor

from bayeshyper import AutoHypernetwork
from bayeshyper.diagnostics import pareto_khat

STEPS, PARTICLES = 2000, 8
RATES = (0.02, 0.1)
DECAY, CLIP = 0.01, 10.0
# Draws that distances and ELBOs are measured with; a classifier learns from fewer.
DRAWS, C2ST_DRAWS = 10_000, 1000
RESULTS = Path(__file__).parent / "results" / "posteriordb.csv"

GUIDES: dict[str, Callable[..., AutoGuide]] = {
    "AutoNormal": AutoNormal,
    "AutoLowRankMultivariateNormal": AutoLowRankMultivariateNormal,
    "AutoIAFNormal": AutoIAFNormal,
    "AutoHypernetwork": AutoHypernetwork,
}
# What the search for a start alone finds: not trained at all.
START = "AutoHypernetwork, untrained"


@dataclass(frozen=True)
class Row:
    """One fit against the reference draws, all 10 000 of them.

    Args:
        posterior: Its name in posteriordb.
        guide: Its class.
        seed: Of everything random in the fit.
        learning_rate: At the first step.
        steps: How many.
        mean_error: The largest |mean − reference mean| of all parameters, in reference standard deviations.
        sd_low: The smallest ratio of standard deviations, guide to reference.
        sd_high: The largest.
        wasserstein: The largest 1-D Wasserstein distance of all parameters, in reference standard deviations.
        c2st: Accuracy of a classifier that tells the guide's draws from the reference's; 0.5 is the best.
        elbo: By fresh draws, for AutoHypernetwork from the lower bound on its entropy.
        elbo_error: Its standard error.
        khat: Pareto k̂ of the importance weights p/q.
        seconds: Of one CPU core, to make the guide and train it.
    """

    posterior: str
    guide: str
    seed: int
    learning_rate: float
    steps: int
    mean_error: float
    sd_low: float
    sd_high: float
    wasserstein: float
    c2st: float
    elbo: float
    elbo_error: float
    khat: float
    seconds: float


def train(model: Callable[[], None], make: Callable[..., AutoGuide], rate: float, steps: int) -> AutoGuide:
    """A guide of a model, trained."""
    pyro.clear_param_store()
    guide = make(model)
    guide()
    settings = {"lr": rate, "lrd": DECAY ** (1 / max(steps, 1)), "clip_norm": CLIP}
    elbo = Trace_ELBO(num_particles=PARTICLES, vectorize_particles=True, max_plate_nesting=0)
    svi = SVI(model, guide, ClippedAdam(settings), elbo)
    for _ in range(steps):
        svi.step()
    return guide


@torch.no_grad()
def drawn(model: Callable[[], None], guide: AutoGuide, draws: int) -> tuple[dict[str, Tensor], Tensor]:
    """The sites' values, ``(S, …)`` each, and log p(values, data) − log q(values), ``(S,)``."""
    with pyro.plate("draws", draws, dim=-1):
        made = poutine.trace(guide).get_trace()
        scored = poutine.trace(poutine.replay(model, trace=made)).get_trace()
    values = {name: node["value"] for name, node in made.nodes.items() if node["type"] == "sample"}
    return values, per_draw(scored) - per_draw(made)


def per_draw(trace: poutine.Trace) -> Tensor:
    """The log probability of all sites of a trace in a plate of draws, ``(S,)``."""
    trace.compute_log_prob()
    parts = [node["log_prob"] for node in trace.nodes.values() if node["type"] == "sample"]
    return sum(parts[1:], start=parts[0])


def measured(target: Posterior, guide: AutoGuide) -> dict[str, float]:
    """What `Row` has of a trained guide."""
    sites, log_weights = drawn(target.model, guide, DRAWS)
    found, reference = target.parameters(sites), target.reference
    center, spread = reference.mean(0), reference.std(0)
    ratios = found.std(0) / spread
    every = len(reference) // C2ST_DRAWS
    return {
        "mean_error": ((found.mean(0) - center) / spread).abs().max().item(),
        "sd_low": ratios.min().item(),
        "sd_high": ratios.max().item(),
        "wasserstein": float(wasserstein(found, reference, spread).max()),
        "c2st": c2st(found[:C2ST_DRAWS], reference[::every]),
        "elbo": log_weights.mean().item(),
        "elbo_error": log_weights.std().item() / math.sqrt(DRAWS),
        "khat": pareto_khat(log_weights.numpy())[0],
    }


@dataclass(frozen=True)
class Trained:
    """A trained guide, and what it took; None where the fit did not come to an end."""

    guide: AutoGuide | None
    rate: float
    seconds: float
    elbo: float


def fitted(target: Posterior, guide: str, seed: int, rate: float, steps: int) -> Trained:
    """One fit."""
    torch.manual_seed(seed)
    started = time.process_time()
    try:
        trained = train(target.model, GUIDES[guide.partition(",")[0]], rate, steps)
        seconds = time.process_time() - started
        elbo = drawn(target.model, trained, DRAWS)[1].mean().item()
    except (ValueError, RuntimeError) as error:  # Pyro's words for parameters that are NaN
        print(f"{target.name}, {guide}, rate {rate}: {error}"[:200], flush=True)
        return Trained(None, rate, time.process_time() - started, -math.inf)
    return Trained(trained, rate, seconds, elbo if math.isfinite(elbo) else -math.inf)


def row(target: Posterior, guide: str, seed: int, fit: Trained, steps: int) -> Row:
    """A fit, measured; its numbers are NaN, and its ELBO −∞, where it did not come to an end."""
    if fit.guide is None or fit.elbo == -math.inf:
        numbers = {field.name: math.nan for field in fields(Row)[5:-1]} | {"elbo": -math.inf}
    else:
        numbers = measured(target, fit.guide)
    return Row(target.name, guide, seed, fit.rate, steps, **numbers, seconds=fit.seconds)


def fits(job: tuple[str, str], *, folder: Path, steps: int, seeds: int) -> list[Row]:
    """All fits of a guide to a posterior: the first seed at every rate, the others at the best of them."""
    name, guide = job
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)  # which AutoIAFNormal takes for its network
    target = posterior(name, folder)
    steps, rates = (0, (0.0,)) if guide == START else (steps, RATES)
    first = max((fitted(target, guide, 0, rate, steps) for rate in rates), key=lambda fit: fit.elbo)
    others = [fitted(target, guide, seed, first.rate, steps) for seed in range(1, seeds)]
    return [row(target, guide, seed, fit, steps) for seed, fit in enumerate([first, *others])]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One line for each posterior and guide: the worst of the seeds; of ELBO and seconds the mean.

    ``aim`` says whether every seed has all means within 0.1 reference standard deviations and all standard
    deviations within 10 %; ``best`` whether the mean ELBO is below the best guide's by no more than twice the
    standard error of that one's. A guide's own spread between seeds is no excuse: it would be as good as
    the best for failing on some.
    """
    highest, lowest = (partial(pick, skipna=False) for pick in (pd.Series.max, pd.Series.min))
    table = rows.groupby(["posterior", "guide"], sort=False).agg(
        mean_error=("mean_error", highest),
        sd_low=("sd_low", lowest),
        sd_high=("sd_high", highest),
        wasserstein=("wasserstein", highest),
        c2st=("c2st", "mean"),
        elbo=("elbo", "mean"),
        spread=("elbo", "std"),
        within=("elbo_error", "max"),
        seeds=("seed", "count"),
        khat=("khat", highest),
        seconds=("seconds", "mean"),
    )
    table["aim"] = (table.mean_error < 0.1) & (table.sd_low > 0.9) & (table.sd_high < 1.1)
    variance = (table.spread.fillna(0.0) ** 2 + table.within**2) / table.seeds
    best = table.groupby("posterior").elbo.transform("max")
    leader = table.groupby("posterior").elbo.transform("idxmax").map(variance)
    table["best"] = best - table.elbo <= 2.0 * leader**0.5
    return table.reset_index()


def lines(rows: pd.DataFrame) -> list[str]:
    """The table in Markdown, and what it comes to."""
    table = summary(rows)
    heads = (
        "posterior",
        "guide",
        "mean error",
        "sd ratio",
        "W1",
        "C2ST",
        "ELBO",
        "k̂",
        "seconds",
        "aim",
        "best",
    )
    result = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in table.itertuples():
        cells = (
            row.posterior,
            row.guide,
            f"{row.mean_error:.2f}",
            f"{row.sd_low:.2f}–{row.sd_high:.2f}",
            f"{row.wasserstein:.2f}",
            f"{row.c2st:.2f}",
            f"{row.elbo:.2f} ± {math.hypot(row.spread, row.within):.2f}",
            f"{row.khat:.2f}",
            f"{row.seconds:.0f}",
            "yes" if row.aim else "no",
            "yes" if row.best else "no",
        )
        result.append("| " + " | ".join(cells) + " |")
    return [*result, "", *totals(rows)]


def totals(rows: pd.DataFrame) -> list[str]:
    """What the table comes to, in Markdown: a line for each guide."""
    table = summary(rows)
    once = table[table.guide == "AutoNormal"].set_index("posterior").seconds
    result = [
        "| guide | posteriors | right on | best ELBO on | worst mean error, median | C2ST, median | time |",
        "|---|---|---|---|---|---|---|",
    ]
    for guide, part in table.groupby("guide", sort=False):
        ratio = (part.set_index("posterior").seconds / once).median()
        cells = (
            guide,
            len(part),
            int(part.aim.sum()),
            int(part.best.sum()),
            f"{part.mean_error.median():.2f}",
            f"{part.c2st.median():.2f}",
            f"{ratio:.1f} ×",
        )
        result.append("| " + " | ".join(map(str, cells)) + " |")
    return result


def main() -> None:
    """Fit, or print the table of what has been fitted."""
    parser = contest.parser(str(__doc__), POSTERIORS, [START, *GUIDES], STEPS, RESULTS)
    parser.add_argument("--folder", type=Path, default=Path("../shared/data/posteriordb"))
    parser.add_argument("--page", type=Path, help="a page to put what the table comes to into")
    options = parser.parse_args()
    one = partial(fits, folder=options.folder, steps=options.steps, seeds=options.seeds)
    contest.run(options, one, lines)
    if options.page:
        page = options.page.read_text(encoding="utf-8")
        made = with_table(page, "posteriordb", totals(pd.read_csv(options.out)))
        options.page.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
