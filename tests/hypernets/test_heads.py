from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bayeshyper.hypernets import DenseHead
from bayeshyper.models import WeightSpec


def make(size: int = 9, features: int = 5, members: int = 2) -> DenseHead:
    return DenseHead(WeightSpec([("w", (size,))]), features=features, members=members, gain=1.0)


def test_weights_are_the_matrix_times_the_features() -> None:
    head, features = make().double(), torch.randn(2, 4, 5, dtype=torch.float64)
    expected = np.einsum("mdk,msk->msd", head.matrix.detach().numpy(), features.numpy())
    np.testing.assert_allclose(head(features).detach().numpy(), expected, rtol=1e-12, atol=1e-13)


def test_the_gram_matrix_is_by_hand_in_float64_even_for_a_float32_head() -> None:
    head, precision = make(), 1e6 * torch.rand(2, 9)
    a = head.matrix.detach().numpy().astype(np.float64)
    gram = head.gram(precision)
    assert gram.dtype == torch.float64
    for member in range(2):
        by_hand = a[member].T @ np.diag(precision[member].numpy().astype(np.float64)) @ a[member]
        # float32 arithmetic would be off by 1e-7 of the largest terms
        np.testing.assert_allclose(
            gram[member].detach().numpy(), by_hand, rtol=0, atol=1e-13 * np.abs(by_hand).max()
        )


def test_the_gram_matrix_is_symmetric_and_nowhere_negative() -> None:
    gram = make(size=3, features=8).gram(torch.rand(2, 3)).detach()
    torch.testing.assert_close(gram, gram.mT, rtol=1e-12, atol=1e-14)
    assert (torch.linalg.eigvalsh(gram) > -1e-12).all()  # rank 3 of 8: zeros up to rounding


def test_the_gram_matrix_has_the_gradient_of_the_plain_product() -> None:
    """… whatever is made of it, symmetric or not."""
    head, weights = make().double(), torch.randn(2, 5, 5, dtype=torch.float64)
    precision = torch.rand(2, 9, dtype=torch.float64, requires_grad=True)
    plain = head.matrix.mT @ (precision.unsqueeze(-1) * head.matrix)
    ours, expected = (
        torch.autograd.grad((gram * weights).sum(), (head.matrix, precision))
        for gram in (head.gram(precision), plain)
    )
    torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-12)
    (gradient,) = torch.autograd.grad(make().gram(precision).sum(), precision)
    assert gradient.dtype == torch.float64  # … for a float32 head too, whose own gradient is float32


@pytest.mark.parametrize("numbers", [1, 30, 31, 70])
def test_the_gram_matrix_is_the_same_in_blocks(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """… and so is its gradient, with a last block of fewer rows, and with a row in each."""
    head, weights = make().double(), torch.randn(2, 5, 5, dtype=torch.float64)
    precision = torch.rand(2, 9, dtype=torch.float64, requires_grad=True)

    def both() -> list[torch.Tensor]:
        gram = head.gram(precision)
        return [gram, *torch.autograd.grad((gram * weights).sum(), (head.matrix, precision))]

    whole = both()
    monkeypatch.setattr("bayeshyper.hypernets.heads.gram.BLOCK", numbers)
    torch.testing.assert_close(both(), whole, rtol=1e-13, atol=1e-14)


def test_the_projection_is_by_hand_in_float64() -> None:
    head, precision, offsets = make(), 1e6 * torch.rand(2, 9), torch.randn(2, 4, 9)
    projected = head.project(offsets, precision)
    assert projected.dtype == torch.float64
    by_hand = np.einsum(
        "mdk,md,msd->msk",
        *(t.detach().numpy().astype(np.float64) for t in (head.matrix, precision, offsets)),
    )
    np.testing.assert_allclose(
        projected.detach().numpy(), by_hand, rtol=0, atol=1e-13 * np.abs(by_hand).max()
    )


def test_projecting_what_the_head_made_is_the_gram_matrix_times_the_features() -> None:
    """AᵀΣ⁻¹(Aφ) = Mφ."""
    head, precision = make().double(), torch.rand(2, 9, dtype=torch.float64)
    features = torch.randn(2, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(
        head.project(head(features), precision), features @ head.gram(precision), rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("features", [1, 10, 80])
def test_features_of_unit_scale_add_up_to_the_gain(features: int) -> None:
    head = DenseHead(WeightSpec([("w", (4000,))]), features=features, gain=0.3)
    weights = head(torch.ones(1, 1, features))
    # the standard deviation of 4000 Normals, within five standard errors
    assert weights.std().item() == pytest.approx(0.3, rel=5 / math.sqrt(2 * 4000))


def test_without_features_the_weights_do_not_move() -> None:
    head = make(features=0)
    assert torch.equal(head(torch.zeros(2, 3, 0)), torch.zeros(2, 3, 9))
    assert head.gram(torch.ones(2, 9)).shape == (2, 0, 0)
    assert head.project(torch.ones(2, 3, 9), torch.ones(2, 9)).shape == (2, 3, 0)


def test_gradients_flow_through_the_gram_matrix() -> None:
    head = make()
    precision = torch.ones(2, 9, requires_grad=True)
    head.gram(precision).diagonal(dim1=-2, dim2=-1).sum().backward()
    torch.testing.assert_close(head.matrix.grad, 2 * head.matrix.detach())
    torch.testing.assert_close(precision.grad, head.matrix.detach().square().sum(-1))
