"""Groups: planted faults are found and named, calibrated forecasts are left alone, labels read well."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayeshyper.diagnostics import GroupTable, miscalibration_by_group
from bayeshyper.errors import DataError


def table(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "region": rng.choice(["north", "south", "east", "west"], size=n),
            "age": rng.integers(18, 90, size=n),
            "income": np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(10, 1, size=n)),
            "member": rng.random(n) < 0.3,
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 2000, size=n), unit="D"),
        }
    )


def flags(found: GroupTable) -> set[tuple[str, str, str]]:
    return {(group.column, group.label, group.fault) for group in found.flagged}


@pytest.mark.parametrize("task", ["numbers", "events", "two classes", "three classes"])
def test_a_calibrated_forecast_is_flagged_as_seldom_as_stated(task: str) -> None:
    """Anywhere in the table, with probability at most 5 %: at most 15 of 200 seeds."""
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(1000 + seed)
        if task == "numbers":
            evidence = {"pit": rng.random(400)}
        elif task == "events":
            said = rng.beta(3, 1, size=400)
            evidence = {"confidence": said, "correct": rng.random(400) < said}
        else:
            probs = rng.dirichlet(np.full(3 if task == "three classes" else 2, 3.0), size=400)
            labels = (rng.random(400)[:, None] > np.cumsum(probs, axis=1)[:, :-1]).sum(axis=1)
            evidence = {"probs": probs, "labels": labels}
        alarms += bool(miscalibration_by_group(table(400, seed), **evidence).flagged)
    assert alarms <= 15


def test_a_bias_planted_in_one_group_comes_first_and_leaves_its_neighbours_alone() -> None:
    rows = table(3000)
    y = np.random.default_rng(1).normal(size=3000) + np.where(rows["region"] == "south", 0.6, 0.0)
    found = miscalibration_by_group(rows, pit=stats.norm.cdf(y))
    worst = found.groups[0]
    assert (worst.column, worst.label, worst.measure, worst.fault) == (
        "region",
        "south",
        "position",
        "too low",
    )
    assert worst.observed > 0.6
    assert {group.label for group in found.flagged if group.column == "region"} == {"south"}
    narrow = [g for g in found.flagged if (g.label, g.measure) == ("south", "coverage")]
    assert [group.fault for group in narrow] == ["too narrow"]
    assert "shift" in narrow[0].note


@pytest.mark.parametrize(("factor", "fault"), [(1.8, "too narrow"), (0.4, "too wide")])
def test_a_spread_planted_in_a_tenth_of_a_number_is_found(factor: float, fault: str) -> None:
    rows = table(4000)
    noise = np.random.default_rng(2).normal(size=4000)
    y = noise * np.where(rows["age"] >= rows["age"].quantile(0.9), factor, 1.0)
    found = miscalibration_by_group(rows, pit=stats.norm.cdf(y))
    assert (found.groups[0].label, found.groups[0].fault, found.groups[0].note) == ("83 to 89", fault, "")
    assert {g.label for g in found.flagged if g.column == "age"} == {"83 to 89"}


@pytest.mark.parametrize(("power", "fault"), [(0.2, "under-confident"), (4.0, "over-confident")])
def test_confidence_planted_in_the_missing_rows_is_found(power: float, fault: str) -> None:
    rows = table(6000)
    rng = np.random.default_rng(3)
    true = rng.uniform(0.5, 0.95, size=6000)
    odds = np.where(rows["income"].isna(), power, 1.0) * np.log(true / (1.0 - true))
    found = miscalibration_by_group(rows, confidence=1 / (1 + np.exp(-odds)), correct=rng.random(6000) < true)
    assert (found.groups[0].label, found.groups[0].fault) == ("missing", fault)
    assert {g.label for g in found.flagged if g.column == "income"} == {"missing"}


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_favoured_in_one_region_and_not_in_another_is_named(n_classes: int) -> None:
    """The true log odds of the last class are one more in the south and one less in the north than stated.

    So it is as sure as it should be, in each region and on the whole: only the classes' shares tell.
    """
    found_in = 0
    for seed in range(5):
        rows = table(3000, seed)
        rng = np.random.default_rng([seed, 7])
        logits = rng.normal(size=(3000, n_classes))
        true = logits.copy()
        true[:, -1] += np.where(rows["region"] == "south", 1.0, np.where(rows["region"] == "north", -1.0, 0))
        labels = (true + rng.gumbel(size=true.shape)).argmax(axis=1)
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        names = ["cat", "dog", "owl"][-n_classes:]
        found = miscalibration_by_group(rows, probs=probs, labels=labels, classes=names)
        told = {(g.column, g.label, g.fault) for g in found.sources if g.event == "owl"}
        wanted = {("region", "south", "predicted too rarely"), ("region", "north", "predicted too often")}
        found_in += told == wanted
        assert {group.event for group in found.groups} == ({"", "owl"} if n_classes == 2 else {"", *names})
    assert found_in >= 4


def test_of_many_classes_the_likeliest_ten_are_judged_whatever_happened() -> None:
    probs = np.tile(np.r_[np.full(10, 0.099), np.full(40, 0.01 / 40)], (200, 1))
    rows = pd.DataFrame({"half": np.arange(200) % 2})
    found = miscalibration_by_group(rows, probs=probs, labels=np.full(200, 49))
    assert {group.event for group in found.groups} == {"", *map(str, range(10))}


def test_a_model_that_is_wrong_everywhere_is_wrong_in_every_group() -> None:
    rows = table(2000)[["region", "member"]]
    found = miscalibration_by_group(rows, confidence=np.full(2000, 0.99), correct=np.arange(2000) % 2 == 0)
    assert len(found.flagged) == found.n_tests == 6


def test_sure_predictions_that_fail_are_found_however_sure() -> None:
    """Where no Gaussian approximation holds: 0.2 misses expected, 3 seen, p = P(Poisson-like ≥ 3) ≈ 0.001."""
    rows = pd.DataFrame({"group": np.repeat(["a", "b"], 200)})
    correct = np.ones(400, dtype=bool)
    correct[:3] = False
    found = miscalibration_by_group(rows, confidence=np.full(400, 0.999), correct=correct)
    assert flags(found) == {("group", "a", "over-confident")}
    assert found.groups[0].p_value == pytest.approx(2 * stats.binom.sf(2, 200, 0.001), rel=1e-9)
    certain = miscalibration_by_group(rows, confidence=np.ones(400), correct=correct)
    assert certain.flagged[0].p_value == 0.0
    assert certain.flagged[0].statistic is None


def test_groups_that_only_share_the_bad_rows_name_their_source() -> None:
    """Old people live in the south, where the model is biased: age is flagged, and explained."""
    rng = np.random.default_rng(8)
    age = rng.integers(20, 90, size=5000)
    south = rng.random(5000) < np.where(age > 60, 0.6, 0.1)
    rows = pd.DataFrame(
        {"age": age, "region": np.where(south, "south", "north"), "coin": rng.random(5000) < 0.5}
    )
    pit = stats.norm.cdf(rng.normal(size=5000) + np.where(south, 0.8, 0.0))
    found = miscalibration_by_group(rows, pit=pit)
    bias = [group for group in found.flagged if group.measure == "position"]
    assert {group.column for group in bias} == {"age", "region", "coin"}
    assert [(g.column, g.label) for g in found.sources if g.measure == "position"] == [("region", "south")]
    assert {group.explained_by for group in bias[1:]} == {"region: south"}


def test_two_faults_are_two_sources() -> None:
    rng = np.random.default_rng(9)
    rows = pd.DataFrame(
        {"a": rng.integers(5, size=6000), "b": rng.integers(5, size=6000), "c": np.arange(6000)}
    )
    shift = np.where(rows["a"] == 1, 1.0, 0.0) - np.where(rows["b"] == 2, 0.9, 0.0)
    found = miscalibration_by_group(rows, pit=stats.norm.cdf(rng.normal(size=6000) + shift))
    wanted = {("a", "1", "too low"), ("b", "2", "too high")}
    assert {(g.column, g.label, g.fault) for g in found.sources if g.measure == "position"} == wanted


def test_a_fault_everywhere_has_no_source_that_explains_the_rest() -> None:
    rows = table(3000)
    pit = stats.norm.cdf(np.random.default_rng(10).normal(0.7, 1.0, size=3000))
    found = miscalibration_by_group(rows, pit=pit)
    bias = [group for group in found.flagged if group.measure == "position"]
    assert len(bias) == found.n_tests / 2
    assert all(not group.explained_by for group in bias)


def test_flagged_is_outside_the_band_and_the_rest_inside() -> None:
    checked = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        pit = stats.norm.cdf(rng.normal(0.15, 1.1, size=500))
        said = rng.uniform(0.5, 1.0, size=500)
        correct = rng.random(500) < said - 0.1
        for evidence in ({"pit": pit}, {"confidence": said, "correct": correct}):
            for group in miscalibration_by_group(table(500, seed), **evidence).groups:
                if group.lower is not None and group.upper is not None:
                    slack = 1e-12
                    inside = group.lower - slack <= group.observed <= group.upper + slack
                    assert group.flagged != inside
                    checked += group.flagged
    assert checked > 20


def test_groups_with_few_rows_are_listed_and_not_flagged() -> None:
    rows = pd.DataFrame({"kind": ["rare"] * 19 + ["common"] * 100})
    found = miscalibration_by_group(rows, pit=np.r_[np.full(19, 0.999), (np.arange(100) + 0.5) / 100])
    rare = [group for group in found.groups if group.label == "rare"]
    assert [group.note for group in rare] == ["Only 19 rows: too few to judge."] * 2
    assert not any(group.flagged for group in rare)
    assert rare[0].p_value is rare[0].lower is None
    assert found.n_tests == 2
    assert found.groups[-2:] == tuple(rare)


def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    rows = table(800)
    pit = np.random.default_rng(5).random(800) ** 1.2
    mixed = np.random.default_rng(6).permutation(800)
    one = miscalibration_by_group(rows, pit=pit)
    two = miscalibration_by_group(rows.iloc[mixed, ::-1], pit=pit[mixed])
    by_name = {(g.column, g.label, g.measure): g for g in two.groups}
    assert len(by_name) == len(one.groups)
    for group in one.groups:
        other = by_name[group.column, group.label, group.measure]
        assert (group.n_rows, group.flagged) == (other.n_rows, other.flagged)
        assert group.p_value == pytest.approx(other.p_value, rel=1e-9)


def test_it_is_json_and_worst_first() -> None:
    found = miscalibration_by_group(table(300), pit=np.random.default_rng(7).random(300))
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (len(read["groups"]), read["n_tests"], read["level"]) == (len(found.groups), found.n_tests, 0.05)
    p_values = [group.p_value for group in found.groups if group.p_value is not None]
    assert p_values == sorted(p_values)


def test_no_row_too_few_and_no_column_are_no_fault() -> None:
    assert miscalibration_by_group(pd.DataFrame({"a": [1]}), pit=[0.5]).groups == ()
    assert miscalibration_by_group(pd.DataFrame(index=range(50)), pit=np.full(50, 0.01)).groups == ()


@pytest.mark.parametrize(
    ("rows", "evidence", "says"),
    [
        ({"a": [1, 2]}, {}, "either pit, or confidence and correct"),
        ({"a": [1, 2]}, {"pit": [0.5, 0.5], "confidence": [0.5, 0.5]}, "either pit, or"),
        ({"a": [1, 2]}, {"confidence": [0.5, 0.5]}, "either pit, or"),
        ({"a": [1, 2]}, {"probs": [[0.5, 0.5]] * 2}, "Got probs"),
        ({"a": [1, 2]}, {"probs": [[0.5, 0.5]] * 2, "labels": [0, 0], "classes": ["a"]}, "Got 1 name of"),
        ({"a": [1, 2]}, {"pit": [0.5]}, "1 rows, the table 2"),
        ({"a": [1, 2]}, {"pit": [0.5, np.nan]}, "1 NaN value"),
        ({"a": [1, 2]}, {"confidence": [0.5, 1.5], "correct": [True, True]}, "between 0 and 1"),
        ({"a": [1, 2]}, {"confidence": [0.5, 0.5], "correct": [0.3, 1.0]}, "must hold booleans"),
        ({"a": [1, 2]}, {"pit": [0.5, 0.5], "level": 5}, "level must lie strictly between 0 and 1"),
    ],
)
def test_bad_input_is_named(rows: dict[str, list[int]], evidence: dict[str, list[float]], says: str) -> None:
    with pytest.raises(DataError, match=says):
        miscalibration_by_group(pd.DataFrame(rows), **evidence)  # type: ignore[arg-type]


def test_columns_of_one_name_cannot_be_told_apart() -> None:
    rows = pd.DataFrame(np.zeros((3, 2)), columns=["x", "x"])
    with pytest.raises(DataError, match="share a name"):
        miscalibration_by_group(rows, pit=[0.5] * 3)


def test_an_array_is_no_table() -> None:
    with pytest.raises(DataError, match="pandas DataFrame: got ndarray"):
        miscalibration_by_group(np.zeros((2, 2)), pit=[0.5, 0.5])  # type: ignore[arg-type]
