"""A training step costs little more than its arithmetic: timed beside the same step by hand in torch."""

from __future__ import annotations

import statistics
import time

import pytest

from tests.reference.steps import Shape, floor_step, library_step


@pytest.mark.bench
@pytest.mark.parametrize(
    "shape",
    [
        Shape(noise_dim=16, trunk=(64, 64)),
        Shape(particles=4, rows=256),
        Shape(members=4, particles=1),
        Shape(members=4, particles=2),
        Shape(rows=927, noise_dim=16, trunk=(64, 64)),
    ],
)
def test_a_step_costs_at_most_a_fifth_more_than_its_arithmetic(shape: Shape) -> None:
    ours, floor = library_step(shape), floor_step(shape)
    x, y = shape.batch()
    ratios = []
    for _ in range(200):  # in turns, so that whatever else the machine does falls on both
        started = time.process_time()
        ours(x, y)
        between = time.process_time()
        floor(x, y)
        ratios.append((between - started) / (time.process_time() - between))
    ratio = statistics.median(ratios[20:])
    print(f"{shape}: {ratio:.2f} times the floor")
    assert ratio <= 1.2
