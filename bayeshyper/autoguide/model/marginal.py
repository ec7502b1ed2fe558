"""The density of a guide's latents, where the model has discrete sites that are hidden from the guide."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from pyro import poutine
from pyro.infer.autoguide.initialization import InitMessenger
from pyro.ops.contract import contract_to_tensor
from pyro.poutine.block_messenger import BlockMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

__all__ = ["enumerated", "sum_out", "unblocked"]

Model = Callable[..., Any]


def unblocked(model: Model) -> Model:
    """The model with all its sites; other handlers stay.

    ``poutine.block`` can hide observed sites as well, and where latents start is no part of a density.
    """
    if not (isinstance(model, functools.partial) and model.args and isinstance(model.args[0], Messenger)):
        return model
    messenger, inner = model.args[0], unblocked(model.args[1])
    return inner if isinstance(messenger, (BlockMessenger, InitMessenger)) else messenger(inner)


def enumerated(trace: poutine.Trace) -> bool:
    """Whether the model has discrete sites that ``TraceEnum_ELBO`` sums out.

    Those of subsampled rows do not count: a sum over states is no sum of rows' shares.
    """
    sites = [site for site in trace.nodes.values() if site["type"] == "sample"]
    summed = [site for site in sites if (site["infer"] or {}).get("enumerate") == "parallel"]
    return bool(summed) and all(site["scale"] == 1.0 for site in sites)


def sum_out(run: Callable[[], Any], nesting: int, particles: str | None = None) -> Tensor:
    """log Σ_k p(values, data, k) over all states k of a model's discrete sites: a number, or ``(S,)``.

    Args:
        run: The model, at given values of its other sites.
        nesting: How many plate dimensions there are, particles included.
        particles: The plate of particles, where there is one: each has a number of its own.
    """
    trace = poutine.trace(poutine.enum(run, first_available_dim=-1 - nesting)).get_trace()
    trace.compute_log_prob()
    trace.pack_tensors()
    symbols = trace.plate_to_symbol
    factors: OrderedDict[frozenset[str], list[Tensor]] = OrderedDict()
    for site in trace.nodes.values():
        if site["type"] == "sample" and not site_is_subsample(site):
            plates = frozenset(symbols[frame.name] for frame in site["cond_indep_stack"] if frame.vectorized)
            factors.setdefault(plates, []).append(site["packed"]["log_prob"])
    states = set(trace.symbol_to_dim) - set(symbols.values())
    kept = frozenset({symbols[particles]}) if particles else frozenset()
    summed: Tensor = contract_to_tensor(factors, states, target_ordinal=kept)
    return summed
