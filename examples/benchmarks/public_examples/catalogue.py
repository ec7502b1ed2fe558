"""The examples by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from bayeshyper.errors import DataError

from . import networks, regressions, shapes, states
from .kind import PublicExample

MADE: Mapping[str, Callable[[], PublicExample]] = {
    "introduction": regressions.introduction,
    "regression of a module": regressions.module_regression,
    "regression, full covariance": regressions.full_covariance,
    "nested modules": regressions.nested_modules,
    "mini-batches": regressions.minibatches,
    "birds, constant survival": partial(states.capture_recapture, states.constant_survival),
    "birds, random survival": partial(states.capture_recapture, states.random_survival),
    "birds, survival by sex": partial(states.capture_recapture, states.survival_by_sex),
    "mixture": states.mixture,
    "banana, mean field": shapes.banana_mean_field,
    "banana, flow": shapes.banana_flow,
    "eight schools": shapes.eight_schools,
    "forecast": shapes.forecast,
    "deep gamma factors": networks.gamma_factors,
    "deep network": networks.deep_network,
}
EXAMPLES = tuple(MADE)


def example(name: str) -> PublicExample:
    """An example by its name.

    Raises:
        DataError: There is none of that name.
    """
    if name not in MADE:
        raise DataError(f"There is no example {name!r}: expected one of {', '.join(EXAMPLES)}.")
    return MADE[name]()
