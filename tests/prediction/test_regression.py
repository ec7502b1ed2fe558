from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from bayeshyper.errors import DataError
from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Likelihood, Target
from bayeshyper.prediction import PredictiveDistribution, draws
from tests.prediction.helpers import LOC, REGRESSION, SCALE, case

FAMILIES = pytest.mark.parametrize("likelihood", REGRESSION.values(), ids=REGRESSION)
Array = NDArray[np.float64]


def targets(n: int) -> Array:
    return np.linspace(-6.0, 11.0, n)


# -- mixture formulas -------------------------------------------------------------------------------------


@FAMILIES
def test_moments_are_the_mixtures(likelihood: Likelihood) -> None:
    c = case(likelihood)
    means, variances = np.broadcast_arrays(c.mixed.mean(), c.mixed.var())
    within, between = variances.mean(0), (means**2).mean(0) - means.mean(0) ** 2
    np.testing.assert_allclose(c.predictive.mean, means.mean(0), rtol=1e-12)
    np.testing.assert_allclose(c.predictive.aleatoric, np.sqrt(within), rtol=1e-12)
    np.testing.assert_allclose(c.predictive.epistemic, np.sqrt(between), rtol=1e-10)
    np.testing.assert_allclose(c.predictive.std, np.sqrt(within + between), rtol=1e-11)


@FAMILIES
def test_densities_are_the_mixtures(likelihood: Likelihood) -> None:
    c, y = case(likelihood), targets(5)
    np.testing.assert_allclose(c.predictive.log_prob(y), np.log(c.mixed.pdf(y).mean(0)), rtol=1e-10)


@FAMILIES
def test_each_draws_own_log_likelihood_is_scipys(likelihood: Likelihood) -> None:
    c, y = case(likelihood), targets(5)
    np.testing.assert_allclose(c.predictive.log_likelihood(y), c.mixed.logpdf(y), rtol=1e-10)


@FAMILIES
def test_the_distribution_function_is_the_mixtures(likelihood: Likelihood) -> None:
    c, y = case(likelihood), targets(5)
    np.testing.assert_allclose(c.predictive.cdf(y), c.mixed.cdf(y).mean(0), rtol=1e-9)


@FAMILIES
def test_quantiles_are_the_mixtures_roots(likelihood: Likelihood) -> None:
    c, levels = case(likelihood), [1e-4, 0.05, 0.5, 0.9, 0.9999]
    found = c.predictive.quantiles(levels)
    assert found.shape == (5, 5)

    def excess(y: float, row: int, level: float) -> float:
        at = np.full(5, y)
        return float(c.mixed.cdf(at).mean(0)[row] - level)

    for row in range(5):
        for column, level in enumerate(levels):
            root = brentq(excess, -1e4, 1e4, args=(row, level), xtol=1e-12, rtol=1e-14)
            # the search stops at 1e-12 of its bracket, which is a hundred σ at the outermost levels
            assert found[row, column] == pytest.approx(root, abs=1e-8)


@FAMILIES
@pytest.mark.parametrize("level", [0.05, 0.4375, 0.5, 0.75, 0.99])
def test_the_search_for_a_quantile_ends_at_it_in_every_row(likelihood: Likelihood, level: float) -> None:
    """Draws of very different noise: Newton's steps can go to and fro there, or hit the root itself."""
    c = case(likelihood, draws=5, rows=400, spread=2.0)
    found = c.predictive.quantiles(level)[:, 0]
    # what rounding leaves: 2⁻⁵² of a value of some hundreds, times a density of up to some hundreds
    np.testing.assert_allclose(c.mixed.cdf(found).mean(0), level, rtol=0, atol=1e-10)


@settings(max_examples=20)
@FAMILIES
@given(level=st.floats(1e-6, 1 - 1e-6))
def test_the_distribution_function_undoes_the_quantiles(likelihood: Likelihood, level: float) -> None:
    c = case(likelihood)
    found = c.predictive.quantiles(level)[:, 0]
    np.testing.assert_allclose(c.predictive.cdf(found), level, rtol=0, atol=1e-10)


@settings(max_examples=20)
@FAMILIES
@given(shift=st.floats(-2.5, 2.5))
def test_the_quantiles_undo_the_distribution_function(likelihood: Likelihood, shift: float) -> None:
    c = case(likelihood)
    y = c.predictive.mean + shift * c.predictive.std
    levels = c.predictive.cdf(y)
    again = np.diag(c.predictive.quantiles(levels))
    np.testing.assert_allclose(again, y, rtol=0, atol=1e-8)


@settings(max_examples=20)
@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=5, unique=True).map(sorted))
def test_quantiles_rise_with_the_level(levels: list[float]) -> None:
    found = case(REGRESSION["student-t"]).predictive.quantiles(levels)
    # two levels may be one float apart: then their quantiles are, within the search's tolerance
    assert (np.diff(found, axis=1) >= -1e-8).all()


def test_an_interval_holds_its_share_in_the_middle() -> None:
    c = case(REGRESSION["gaussian"])
    interval = c.predictive.interval(0.8)
    assert interval.shape == (5, 2)
    np.testing.assert_allclose(c.predictive.cdf(interval[:, 0]), 0.1, atol=1e-10)
    np.testing.assert_allclose(c.predictive.cdf(interval[:, 1]), 0.9, atol=1e-10)


