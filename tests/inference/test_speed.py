"""A training step costs little more than its arithmetic: timed beside the same step by hand in torch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, HypernetworkSettings
from bayeshyper.inference import ImplicitGuide, elbo_terms
from bayeshyper.inference.clipping import clip_gradients
from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Target
from tests.reference.floor import Floor, Noise, clip_by_member

FEATURES, ROWS = 8, 1000

Step = Callable[[Tensor, Tensor], None]


def library_step(members: int, particles: int, noise_dim: int, hidden: tuple[int, ...]) -> Step:
    model = BayesianModel(
        Target(MLP(FEATURES, 1)), FanInPrior(), Gaussian(), num_data=ROWS, particles=members * particles
    )
    settings = HypernetworkSettings(noise_dim=noise_dim, hidden=hidden)
    guide = ImplicitGuide(
        model, Hypernetwork(torch.zeros(members, model.spec.size), model.prior.scale, settings)
    )
    optimizer = torch.optim.Adam(guide.parameters(), lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        terms = elbo_terms(model, guide, x, y)
        terms.check(1)
        optimizer.zero_grad()
        (terms.loss / ROWS).backward()
        clip_gradients(guide.hypernetwork.parameters(), 10.0, 1)
        optimizer.step()

    return step


def floor_step(members: int, particles: int, noise_dim: int, hidden: tuple[int, ...]) -> Step:
    floor = Floor(FEATURES, noise_dim=noise_dim, trunk=hidden, members=members)
    parameters = list(floor.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        loss = -floor.elbo(x, y, ROWS, Noise.draw(floor, particles, len(x))).mean() / ROWS
        loss.item()  # the library, too, looks at its loss before it steps
        optimizer.zero_grad()
        loss.backward()
        clip_by_member(parameters, 10.0)
        optimizer.step()

    return step


@pytest.mark.bench
@pytest.mark.parametrize(
    ("members", "particles", "rows", "noise_dim", "hidden"),
    [
        (1, 8, 128, 16, (64, 64)),
        (1, 4, 256, 8, (32, 32)),
        (4, 2, 128, 8, (32, 32)),
        (1, 8, 927, 16, (64, 64)),
    ],
)
def test_a_step_costs_at_most_a_fifth_more_than_its_arithmetic(
    members: int, particles: int, rows: int, noise_dim: int, hidden: tuple[int, ...]
) -> None:
    ours = library_step(members, particles, noise_dim, hidden)
    floor = floor_step(members, particles, noise_dim, hidden)
    x, y = torch.randn(rows, FEATURES), torch.randn(rows)
    ratios = []
    for _ in range(200):  # in turns, so that whatever else the machine does falls on both
        started = time.process_time()
        ours(x, y)
        between = time.process_time()
        floor(x, y)
        ratios.append((between - started) / (time.process_time() - between))
    ratio = statistics.median(ratios[20:])
    print(f"M={members} S={particles} B={rows} d={noise_dim} trunk={hidden}: {ratio:.2f} times the floor")
    assert ratio <= 1.2
