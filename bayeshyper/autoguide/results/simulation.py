"""Simulation-based calibration of any Pyro model, and of whatever draws from its posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import torch
from pyro import poutine
from torch import Tensor

from bayeshyper.autoguide.model.admission import check_arguments
from bayeshyper.autoguide.model.runs import Runs, log_likelihood
from bayeshyper.diagnostics.posterior.simulation import SimulationCalibration, simulation_based_calibration
from bayeshyper.threads import seeded

__all__ = ["calibrate_model"]

Model = Callable[[], Any]
Values = Mapping[str, Tensor]


def calibrate_model(
    model: Callable[..., Any],
    posterior: Callable[[Model, int], Values],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    repetitions: int = 100,
    seed: int = 0,
    show: bool | None = None,
) -> SimulationCalibration:
    """Draw data sets from a Pyro model, and rank the truth of each among the draws of its posterior.

    Every repetition runs the model with no value given: its latent sites are the truth, and its observed
    sites the data. ``posterior`` then sees the model with those data in place of the ones in ``args``. The
    quantities are all numbers of all latent sites, and the log likelihood, which tells a posterior that
    ignores its data from a right one (Modrák et al. 2023): see `simulation_based_calibration`.

    Args:
        model: A Pyro model with observed sites and proper priors, its sites of one shape in every run.
        posterior: How the posterior is found: from a model without arguments and a seed to S independent
            draws of each latent site, ``(S, *shape)``; 63, say, which is one below a multiple of the bins.
            It may be a guide that is trained there, or anything else that draws.
        args: The model's arguments, with data of the right shape, for which others are drawn.
        kwargs: Its keyword arguments likewise.
        repetitions: How many data sets, at least 20; one fit for each.
        seed: Of everything.
        show: A progress bar: True, False, or None after two seconds on a terminal.

    Raises:
        ValueError: A model without observed sites, or with `pyro.factor`, which draws no data; a prior that
            cannot be drawn; arguments that it lacks; draws that lack a site.

    Example:
        >>> import pyro, pyro.distributions as dist
        >>> def model(y):
        ...     mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(mean, 1.0), obs=y)
        >>> def posterior(model, seed):  # N(y/2, 1/2)
        ...     y = poutine.trace(model).get_trace().nodes["y"]["value"]
        ...     noise = torch.randn(63, generator=torch.Generator().manual_seed(seed))
        ...     return {"mean": y / 2 + 0.5**0.5 * noise}
        >>> found = calibrate_model(model, posterior, (torch.tensor(0.0),), repetitions=50)
        >>> found.names, found.flagged
        (('mean', 'log likelihood'), ())
    """
    check_arguments(
        model, args, kwargs or {}, "Give them as args= and kwargs=, with data of the right shape."
    )
    with poutine.block(), seeded(seed):
        runs = Runs(model, args, dict(kwargs or {}))
    if not runs.observed or runs.factors:
        raise ValueError(
            f"Got a model with {', '.join(runs.factors) or 'no observed site'}, expected observed sites that "
            "are drawn from distributions: data are simulated by drawing them."
        )

    latents = [name for name in runs.random if name not in runs.observed]

    @torch.no_grad()
    def simulate(seed: int) -> tuple[Values, Values]:
        with poutine.block(), seeded(seed):
            nodes = runs.of_prior()
        truth = {name: nodes[name]["value"].unsqueeze(0) for name in latents}
        return truth, {name: nodes[name]["value"] for name in runs.observed}

    def fitted(data: Values, seed: int) -> Values:
        def simulated() -> Any:
            with poutine.condition(data=dict(data)):
                return model(*args, **(kwargs or {}))

        with seeded(seed):
            draws = posterior(simulated, seed)
        missing = [name for name in latents if name not in draws]
        if missing:
            raise ValueError(f"Got no draws of {', '.join(missing)}, expected some of every latent site.")
        return draws

    @torch.no_grad()
    def quantities(values: Values, data: Values) -> Tensor:
        columns = [values[name].reshape(len(values[name]), -1) for name in latents]
        rows = zip(*(values[name] for name in latents), strict=True)
        with poutine.block():
            fits = [_fit(runs, {**dict(zip(latents, row, strict=True)), **data}) for row in rows]
        return torch.cat([*columns, torch.stack(fits).unsqueeze(-1)], dim=-1)

    shapes = {name: runs.first[name]["value"].shape for name in latents}
    return simulation_based_calibration(
        simulate,
        fitted,
        quantities,
        names=[
            *(number for name, shape in shapes.items() for number in _numbers(name, shape)),
            "log likelihood",
        ],
        repetitions=repetitions,
        seed=seed,
        show=show,
    )


def _fit(runs: Runs, values: Values) -> Tensor:
    """The log likelihood of all data at one draw."""
    nodes = runs.at(values)
    return torch.stack([log_likelihood(nodes[name]).sum() for name in runs.observed]).sum()


def _numbers(name: str, shape: torch.Size) -> list[str]:
    """What the numbers of a site are called: ``mean``, or ``slopes[0]`` and so on."""
    places = product(*(range(size) for size in shape))
    return [f"{name}[{', '.join(map(str, place))}]" if place else name for place in places]
