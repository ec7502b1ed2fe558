"""Expectations under a distribution, by sums over its support and by draws, and what they are held to."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from bayeshyper.models import Likelihood

# Densities are summed from e^-40 to e^40 scales away from the middle, in steps of 1/64 of a power of e.
REACH, LOG_STEP = 40.0, 1.0 / 64
# Whole numbers are summed as far as this many standard deviations: what is left out is small (Chebyshev).
DEVIATIONS = 60.0
# Of standard errors that a mean of draws may be off.
ERRORS = 5.0


@torch.no_grad()
def masses(likelihood: Likelihood, part: Distribution) -> tuple[Tensor, Tensor]:
    """Places in the support, ``(P, …)`` in rising order, and the probability at each.

    Whole numbers one by one. Else y = g(t) with t on a grid, where g takes the line to the support and is
    such that tails and ends fall off exponentially in t: a plain sum then converges faster than any power of
    the grid's step.
    """
    support = likelihood.support
    if support.discrete:
        upper = support.upper
        if not math.isfinite(upper):
            upper = float((part.mean + DEVIATIONS * part.stddev).max().ceil())
        places = torch.arange(support.lower, upper + 1).double().reshape(-1, *(1 for _ in part.batch_shape))
        places = places.expand(-1, *part.batch_shape)
        return places, part.log_prob(places).exp()
    t = torch.arange(-REACH, REACH, LOG_STEP).double().reshape(-1, *(1 for _ in part.batch_shape))
    if math.isfinite(support.lower) and math.isfinite(support.upper):
        width, share = support.upper - support.lower, t.sigmoid()
        places, slope = support.lower + width * share, width * share * (-t).sigmoid()
    elif math.isfinite(support.lower):
        places, slope = support.lower + part.stddev * t.exp(), part.stddev * t.exp()
    elif math.isfinite(support.upper):
        places, slope = support.upper - part.stddev * (-t).exp(), part.stddev * (-t).exp()
    else:
        places, slope = part.mean + part.stddev * t.sinh(), part.stddev * t.cosh()
    inside = support.contains(places)  # the last of them round to the support's ends
    density = part.log_prob(torch.where(inside, places, part.mean)).exp()
    return places, torch.where(inside, density * slope * LOG_STEP, 0.0)


def close(found: Tensor, expected: Tensor, what: str, tolerance: float) -> None:
    """Whether two tensors are the same to a tolerance, relative where they are large."""
    off = ((found - expected).abs() / (1.0 + expected.abs())).max()
    assert off < tolerance, f"The {what} is off by {off:.3g} from that of the density."


def alike(drawn: Tensor, expected: Tensor, what: str) -> None:
    """Whether the mean of draws ``(n, …)`` is as expected, within their own standard error."""
    errors = drawn.std(0) / math.sqrt(len(drawn)) + 1e-9
    off = ((drawn.mean(0) - expected).abs() / errors).max()
    assert off < ERRORS, f"The draws' {what} is {off:.1f} standard errors off that of the distribution."
