"""What holds of every head, as tests that a head of your own can be put through."""

from __future__ import annotations

import copy
import pickle

import torch
from torch import Tensor
from torch.testing import assert_close

from bayeshyper.hypernets import Head, LinearHead
from bayeshyper.models import WeightSpec
from bayeshyper.threads import seeded

__all__ = ["HeadTestCase"]

MEMBERS, DRAWS, NOISE_DIM = 2, 3, 4
# Starts that the scale of the weights is averaged over; with 8 draws of each, its own error is about 2 %.
STARTS = 300


class HeadTestCase:
    """The laws of a head; subclass it, name the class ``Test…``, and say how your head is made.

    pytest then runs what it inherits: shapes; for a linear head that it is linear, and its products with A
    against A stored whole, gradients too; for any head its Jacobian against automatic differentiation;
    members that are apart; a start that is the generator's alone and has the gain that it was asked for;
    copies and saved states to the bit; every tensor in its type, and on its device. All but the start is
    checked in float64, to rounding.

    Attributes:
        spec: What it generates: a kernel, a matrix, vectors and a single number.
        features: k.

    Example:
        >>> from bayeshyper.hypernets import HEADS
        >>> class TestNarrow(HeadTestCase):
        ...     def make(self, spec, features, members):
        ...         return HEADS["per-layer"](spec, features=features, members=members, code=2)
        >>> TestNarrow().test_a_linear_head_is_linear()  # pytest runs this one and all the others
    """

    spec = WeightSpec(
        [
            ("conv.weight", (6, 3, 2, 2)),
            ("conv.bias", (6,)),
            ("gate", ()),
            ("out.weight", (4, 9)),
            ("out.bias", (4,)),
        ]
    )
    features: int = 11

    def make(self, spec: WeightSpec, features: int, members: int) -> Head:
        """A fresh head for a spec's tensors, as `HypernetworkSettings` would make it."""
        raise NotImplementedError(
            f"{type(self).__name__} must define make(spec, features, members), which returns a fresh head."
        )

    # -- the weights ------------------------------------------------------------------------------------

    def test_weights_are_made_for_every_member_draw_and_tensor(self) -> None:
        """``forward`` gives ``(M, S, D)``: the same weights tensor by tensor, and draw by draw."""
        head, features = self._head(), self._features()
        mean = self._mean(head)
        weights = head(features, mean)
        shape = (MEMBERS, DRAWS, self.spec.size)
        assert weights.shape == shape, f"Got weights of shape {tuple(weights.shape)}, expected {shape}."
        for piece in self.spec:
            part = head.generate(piece, features, None if mean is None else mean[:, None, piece.slice])
            assert_close(part, weights[..., piece.slice], rtol=1e-12, atol=1e-14)
        assert_close(head(features[:, 1:2], mean), weights[:, 1:2], rtol=1e-12, atol=1e-14)

    def test_weights_move_with_the_features(self) -> None:
        """Every tensor of every draw differs from the next draw's."""
        head = self._head()
        weights = head(self._features(), self._mean(head)).detach()
        for piece in self.spec:
            moved = weights[:, 1:, piece.slice] - weights[:, :-1, piece.slice]
            assert bool((moved.abs().amax(-1) > 0).all()), f"{piece.name} is the same for all features."

    # -- the matrix A of a linear head ------------------------------------------------------------------

    def test_a_linear_head_is_linear(self) -> None:
        """The weights are A φ; what is not a `LinearHead` does not say that it is."""
        head = self._head()
        assert head.linear == isinstance(head, LinearHead), "Only a LinearHead is linear."
        if isinstance(head, LinearHead):
            features = self._features()
            assert_close(head(features), features @ self._matrix(head).mT, rtol=1e-12, atol=1e-13)

    def test_gram_and_projection_are_those_of_the_matrix_stored_whole(self) -> None:
        """AᵀΣ⁻¹A and AᵀΣ⁻¹u in float64, where the head is linear."""
        head = self._head()
        if not isinstance(head, LinearHead):
            return
        matrix, precision = self._matrix(head), self._precision()
        gram = matrix.mT @ (precision.unsqueeze(-1) * matrix)
        assert_close(head.gram(precision), gram, rtol=1e-11, atol=1e-12)
        offsets = _normal(MEMBERS, DRAWS, self.spec.size)
        projection = (offsets * precision.unsqueeze(1)) @ matrix
        assert_close(head.project(offsets, precision), projection, rtol=1e-11, atol=1e-12)

    def test_the_gram_has_the_gradient_of_the_matrix_stored_whole(self) -> None:
        """By the precision and by every parameter, where the head is linear."""
        head = self._head()
        if not isinstance(head, LinearHead):
            return
        matrix, precision = self._matrix(head), self._precision().requires_grad_()
        weights = _normal(MEMBERS, self.features, self.features)
        by_hand = ((matrix.mT @ (precision.unsqueeze(-1) * matrix)) * weights).sum()
        wanted = [precision, *head.parameters()]
        ours = torch.autograd.grad((head.gram(precision) * weights).sum(), wanted, materialize_grads=True)
        theirs = torch.autograd.grad(by_hand, wanted, materialize_grads=True)
        for one, other in zip(ours, theirs, strict=True):
            assert_close(one, other, rtol=1e-10, atol=1e-11)

    # -- the Jacobian of any head -----------------------------------------------------------------------

    def test_slopes_are_the_jacobian_of_the_weights(self) -> None:
        """∂weights/∂z, tensor by tensor, against automatic differentiation."""
        head, jacobian = self._head(), self._jacobian()
        slopes = head.all_slopes(self._features(), jacobian, self._mean(head))
        assert_close(slopes, self._slopes(head), rtol=1e-10, atol=1e-12)

    def test_curvature_and_pull_are_made_of_that_jacobian(self) -> None:
        """GᵀΣ⁻¹G and GᵀΣ⁻¹u, in float64."""
        head, jacobian, precision = self._head(), self._jacobian(), self._precision()
        slopes = self._slopes(head)
        weighted = precision[:, None, :, None] * slopes
        features, mean, offsets = self._features(), self._mean(head), _normal(MEMBERS, DRAWS, self.spec.size)
        curvature = head.curvature(features, jacobian, precision, mean)
        assert_close(curvature, slopes.mT @ weighted, rtol=1e-10, atol=1e-11)
        pulled = head.pull(features, jacobian, offsets, precision, mean)
        assert_close(pulled, (weighted.mT @ offsets.unsqueeze(-1)).squeeze(-1), rtol=1e-10, atol=1e-11)

    # -- members and the start --------------------------------------------------------------------------

    def test_members_are_apart(self) -> None:
        """Every parameter has the members first, and what is one member's moves no other's weights."""
        head, features = self._head(), self._features()
        for name, parameter in head.named_parameters():
            assert len(parameter) == MEMBERS, f"{name} has the shape {tuple(parameter.shape)}: members first."
        before = head(features, self._mean(head))
        with torch.no_grad():
            for parameter in head.parameters():
                parameter[1] += 1.0
        after = head(features, self._mean(head))
        assert torch.equal(before[0], after[0]), "A member's weights moved with another's parameters."
        assert not torch.equal(before[1], after[1]), "A member's weights do not follow its parameters."

    def test_a_start_is_the_generators_alone(self) -> None:
        """``reset_parameters`` draws all from the generator, and leaves torch's global one where it was."""
        head = self._head()
        starts = []
        for seed in (5, 6):
            with seeded(seed):
                head.reset_parameters(torch.Generator().manual_seed(3))
                starts.append((copy.deepcopy(head.state_dict()), torch.randn(())))
        (once, _), (again, _) = starts
        for name, tensor in once.items():
            assert torch.equal(tensor, again[name]), f"{name} starts from other noise than the generator's."
        with seeded(6):
            assert torch.equal(torch.randn(()), starts[1][1]), "A start used torch's global generator."

    def test_it_starts_at_its_gain(self) -> None:
        """Features of unit scale give each tensor weights of its gain, within 10 % over many starts.

        A head that multiplies the mean weights may move them by a share of what they are instead, from a
        hundredth to a quarter.
        """
        head = self._head()
        generator, squares = torch.Generator().manual_seed(4), torch.zeros(self.spec.size)
        mean = torch.ones(MEMBERS, self.spec.size).double() if head.multiplies else None
        with torch.no_grad():
            for _ in range(STARTS):
                head.reset_parameters(generator)
                features = torch.randn(MEMBERS, 8, self.features, generator=generator).double()
                squares += head(features, mean).square().mean((0, 1)) / STARTS
        for piece in self.spec:
            scale, gain = squares[piece.slice].mean().sqrt().item(), head.gains[piece.name]
            is_share = head.multiplies and 0.01 < scale < 0.25
            assert is_share or abs(scale / gain - 1) < 0.1, (
                f"{piece.name} starts with weights of scale {scale:.3g}, expected {gain:.3g}."
            )

    # -- the head as a module ---------------------------------------------------------------------------

    def test_copies_and_saved_states_are_the_same(self) -> None:
        """A deep copy, a pickle, and another head with its state make the same weights, to the bit."""
        head, features = self._head(), self._features()
        other = self._head(seed=1)
        other.load_state_dict(head.state_dict())
        expected = head(features, self._mean(head))
        for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head)), other):
            assert torch.equal(twin(features, self._mean(twin)), expected), "A copy makes other weights."

    def test_every_tensor_moves(self) -> None:
        """In another type, and on another device, nothing is left behind."""
        for dtype in (torch.float32, torch.float64):
            head = self._head().to(dtype)
            made = head(self._features().to(dtype), _moved(self._mean(head), dtype=dtype))
            assert made.dtype == dtype, f"Got weights of {made.dtype} from a head of {dtype}."
        head = self._head().to("meta")  # a device that every machine has; its tensors hold no numbers
        jacobian, precision = self._jacobian().to("meta"), self._precision().to("meta")
        features, mean = self._features().to("meta"), _moved(self._mean(head), device="meta")
        assert head(features, mean).device.type == "meta"
        assert head.curvature(features, jacobian, precision, mean).device.type == "meta"
        if isinstance(head, LinearHead):
            offsets = _normal(MEMBERS, DRAWS, self.spec.size).to("meta")
            assert head.project(offsets, precision).device.type == "meta"

    def test_its_size_is_told_without_memory(self) -> None:
        """Made on torch's device ``"meta"``, it has as many parameters, and holds nothing."""
        with torch.device("meta"):
            told = self.make(self.spec, self.features, MEMBERS)
        sizes = [sum(p.numel() for p in head.parameters()) for head in (told, self._head())]
        assert sizes[0] == sizes[1], f"Got {sizes[0]} parameters, expected {sizes[1]}."
        assert all(p.is_meta for p in told.parameters()), "A parameter was allocated where none was to be."

    # -- what it is tried on ----------------------------------------------------------------------------

    def _head(self, seed: int = 0) -> Head:
        with seeded(seed):
            return self.make(self.spec, self.features, MEMBERS).double()

    def _features(self) -> Tensor:
        return _normal(MEMBERS, DRAWS, self.features)

    def _jacobian(self) -> Tensor:
        """∂φ/∂z."""
        return _normal(MEMBERS, DRAWS, self.features, NOISE_DIM)

    def _precision(self) -> Tensor:
        return _normal(MEMBERS, self.spec.size).exp()

    def _mean(self, head: Head) -> Tensor | None:
        return _normal(MEMBERS, self.spec.size) if head.multiplies else None

    def _matrix(self, head: Head) -> Tensor:
        """A, ``(M, D, k)``: what the head makes of each unit vector."""
        identity = torch.eye(self.features, dtype=torch.float64).expand(MEMBERS, -1, -1)
        matrix: Tensor = head(identity).mT
        return matrix

    def _slopes(self, head: Head) -> Tensor:
        """∂weights/∂z, ``(M, S, D, d)``, by automatic differentiation."""
        features, mean, jacobian = self._features(), self._mean(head), self._jacobian()
        # A draw's weights depend on its own features alone, so that a sum over draws keeps them apart.
        whole = torch.autograd.functional.jacobian(lambda at: head(at, mean).sum((0, 1)), features)
        slopes: Tensor = whole.permute(1, 2, 0, 3) @ jacobian
        return slopes


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _moved(
    mean: Tensor | None, *, dtype: torch.dtype | None = None, device: str | None = None
) -> Tensor | None:
    return None if mean is None else mean.to(device=device, dtype=dtype)
