"""A fit that ends, or changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

__all__ = ["whole"]

Estimator = TypeVar("Estimator")
P = ParamSpec("P")

Fit = Callable[Concatenate[Estimator, P], Estimator]


def whole(fit: Fit[Estimator, P]) -> Fit[Estimator, P]:
    """Run an estimator's ``fit`` on a shallow copy, whose attributes it takes over once it is done.

    Refused, diverged or interrupted, a fit leaves the estimator as it was, and never with the encoder of one
    table and the weights of another; until then it predicts as before, in other threads too. What ``fit``
    learns must be in new objects, not changed inside old ones.

    Example:
        >>> class Half:
        ...     @whole
        ...     def fit(self, fails):
        ...         self.seen_ = 1 / (0 if fails else 1)
        ...         return self
        >>> half = Half()
        >>> half.fit(False).fit(True)
        Traceback (most recent call last):
        ZeroDivisionError: division by zero
        >>> half.seen_
        1.0
    """

    @wraps(fit)
    def fitted(self: Estimator, /, *args: P.args, **kwargs: P.kwargs) -> Estimator:
        attempt = type(self).__new__(type(self))
        vars(attempt).update(vars(self))
        fit(attempt, *args, **kwargs)
        vars(self).update(vars(attempt))
        return self

    return fitted
