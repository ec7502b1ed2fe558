"""Posterior collapse: planted ranks are found, still noise is named, every head can be looked at."""

from __future__ import annotations

import json
import math

import pytest
import torch

from bayeshyper.diagnostics import audit, collapse
from bayeshyper.hypernets import DenseHead, Hypernetwork, HypernetworkSettings
from bayeshyper.hypernets.heads.base import HEADS
from bayeshyper.models import WeightSpec
from tests.inference.toys import as_low_rank, random_hypernetwork, small_problem


def affine(matrix: torch.Tensor, noise: float = 0.5) -> Hypernetwork:
    """A posterior with the given A ``(D, d)`` and σ the same everywhere."""
    size, d = matrix.shape
    settings = HypernetworkSettings(noise_dim=d, hidden=(), output_noise=noise, start_share=math.inf)
    net = Hypernetwork(torch.zeros(1, size), torch.ones(size), settings).double()
    assert isinstance(net.head, DenseHead)
    with torch.no_grad():
        net.head.matrix.copy_(matrix.unsqueeze(0))
    return net


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_a_planted_rank_is_found(rank: int) -> None:
    generator = torch.Generator().manual_seed(rank)
    left = torch.linalg.qr(torch.randn(30, rank, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(6, rank, generator=generator, dtype=torch.float64))[0]
    found = collapse(affine(left @ right.mT))
    assert found.effective_rank == pytest.approx(rank, abs=1e-6)
    assert ("rank" in found.flags) is (rank == 1)


def test_the_rank_is_the_participation_ratio_of_unequal_directions() -> None:
    matrix = torch.zeros(5, 3, dtype=torch.float64)
    matrix[0, 0], matrix[1, 1], matrix[2, 2] = 2.0, 1.0, 0.5
    squares = torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64)
    expected = (squares.sum() ** 2 / (squares**2).sum()).item()
    assert collapse(affine(matrix)).effective_rank == pytest.approx(expected, rel=1e-9)


def test_a_gaussians_entropy_and_variances_are_the_exact_ones() -> None:
    net = random_hypernetwork(20, noise_dim=3)
    found = collapse(net, draws=20000)
    entropy = as_low_rank(net).entropy().item() - net.unit.log().sum().item()
    assert found.noise_entropy + found.information == pytest.approx(entropy, abs=1e-8)
    assert found.information_source == "exact"
    assert isinstance(net.head, DenseHead)
    moved = net.head.matrix[0].detach().square().sum(1)
    sigma = net.output_noise[0].detach().square()
    # Sample variances of 20 000 draws are within about 3 √(2/20 000) = 3 % of the true ones.
    assert found.variance_share == pytest.approx((moved.sum() / (moved + sigma).sum()).item(), rel=0.03)
    assert found.spread["weights"] == pytest.approx((moved + sigma).sqrt().median().item(), rel=0.03)


def test_noise_that_moves_nothing_is_named() -> None:
    found = collapse(affine(torch.full((20, 3), 1e-5, dtype=torch.float64)))
    assert found.flags == ("noise",)
    assert found.sentences == ("The noise z moves nothing: the posterior is mean-field.",)


def test_without_noise_there_is_nothing_to_collapse() -> None:
    model, guide, x, y = small_problem(noise_dim=0)
    found = collapse(guide.hypernetwork)
    assert (found.information, found.effective_rank, found.variance_share) == (0.0, 0.0, 0.0)
    assert found.flags == ()
    assert "nothing" not in found.sentences[0]
    assert "by choice" in found.sentences[0]
    with_audit = collapse(guide.hypernetwork, audit=audit(model, guide.hypernetwork, x, y, draws=8))
    assert with_audit == found


@pytest.mark.parametrize(("noise", "flag"), [(1.0, "prior"), (2e-4, "point")])
def test_as_wide_as_the_prior_and_as_narrow_as_a_point(noise: float, flag: str) -> None:
    settings = HypernetworkSettings(noise_dim=0, output_noise=noise, start_share=math.inf)
    net = Hypernetwork(torch.zeros(1, 10), torch.full((10,), 7.0), settings)
    found = collapse(net)
    assert found.flags == (flag,)
    assert found.spread["weights"] == pytest.approx(noise, rel=0.05)


def test_an_audit_tells_the_information() -> None:
    model, guide, x, y = small_problem()
    result = audit(model, guide.hypernetwork, x, y, draws=400)
    found, linearised = collapse(guide.hypernetwork, audit=result), collapse(guide.hypernetwork)
    assert (found.information_source, linearised.information_source) == ("audit, lower bound", "linearised")
    assert found.information == pytest.approx(linearised.information, abs=0.7)


def test_restarts_are_averaged() -> None:
    _, guide, _, _ = small_problem(members=3)
    net = guide.hypernetwork
    alone = [collapse(net.member(index)).information for index in range(3)]
    assert collapse(net).information == pytest.approx(sum(alone) / 3, rel=0.3)


@pytest.mark.parametrize("head", sorted(HEADS))
def test_every_head_can_be_looked_at(head: str) -> None:
    spec = WeightSpec([("a.weight", (6, 4)), ("a.bias", (6,)), ("b.weight", (1, 6))])
    settings = HypernetworkSettings(head=head, noise_dim=3, hidden=(5,))
    found = collapse(settings.build(torch.ones(2, spec.size), torch.ones(spec.size), spec), draws=8)
    assert 0 < found.effective_rank <= found.noise_dim
    assert set(found.spread) == set(spec.names)
    assert found.information > 0
    json.dumps(found.to_dict(), allow_nan=False)


def test_one_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        collapse(random_hypernetwork(5, noise_dim=1), draws=1)
