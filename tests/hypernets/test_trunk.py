from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import jacfwd, vmap

from bayeshyper.hypernets import Trunk

SIZES = [(4, (16, 8), 1), (4, (16, 8), 3), (1, (5,), 2), (6, (7, 7, 7), 1), (3, (), 2), (5, (2,), 1)]


def make(noise_dim: int, hidden: tuple[int, ...], members: int) -> Trunk:
    return Trunk(noise_dim, hidden=hidden, members=members).double()


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # jacfwd's own, in torch 2.13
@pytest.mark.parametrize(("noise_dim", "hidden", "members"), SIZES)
def test_the_closed_jacobian_is_automatic_differentiations(
    noise_dim: int, hidden: tuple[int, ...], members: int
) -> None:
    trunk = make(noise_dim, hidden, members)
    z = torch.randn(members, 5, noise_dim, dtype=torch.float64)
    features, jacobian = trunk.with_jacobian(z)
    assert jacobian.shape == (members, 5, trunk.features, noise_dim)

    def one_draw(row: Tensor) -> Tensor:  # (M, d) to (M, k)
        output: Tensor = trunk(row.unsqueeze(1)).squeeze(1)
        return output

    everything = vmap(jacfwd(one_draw), in_dims=1)(z)  # (S, M, k, M, d)
    for member in range(members):
        torch.testing.assert_close(jacobian[member], everything[:, member, :, member], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(features, trunk(z), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("noise_dim", "hidden", "members"), SIZES)
def test_it_is_the_tanh_network_with_the_noise_appended(
    noise_dim: int, hidden: tuple[int, ...], members: int
) -> None:
    trunk = make(noise_dim, hidden, members)
    z = torch.randn(members, 5, noise_dim, dtype=torch.float64)
    assert trunk.features == (hidden[-1] if hidden else 0) + noise_dim
    for member in range(members):
        h = z[member]
        for weight, bias in zip(trunk.weights, trunk.biases, strict=True):
            h = torch.tanh(h @ weight[member].T + bias[member])
        expected = torch.cat([h, z[member]], dim=-1) if hidden else z[member]
        torch.testing.assert_close(trunk(z)[member], expected, rtol=1e-12, atol=1e-13)


def test_without_hidden_layers_the_features_are_the_noise() -> None:
    trunk, z = Trunk(3, hidden=(), members=2), torch.randn(2, 4, 3)
    assert torch.equal(trunk(z), z)
    features, jacobian = trunk.with_jacobian(z)
    assert torch.equal(features, z)
    assert torch.equal(jacobian, torch.eye(3).expand(2, 4, 3, 3))
    assert not list(trunk.parameters())


def test_without_noise_there_are_no_features() -> None:
    trunk = Trunk(0, hidden=(16, 16), members=2)
    features, jacobian = trunk.with_jacobian(torch.randn(2, 4, 0))
    assert trunk.features == 0
    assert features.shape == (2, 4, 0)
    assert jacobian.shape == (2, 4, 0, 0)
    assert not list(trunk.parameters())


def test_members_do_not_touch() -> None:
    trunk, z = Trunk(3, hidden=(8, 8), members=2), torch.randn(2, 4, 3)
    features, jacobian = trunk.with_jacobian(z)
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter[1].add_(1.0)
    new_features, new_jacobian = trunk.with_jacobian(z)
    assert torch.equal(new_features[0], features[0])
    assert torch.equal(new_jacobian[0], jacobian[0])
    assert not torch.equal(new_features[1], features[1])


def test_members_start_apart() -> None:
    trunk = Trunk(3, hidden=(8,), members=2)
    z = torch.randn(1, 4, 3).expand(2, -1, -1)
    assert not torch.allclose(trunk(z)[0, :, :8], trunk(z)[1, :, :8])


def test_gradients_flow_through_features_and_jacobian() -> None:
    trunk = Trunk(3, hidden=(8, 8))
    features, jacobian = trunk.with_jacobian(torch.randn(1, 4, 3))
    (features.sum() + jacobian.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trunk.parameters())


def test_the_biases_break_the_odd_symmetry() -> None:
    trunk, z = make(3, (8,), 1), torch.randn(1, 4, 3, dtype=torch.float64)
    assert not torch.allclose(trunk(z) + trunk(-z), torch.zeros_like(trunk(z)), atol=1e-3)


def test_a_generator_decides_the_start() -> None:
    one, two = Trunk(3), Trunk(3)
    for trunk in (one, two):
        trunk.reset_parameters(torch.Generator().manual_seed(7))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    two.reset_parameters(torch.Generator().manual_seed(8))
    assert not any(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize(("noise_dim", "members"), [(-1, 1), (3, 0)])
def test_sizes_that_make_no_sense_are_refused(noise_dim: int, members: int) -> None:
    with pytest.raises(ValueError, match=f"noise_dim = {noise_dim}, .* and members = {members}"):
        Trunk(noise_dim, members=members)


OPTIONS: list[dict[str, Any]] = [
    {"spectral_norm": True},
    {"constant_norm": True},
    {"constant": True},
    {"own_noise": 3},
    {"spectral_norm": True, "constant_norm": True, "constant": True, "own_noise": 2},
]


@pytest.mark.parametrize("hidden", [(), (7, 5)])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options))
def test_the_jacobian_is_autograds_with_every_option(
    hidden: tuple[int, ...], options: dict[str, Any]
) -> None:
    trunk = Trunk(3, hidden=hidden, members=2, **options).double()
    z = torch.randn(2, 4, trunk.noise_dim, dtype=torch.float64)
    features, jacobian = trunk.with_jacobian(z)
    assert torch.equal(features, trunk(z))
    assert features.shape[-1] == trunk.features
    assert torch.equal(features[..., -trunk.noise_dim :], z)  # z itself, the head's own noise last
    whole = torch.autograd.functional.jacobian(trunk, z)
    for member in range(2):
        for draw in range(4):
            by_autograd = whole[member, draw, :, member, draw]
            torch.testing.assert_close(jacobian[member, draw], by_autograd, rtol=1e-10, atol=1e-12)


