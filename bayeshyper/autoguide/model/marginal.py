"""The density of a guide's latents, where the model has discrete sites that are hidden from the guide."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from pyro import poutine
from pyro.infer.autoguide.initialization import InitMessenger
from pyro.ops import packed
from pyro.ops.contract import contract_to_tensor
from pyro.poutine.block_messenger import BlockMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

__all__ = ["is_enumerated", "sum_out", "unblocked"]

Model = Callable[..., Any]
Factors = OrderedDict[frozenset[str], list[Tensor]]
"""Log probabilities by the plates they stand in, as Pyro's contraction takes them."""


def unblocked(model: Model) -> Model:
    """The model with all its sites; other handlers stay.

    ``poutine.block`` can hide observed sites as well, and where latents start is no part of a density.
    """
    if not (isinstance(model, functools.partial) and model.args and isinstance(model.args[0], Messenger)):
        return model
    messenger, inner = model.args[0], unblocked(model.args[1])
    return inner if isinstance(messenger, (BlockMessenger, InitMessenger)) else messenger(inner)


def is_enumerated(site: Mapping[str, Any]) -> bool:
    """Whether a site is a discrete one that ``TraceEnum_ELBO`` sums out."""
    return (site["infer"] or {}).get("enumerate") == "parallel"


def sum_out(trace: poutine.Trace, particles: str | None = None) -> Tensor:
    """log Σ_k p(values, data, k) over all states k of a model's discrete sites: a number, or ``(S,)``.

    Masks and scales count as in ``TraceEnum_ELBO``: Σ_k π_k p(y | k)^m, where a place is masked, is Σ_k π_k,
    which is 1, so that masks leave the states' own probabilities alone; and a scale is one of the log of the
    sum, so that all that is summed has to have the same.

    Args:
        trace: Of the model in ``poutine.enum``, with ``log_prob`` and ``unscaled_log_prob`` of all sites.
        particles: The plate of particles, where there is one: each has a number of its own.

    Raises:
        ValueError: Sites of different scales are summed over together.
    """
    trace.pack_tensors()
    symbols = trace.plate_to_symbol
    states = set(trace.symbol_to_dim) - set(symbols.values())
    fixed: Factors = OrderedDict()
    varying: Factors = OrderedDict()
    scales: dict[str, Any] = {}
    nodes: Mapping[str, Any] = trace.nodes
    for name, site in nodes.items():
        if site["type"] != "sample" or site_is_subsample(site):
            continue
        plates = frozenset(symbols[frame.name] for frame in site["cond_indep_stack"] if frame.vectorized)
        factors, log_prob = varying, site["packed"]["unscaled_log_prob"]
        if states.isdisjoint(log_prob._pyro_dims):
            factors, log_prob = fixed, site["packed"]["log_prob"]
        elif site["infer"].get("_enumerate_dim") is None:
            log_prob = packed.scale_and_mask(log_prob, mask=site["packed"]["mask"])
        factors.setdefault(plates, []).append(log_prob)
        if factors is varying:
            scales[name] = site["scale"]
    kept = frozenset({symbols[particles]}) if particles else frozenset()
    total: Tensor = _common(scales) * contract_to_tensor(varying, states, target_ordinal=kept)
    return total + contract_to_tensor(fixed, set(), target_ordinal=kept) if fixed else total


def _common(scales: Mapping[str, Any]) -> Any:
    """The one scale that all have."""
    first, *others = scales.values()
    if any(isinstance(scale, Tensor) and scale.numel() > 1 for scale in (first, *others)) or any(
        float(scale) != float(first) for scale in others
    ):
        raise ValueError(
            f"Got different scales at the sites {', '.join(map(repr, scales))}, over whose states is summed, "
            "expected one number for them all: it scales the log of the sum. Put poutine.scale around all of "
            "them, or around none."
        )
    return first
