"""The speed benchmark compares like with like: the same numbers, or a step that trains."""

from __future__ import annotations

import pyro
import pytest
import torch

from tests.reference.steps import FEATURES, ROWS, Shape, floor_step, library_step
from tests.test_uci_harness import imported


def test_the_products_by_hand_are_the_librarys_outputs() -> None:
    speed = imported("speed")
    model, weights, x = speed._ensemble(7, 9)
    with torch.no_grad():
        expected = model.outputs(weights, x)[..., 0]
    torch.testing.assert_close(speed._by_hand(weights, x, draws=3, rows=4), expected, rtol=1e-12, atol=1e-12)


def test_a_ratio_is_taken_turn_by_turn() -> None:
    speed = imported("speed")
    assert speed.ratio([2.0, 30.0, 4.0], [1.0, 10.0, 1.0]) == 3.0
    calls: list[str] = []
    seconds = speed.in_turns(10, lambda: calls.append("a"), lambda: calls.append("b"))
    assert [len(taken) for taken in seconds] == [10, 10]
    assert calls == ["a", "b"] * 12


@pytest.mark.parametrize("kind", ["ours", "mean field", "floor", "tyxe"])
def test_every_step_that_is_timed_runs_on(kind: str) -> None:
    shape = Shape(particles=2, rows=16, units=4)
    step = {
        "ours": lambda: library_step(shape),
        "mean field": lambda: library_step(Shape(particles=2, rows=16, units=4, noise_dim=0), local=False),
        "floor": lambda: floor_step(shape),
        "tyxe": lambda: imported("tyxe_style").tyxe_step(FEATURES, 4, ROWS, 2),
    }[kind]()
    for _ in range(3):
        step(*shape.batch())
    pyro.clear_param_store()
