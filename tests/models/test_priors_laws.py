"""Every shipped prior goes through the test case that users are given, and wrong ones do not get through."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from bayeshyper.models import (
    FanInPrior,
    FlatNormal,
    HierarchicalPrior,
    HorseshoePrior,
    LaplacePrior,
    LearnedPrior,
    NormalPrior,
    Prior,
    ScaleMixturePrior,
    StudentTPrior,
)
from bayeshyper.testing import PriorTestCase


class TestNormal(PriorTestCase):
    def make(self) -> Prior:
        return NormalPrior(scale=0.4)


class TestFanIn(PriorTestCase):
    def make(self) -> Prior:
        return FanInPrior()


class TestLaplace(PriorTestCase):
    tolerance = 1e-10

    def make(self) -> Prior:
        return LaplacePrior(gain=0.7)


class TestStudentT(PriorTestCase):
    tolerance = 1e-10

    def make(self) -> Prior:
        return StudentTPrior(df=3.0, bias_scale=0.2)


class TestCauchy(PriorTestCase):
    tolerance = 1e-10

    def make(self) -> Prior:
        return StudentTPrior(df=1.0)


class TestScaleMixture(PriorTestCase):
    tolerance = 1e-10

    def make(self) -> Prior:
        return ScaleMixturePrior(share=0.3, wide=1.2, narrow=0.01)


class TestHorseshoe(PriorTestCase):
    tolerance = 1e-10

    def make(self) -> Prior:
        return HorseshoePrior(scale=0.3)


class TestHierarchical(PriorTestCase):
    tolerance = 1e-10

    def make(self) -> Prior:
        return HierarchicalPrior(spread=0.8)


class TestLearned(PriorTestCase):
    tolerance = 1e-10

    def make(self) -> Prior:
        return LearnedPrior()


class UnfusedNormal(Prior):
    """The Normal again, by the way that other families take: nothing fused, no closed form."""

    standard = FanInPrior.standard


class TestUnfusedNormal(PriorTestCase):
    def make(self) -> Prior:
        return UnfusedNormal()


# -- the case can fail: each wrong prior, and the law that it breaks ----------------------------------------


class TooNarrow(FanInPrior):
    def piece_scale(self, piece: object) -> float:
        return 0.0


class Improper(Prior):
    """Its density integrates to 2."""

    def standard(self) -> Distribution:
        law = Normal(self.loc.new_zeros(()), self.loc.new_ones(()))
        plain = law.log_prob
        law.log_prob = lambda u: plain(u) + 0.6931  # type: ignore[method-assign]
        return law


class DrawsTooWide(Prior):
    def standard(self) -> Distribution:
        law = Normal(self.loc.new_zeros(()), self.loc.new_ones(()))
        law.sample = lambda shape: 1.3 * Normal(0.0, 1.0).sample(shape)  # type: ignore[method-assign]
        return law


class Coupled(FanInPrior):
    """All weights share a factor."""

    def forward(self) -> Distribution:
        law = super().forward()
        plain = law.log_prob
        law.log_prob = lambda u: plain(u) - u.sum(-1).square()  # type: ignore[method-assign]
        return law


class Detached(FanInPrior):
    def forward(self) -> Distribution:
        law = super().forward()
        plain = law.log_prob
        law.log_prob = lambda u: plain(u.detach()) + 0.0 * u.sum(-1)  # type: ignore[method-assign]
        return law


class WrongExpectation(UnfusedNormal):
    def expectation(self, u: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        return self.standard().log_prob(mean)  # without the spread


class Forgetful(FanInPrior):
    """A scale that is neither a buffer nor a parameter."""

    def forward(self) -> Distribution:
        return FlatNormal(torch.zeros(len(self.loc)), torch.ones(len(self.loc)))


@pytest.mark.parametrize(
    ("wrong", "law", "complaint"),
    [
        (TooNarrow, "test_the_density_integrates_to_one", "not positive"),
        (Improper, "test_the_density_integrates_to_one", "integrates to 1.99"),
        (DrawsTooWide, "test_draws_follow_the_density", "do not follow"),
        (Coupled, "test_each_weight_adds_its_own_term", "not close"),
        (Detached, "test_the_gradient_is_that_of_the_density", "Jacobian mismatch"),
        (WrongExpectation, "test_a_draw_with_its_law_gets_the_expectation", "is off by"),
        (Forgetful, "test_every_tensor_moves", "not in the prior's type"),
    ],
)
def test_a_wrong_prior_does_not_get_through(wrong: type[Prior], law: str, complaint: str) -> None:
    case = type("TestWrong", (PriorTestCase,), {"make": lambda self: wrong()})()
    with pytest.raises((AssertionError, ValueError, RuntimeError), match=complaint):
        getattr(case, law)()


def test_the_case_asks_for_a_prior() -> None:
    with pytest.raises(NotImplementedError, match="TestMine must define make"):
        type("TestMine", (PriorTestCase,), {})().test_every_tensor_moves()
