"""Runs of a Pyro model, one draw at a time: it may not be able to have more at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

__all__ = ["Node", "Nodes", "Runs", "log_likelihood"]

Node = Any  # what a trace has of a site
Nodes = Mapping[str, Node]


class Runs:
    """A model at its arguments, run with any sites given, or drawn.

    Args:
        model: A Pyro model.
        args: Its arguments.
        kwargs: Its keyword arguments.

    Attributes:
        first: The sites of a first run, as the model has them.
        computed: The names of `pyro.deterministic`'s.
        factors: Those of `pyro.factor`'s.
        random: Those of all other sites, but for rows of plates.
        observed: Those of them that are given data.

    Example:
        >>> import pyro, torch
        >>> def model(y):
        ...     mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(mean, 1.0), obs=y)
        >>> runs = Runs(model, (torch.zeros(()),), {})
        >>> runs.random, runs.observed
        (['mean', 'y'], ['y'])
        >>> log_likelihood(runs.at({"mean": torch.tensor(2.0)})["y"])
        tensor(-2.9189)
    """

    def __init__(self, model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._model, self._args, self._kwargs = model, args, kwargs
        self.first = self.at({})
        fixed = [name for name, node in self.first.items() if node["is_observed"]]
        self.computed = [name for name in fixed if self.first[name]["infer"].get("_deterministic")]
        self.factors = [
            name
            for name in fixed
            if name not in self.computed and isinstance(self.first[name]["fn"], dist.Unit)
        ]
        self.random = [
            name
            for name, node in self.first.items()
            if name not in (*self.computed, *self.factors) and not site_is_subsample(node)
        ]
        self.observed = [name for name in self.random if name in fixed]

    def at(self, given: Mapping[str, Tensor], *, anew: bool = False) -> Nodes:
        """The sites of a run at given values.

        Args:
            given: Values of sites, also of such as are observed.
            anew: Whether all other sites are drawn, those that are observed too.

        Raises:
            ValueError: An improper prior cannot be drawn.
        """
        model = poutine.condition(_Anew()(self._model) if anew else self._model, data=dict(given))
        try:
            trace = poutine.trace(model).get_trace(*self._args, **self._kwargs)
        except NotImplementedError as error:
            raise ValueError(
                "The prior cannot be drawn, as an improper one cannot: leave out what needs draws of it. "
                f"What Pyro says: {error}"
            ) from error
        return {name: node for name, node in trace.nodes.items() if node["type"] == "sample"}

    def of_prior(self) -> Nodes:
        """The sites of a run without any value given."""
        return self.at({}, anew=True)


class _Anew(Messenger):
    """Every site is drawn: those that are observed as well, and those that a guide has set to its start."""

    def _pyro_sample(self, message: Any) -> None:
        if not (site_is_subsample(message) or message["infer"].get("_deterministic")):
            message["value"], message["is_observed"], message["done"] = None, False, False


def log_likelihood(node: Node) -> Tensor:
    """log p(value) of an observed site in each place of its plates; 0 where it is masked."""
    density: Tensor = scale_and_mask(node["fn"].log_prob(node["value"]), 1.0, node["mask"])
    return density
