"""Priors over the flat weight vector: independent Normals whose scales come from the tensors' shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from .likelihoods import Latent
from .spec import WeightPiece, WeightSpec

Shape = torch.Size | list[int] | tuple[int, ...]

__all__ = ["PRIORS", "FanInPrior", "FlatNormal", "NormalPrior", "Prior"]


class Prior(nn.Module):
    """Independent Normals over D weights: buffers ``loc`` and ``scale``, both ``(D,)``.

    Subclasses give the scale of one network tensor; the likelihood's latents bring their own prior.
    The posterior lives in units of ``scale`` (DESIGN section 2), which is why the prior owns it.
    """

    loc: Tensor
    scale: Tensor
    log_normalizer: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("loc", torch.empty(0))
        self.register_buffer("scale", torch.empty(0))
        self.register_buffer("log_normalizer", torch.empty(()), persistent=False)

    def piece_scale(self, piece: WeightPiece) -> float:
        """The prior standard deviation of one tensor's entries."""
        raise NotImplementedError(f"{type(self).__name__} must define piece_scale(piece).")

    def build(self, spec: WeightSpec, initial: Mapping[str, Tensor], latents: Mapping[str, Latent]) -> None:
        """Lay the prior out over a spec.

        Args:
            spec: The network's tensors followed by the likelihood's latents.
            initial: The network's own initial tensors; one that is all ones (the gain of a normalisation
                layer) is centred at one and counts as 1-D, all else at zero.
            latents: The likelihood's latents, by name.
        """
        loc, scale = torch.zeros(spec.size), torch.ones(spec.size)
        for piece in spec:
            if piece.name in latents:
                loc[piece.slice] = latents[piece.name].loc
                scale[piece.slice] = latents[piece.name].scale
                continue
            if bool((initial[piece.name] == 1).all()):
                loc[piece.slice] = 1.0
                piece = WeightPiece(piece.name, (piece.size,), piece.start)
            scale[piece.slice] = self.piece_scale(piece)
        self.loc, self.scale = loc, scale
        self.log_normalizer = _log_normalizer(scale)

    def forward(self) -> FlatNormal:
        """The prior as a Pyro distribution with event shape ``(D,)``."""
        return FlatNormal(self.loc, self.scale, log_normalizer=self.log_normalizer)


class NormalPrior(Prior):
    """The same Normal(0, scale²) for every weight of the network.

    Example:
        >>> NormalPrior(scale=0.5).piece_scale(WeightPiece("layers.0.weight", (50, 8), 0))
        0.5
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        super().__init__()
        _check_positive("scale", scale)
        self.weight_scale = scale

    def piece_scale(self, piece: WeightPiece) -> float:
        """The same scale whatever the tensor."""
        return self.weight_scale


class FanInPrior(Prior):
    """Normal(0, gain²/fan_in) for weights, so that a wide layer's output keeps its scale; N(0, 1) for biases.

    Tensors with two or more dimensions count as weights, with fan_in the product of all but the first
    (Neal 1996; He et al. 2015 for the gain √2 of ReLU).

    Example:
        >>> FanInPrior(gain=1.0).piece_scale(WeightPiece("layers.2.weight", (1, 100), 0))
        0.1
    """

    def __init__(self, *, gain: float = math.sqrt(2.0), bias_scale: float = 1.0) -> None:
        super().__init__()
        _check_positive("gain", gain)
        _check_positive("bias_scale", bias_scale)
        self.gain = gain
        self.bias_scale = bias_scale

    def piece_scale(self, piece: WeightPiece) -> float:
        """``gain/√fan_in`` for weights, ``bias_scale`` for 0-D and 1-D tensors."""
        if len(piece.shape) < 2:
            return self.bias_scale
        return self.gain / math.sqrt(math.prod(piece.shape[1:]))


def _check_positive(name: str, value: float) -> None:
    if not value > 0 or not math.isfinite(value):
        raise ValueError(f"Got {name} = {value}, expected a positive number.")


def _log_normalizer(scale: Tensor) -> Tensor:
    """Σ log(√(2π) s_i), a float64 scalar, so that a model moved to float64 has all its digits."""
    return 0.5 * math.log(2 * math.pi) * scale.shape[-1] + scale.double().log().sum()


class FlatNormal(TorchDistribution):
    """Independent Normals over a flat vector, as one fused distribution.

    ``Normal(loc, scale).to_event(1)`` is 4–5 times dearer to build and score (notes/pyro.md 2). Where the
    value carries its own conditional mean and scale given the noise z (``value.conditional``, set by the
    guide), the log density is replaced by its expectation over the output noise ε, in closed form:

        E_ε[log p(θ)] = Σ_i −½ log 2π s_i² − ½ ((m_i − loc_i)² + v_i)/s_i²

    which has the same expectation and less variance.

    Example:
        >>> FlatNormal(torch.zeros(3), torch.ones(3)).log_prob(torch.zeros(3))
        tensor(-2.7568)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        batch_shape: Shape = (),
        *,
        log_normalizer: Tensor | None = None,
    ) -> None:
        self.loc, self.scale = loc, scale
        self.log_normalizer = _log_normalizer(scale) if log_normalizer is None else log_normalizer
        super().__init__(torch.Size(batch_shape), loc.shape, validate_args=False)

    def expand(self, batch_shape: Shape, _instance: FlatNormal | None = None) -> FlatNormal:
        """The same prior for a batch of weight vectors."""
        return FlatNormal(self.loc, self.scale, batch_shape, log_normalizer=self.log_normalizer)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw ``(*sample_shape, *batch_shape, D)``."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density ``(*batch_shape,)``, or its expectation over ε (see the class)."""
        conditional = getattr(value, "conditional", None)
        if conditional is None:
            exact: Tensor = -0.5 * ((value - self.loc) / self.scale).square().sum(
                -1
            ) - self.log_normalizer.to(value.dtype)
            return exact
        squares = ((conditional.mean - self.loc) / self.scale).square().sum(-1)
        spread = (conditional.scale / self.scale).square().sum(-1)
        expected: Tensor = (-0.5 * (squares + spread) - self.log_normalizer.to(value.dtype)).reshape(
            value.shape[:-1]
        )
        return expected


PRIORS: dict[str, type[Prior]] = {"normal": NormalPrior, "fan-in": FanInPrior}
