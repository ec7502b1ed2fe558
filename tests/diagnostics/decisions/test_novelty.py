"""AUROC, FPR95 and AUPR against scikit-learn, and their intervals against resampling."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from bayeshyper.diagnostics import novelty
from bayeshyper.errors import DataError

RNG = np.random.default_rng(5)
KNOWN, NEW = RNG.normal(size=120), RNG.normal(1.0, 1.5, size=80)


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_the_scores_are_scikit_learns(decimals: int) -> None:
    known, new = KNOWN.round(decimals), NEW.round(decimals)
    is_new, both = np.repeat([0, 1], [120, 80]), np.concatenate([known, new])
    found = novelty(known, new)
    assert found.auroc.value == pytest.approx(roc_auc_score(is_new, both), abs=1e-12)
    assert found.aupr.value == pytest.approx(average_precision_score(is_new, both), abs=1e-12)
    false, true, _ = roc_curve(is_new, both, drop_intermediate=False)
    assert found.fpr95.value == pytest.approx(false[np.argmax(true >= 0.95)], abs=1e-12)


def test_only_the_order_counts_and_the_other_way_round_it_is_the_rest() -> None:
    found = novelty(KNOWN, NEW)
    assert novelty(np.exp(KNOWN), np.exp(NEW)).to_dict() == found.to_dict()
    assert novelty(-KNOWN, -NEW).auroc.value == pytest.approx(1 - found.auroc.value, abs=1e-12)
    assert novelty(NEW, KNOWN).auroc.value == pytest.approx(1 - found.auroc.value, abs=1e-12)


def test_the_intervals_are_those_of_resampled_rows() -> None:
    """Ends within a tenth of the interval's width of 4000 replicates' percentiles, done the long way."""
    rng = np.random.default_rng(0)
    aurocs, rates = [], []
    for _ in range(4000):
        known, new = rng.choice(KNOWN, 120), rng.choice(NEW, 80)
        aurocs.append(stats.mannwhitneyu(new, known).statistic / (120 * 80))
        rates.append(np.mean(known >= np.sort(new)[4]))  # 76 of 80 are at the fifth smallest or above it
    found = novelty(KNOWN, NEW, n_bootstrap=4000)
    for score, replicates in ((found.auroc, aurocs), (found.fpr95, rates)):
        low, high = np.quantile(replicates, [0.025, 0.975])
        assert [score.lower, score.upper] == pytest.approx([low, high], abs=0.1 * (high - low))


def test_tables_that_are_apart_have_an_interval_all_the_same() -> None:
    found = novelty(np.arange(10.0), np.arange(20.0, 50.0))
    assert (found.auroc.value, found.fpr95.value) == (1.0, 0.0)
    assert found.aupr.value == pytest.approx(1.0)
    assert found.auroc.lower == pytest.approx(0.025 ** (1 / 10))
    assert found.fpr95.upper == pytest.approx(1 - 0.025 ** (1 / 10))
    assert novelty(np.arange(20.0, 50.0), np.arange(10.0)).auroc.upper == pytest.approx(1 - 0.025 ** (1 / 10))


def test_a_score_that_says_nothing_is_at_chance() -> None:
    found = novelty(np.zeros(30), np.zeros(40))
    assert found.auroc.value == 0.5
    assert found.fpr95.value == 1.0
    assert found.aupr.value == pytest.approx(40 / 70)


def test_one_row_has_an_auroc_and_no_interval() -> None:
    found = novelty([0.0, 2.0, 3.0], [1.0])
    assert found.auroc.value == pytest.approx(1 / 3)
    assert found.auroc.lower is None
    assert found.auroc.reason


def test_many_rows_leave_a_short_curve() -> None:
    rng = np.random.default_rng(0)
    found = novelty(rng.normal(size=300_000), rng.normal(1.0, size=300_000))
    assert len(found.false_positive_rate) == len(found.true_positive_rate) <= 200
    area = np.trapezoid(found.true_positive_rate, found.false_positive_rate)
    assert area == pytest.approx(found.auroc.value, abs=1e-4)
    assert found.auroc.value == pytest.approx(stats.norm.cdf(1 / np.sqrt(2)), abs=0.003)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("known", "new", "says"),
    [([], [1.0], "familiar_scores is empty"), ([1.0], [np.nan], "unfamiliar_scores has 1 NaN")],
)
def test_what_is_no_table_is_said(known: list[float], new: list[float], says: str) -> None:
    with pytest.raises(DataError, match=says):
        novelty(known, new)
