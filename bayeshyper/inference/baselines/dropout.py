"""Monte Carlo dropout (Gal & Ghahramani 2016), with its masks as weight vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from bayeshyper.errors import RecipeError
from bayeshyper.inference.baselines.points import RowScores
from bayeshyper.models import BayesianModel
from bayeshyper.models.stack import Affine, LinearStack

__all__ = ["dropout_scores", "masked_draws", "stack_of"]


def stack_of(model: BayesianModel) -> LinearStack:
    """The model's network as Linears and activations in turn, whose inputs can be dropped.

    Raises:
        RecipeError: It is not one.
    """
    stack = model.target.stack
    if stack is None:
        raise RecipeError(
            f"Got a {type(model.target.network).__name__} for MC dropout, expected Linears and activations "
            "in turn, all of whose weights are Bayesian; leave mc-dropout out, or use the network 'mlp'."
        )
    return stack


def dropout_scores(model: BayesianModel, rates: Tensor, generator: torch.Generator) -> RowScores:
    """The log likelihood of rows, each with units dropped of its own before every layer.

    Args:
        model: The model, whose network is a stack of Linears.
        rates: Of dropout, one for each of M weight vectors, ``(M,)``.
        generator: Of the masks.
    """
    stack, kept = stack_of(model), (1.0 - rates)[:, None, None]

    def scores(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
        pieces = stack.cut(weights)
        h = x.mT.expand(len(weights), *x.mT.shape)
        for layer in stack.layers:
            if isinstance(layer, Affine):
                mask = torch.rand(h.shape, generator=generator, dtype=h.dtype) < kept
                h = layer(pieces, h * mask / kept)
            else:
                h = layer(h)
        result: Tensor = model.observe(weights, h.mT).log_prob(y)
        return result

    return scores


def masked_draws(
    model: BayesianModel, weights: Tensor, rate: float, count: int, generator: torch.Generator
) -> Tensor:
    """Weight vectors ``(S, D)`` of S passes with dropout.

    Dropping a unit before a layer is the same as a column of zeros in its matrix. A pass then drops the same
    units for all rows: what a single row is predicted is distributed as ever, and rows of one pass are now
    values of one function.

    Args:
        model: The model, whose network is a stack of Linears.
        weights: θ, ``(D,)``.
        rate: The share of units that is dropped; what is left is scaled up by 1/(1 − rate).
        count: S.
        generator: Of the masks.
    """
    draws = weights.repeat(count, 1)
    pieces = stack_of(model).cut(draws)  # views
    for layer in stack_of(model).layers:
        if isinstance(layer, Affine):
            matrix = next(pieces).unflatten(1, (layer.fan_out, layer.fan_in))
            kept = torch.rand(count, 1, layer.fan_in, generator=generator, dtype=draws.dtype) >= rate
            matrix.mul_(kept / (1.0 - rate))
            if layer.has_bias:
                next(pieces)
    return draws
