"""Real data sets by name: scikit-learn's bundled ones, OpenML's, and UCI folders with their splits."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import datasets

from bayeshyper.errors import DataError

__all__ = ["BUNDLED", "Split", "UCIDataset", "load_bundled", "load_openml", "load_uci"]

Split = tuple[NDArray[np.intp], NDArray[np.intp]]

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")


@dataclass(frozen=True)
class UCIDataset:
    """A regression table with the published train and test rows.

    Args:
        name: The folder it was read from.
        X: Features, (N, F).
        y: Target, (N,).
        splits: One pair of row numbers (train, test) per split.
    """

    name: str
    X: NDArray[np.float64] = field(repr=False)
    y: NDArray[np.float64] = field(repr=False)
    splits: list[Split] = field(repr=False)


def load_uci(folder: str | PathLike[str], name: str, *, gap: bool = False) -> UCIDataset:
    """Reads `folder/name/data.txt.gz` and the splits beside it.

    The splits are those of Hernández-Lobato & Adams 2015 (arXiv:1502.05336) as Gal & Ghahramani 2016
    distribute them; the gap splits are those of Foong et al. 2019 (arXiv:1906.11537).

    Args:
        folder: Where the data sets' folders are.
        name: A data set's folder, such as "concrete".
        gap: Whether to read `gap_splits.npz` in place of `splits.npz`.

    Raises:
        DataError: If the folder or one of its files is not there.
    """
    home = Path(folder) / name
    data, splits = home / "data.txt.gz", home / ("gap_splits.npz" if gap else "splits.npz")
    if not home.is_dir():
        there = sorted(path.name for path in Path(folder).glob("*/"))
        raise DataError(
            f"There is no data set {name!r} in {folder}: a folder {home} with data.txt.gz and splits.npz is "
            f"expected{', and these are there: ' + ', '.join(there) if there else ''}."
        )
    for path in (data, splits):
        if not path.is_file():
            raise DataError(f"The data set {name!r} lacks the file {path.name}: it is expected at {path}.")
    table = np.loadtxt(data, dtype=np.float64, ndmin=2)
    with np.load(splits) as index:
        X, y = table[:, index["index_features"]], table[:, index["index_target"].item()]
        n_splits = sum(key.startswith("index_train_") for key in index)
        rows = [
            (index[f"index_train_{i}"].astype(np.intp), index[f"index_test_{i}"].astype(np.intp))
            for i in range(n_splits)
        ]
    return UCIDataset(name=name, X=np.ascontiguousarray(X), y=np.ascontiguousarray(y), splits=rows)


def load_openml(name_or_id: str | int) -> tuple[pd.DataFrame, pd.Series]:
    """Fetches a data set from OpenML, with the target that OpenML names.

    Args:
        name_or_id: A data set's name (its newest active version) or its number.

    Returns:
        Features X, (N, columns), and target y, (N,).

    Raises:
        DataError: If OpenML cannot be reached, or has no such data set with one target.
    """
    identity = {"data_id": name_or_id} if isinstance(name_or_id, int) else {"name": name_or_id}
    try:
        found = datasets.fetch_openml(**identity, as_frame=True, parser="auto")
    except OSError as error:  # URLError, HTTPError and time-outs alike
        raise DataError(
            f"OpenML's data set {name_or_id!r} could not be fetched ({error}): check the network, or use a "
            "bundled data set (load_bundled)."
        ) from error
    except ValueError as error:
        raise DataError(
            f"OpenML has no readable data set {name_or_id!r} ({error}): check its name."
        ) from error
    if not isinstance(found.target, pd.Series):
        raise DataError(f"OpenML's data set {name_or_id!r} does not have exactly one target: choose another.")
    return found.data, found.target


def load_bundled(name: str) -> tuple[pd.DataFrame, pd.Series]:
    """Loads one of scikit-learn's own data sets, which need no network.

    Diabetes is a regression in the original units; the others are classifications whose labels are the
    classes' names (digits: numbers).

    Args:
        name: "breast_cancer", "diabetes", "digits", "iris" or "wine".

    Returns:
        Features X, (N, columns), and target y, (N,).

    Raises:
        DataError: If there is no bundled data set of that name.

    Example:
        >>> X, y = load_bundled("iris")
        >>> X.shape, y.unique().tolist()
        ((150, 4), ['setosa', 'versicolor', 'virginica'])
    """
    if name not in BUNDLED:
        raise DataError(f"There is no bundled data set {name!r}: choose one of {', '.join(BUNDLED)}.")
    if name == "diabetes":
        bunch = datasets.load_diabetes(as_frame=True, scaled=False)
        return bunch.data, bunch.target.rename("progression")
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    classes = {"breast_cancer": "diagnosis", "digits": "digit", "iris": "species", "wine": "cultivar"}
    return bunch.data, pd.Series(np.asarray(bunch.target_names)[bunch.target], name=classes[name])
