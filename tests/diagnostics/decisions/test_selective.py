"""The areas under the risk–coverage curve against their definitions, closed forms and random orders."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from bayeshyper.diagnostics import ClassPredictive, NormalPredictive, risk_coverage, selective_risk
from bayeshyper.diagnostics.decisions.selective import _Ranking
from bayeshyper.errors import DataError

RNG = np.random.default_rng(8)
SURE, LOSS = RNG.random(150), RNG.exponential(size=150)


def areas(confidence: np.ndarray, loss: np.ndarray) -> tuple[float, float]:
    """AURC and AUGRC as they are defined, for rows that are all of different confidence."""
    lost = np.cumsum(loss[np.argsort(-confidence)])
    n = len(loss)
    generalised = np.concatenate([[0.0], lost / n])
    return float(np.mean(lost / np.arange(1, n + 1))), float(np.trapezoid(generalised, dx=1 / n))


def test_the_areas_are_their_definitions() -> None:
    found = risk_coverage(SURE, LOSS)
    aurc, augrc = areas(SURE, LOSS)
    assert found.aurc.value == pytest.approx(aurc, abs=1e-12)
    assert found.augrc.value == pytest.approx(augrc, abs=1e-12)
    assert found.e_aurc.value == pytest.approx(aurc - areas(-LOSS, LOSS)[0], abs=1e-12)
    assert [found.risk[-1], found.oracle[-1]] == pytest.approx([LOSS.mean()] * 2)
    assert found.random == LOSS.mean()
    assert (found.oracle <= found.risk + 1e-12).all()


@pytest.mark.parametrize("decimals", [1, 12])
def test_the_augrc_of_errors_is_traubs_closed_form(decimals: int) -> None:
    """With many ties as without: the AUROC counts a tie half, too."""
    sure = np.round(SURE, decimals)
    wrong = RNG.random(150) > SURE
    r, auroc = wrong.mean(), roc_auc_score(~wrong, sure)
    assert risk_coverage(sure, wrong).augrc.value == pytest.approx(
        (1 - auroc) * r * (1 - r) + r**2 / 2, abs=1e-12
    )


def test_ties_are_the_mean_over_random_orders() -> None:
    sure, loss = np.round(SURE[:12], 1), LOSS[:12]
    assert len(np.unique(sure)) < 10
    orders = [areas(sure + 1e-6 * np.random.default_rng(s).random(12), loss) for s in range(4000)]
    mean, error = np.mean(orders, axis=0), np.std(orders, axis=0) / np.sqrt(4000)
    found = risk_coverage(sure, loss)
    assert abs(found.aurc.value - mean[0]) < 4 * error[0]
    assert abs(found.augrc.value - mean[1]) < 4 * error[1]


def test_a_constant_confidence_knows_nothing() -> None:
    found = risk_coverage(np.ones(150), LOSS)
    assert found.aurc.value == pytest.approx(LOSS.mean(), abs=1e-12)
    assert found.augrc.value == pytest.approx(LOSS.mean() / 2, abs=1e-12)
    np.testing.assert_allclose(found.risk, LOSS.mean())


def test_only_the_order_counts_and_the_best_one_has_no_excess() -> None:
    first, second = risk_coverage(SURE, LOSS), risk_coverage(np.exp(5 * SURE), LOSS)
    assert first.to_dict() == second.to_dict()
    best = risk_coverage(-LOSS, LOSS)
    assert best.e_aurc.value == pytest.approx(0.0, abs=1e-12)
    assert risk_coverage(LOSS, LOSS).aurc.value > LOSS.mean()


def aurc_of(weights: np.ndarray, loss: np.ndarray) -> float:
    """With weights on the rows, the surest first."""
    return float(weights @ (np.cumsum(weights * loss) / np.cumsum(weights)))


def augrc_of(weights: np.ndarray, loss: np.ndarray) -> float:
    return float((weights * loss) @ (np.cumsum(weights[::-1])[::-1] - 0.5 * weights))


@pytest.mark.parametrize(("area", "of"), [("aurc_rows", aurc_of), ("augrc_rows", augrc_of)])
def test_a_rows_influence_is_what_its_weight_changes(area: str, of: Any) -> None:
    """Against a finite difference of the area as a function of the rows' weights."""
    n, row, step = 30, 7, 1e-6
    order = np.argsort(-SURE[:n])
    rows = getattr(_Ranking(SURE[:n], LOSS[:n]), area)[order]
    even, changed = np.full(n, 1 / n), np.full(n, 1 / n)
    changed[row] += step
    slope = (of(changed / changed.sum(), LOSS[:n][order]) - of(even, LOSS[:n][order])) / step
    assert rows.mean() == pytest.approx(of(even, LOSS[:n][order]), abs=1e-12)
    assert rows[row] - rows.mean() == pytest.approx(slope, abs=1e-4)


def test_the_intervals_hold_the_truth() -> None:
    """A ranking that knows nothing, errors of share 0.3: the AUGRC is 0.15, which 95 % of tables hold."""
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        found = risk_coverage(rng.random(200), rng.random(200) < 0.3, n_bootstrap=400).augrc
        held += found.lower <= 0.15 <= found.upper
    assert held >= stats.binom.ppf(0.001, 300, 0.95) - 3  # percentiles of 200 rows are a little narrow


def test_a_predictions_own_ranking() -> None:
    probs = RNG.dirichlet(np.ones(3), size=50)
    labels = np.array(["a", "b", "c"])[RNG.integers(3, size=50)]
    found = selective_risk(ClassPredictive(probs, ["a", "b", "c"]), labels)
    wrong = np.array(["a", "b", "c"])[probs.argmax(axis=1)] != labels
    assert found.to_dict() == risk_coverage(probs.max(axis=1), wrong).to_dict()
    mean, std, y = RNG.normal(size=50), RNG.uniform(1, 2, 50), RNG.normal(size=50)
    normal = selective_risk(NormalPredictive(mean, std), y)
    assert normal.to_dict() == risk_coverage(-std, np.abs(mean - y)).to_dict()


def test_a_million_rows_leave_a_short_curve() -> None:
    rng = np.random.default_rng(0)
    found = risk_coverage(rng.random(1_000_000).round(3), rng.random(1_000_000) < 0.1)
    assert len(found.coverage) == len(found.risk) <= 200
    assert found.coverage[-1] == 1.0
    json.dumps(found.to_dict(), allow_nan=False)


def test_one_row_has_a_risk_and_no_spread() -> None:
    found = risk_coverage([0.5], [1.0])
    assert found.aurc.value == 1.0
    assert found.aurc.lower is None
    assert found.aurc.reason


@pytest.mark.parametrize(
    ("confidence", "loss", "says"),
    [([np.nan, 1.0], [0, 1], "confidence has 1 NaN"), ([1.0, 2.0], [0.0], "loss has 1 rows, expected 2")],
)
def test_what_cannot_be_ranked_is_said(confidence: list[float], loss: list[float], says: str) -> None:
    with pytest.raises(DataError, match=says):
        risk_coverage(confidence, loss)