def test_the_mlp_never_sees_a_heads_own_noise() -> None:
    trunk = Trunk(2, hidden=(6,), own_noise=3)
    z = torch.randn(1, 1, 5)
    other = z.clone()
    other[..., 2:] += 1.0
    assert torch.equal(trunk(z)[..., :6], trunk(other)[..., :6])


def test_a_spectral_norm_keeps_features_no_further_apart_than_their_noise() -> None:
    trunk = Trunk(4, hidden=(16, 16), spectral_norm=True).double()
    with torch.no_grad():
        for weight in trunk.weights:
            weight.mul_(20.0)
    one, other = torch.randn(2, 1, 500, 4, dtype=torch.float64)
    features = (trunk(one) - trunk(other))[..., :16].norm(dim=-1)
    assert bool((features <= (one - other).norm(dim=-1) + 1e-12).all())


def test_a_constant_norm_makes_the_mlp_blind_to_the_length_of_the_noise() -> None:
    trunk = Trunk(4, hidden=(6,), constant_norm=True).double()
    z = torch.randn(1, 50, 4, dtype=torch.float64)
    torch.testing.assert_close(trunk(z)[..., :6], trunk(7.0 * z)[..., :6], rtol=1e-12, atol=1e-12)


def test_a_constant_feature_is_one_and_gives_a_mean() -> None:
    assert torch.equal(Trunk(2, hidden=(3,), constant=True)(torch.randn(1, 5, 2))[..., 0], torch.ones(1, 5))
    assert torch.equal(Trunk(0, constant=True)(torch.empty(1, 5, 0)), torch.ones(1, 5, 1))
