"""Where it is wrong: planted groups are found and named, and a calibrated forecast is rarely accused."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from bayeshyper.diagnostics import ClassPredictive, NormalPredictive, Verdict, before_and_after, evaluate
from bayeshyper.diagnostics.evaluation.advice import with_repairs
from tests.diagnostics.fakes import classification, regression

MOST = int(stats.binom.ppf(0.975, 200, 0.05))
"""As in test_verdict: false alarms of 200 tables at 5 %, in 97.5 % of such sets of seeds."""


def columns(n: int, seed: int = 0) -> pd.DataFrame:
    """A category, a number and a switch."""
    rng = np.random.default_rng([seed, 1])
    return pd.DataFrame(
        {
            "region": rng.choice(["north", "south", "east", "west"], size=n),
            "age": rng.integers(18, 90, size=n),
            "urban": rng.random(n) < 0.3,
        }
    )


def judge(predictive: NormalPredictive | ClassPredictive, y: NDArray, by: pd.DataFrame) -> Verdict:
    return evaluate(predictive, y, by=by, n_bootstrap=1).verdict


@pytest.mark.parametrize("make", [regression, classification])
def test_calibrated_forecasts_are_rarely_flagged_anywhere(make) -> None:
    """All rows and all groups together share the 5 %."""
    flagged = sum(judge(*make(400, seed), columns(400, seed)).flagged for seed in range(200))
    assert flagged <= min(MOST, 15)


def test_calibrated_probabilities_of_two_classes_are_rarely_flagged_anywhere() -> None:
    tables = ((classification(400, seed, n_classes=2), columns(400, seed)) for seed in range(200))
    flagged = sum(judge(*made, by).flagged for made, by in tables)
    assert flagged <= min(MOST, 15)


def test_a_region_that_is_too_low_is_named() -> None:
    """The others are too high by as much in all, and the spread is theirs: nothing shows on the whole."""
    spread = np.sqrt(1.0 + 0.25 * 0.45**2 + 0.75 * 0.15**2)
    for seed in range(5):
        predictive, y = regression(1500, seed, stated_std=spread)
        by = columns(1500, seed)
        north = (by["region"] == "north").to_numpy()
        verdict = judge(predictive, y + np.where(north, 0.45, -0.15), by)
        assert verdict.status == "wrong in places"
        assert verdict.headline.endswith("where region is north, the predictions are too low.")


def test_opposite_biases_of_two_regions_are_in_the_advice() -> None:
    """On the whole the intervals look too narrow; to widen them would be the wrong cure."""
    predictive, y = regression(2000)
    by = columns(2000)[["region"]]
    verdict = judge(predictive, y + 1.2 * (by["region"] == "north") - 1.2 * (by["region"] == "south"), by)
    assert verdict.status == "over-confident"
    advice = verdict.actions[-1]
    assert "region is north" in advice
    assert "region is south" in advice
    assert "too low in some and too high in others" in advice


def test_what_a_repair_improves_is_not_to_be_used_as_it_is() -> None:
    predictive, y = regression(300)
    calm = evaluate(predictive, y, n_bootstrap=50).verdict
    repairs = before_and_after(NormalPredictive(predictive.mean, 0.5), y, n_bootstrap=50)
    assert calm.status == "calibrated"
    advised = with_repairs(calm, repairs)
    assert (advised.status, advised.headline) == (calm.status, calm.headline)
    assert not any("as they are" in action for action in advised.actions)
    assert repairs.conclusion in advised.actions[-1]
    assert with_repairs(calm, replace(repairs, best=None)) == calm


def test_both_ends_of_a_number_are_found() -> None:
    for seed in range(5):
        predictive, y = regression(3000, seed)
        by = columns(3000, seed)
        old, young = (by["age"] > 82).to_numpy(), (by["age"] < 25).to_numpy()
        verdict = judge(predictive, y + 0.5 * old - 0.5 * young, by)
        assert verdict.status == "wrong in places"
        assert "where age is" in verdict.headline
        assert any("the predictions are too low" in finding for finding in verdict.findings)
        assert any("the predictions are too high" in finding for finding in verdict.findings)


def test_an_over_confident_group_is_named() -> None:
    rng = np.random.default_rng(3)
    likeliest = np.arange(2000) % 2  # each class in turn, so that neither is favoured
    probs = np.where(likeliest[:, None] == [0, 1], 0.9, 0.1)
    by = columns(2000)
    north = (by["region"] == "north").to_numpy()
    # Right too seldom in the north and too often elsewhere: 90 % on the whole.
    right = rng.random(2000) < np.where(north, 0.75, 0.95)
    verdict = judge(ClassPredictive(probs, ["a", "b"]), np.where(right == (likeliest == 0), "a", "b"), by)
    assert "region is north" in verdict.headline
    assert "right less often than it says" in verdict.headline


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_that_is_favoured_in_places_is_named(n_classes: int) -> None:
    """The stated probabilities are as sure as they should be, on the whole and in each region."""
    named = 0
    for seed in range(5):
        by = columns(3000, seed)
        rng = np.random.default_rng([seed, 5])
        logits = rng.normal(size=(3000, n_classes))
        true = logits.copy()
        true[:, -1] += (by["region"] == "south").to_numpy() - 1.0 * (by["region"] == "north").to_numpy()
        labels = (true + rng.gumbel(size=true.shape)).argmax(axis=1)
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        verdict = judge(ClassPredictive(probs), labels, by)
        text = " ".join(verdict.findings)
        last = n_classes - 1
        named += (
            verdict.status == "wrong in places"
            and f"{last} is predicted too rarely: it is given" in text
            and f"{last} is predicted too often: it is given" in text
        )
    assert named >= 4


def test_a_fault_that_one_region_makes_keeps_its_name_and_tells_the_region() -> None:
    by = columns(900)
    predictive, y = regression(900)
    y = y + 4.0 * (by["region"] == "north").to_numpy() * np.random.default_rng(0).standard_normal(900)
    verdict = judge(predictive, y, by)
    assert verdict.status == "over-confident"
    assert any("Where region is north" in finding for finding in verdict.findings)


@pytest.mark.parametrize(
    "made", [regression(600, stated_std=0.5), classification(600, sharpen=2.0)], ids=["numbers", "classes"]
)
def test_a_fault_of_all_rows_names_no_place(made) -> None:
    verdict = judge(*made, columns(600))
    assert verdict.status == "over-confident"
    assert not any(re.search(r"Where (region|age|urban)", finding) for finding in verdict.findings)
    assert "It is so in many places" in verdict.findings[-1]


def test_groups_with_few_rows_are_never_accused() -> None:
    predictive, y = regression(300)
    by = pd.DataFrame({"site": ["rare"] * 8 + ["common"] * 292})
    y[:8] += 20.0
    found = evaluate(predictive, y, by=by, n_bootstrap=1)
    assert found.groups is not None
    rare = [group for group in found.groups.groups if group.label == "rare"]
    assert rare
    assert not any(group.flagged for group in rare)
    assert all("8 rows" in group.note for group in rare)


def test_a_difference_that_is_real_but_tiny_accuses_no_group() -> None:
    predictive, y = regression(400_000, stated_std=0.985)
    assert not judge(predictive, y, columns(400_000)).flagged


def test_columns_must_be_of_the_same_rows() -> None:
    with pytest.raises(ValueError, match="by has 5 rows, expected 20"):
        evaluate(*regression(20), by=columns(5))
