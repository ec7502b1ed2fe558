"""A mixture of Gaussians whose weights, means and scales all depend on the row."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import softplus

from .gaussian import MIN_SCALE
from .protocol import Latent, Likelihood

__all__ = ["GaussianMixture"]


class GaussianMixture(Likelihood):
    """y ~ Σ_k π_k(x) N(μ_k(x), σ_k(x)²), for targets with several peaks.

    A mixture density network (Bishop 1994).

    Of the 3K outputs, the first K are the weights' logits, the next the means, the last the scales, as in
    `HeteroscedasticGaussian`; all scales have a factor in common, whose log has prior N(0, 0.5), so that
    held-out rows can set it. Where the outputs are zero the means lie evenly from −1 to 1 (in standardised
    units): components that started alike would stay alike.

    Args:
        components: K, at least 1.

    Example:
        >>> latents = {"log_scale": torch.zeros(3, 1)}
        >>> part = GaussianMixture(2).distribution(torch.zeros(3, 5, 6), latents)
        >>> part.batch_shape, part.component_distribution.mean[0, 0]
        (torch.Size([3, 5]), tensor([-1.,  1.]))
    """

    task = "regression"
    latents = MappingProxyType({"log_scale": Latent(0.0, 0.5)})
    scale_latent = "log_scale"

    def __init__(self, components: int = 3) -> None:
        if components < 1:
            raise ValueError(f"Got components = {components}, expected at least 1.")
        self.components = components
        self.n_outputs = 3 * components

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """A mixture of Normals with batch shape ``(…, N)``."""
        logits, means, scales = outputs.split(self.components, dim=-1)
        scales = softplus(scales - 1.25) * latents["log_scale"].exp().unsqueeze(-1) + MIN_SCALE
        ends = 1.0 if self.components > 1 else 0.0
        start = torch.linspace(-ends, ends, self.components, dtype=outputs.dtype, device=outputs.device)
        result: Distribution = dist.MixtureSameFamily(
            dist.Categorical(logits=logits, validate_args=False),
            dist.Normal(start + means, scales, validate_args=False),
            validate_args=False,
        )
        return result

    def __repr__(self) -> str:
        return f"GaussianMixture(components={self.components})"
