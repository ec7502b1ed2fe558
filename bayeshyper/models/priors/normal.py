"""Normal priors: the default family, whose expectation over the output noise is fused into its density."""

from __future__ import annotations

from torch.distributions import Distribution, Normal

from .base import Center, Prior
from .flat import FlatNormal

__all__ = ["FanInPrior", "NormalPrior"]


class FanInPrior(Prior):
    """Normal(0, gain²/fan_in) for weights, so that a wide layer's output keeps its scale; N(0, 1) for biases.

    The arguments are those of `Prior`.

    Example:
        >>> from bayeshyper.models import WeightPiece
        >>> FanInPrior(gain=1.0).piece_scale(WeightPiece("layers.2.weight", (1, 100), 0))
        0.1
    """

    def standard(self) -> Distribution:
        """The standard Normal."""
        return Normal(self.loc.new_zeros(()), self.loc.new_ones(()), validate_args=False)

    def forward(self) -> FlatNormal:
        """The prior as one fused Normal with event shape ``(D,)``."""
        return FlatNormal(self.loc, self.scale, log_normalizer=self.log_normalizer)


class NormalPrior(FanInPrior):
    """The same Normal(0, scale²) for every weight of the network; ``center`` as in `Prior`.

    Example:
        >>> from bayeshyper.models import WeightPiece
        >>> NormalPrior(scale=0.5).piece_scale(WeightPiece("layers.0.weight", (50, 8), 0))
        0.5
    """

    def __init__(self, *, scale: float = 1.0, center: Center = None) -> None:
        super().__init__(scale=scale, center=center)
