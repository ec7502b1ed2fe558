from __future__ import annotations

import urllib.error
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from bayeshyper.data import (
    BUNDLED,
    TableEncoder,
    check_target,
    infer_task,
    load_bundled,
    load_openml,
    load_uci,
)
from bayeshyper.errors import DataError

UCI_SHAPES = {"concrete": (1030, 8), "energy": (768, 8), "kin8nm": (8192, 8), "power-plant": (9568, 4)}


@pytest.mark.parametrize("name", UCI_SHAPES)
def test_uci_splits_are_partitions_of_a_finite_table(shared: Path, name: str) -> None:
    data = load_uci(shared / "uci", name)
    n_rows = len(data.y)
    assert data.X.shape == UCI_SHAPES[name] == (n_rows, data.X.shape[1])
    assert np.isfinite(data.X).all()
    assert len(data.splits) == 20
    for train, test in data.splits:
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(n_rows))
        assert 0.09 * n_rows < len(test) < 0.11 * n_rows


@pytest.mark.parametrize("name", ["concrete", "energy"])
def test_gap_splits_hold_out_the_middle_third_along_a_feature(shared: Path, name: str) -> None:
    data = load_uci(shared / "uci", name, gap=True)
    assert len(data.splits) == data.X.shape[1]
    for feature, (train, test) in enumerate(data.splits):
        held_out = data.X[test, feature]
        assert not np.intersect1d(train, test).size
        assert abs(len(test) - len(data.y) / 3) < 2
        inside = (data.X[train, feature] > held_out.min()) & (data.X[train, feature] < held_out.max())
        assert not inside.any()


def test_a_folder_that_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    (tmp_path / "energy").mkdir()
    with pytest.raises(DataError, match=r"no data set 'concrete'.*these are there: energy"):
        load_uci(tmp_path, "concrete")
    with pytest.raises(DataError, match=r"no data set 'concrete' in .*splits\.npz is expected\.$"):
        load_uci(tmp_path / "nowhere", "concrete")
    with pytest.raises(DataError, match=r"lacks the file data\.txt\.gz"):
        load_uci(tmp_path, "energy")


def test_a_folder_of_ones_own_is_read(tmp_path: Path) -> None:
    home = tmp_path / "mine"
    home.mkdir()
    np.savetxt(home / "data.txt.gz", [[1, 2, 3], [4, 5, 6]])
    index = {"index_features": [0, 2], "index_target": [1], "index_train_0": [1], "index_test_0": [0]}
    np.savez(home / "splits.npz", **index)
    data = load_uci(tmp_path, "mine")
    assert data.X.tolist() == [[1, 3], [4, 6]]
    assert data.y.tolist() == [2, 5]
    assert [(train.tolist(), test.tolist()) for train, test in data.splits] == [([1], [0])]
    assert repr(data) == "UCIDataset(name='mine')"


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_tables_can_be_learned(name: str) -> None:
    X, y = load_bundled(name)
    task = infer_task(y)
    assert task == ("regression" if name == "diabetes" else "classification")
    assert len(check_target(y, task)) == len(X) == len(TableEncoder().fit_transform(X))
    assert y.name not in X.columns


def test_bundled_labels_are_the_names_of_the_right_classes() -> None:
    _, species = load_bundled("iris")
    assert species[[0, 60, 149]].tolist() == ["setosa", "versicolor", "virginica"]
    X, diagnosis = load_bundled("breast_cancer")
    assert X["mean area"][diagnosis == "malignant"].mean() > X["mean area"][diagnosis == "benign"].mean()


def test_an_unknown_bundled_name_lists_the_known() -> None:
    with pytest.raises(DataError, match="'boston': choose one of breast_cancer, diabetes"):
        load_bundled("boston")


def openml_answers(monkeypatch: pytest.MonkeyPatch, answer: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {}

    def fetch(**arguments: Any) -> Any:
        asked.update(arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    return asked


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (urllib.error.URLError("no route to host"), "could not be fetched .*no route.*check the network"),
        (TimeoutError("timed out"), "could not be fetched"),
        (ValueError("No active dataset zzz found."), "no readable data set 'zzz'"),
    ],
)
def test_openml_out_of_reach_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    openml_answers(monkeypatch, error)
    with pytest.raises(DataError, match=sentence):
        load_openml("zzz")


def test_openml_is_asked_by_name_or_number(monkeypatch: pytest.MonkeyPatch) -> None:
    table = SimpleNamespace(data=pd.DataFrame({"a": [1]}), target=pd.Series([2]))
    asked = openml_answers(monkeypatch, table)
    assert load_openml("kin8nm") == (table.data, table.target)
    assert asked["name"] == "kin8nm"
    load_openml(189)
    assert asked["data_id"] == 189


def test_openml_tables_without_one_target_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    openml_answers(monkeypatch, SimpleNamespace(data=pd.DataFrame(), target=None))
    with pytest.raises(DataError, match="exactly one target"):
        load_openml(1)
