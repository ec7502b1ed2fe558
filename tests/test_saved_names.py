"""Names and labels that no model file holds are refused before anything is trained; all others are kept."""

from __future__ import annotations

import datetime
import warnings
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayeshyper import HyperClassifier, HyperRegressor, load
from bayeshyper.container import read_container, write_container
from bayeshyper.data import TableEncoder, check_target
from bayeshyper.errors import DataError, DataWarning, RecipeError
from bayeshyper.stored import MOST_NAMES

SMALL = {
    "target.hidden": [2],
    "hypernetwork.noise_dim": 1,
    "hypernetwork.hidden": [2],
    "optimizer.steps": 4,
    "warm_start.steps": 4,
}
X = np.random.default_rng(0).normal(size=(12, 2))

TEXT = st.text(st.characters(), max_size=3) | st.sampled_from(
    ["\ud800", "\ud83d\ude00", "a\0", "", "\x1b[2J", '"\\']
)
NUMBERS = (
    st.integers(-(2**66), 2**66) | st.floats() | st.booleans() | st.sampled_from([0, 1, 0.0, 1.0, 2**64])
)
SCALARS = st.sampled_from(
    [
        np.int64(3),
        np.uint64(2**63),
        np.float32(0.5),
        np.bool_(True),
        np.str_("a"),
        np.bytes_(b"a"),
        np.longdouble(1),
    ]
)
OTHERS = st.sampled_from(
    [b"a", (1, 2), Decimal(1), Fraction(1, 3), datetime.date(2020, 1, 1), 1j, None, frozenset("a")]
)
LABELS = TEXT | NUMBERS | SCALARS | OTHERS


def objects(values: list[Any]) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def through_a_file(folder: Path, record: Any, tensors: dict[str, torch.Tensor]) -> tuple[Any, Any]:
    write_container(folder / "m", "model", 2, {"told": record}, tensors)
    _, read, held = read_container(folder / "m", "model", newest=2)
    return read["told"], held


@example([np.longdouble(1.0), (1, 2)])
@given(st.lists(LABELS, min_size=2, max_size=4, unique_by=lambda label: (type(label), repr(label))))
@settings(max_examples=200, deadline=None)
def test_classes_are_refused_or_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, labels: list[Any]
) -> None:
    y = objects([labels[i % len(labels)] for i in range(len(X))])
    model = HyperClassifier()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model._encode_training(X, y)
        except DataError:
            return
    record, _ = through_a_file(tmp_path_factory.mktemp("classes"), model._target_record(), {})
    again = HyperClassifier()
    again._restore_target(record)
    assert again.classes_.dtype == model.classes_.dtype
    assert again.classes_.tolist() == model.classes_.tolist()
    told = Counter(map(bool, map(isinstance, model.classes_.tolist(), [bool] * len(labels))))
    assert told == Counter(isinstance(label, bool) for label in again.classes_.tolist())
    # Nothing was merged but numbers that are the same, such as 1 and 1.0.
    assert len(model.classes_) == len({(isinstance(one, bool | np.bool_), one) for one in labels})


@given(st.lists(TEXT, min_size=2, max_size=2, unique=True), st.lists(TEXT, min_size=2, max_size=3), TEXT)
@settings(max_examples=150, deadline=None)
def test_names_and_levels_are_refused_or_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], levels: list[str], target: str
) -> None:
    words = objects([levels[i % len(levels)] for i in range(len(X))])
    columns = [pd.Series(X[:, 0]), pd.Series(words, dtype=object)]
    table = pd.concat(columns, axis=1).set_axis(pd.Index(names, dtype=object), axis=1)
    model = HyperRegressor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target_column = pd.Series(X[:, 1], name=target)
        if any("\ud800" <= letter <= "\udfff" for letter in "".join([*names, target])):
            with pytest.raises(DataError, match="is no text: read it in its own encoding"):
                model._encode_training(table, target_column)
            return
        encoded, _ = model._encode_training(table, target_column)
    record, arrays = model.encoder_.to_state()
    told = {"encoder": record, "target": model.target_name_}
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    read, held = through_a_file(tmp_path_factory.mktemp("names"), told, tensors)
    again = TableEncoder.from_state(read["encoder"], {name: one.numpy() for name, one in held.items()})
    assert read == told
    assert again.feature_names_out == model.encoder_.feature_names_out
    assert np.array_equal(again.transform(table), encoded)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([b"no", b"yes"], r"has the class b'no' of type bytes, expected text"),
        ([2**64, 1], "has the class 18446744073709551616, expected finite numbers, whole ones of 64 bits"),
        ([-(2**63) - 1, 1], "whole ones of 64 bits"),
        ([float("inf"), 1.0], "has the class inf, expected finite numbers"),
        (["\udcff", "a"], r"The class '.udcff' is no text: read it in its own encoding"),
        (
            [True, 1, 2],
            "has both True and 1, which Python takes for the same class: write one of them as text",
        ),
        ([False, 0.0, 2.0], "has both False and 0, which"),
        ([np.True_, np.int64(1), 2], "has both True and 1, which"),
        ([datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)], "of type date"),
    ],
)
def test_classes_that_no_file_holds_are_refused_in_a_sentence(labels: list[Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        check_target(objects(labels * 4), "classification")


def test_a_whole_number_and_the_same_with_a_point_are_said_to_be_one_class() -> None:
    with pytest.warns(DataWarning, match="both 1 and 1.0: they are read as the same class"):
        assert check_target(objects([1, 1.0, 2] * 4), "classification").tolist() == [1, 1.0, 2] * 4


def test_numbers_of_numpy_are_labels_like_pythons_own() -> None:
    labels = check_target(
        objects([np.int64(2), np.str_("a")] * 4).astype(str).astype(object), "classification"
    )
    assert {type(label) for label in labels} == {str}
    assert {type(one) for one in check_target(objects([np.int64(2), np.int8(3)] * 4), "classification")} == {
        int
    }


@pytest.mark.parametrize("target", [np.array(["no", "yes" * (MOST_NAMES // 3)] * 6), "column"])
def test_names_that_a_file_has_no_room_for_are_refused_before_training(target: Any) -> None:
    if isinstance(target, str):
        model, table, y = HyperRegressor(), pd.DataFrame(X, columns=["a" * MOST_NAMES, "b"]), X[:, 0]
    else:
        model, table, y = HyperClassifier(), X, target
    with pytest.raises(DataError, match=r"bytes, expected 8,388,608 at most: shorten them"):
        model.fit(table, y)


@pytest.mark.parametrize("draws", [0, -3, 4.0, float("nan"), "many", None, True])
def test_a_number_of_draws_that_is_none_is_refused_before_training(draws: Any) -> None:
    with pytest.raises(RecipeError, match="expected a whole number of 1 or more"):
        HyperRegressor(n_draws=draws).fit(X, X[:, 0])


def test_numbers_of_numpy_may_stand_in_settings(tmp_path: Path) -> None:
    """As a grid of `np.arange` gives them; with a checkpoint, too."""
    given = {
        **SMALL,
        "optimizer.steps": np.int64(4),
        "optimizer.learning_rate": np.float32(0.5),
        "target.hidden": (2,),
    }
    model = HyperRegressor(settings=given, n_draws=np.int64(3), random_state=np.int64(5))
    model.fit(X, X[:, 0], checkpoint=tmp_path / "fit").save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert np.array_equal(again.predict(X), model.predict(X))
    assert (again.n_draws, again.random_state) == (3, 5)
    assert again.inference_recipe_ == model.inference_recipe_