def test_one_draw_is_its_own_distribution() -> None:
    c = case(REGRESSION["student-t"], draws=1)
    np.testing.assert_allclose(c.predictive.epistemic, 0.0, atol=0)
    np.testing.assert_allclose(c.predictive.quantiles([0.1, 0.9])[:, 0], c.mixed.ppf(0.1)[0], atol=1e-9)


def test_a_symmetric_mixture_has_its_median_in_the_middle() -> None:
    """Where the search starts is then the root itself."""
    c = case(REGRESSION["gaussian"], draws=4)
    weights = torch.cat([c.weights, c.weights])
    weights[4:, :-1] *= -1
    found = PredictiveDistribution(c.model, weights, c.x).quantiles(0.5)
    np.testing.assert_allclose(found, 0.0, atol=1e-10)


def test_quantiles_of_modes_far_apart_are_those_of_the_modes() -> None:
    c = case(REGRESSION["gaussian"], draws=2)
    weights = torch.zeros_like(c.weights)
    weights[:, -2] = torch.tensor([-1000.0, 1000.0])  # the bias
    weights[:, -1] = -5.0
    predicted = PredictiveDistribution(c.model, weights, c.x)
    noise = np.exp(-5.0) + 1e-4
    quarter = predicted.quantiles([0.25, 0.75, 0.1])
    expected = np.array([-1000.0, 1000.0, -1000.0 + noise * stats.norm.ppf(0.2)])
    np.testing.assert_allclose(quarter, np.broadcast_to(expected, (5, 3)), atol=1e-8)
    np.testing.assert_allclose(predicted.cdf(predicted.quantiles(0.5)[:, 0]), 0.5, atol=1e-10)


def test_densities_integrate_to_one_in_the_targets_own_units() -> None:
    c = case(REGRESSION["gaussian"], rows=1)
    y, step = np.linspace(-60, 60, 4001, retstep=True)
    wide = PredictiveDistribution(c.model, c.weights, c.x.expand(4001, -1), loc=LOC, scale=SCALE)
    # the trapezium rule on an analytic density that vanishes at both ends is exact to rounding
    assert np.exp(wide.log_prob(y)).sum() * step == pytest.approx(1.0, rel=1e-9)


def test_changing_the_targets_units_changes_all_accordingly() -> None:
    c = case(REGRESSION["student-t"])
    plain = PredictiveDistribution(c.model, c.weights, c.x)
    standard = targets(5)
    y = LOC + SCALE * standard
    np.testing.assert_allclose(c.predictive.mean, LOC + SCALE * plain.mean, rtol=1e-12)
    np.testing.assert_allclose(c.predictive.std, SCALE * plain.std, rtol=1e-12)
    np.testing.assert_allclose(c.predictive.cdf(y), plain.cdf(standard), rtol=1e-12)
    np.testing.assert_allclose(c.predictive.log_prob(y), plain.log_prob(standard) - np.log(SCALE), rtol=1e-12)
    np.testing.assert_allclose(c.predictive.functions(), LOC + SCALE * plain.functions(), rtol=1e-12)


def test_functions_are_the_networks_outputs() -> None:
    c = case(REGRESSION["gaussian"])
    np.testing.assert_allclose(c.predictive.functions(), LOC + SCALE * c.outputs[..., 0], rtol=1e-12)
    two = case(REGRESSION["heteroscedastic"])
    np.testing.assert_allclose(two.predictive.functions(), two.outputs, rtol=1e-12)


def test_far_targets_have_a_finite_log_density() -> None:
    c = case(REGRESSION["gaussian"])
    assert np.isfinite(c.predictive.log_prob(np.full(5, 1e8))).all()  # whose density is 0 in float64
    assert c.predictive.cdf(np.full(5, 1e8)).tolist() == [1.0] * 5


# -- rows, batches, chunks --------------------------------------------------------------------------------


def network_case(rows: int = 40, draws: int = 30) -> tuple[BayesianModel, torch.Tensor, torch.Tensor]:
    model = BayesianModel(Target(MLP(8, 1, hidden=(50,))), FanInPrior(), Gaussian(), num_data=10).double()
    weights = 0.3 * torch.randn(draws, model.spec.size, dtype=torch.float64)
    return model, weights, torch.randn(rows, 8, dtype=torch.float64)


def all_of(predicted: PredictiveDistribution, y: Array) -> dict[str, Array]:
    return {
        "mean": predicted.mean[:, None],
        "std": predicted.std[:, None],
        "log_prob": predicted.log_prob(y)[:, None],
        "cdf": predicted.cdf(y)[:, None],
        "functions": predicted.functions().T,
    }


ROWS = [[7], [3, 5], list(range(20)), list(range(39, -1, -1))]


