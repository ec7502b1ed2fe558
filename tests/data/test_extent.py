"""How far fitted rows reach: each row's distance from the others, and what is far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayeshyper.data import Extent
from bayeshyper.data.extent import MOST, RIDGE, TWICE


def rows(seed: int = 0, count: int = 60) -> np.ndarray:
    """Three columns of numbers, two of them alike, and an indicator."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2))
    return np.column_stack([x, x[:, 0] + 0.05 * rng.normal(size=count), rng.random(count) < 0.3])


def test_the_largest_distance_is_that_of_a_row_from_the_others() -> None:
    X = rows()
    design = np.column_stack([np.ones(len(X)), X[:, :3]])
    ridge = len(X) * RIDGE**2 * np.eye(4)
    apart = [
        np.sqrt(one @ np.linalg.solve(np.delete(design, i, 0).T @ np.delete(design, i, 0) + ridge, one))
        for i, one in enumerate(design)
    ]
    outside = []
    for i, one in enumerate(X):
        low, high = np.delete(X, i, 0).min(0), np.delete(X, i, 0).max(0)
        outside.append(np.maximum(low - one, one - high) / (high - low))
    found = Extent.of(X)
    assert found.apart == pytest.approx(max(apart), rel=1e-9)
    assert found.outside == pytest.approx(np.maximum(np.max(outside, axis=0), 0.0), rel=1e-9)
    assert found.numbers.tolist() == [0, 1, 2]


def test_no_fitted_row_is_far_and_the_column_and_row_that_are_get_named() -> None:
    X, names = rows(), ["a", "b", "c", "d = yes"]
    found = Extent.of(X)
    assert found.sentence(X, names) is None
    beyond = X[:5].copy()
    beyond[3, 1] = X[:, 1].max() + 3.0 * np.ptp(X[:, 1])
    assert "first row 4 (counting from 1): in row 4 'b' lies 3.0 times" in str(found.sentence(beyond, names))
    apart = X[:5].copy()
    apart[2, [0, 2]] = X[:, 0].max(), X[:, 2].min()
    said = str(found.sentence(apart, names))
    assert "row 3 combines its columns" in said
    assert "'a' is the oddest" in said or "'c' is the oddest" in said


def test_far_is_twice_as_far_as_any_row_was_from_the_others() -> None:
    X = np.linspace(0.0, 1.0, 50)[:, None]
    X[-1] = 3.0  # an outlier of its own: two of the others' ranges beyond them
    found = replace(Extent.of(X), apart=np.inf)  # by its range alone
    reach = 3.0 + TWICE * float(found.outside[0]) * 3.0
    assert found.sentence(np.array([[reach - 1e-6]]), ["a"]) is None
    assert "lies" in str(found.sentence(np.array([[reach + 1e-6]]), ["a"]))


@pytest.mark.parametrize(
    "odd", [np.r_[1.0, np.zeros(59)], np.r_[1e3, rows()[1:, 0]], np.exp(3 * rows()[:, 1])]
)
def test_an_outlier_in_one_column_hides_nothing_in_another(odd: np.ndarray) -> None:
    X = np.column_stack([rows(), odd])
    far = X[1:2].copy()
    far[0, 1] = X[:, 1].max() + 1.5 * np.ptp(X[:, 1])
    assert "'b' lies 1.5 times" in str(Extent.of(X).sentence(far, list("abcde")))
    assert Extent.of(X).sentence(X, list("abcde")) is None


def test_files_of_earlier_versions_have_one_number_for_all_columns() -> None:
    arrays = Extent.of(rows()).to_arrays()
    again = Extent.from_arrays({**arrays, "outside": np.array(0.7)}, 4)
    assert again.outside.tolist() == [0.7] * 4


def test_a_column_that_was_constant_is_measured_by_what_it_was_encoded_by() -> None:
    found = Extent.of(np.column_stack([rows(), np.zeros(60)]))
    assert found.sentence(np.array([[0.0, 0.0, 0.0, 0.0, 5.0]]), list("abcde")) is not None


def test_what_is_kept_comes_back_and_is_small() -> None:
    X, names = rows(), list("abcd")
    found = Extent.of(X)
    again = Extent.from_arrays(found.to_arrays(), 4)
    assert again.sentence(10 * X, names) == found.sentence(10 * X, names) is not None
    many = np.random.default_rng(0).normal(size=(150, MOST + 1))
    assert Extent.of(many).inverse.shape == (1, 1)
    assert Extent.of(many).sentence(many, [str(place) for place in range(MOST + 1)]) is None


@pytest.mark.parametrize("name", ["low", "high", "outside", "numbers", "inverse", "apart"])
@pytest.mark.parametrize("wrong", ["shape", "type", "value", "missing"])
def test_arrays_that_do_not_fit_together_are_refused(name: str, wrong: str) -> None:
    arrays = Extent.of(rows()).to_arrays()
    if wrong == "shape":
        arrays[name] = np.concatenate([arrays[name].reshape(-1)] * 2)
    elif wrong == "type":
        arrays[name] = arrays[name].astype(np.float32)
    elif wrong == "value":
        arrays[name] = arrays[name] + (99 if name == "numbers" else np.nan)
    else:
        del arrays[name]
    with pytest.raises(ValueError, match="ranges of the fitted rows"):
        Extent.from_arrays(arrays, 4)


# How many of 100 predictions of 1,000 rows may hold a far one, after 200 rows of the same law were fitted.
# Heavy tails do hold rows that lie twice as far out as all that were seen.
ALIKE = {
    "normal": (0, 2),
    "uniform": (0, 0),
    "exponential": (2, 25),
    "lognormal": (20, 60),
    "standard_t": (20, 60),
}


@pytest.mark.parametrize("law", ALIKE)
def test_rows_of_the_same_law_are_far_where_it_has_heavy_tails(law: str) -> None:
    rng = np.random.default_rng(0)
    draw = getattr(rng, law)
    parameters = (3,) if law == "standard_t" else ()
    told = 0
    for _ in range(100):
        fitted, new = draw(*parameters, size=(200, 1)), draw(*parameters, size=(1000, 1))
        mean, sd = fitted.mean(), fitted.std()
        fitted, new = (fitted - mean) / sd, (new - mean) / sd
        if Extent.of(fitted).sentence(new, ["x"]) is not None:
            told += 1
            assert np.abs(new).max() > 2 * np.abs(fitted).max() or new.min() < fitted.min() - np.ptp(fitted)
    least, most = ALIKE[law]
    assert least <= told <= most
