"""The test case for heads can fail: each wrong head, and the law that it breaks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bayeshyper.hypernets import DenseHead, Head
from bayeshyper.models import WeightPiece, WeightSpec
from bayeshyper.testing import HeadTestCase


class NotLinear(DenseHead):
    """It says that it is, and moves all weights by a constant."""

    def forward(self, features: Tensor, base: Tensor | None = None) -> Tensor:
        return super().forward(features) + 1e-6

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        return super().generate(piece, features) + 1e-6


class Swapped(DenseHead):
    """All weights at once in another order than tensor by tensor."""

    def forward(self, features: Tensor, base: Tensor | None = None) -> Tensor:
        return super().forward(features).flip(-1)


class MixesDraws(DenseHead):
    def forward(self, features: Tensor, base: Tensor | None = None) -> Tensor:
        return super().forward(features - features.mean(1, keepdim=True))

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        return super().generate(piece, features - features.mean(1, keepdim=True))


class Still(DenseHead):
    """One tensor that the features do not move."""

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        self.forget(self.spec["gate"].slice.start)


class ForgetsPrecision(DenseHead):
    def gram(self, precision: Tensor) -> Tensor:
        return super().gram(torch.ones_like(precision))


class Detached(DenseHead):
    """The Gram matrix is right, and has no gradient by the precision."""

    def gram(self, precision: Tensor) -> Tensor:
        return super().gram(precision.detach())


class WrongSlopes(DenseHead):
    def slopes(
        self, piece: WeightPiece, features: Tensor, jacobian: Tensor, base: Tensor | None = None
    ) -> Tensor:
        return 1.001 * super().slopes(piece, features, jacobian, base)


class HalfCurvature(DenseHead):
    def curvature(
        self, features: Tensor, jacobian: Tensor, precision: Tensor, base: Tensor | None = None
    ) -> Tensor:
        return 0.5 * super().curvature(features, jacobian, precision, base)


class SharesMembers(DenseHead):
    def forward(self, features: Tensor, base: Tensor | None = None) -> Tensor:
        return features @ self.matrix.mean(0).mT


class WithoutMembers(DenseHead):
    def __init__(self, spec: WeightSpec, *, features: int, members: int = 1, gain: float = 0.1) -> None:
        super().__init__(spec, features=features, members=members, gain=gain)
        self.shared = nn.Parameter(torch.zeros(features))


class OwnSeed(DenseHead):
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters()


class TooWide(DenseHead):
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        with torch.no_grad():
            self.matrix[:, self.spec["out.weight"].slice] *= 1.2


class HiddenState(DenseHead):
    """A factor that is neither a parameter nor a buffer."""

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        self.__dict__["factor"] = torch.rand(()) + 0.5

    def forward(self, features: Tensor, base: Tensor | None = None) -> Tensor:
        return super().forward(features) * self.__dict__["factor"]


class StaysBehind(DenseHead):
    """A vector that does not follow the head to another device."""

    def forward(self, features: Tensor, base: Tensor | None = None) -> Tensor:
        return super().forward(features) + torch.zeros(self.spec.size, dtype=features.dtype)


class Allocates(DenseHead):
    def __init__(self, spec: WeightSpec, *, features: int, members: int = 1, gain: float = 0.1) -> None:
        super().__init__(spec, features=features, members=members, gain=gain)
        self.matrix = nn.Parameter(torch.zeros(self.matrix.shape, device="cpu"))


@pytest.mark.parametrize(
    ("wrong", "law", "complaint"),
    [
        (NotLinear, "test_a_linear_head_is_linear", "not close"),
        (Swapped, "test_weights_are_made_for_every_member_draw_and_tensor", "not close"),
        (MixesDraws, "test_weights_are_made_for_every_member_draw_and_tensor", "not close"),
        (Still, "test_weights_move_with_the_features", "gate is the same"),
        (ForgetsPrecision, "test_gram_and_projection_are_those_of_the_matrix_stored_whole", "not close"),
        (Detached, "test_the_gram_has_the_gradient_of_the_matrix_stored_whole", "not close"),
        (WrongSlopes, "test_slopes_are_the_jacobian_of_the_weights", "not close"),
        (HalfCurvature, "test_curvature_and_pull_are_made_of_that_jacobian", "not close"),
        (SharesMembers, "test_members_are_apart", "moved with another's"),
        (WithoutMembers, "test_members_are_apart", "members first"),
        (OwnSeed, "test_a_start_is_the_generators_alone", "other noise than the generator's"),
        (TooWide, "test_it_starts_at_its_gain", "out.weight starts with weights of scale 0.3"),
        (HiddenState, "test_copies_and_saved_states_are_the_same", "A copy makes other weights"),
        (StaysBehind, "test_every_tensor_moves", "meta"),
        (Allocates, "test_its_size_is_told_without_memory", "was allocated"),
    ],
)
def test_a_wrong_head_does_not_get_through(wrong: type[DenseHead], law: str, complaint: str) -> None:
    case = case_of(wrong)
    with pytest.raises((AssertionError, RuntimeError), match=complaint):
        getattr(case, law)()


def test_the_right_head_that_they_are_made_of_gets_through() -> None:
    case = case_of(DenseHead)
    laws = [name for name in dir(case) if name.startswith("test_")]
    assert len(laws) > 10
    for law in laws:
        getattr(case, law)()


def case_of(kind: type[DenseHead]) -> HeadTestCase:
    def make(self: HeadTestCase, spec: WeightSpec, features: int, members: int) -> Head:
        return kind(spec, features=features, members=members, gain=0.3)

    case: HeadTestCase = type("TestWrong", (HeadTestCase,), {"make": make})()
    return case


def test_the_case_asks_for_a_head() -> None:
    with pytest.raises(NotImplementedError, match="TestMine must define make"):
        type("TestMine", (HeadTestCase,), {})().test_every_tensor_moves()