@pytest.mark.parametrize("chosen", ROWS, ids=["one", "two", "half", "reversed"])
def test_a_rows_numbers_do_not_depend_on_the_rows_beside_it(chosen: list[int]) -> None:
    """To some float64 roundings: BLAS sums a row in another order when it stands alone or elsewhere."""
    model, weights, x = network_case()
    y = np.linspace(-2, 2, len(x))
    whole = all_of(PredictiveDistribution(model, weights, x), y)
    part = all_of(PredictiveDistribution(model, weights, x[chosen]), y[chosen])
    for name, values in whole.items():
        np.testing.assert_allclose(part[name], values[chosen], rtol=1e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("chosen", ROWS, ids=["one", "two", "half", "reversed"])
def test_a_rows_quantiles_do_not_depend_on_the_rows_beside_it(chosen: list[int]) -> None:
    """To the search's tolerance, 1e-12 of its bracket: a rounding can cost or save it a last step."""
    model, weights, x = network_case()
    levels = [0.05, 0.5, 0.95]
    whole = PredictiveDistribution(model, weights, x).quantiles(levels)
    part = PredictiveDistribution(model, weights, x[chosen]).quantiles(levels)
    np.testing.assert_allclose(part, whole[chosen], rtol=0, atol=1e-10)


def test_asking_twice_gives_the_same_bits() -> None:
    model, weights, x = network_case()
    y = np.linspace(-2, 2, len(x))
    one, two = (all_of(PredictiveDistribution(model, weights, x), y) for _ in range(2))
    assert all((one[name] == two[name]).all() for name in one)


@pytest.mark.parametrize("numbers", [1, 100, 5000])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    """From all at once down to one row and one draw at a time."""
    model, weights, x = network_case(rows=12, draws=8)
    y = np.linspace(-2, 2, len(x))
    whole = PredictiveDistribution(model, weights, x)
    expected, quantiles, scores = all_of(whole, y), whole.quantiles([0.1, 0.9]), whole.log_likelihood(y)
    monkeypatch.setattr(draws, "CHUNK_NUMBERS", numbers)
    chunked = PredictiveDistribution(model, weights, x)
    for name, values in all_of(chunked, y).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-12, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(chunked.quantiles([0.1, 0.9]), quantiles, rtol=0, atol=1e-10)
    np.testing.assert_allclose(chunked.log_likelihood(y), scores, rtol=1e-12, atol=1e-12)


def test_the_order_of_the_draws_does_not_matter() -> None:
    model, weights, x = network_case()
    y = np.linspace(-2, 2, len(x))
    one = all_of(PredictiveDistribution(model, weights, x), y)
    two = all_of(PredictiveDistribution(model, weights.flip(0), x), y)
    for name in ("mean", "std", "log_prob", "cdf"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-11, atol=1e-13, err_msg=name)


def test_every_draw_twice_is_the_same_mixture() -> None:
    model, weights, x = network_case()
    y = np.linspace(-2, 2, len(x))
    one = all_of(PredictiveDistribution(model, weights, x), y)
    two = all_of(PredictiveDistribution(model, torch.cat([weights, weights]), x), y)
    for name in ("mean", "std", "log_prob", "cdf"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-11, atol=1e-13, err_msg=name)


def test_no_rows_give_empty_answers() -> None:
    model, weights, x = network_case()
    none = PredictiveDistribution(model, weights, x[:0])
    assert len(none) == none.n_rows == 0
    assert none.mean.shape == none.std.shape == none.log_prob([]).shape == none.cdf([]).shape == (0,)
    assert none.quantiles([0.1, 0.9]).shape == (0, 2)
    assert none.sample(3).shape == (3, 0)
    assert none.functions().shape == (30, 0)


# -- what cannot be answered ------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [0.0, 1.0, -0.1, [0.5, 2.0], np.nan, [[0.5]]])
def test_levels_that_are_no_shares_are_refused(levels: object) -> None:
    with pytest.raises(ValueError, match="expected numbers strictly between 0 and 1"):
        case(REGRESSION["gaussian"]).predictive.quantiles(levels)  # type: ignore[arg-type]


@pytest.mark.parametrize("level", [0.0, 1.0, 90, np.nan])
def test_an_interval_of_no_share_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"strictly between 0 and 1, like 0.9"):
        case(REGRESSION["gaussian"]).predictive.interval(level)


@pytest.mark.parametrize("y", [0.0, [1.0], np.zeros((5, 1)), np.zeros(6)])
def test_targets_of_another_length_are_refused(y: object) -> None:
    c = case(REGRESSION["gaussian"])
    for method in (c.predictive.log_prob, c.predictive.cdf, c.predictive.log_likelihood):
        with pytest.raises(DataError, match=r"expected \(5,\): one per row of X"):
            method(y)  # type: ignore[arg-type]


def test_no_draws_are_refused() -> None:
    c = case(REGRESSION["gaussian"])
    with pytest.raises(ValueError, match="no weight draws"):
        PredictiveDistribution(c.model, c.weights[:0], c.x)


@pytest.mark.parametrize("name", ["probs", "entropy", "mutual_information", "aleatoric_entropy"])
def test_what_belongs_to_classification_is_said(name: str) -> None:
    with pytest.raises(AttributeError, match=r"belong to classification; .* is for regression"):
        getattr(case(REGRESSION["gaussian"]).predictive, name)
