"""What runs through time at once, or in steps, against the plain loop or an adaptive solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from tests.test_uci_harness import imported

YEARS = 20


@pytest.mark.parametrize("length", [1, 2, 3, 8, 13])
def test_discounted_sums_are_those_of_the_loop(length: int) -> None:
    generator = torch.Generator().manual_seed(length)
    values = torch.randn(3, length, dtype=torch.float64, generator=generator)
    factor = torch.rand(3, 1, dtype=torch.float64, generator=generator)
    expected = values.clone()
    for t in range(1, length):
        expected[:, t] += factor[:, 0] * expected[:, t - 1]
    found = imported("posteriors.timeseries").discounted_sums(values, factor)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_the_solver_is_of_order_four_and_close_enough() -> None:
    """The hares and lynxes of the reference's means: half the step leaves a sixteenth of the error."""
    theta, start = np.array([0.545, 0.0277, 0.803, 0.0241]), np.array([33.9, 5.95])

    def slope(_: float, z: np.ndarray) -> list[float]:
        return [(theta[0] - theta[1] * z[1]) * z[0], (-theta[2] + theta[3] * z[0]) * z[1]]

    years = np.arange(1, YEARS + 1)
    solution = solve_ivp(slope, (0, YEARS), start, t_eval=years, rtol=1e-12, atol=1e-12).y.T

    functions = imported("posteriors.functions")
    tensors = torch.from_numpy(theta), torch.from_numpy(start).log()
    errors = [
        np.abs(functions.log_populations(*tensors, YEARS, steps).numpy() - np.log(solution)).max()
        for steps in (10, 20, 40)
    ]
    assert errors[0] / errors[1] == pytest.approx(16.0, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(16.0, rel=0.15)
    assert np.abs(functions.log_populations(*tensors, YEARS).numpy() - np.log(solution)).max() < 1e-4
