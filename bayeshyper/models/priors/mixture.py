"""The scale mixture prior: a wide Normal for the weights that matter, a narrow one for those that do not."""

from __future__ import annotations

from typing import Unpack

from torch.distributions import Categorical, Distribution, MixtureSameFamily, Normal

from .base import Placement, Prior, check_positive

__all__ = ["ScaleMixturePrior"]


class ScaleMixturePrior(Prior):
    """π N(0, s₁²) + (1 − π) N(0, s₂²) in units of ``scale`` (Blundell et al. 2015, arXiv 1505.05424, eq. 7).

    With s₂ far below s₁ it is a smooth spike and slab: many weights are held near zero, the others are free.

    Args:
        share: π, the share of the wide Normal.
        wide: s₁, its standard deviation.
        narrow: s₂, that of the other.
        **placement: As for `Prior`; biases have the same law with ``bias_scale``.

    Example:
        >>> ScaleMixturePrior(share=0.25, narrow=0.01)
        ScaleMixturePrior(share=0.25, wide=1, narrow=0.01, gain=1.41, bias_scale=1)
    """

    def __init__(
        self,
        *,
        share: float = 0.5,
        wide: float = 1.0,
        narrow: float = 0.1,
        **placement: Unpack[Placement],
    ) -> None:
        super().__init__(**placement)
        if not 0 < share < 1:
            raise ValueError(f"Got share = {share}, expected a share between 0 and 1.")
        check_positive("wide", wide)
        check_positive("narrow", narrow)
        self.share, self.wide, self.narrow = share, wide, narrow

    def standard(self) -> Distribution:
        """The mixture in units of the prior's scale."""
        shares = Categorical(self.loc.new_tensor([self.share, 1.0 - self.share]), validate_args=False)
        scales = self.loc.new_tensor([self.wide, self.narrow])
        normals = Normal(scales.new_zeros(2), scales, validate_args=False)
        return MixtureSameFamily(shares, normals, validate_args=False)

    def extra_repr(self) -> str:
        """The choices that were made."""
        own = f"share={self.share:g}, wide={self.wide:g}, narrow={self.narrow:g}"
        return f"{own}, {super().extra_repr()}"
