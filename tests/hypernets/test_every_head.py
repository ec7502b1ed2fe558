"""Every shipped head goes through the test case that users are given, and into a hypernetwork by its name."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bayeshyper.hypernets import (
    HEADS,
    BoundedHead,
    Head,
    Hypernetwork,
    HypernetworkSettings,
    LinearHead,
    MatrixNoiseHead,
)
from bayeshyper.models import WeightSpec
from bayeshyper.testing import HeadTestCase

SPEC = HeadTestCase.spec
EVERY = [*HEADS, "bounded", "matrix-noise"]


class TestEveryHead(HeadTestCase):
    """The test case that users are given, for every head that is found, and for what stands around one."""

    @pytest.fixture(autouse=True, params=EVERY)
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name: str = request.param

    def make(self, spec: WeightSpec, features: int, members: int) -> Head:
        if self.name == "bounded":
            return BoundedHead(HEADS["dense"](spec, features=features, members=members, gain=0.3), 1.0)
        if self.name == "matrix-noise":
            inner = HEADS["low-rank"](spec, features=features - 8, members=members)
            return MatrixNoiseHead(inner, 2, gain=0.3)
        return HEADS[self.name](spec, features=features, members=members, gain=0.3)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_gram_of_chunks_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """… with its gradient: blocks of 3 chunks, and a last one of fewer."""
    generator = torch.Generator().manual_seed(0)
    head = HEADS["chunked"](SPEC, features=5, members=2, chunk=8, width=4).double()  # type: ignore[call-arg]
    assert isinstance(head, LinearHead)
    head.reset_parameters(generator)
    precision, weights = normal(2, SPEC.size).exp().requires_grad_(), normal(2, 5, 5)

    def both() -> list[Tensor]:
        gram = head.gram(precision)
        by = [precision, *head.parameters()]
        return [gram, *torch.autograd.grad((gram * weights).sum(), by)]

    whole = both()
    monkeypatch.setattr("bayeshyper.hypernets.heads.chunked.BLOCK", 3 * 4**2)
    torch.testing.assert_close(both(), whole, rtol=1e-12, atol=1e-13)


def build(name: str, mean: Tensor, unit: Tensor, spec: WeightSpec, **options: object) -> Hypernetwork:
    extra: dict[str, object] = {}
    if name == "bounded":
        extra = {"bound": 3.0}
    elif name == "matrix-noise":
        extra = {"matrix_noise": 1}
    head = name if name in HEADS else "dense"
    settings = HypernetworkSettings(head=head, noise_dim=4, hidden=(16,), **{**extra, **options})  # type: ignore[arg-type]
    return settings.build(mean, unit, spec)


@pytest.mark.parametrize("name", EVERY)
def test_generated_weights_start_at_the_networks_own_scale(name: str) -> None:
    """Within 10 % in every tensor, 0-D and 1-D ones too, for a network of awkward sizes and units."""
    spec = WeightSpec(
        [
            ("wide.weight", (20, 100)),
            ("wide.bias", (400,)),
            ("narrow.weight", (30, 20)),
            ("gate", ()),
        ]
    )
    generator = torch.Generator().manual_seed(0)
    scales = {"wide.weight": 1 / 30, "wide.bias": 0.02, "narrow.weight": 0.2, "gate": 0.5}
    mean = torch.cat([scales[p.name] * torch.randn(1, p.size, generator=generator) for p in spec], dim=1)
    unit = torch.cat([torch.full((p.size,), 2 * scales[p.name] if len(p.shape) > 1 else 1.0) for p in spec])
    net = build(name, mean, unit, spec)
    net.reset_parameters(generator)
    weights = net.sample(600, generator=generator)
    for piece in spec:
        own = mean[:, piece.slice].square().mean().sqrt()
        start = weights[:, piece.slice].square().mean().sqrt()
        assert abs(start / own - 1) < 0.1, piece.name
        assert weights[:, piece.slice].std(0).mean() > 0.01 * own, piece.name  # … but they do move


@pytest.mark.parametrize("name", EVERY)
def test_sizes_are_told_before_anything_is_allocated(name: str) -> None:
    spec = WeightSpec([("layer.weight", (30, 20)), ("layer.bias", (30,))])
    net = build(name, torch.randn(2, spec.size), torch.ones(spec.size), spec)
    size = net.settings.size(spec, members=2)
    assert size.parameters == sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert f"{size.parameters:,} parameters" in repr(size)
    assert repr(size) in repr(net)


@pytest.mark.parametrize("name", ["chunked", "coordinate", "adapter"])
def test_compressive_heads_have_fewer_parameters_than_weights(name: str) -> None:
    spec = WeightSpec([("a.weight", (400, 400)), ("a.bias", (400,)), ("b.weight", (400, 400))])
    size = HypernetworkSettings(head=name).size(spec)
    assert size.parameters < (0.5 if name == "adapter" else 0.2) * spec.size


def test_low_rank_parameters_grow_with_the_sides_not_with_the_area() -> None:
    def head_size(side: int) -> int:
        spec = WeightSpec([("weight", (side, side))])
        return HypernetworkSettings(head="low-rank").size(spec).parameters - 2 * spec.size

    small, large = head_size(1_000), head_size(2_000)
    assert large < 2.2 * small


def test_a_head_that_cannot_fit_is_refused_with_its_estimate_and_one_that_can() -> None:
    spec = WeightSpec([("weight", (20_000, 20_000))])
    told = r"dense head for D=400,000,000, .* GB in training.*GB of memory that are free: (use|make)"
    with pytest.raises(ValueError, match=told):
        HypernetworkSettings().check_size(spec, members=2)


@pytest.mark.parametrize("head", ["low-rank", "adapter"])
def test_the_default_rank_is_no_more_than_the_layers_have(head: str) -> None:
    small = WeightSpec([("layer.weight", (2, 3)), ("layer.bias", (2,))])
    assert HEADS[head](small, features=5).rank == 2  # type: ignore[attr-defined]
    assert HEADS[head](SPEC, features=5).rank == 4  # type: ignore[attr-defined]
    assert HypernetworkSettings(head=head).size(small).parameters > 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"hidden": [-3]}, r"hidden = \[-3\], expected layers of at least 1"),
        ({"hidden": [8, 0]}, r"hidden = \[8, 0\]"),
        ({"gain": -1.0}, "gain = -1.0, expected a positive"),
        ({"gain": math.nan}, "gain = nan"),
        ({"output_noise": math.inf}, "output_noise = inf"),
        ({"start_share": 0.0}, "start_share = 0.0"),
        ({"matrix_noise": -1}, "matrix_noise = -1"),
        ({"bound": -1.0}, "bound = -1.0, expected a positive"),
        ({"mean": "loose"}, "mean = 'loose', expected one of auto, free, frozen"),
        ({"head": "modulation", "options": {"relative": -1.0}}, "relative = -1.0, expected a positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        HypernetworkSettings(**settings).build(torch.ones(1, SPEC.size), torch.ones(SPEC.size), SPEC)


def test_a_unit_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="entries that are not positive"):
        Hypernetwork(torch.zeros(1, 2), torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("name", EVERY)
def test_single_numbers_start_at_their_own_scale_though_features_have_a_mean(name: str) -> None:
    spec = WeightSpec([("layer.weight", (6, 4)), ("layer.bias", (1,))])
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        mean = 0.3 * torch.randn(1, spec.size, generator=generator)
        net = build(name, mean, torch.ones(spec.size), spec)
        net.reset_parameters(generator)
        start = net.sample(400, generator=generator)[:, -1].square().mean().sqrt()
        assert abs(start / mean[0, -1].abs() - 1) < 0.1


@pytest.mark.parametrize("head", ["low-rank", "adapter"])
@pytest.mark.parametrize("rank", [0, 10])
def test_a_rank_that_exceeds_every_layer_is_refused(head: str, rank: int) -> None:
    with pytest.raises(ValueError, match=f"rank = {rank}, expected at least 1 and at most 6"):
        HEADS[head](SPEC, features=5, rank=rank)  # type: ignore[call-arg]


def test_options_that_a_head_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="rank for the head 'dense', expected nothing"):
        HypernetworkSettings(options={"rank": 3}).build(torch.zeros(1, 4), torch.ones(4))
    with pytest.raises(ValueError, match="code for the head 'low-rank', expected rank"):
        HypernetworkSettings(head="low-rank", options={"code": 3}).build(torch.zeros(1, 4), torch.ones(4))


def test_matrix_noise_needs_a_linear_head() -> None:
    with pytest.raises(ValueError, match="ModulationHead, expected a head that is linear"):
        HypernetworkSettings(head="modulation", matrix_noise=1).build(
            torch.ones(1, SPEC.size), torch.ones(SPEC.size), SPEC
        )


def test_matrix_noise_correlates_rows_and_columns_as_its_factors_say() -> None:
    """Given the trunk's noise, a layer's weights have covariance (UUᵀ ⊗ VVᵀ) + diag(σ²)."""
    spec = WeightSpec([("weight", (3, 4))])
    settings = HypernetworkSettings(
        noise_dim=0, hidden=(), matrix_noise=2, output_noise=0.5, start_share=math.inf
    )
    net = settings.build(torch.zeros(1, 12), torch.ones(12), spec).double()
    head = net.head
    assert isinstance(head, MatrixNoiseHead)
    with torch.no_grad():
        head.left[0].copy_(normal(1, 3, 2))
        head.right[0].copy_(normal(1, 4, 2).flip(1))
    left, right = head.left[0][0].detach(), head.right[0][0].detach()
    exact = torch.kron(left @ left.mT, right @ right.mT) + 0.25 * torch.eye(12)
    draws = net.sample(200_000, generator=torch.Generator().manual_seed(0))
    scale = exact.diagonal().sqrt()
    # The standard error of a covariance is at most √2 s_i s_j / √n.
    error = (torch.cov(draws.mT) - exact) / torch.outer(scale, scale)
    assert error.abs().max() < 5 * math.sqrt(2 / 200_000)


def test_a_bound_holds() -> None:
    net = build("bounded", torch.zeros(1, SPEC.size), torch.ones(SPEC.size), SPEC, gain=50.0)
    offsets = net.offsets(net.trunk(torch.randn(1, 100, 4)))
    assert 2.0 < offsets.abs().max() <= 3.0


def test_heads_are_found_by_the_files_of_their_folder() -> None:
    assert set(HEADS) == {
        "adapter", "chunked", "coordinate", "dense", "hierarchical", "low-rank", "modulation", "per-layer",
    }  # fmt: skip
