"""Features of data that a guide is conditioned on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pyro import poutine
from torch import Tensor, nn

from bayeshyper.autoguide.model.sites import LatentSites

from .rows import plate_of_rows

__all__ = ["Context"]


class Context(nn.Module):
    """Features c of a model's arguments: ``(C,)`` of the data set, or ``(B, C)``, of each row of a plate.

    Args:
        function: From the model's arguments to features of about unit scale; an ``nn.Module``'s parameters
            are learned.

    Example:
        >>> import torch
        >>> context = Context(lambda y: torch.stack([y.mean(), y.std()]))
        >>> context.read((torch.tensor([1.0, 2.0, 3.0]),), {}, like=torch.zeros(()))
        tensor([2., 1.])
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function
        self._shape: tuple[int, int] | None = None

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], like: Tensor) -> Tensor:
        """The features, in the type and on the device of another tensor.

        Raises:
            ValueError: Arguments that the function does not take; what is no tensor of one or two dimensions
                or not finite; and features of another kind or number than the first that were read.
        """
        self._check_arguments(args, kwargs)
        features = self.function(*args, **kwargs)
        if not isinstance(features, Tensor):
            raise ValueError(f"Got a context of type {type(features).__name__}, expected a tensor.")
        if features.dim() not in (1, 2) or not features.numel():
            raise ValueError(
                f"Got a context of shape {tuple(features.shape)}, expected (C,), features of the data set, "
                "or (B, C), features of each row of a plate: one feature of each has the shape (B, 1)."
            )
        bad = ~features.isfinite()
        if bad.any():
            where = f" in {int(bad.any(-1).sum())} of {len(features)} rows" if features.dim() == 2 else ""
            raise ValueError(
                f"Got a context with NaN or infinite features{where}, expected finite ones. Look for them in "
                "the data, and for logarithms of 0."
            )
        shape = (features.dim(), features.shape[-1])
        self._shape = self._shape or shape
        if shape != self._shape:
            was = f"(B, {self._shape[1]})" if self._shape[0] == 2 else f"({self._shape[1]},)"
            raise ValueError(
                f"Got a context of shape {tuple(features.shape)}, expected {was}, as when the guide was "
                "made. One feature of each row has the shape (B, 1)."
            )
        return features.to(like)

    def see(
        self, trace: poutine.Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[LatentSites, int]:
        """The latent sites of a model, of one row where the features are of rows; and C."""
        sites = LatentSites(trace)
        features = self.read(args, kwargs, sites.start)
        if features.dim() == 2:
            sites = LatentSites(trace, rows=plate_of_rows(sites, len(features)))
        return sites, features.shape[-1]

    def _check_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        function = self.function.forward if isinstance(self.function, nn.Module) else self.function
        try:
            inspect.signature(function).bind(*args, **kwargs)
        except TypeError as error:
            raise ValueError(
                f"The guide cannot read its context: {error}, expected the model's arguments, which a guide "
                "with a context needs wherever it is asked for draws."
            ) from error
