"""What is asked of a network of the user's own: to take the table's rows, and to be itself when loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bayeshyper._vocabulary import leaves
from bayeshyper.data.names import listed
from bayeshyper.errors import DataError, ModelFileError, RecipeError
from bayeshyper.models import BayesianModel, Target
from bayeshyper.prediction import PredictiveDistribution
from bayeshyper.threads import seeded

__all__ = [
    "answers",
    "check_same_outputs",
    "check_same_tensors",
    "check_takes_rows",
    "probe",
    "refuse_target_keys",
]

# The keys of a recipe's table `target` that are for any network.
FOR_ANY = ("target.bayesian", "target.pretrained")
# What torch raises where rows have the wrong shape.
REFUSALS = (RuntimeError, IndexError)
# How a model file names the network's tensors.
NETWORK = "model.target.network."
# Made-up rows: some, and wider than the standardised ones, so that they reach where networks differ.
ROWS, SPREAD = 8, 2.0
# Of outputs, whose own size is about 1; machines differ far less, another activation far more.
TOLERANCE = 1e-4


def refuse_target_keys(settings: Mapping[str, Any]) -> None:
    """Refuse settings that would build a network, where there is one already.

    Raises:
        RecipeError: There is one; it is named.

    Example:
        >>> refuse_target_keys({"target.hidden": [50]})
        Traceback (most recent call last):
        bayeshyper.errors.RecipeError: Got target.hidden and network=, expected one of them; leave one out.
    """
    keys = [key for key, _ in leaves(settings) if key.startswith("target.") and key not in FOR_ANY]
    if keys:
        raise RecipeError(f"Got {listed(keys)} and network=, expected one of them; leave one out.")


def check_takes_rows(target: Target, x: Tensor) -> None:
    """Run a network, as it is, on the first rows of a table ``(N, inputs)``.

    Raises:
        DataError: It refuses them; the cause is its own error.
    """
    try:
        with torch.no_grad(), seeded(0):
            target(target.spec.flatten(target.initial()).unsqueeze(0), x[:2])
    except REFUSALS as error:
        name, (reason, *_) = type(target.network).__name__, str(error).splitlines() or [repr(error)]
        raise DataError(
            f"The table gives {x.shape[1]} encoded inputs per row, which the {name} passed as network= "
            f"refused ({reason}); its forward must take a tensor (rows, {x.shape[1]})."
        ) from error


def answers(predictive: PredictiveDistribution) -> bool:
    """Whether a network, which need not take rows that are made up, gives finite numbers for them."""
    try:
        return bool(np.isfinite(predictive.functions()).all())
    except (*REFUSALS, DataError):
        return False


def probe(model: BayesianModel, draws: Tensor, inputs: int) -> dict[str, Tensor]:
    """What tells a network from another with the same tensors: its outputs on a few made-up rows.

    Args:
        model: In float64, as it predicts.
        draws: The posterior's, ``(S, D)``; the first one is run.
        inputs: Encoded inputs per row.

    Returns:
        ``"probe.rows" (8, inputs)`` and ``"probe.outputs" (1, 8, outputs)``, for a model file; nothing where
        the network refuses such rows.
    """
    rows = SPREAD * torch.randn(ROWS, inputs, generator=torch.Generator().manual_seed(0), dtype=draws.dtype)
    try:
        return {"probe.rows": rows, "probe.outputs": _run(model, draws, rows)}
    except REFUSALS:  # one that looks its inputs up in a table, say
        return {}


def check_same_tensors(network: nn.Module, tensors: Mapping[str, Tensor], fitted: str) -> None:
    """Hold a network's tensors against those of the one that was fitted.

    Args:
        network: The network of the model that is being loaded.
        tensors: The model file's.
        fitted: The class of the network that was fitted.

    Raises:
        ModelFileError: Their names or shapes differ.
    """
    kept = {name: tensor.shape for name, tensor in tensors.items() if name.startswith(NETWORK)}
    own = {f"{NETWORK}{name}": tensor.shape for name, tensor in network.state_dict().items()}
    differing = [name for name in own | kept if kept.get(name) != own.get(name)]
    if differing:
        names = listed((name.removeprefix(NETWORK) for name in differing), most=4)
        raise ModelFileError(
            f"The network passed has other tensors ({names}) than the {fitted} that the model was fitted "
            "with; pass the same architecture."
        )


def check_same_outputs(
    model: BayesianModel, draws: Tensor, tensors: Mapping[str, Tensor], fitted: str
) -> None:
    """Hold a network's outputs against those that `probe` kept in a model file.

    Raises:
        ModelFileError: They differ, or the network refuses the rows; a file without a probe says nothing.
    """
    if "probe.rows" not in tensors:
        return
    rows, kept = tensors["probe.rows"], tensors["probe.outputs"]
    try:
        # Other rows are not run: there may be very many.
        same = rows.shape[:-1] == (ROWS,) and _close(_run(model, draws, rows), kept)
    except REFUSALS:
        same = False
    if not same:
        raise ModelFileError(
            f"The network passed gives other outputs than the {fitted} that the model was fitted with; "
            "pass the same architecture."
        )


def _close(outputs: Tensor, kept: Tensor) -> bool:
    return outputs.shape == kept.shape and torch.allclose(
        outputs, kept, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
    )


@torch.no_grad()
def _run(model: BayesianModel, draws: Tensor, rows: Tensor) -> Tensor:
    with seeded(0):
        return model.outputs(draws[:1], rows)
