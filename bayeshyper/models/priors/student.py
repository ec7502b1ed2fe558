"""The Student-t prior: nearly Normal in the middle, with tails that forgive a large weight."""

from __future__ import annotations

from typing import Unpack

from torch.distributions import Distribution, StudentT

from .base import Placement, Prior, check_positive

__all__ = ["StudentTPrior"]


class StudentTPrior(Prior):
    """Student's t with df degrees of freedom: ``scale`` is that of the t itself, as in torch.

    Its standard deviation is scale·√(df/(df − 2)) where df > 2, and infinite or undefined below; df = 1 is
    the Cauchy, and as df grows it becomes the Normal.

    Args:
        df: ν, degrees of freedom.
        **placement: As for `Prior`; biases have the same law with ``bias_scale``.

    Example:
        >>> StudentTPrior(df=3.0).df
        3.0
    """

    def __init__(self, *, df: float = 4.0, **placement: Unpack[Placement]) -> None:
        super().__init__(**placement)
        check_positive("df", df)
        self.df = df

    def standard(self) -> Distribution:
        """Student's t around zero with scale one."""
        return StudentT(self.loc.new_tensor(self.df), validate_args=False)

    def extra_repr(self) -> str:
        """The choices that were made."""
        return f"df={self.df:g}, {super().extra_repr()}"
