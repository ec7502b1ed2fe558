"""A training step holds so many numbers for each weight, however many weights there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bayeshyper.hypernets import HEADS
from tests.test_uci_harness import imported

# Gradients and Adam's moments of mean and noise, 6; the draw and what is kept of it for the gradient.
LOW_RANK = 20.5


def test_a_network_has_about_as_many_weights_as_asked_for() -> None:
    for size in (10_000, 100_000, 1_000_000):
        hypernetwork, _ = imported("scaling").step_of("low-rank", size)
        assert abs(hypernetwork.size / size - 1) < 0.01


def test_what_is_held_is_counted_to_the_byte() -> None:
    kept: list[torch.Tensor] = []

    def step() -> None:
        kept[:] = [torch.ones(1000), torch.ones(500).double()]  # made while the last ones are still held
        del kept[1:]

    # The last step's first vector, this one's first and second, and the second's float32 for a moment.
    assert imported("scaling").allocated(step) == 4000 + 4000 + 2000 + 4000


def test_a_step_of_the_low_rank_head_holds_a_small_multiple_of_the_weights() -> None:
    """At 10⁵ weights, and at four times as many no larger a multiple: the Gram matrix is streamed."""
    scaling = imported("scaling")
    multiples = []
    for size in (100_000, 400_000):
        hypernetwork, step = scaling.step_of("low-rank", size)
        # What grows with the sides of the layers, not with D: their factors, gradients and moments.
        sides = scaling.parameters_of(hypernetwork) - 2 * hypernetwork.size
        multiples.append((scaling.allocated(step) / 4 - 4 * sides) / hypernetwork.size)
    assert multiples[1] <= multiples[0] <= LOW_RANK


@pytest.mark.parametrize("head", HEADS)
def test_what_a_step_holds_grows_no_faster_than_the_weights(head: str) -> None:
    """But for a twentieth: the larger of the two has more of its weights in one tensor."""
    scaling = imported("scaling")
    held, weights = [], []
    for size in (10_000, 40_000):
        hypernetwork, step = scaling.step_of(head, size)
        weights.append(hypernetwork.size)
        held.append(scaling.allocated(step))
    assert held[1] / held[0] < 1.05 * weights[1] / weights[0]


def test_slopes_are_those_of_a_power_and_the_plot_is_drawn(tmp_path: Path) -> None:
    scaling, growth = imported("scaling"), imported("growth")
    points = [
        growth.Point(head, size, 2 * size, 80 * size, 100.0 * size, size**1.1, size**0.9)
        for head, sizes in scaling.SIZES.items()
        for size in sizes
    ]
    slopes = list(scaling.slopes(points))
    fitted = {result.case for result in slopes}
    assert fitted == {"low-rank, D >= 100,000", "low-rank, D >= 1,000,000", "dense, D >= 100,000"}
    found = [result.value for result in slopes]
    np.testing.assert_allclose(found, [1.0, 1.1, 0.9] * 3, rtol=1e-9)
    rows = {(result.case, result.measure): result.value for result in scaling.growth(points)}
    assert rows["low-rank, D = 100,000", "vectors held beyond the parameters"] == 20.0
    assert rows["low-rank, D = 100,000", "time a weight, of D = 10,000's"] == pytest.approx(100_000**1.1 / 10)
    growth.draw(points, tmp_path / "growth.svg")
    drawn = (tmp_path / "growth.svg").read_text()
    assert drawn.startswith("<?xml")
