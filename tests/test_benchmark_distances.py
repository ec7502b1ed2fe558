"""Distances between sets of draws: known to a formula for Gaussians, and blind to what they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from bayeshyper.errors import DataError
from tests.test_uci_harness import imported

DRAWS = 2000
# Two of the accuracy's own standard errors; and what a network falls short of the best classifier by.
CHANCE, SHORT = 2 * 0.5 / np.sqrt(2 * DRAWS), 0.03


@pytest.fixture(scope="module")
def distances() -> Any:
    return imported("distances")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("size", [1, 2, 20])
def test_nobody_tells_draws_of_one_law_apart(distances: Any, rng: np.random.Generator, size: int) -> None:
    accuracy = distances.c2st(rng.normal(size=(DRAWS, size)), rng.normal(size=(DRAWS, size)))
    assert 0.5 <= accuracy < 0.5 + CHANCE


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_shifted_gaussians_are_told_apart_as_often_as_the_best_classifier_does(
    distances: Any, rng: np.random.Generator, shift: float
) -> None:
    second = rng.normal(loc=[shift, 0.0, 0.0], size=(DRAWS, 3))
    best = norm.cdf(shift / 2)  # of which the boundary is halfway
    assert best - SHORT < distances.c2st(rng.normal(size=(DRAWS, 3)), second) < best + CHANCE


@pytest.mark.parametrize(("first", "second"), [(0.9, 0.0), (0.99, 0.97)])
def test_correlations_are_told_apart_though_the_margins_agree(
    distances: Any, rng: np.random.Generator, first: float, second: float
) -> None:
    factors = [np.linalg.cholesky([[1.0, r], [r, 1.0]]) for r in (first, second)]
    draws = [rng.normal(size=(DRAWS, 2)) @ factor.T for factor in factors]
    exact = [rng.normal(size=(100_000, 2)) @ factor.T for factor in factors]

    def log_density(at: Any, factor: Any) -> Any:
        return -0.5 * (np.linalg.solve(factor, at.T) ** 2).sum(0) - np.log(np.diag(factor)).sum()

    right = [log_density(exact[i], factors[i]) > log_density(exact[i], factors[1 - i]) for i in (0, 1)]
    best = np.mean(right)
    assert best - SHORT < distances.c2st(*draws) < best + CHANCE


def test_units_and_heavy_tails_hide_nothing(distances: Any, rng: np.random.Generator) -> None:
    first, second = rng.normal(size=(2, DRAWS, 2)) + np.array([0.0, 1.0])[:, None, None]
    plain = distances.c2st(first, second)
    bent = distances.c2st(*(1e6 * np.sinh(3 * draws) for draws in (first, second)))
    assert plain == pytest.approx(bent, abs=2 * CHANCE)


def test_wasserstein_of_gaussians(distances: Any, rng: np.random.Generator) -> None:
    first = rng.normal(size=(20_000, 3))
    second = rng.normal(loc=[1.0, 0.0, 0.0], scale=[1.0, 2.0, 1.0], size=(20_000, 3))
    # ∫|F⁻¹ − G⁻¹| is the shift, and for unequal scales |σ − 1| E|ε|.
    exact = np.array([1.0, np.sqrt(2 / np.pi), 0.0]) / [1.0, 2.0, 1.0]
    np.testing.assert_allclose(distances.wasserstein(first, second, [1.0, 2.0, 1.0]), exact, atol=0.03)


def test_wasserstein_of_sets_of_unequal_size(distances: Any) -> None:
    # Half of the mass at 0 moves to 1, and the other half stays.
    assert distances.wasserstein([[0.0]] * 2, [[0.0], [0.0], [1.0], [1.0]], [1.0]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("c2st", (np.zeros((60, 2)), np.zeros((60, 3))), "two sets of one shape"),
        ("c2st", (np.zeros((10, 2)), np.zeros((10, 2))), "at least 50 draws"),
        ("c2st", (np.zeros(60), np.zeros(60)), r"expected \(S, P\)"),
        ("c2st", (np.full((60, 2), np.nan), np.zeros((60, 2))), "120 numbers are not"),
        ("wasserstein", (np.zeros((9, 2)), np.zeros((9, 2)), np.ones(3)), r"\(T, P\) and \(P,\)"),
        ("wasserstein", (np.zeros((9, 2)), np.zeros((9, 1)), np.ones(2)), r"\(T, P\) and \(P,\)"),
        ("wasserstein", (np.zeros((9, 2)), np.zeros((9, 2)), np.zeros(2)), "positive and finite"),
    ],
)
def test_what_is_no_draws_is_refused(distances: Any, name: str, arguments: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        getattr(distances, name)(*arguments)
