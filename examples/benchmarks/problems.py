"""The data sets with their splits: a UCI folder, or scikit-learn and OpenML with splits of our own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayeshyper.data import Split, infer_task, load_bundled, load_openml, load_uci
from bayeshyper.errors import DataError

RANDOM_SPLITS = 20
TEST_SHARE = 0.1


@dataclass(frozen=True)
class Problem:
    """A regression table and its splits.

    Args:
        name: As given on the command line.
        protocol: ``"standard"``, ``"gap"`` or ``"random"``.
        X: Features, an array or a DataFrame.
        y: Target, ``(N,)``.
        splits: Pairs of row numbers (train, test).
    """

    name: str
    protocol: str
    X: Any
    y: Any
    splits: list[Split]

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the hidden layer: 100 for the protein and year data, else 50, as the protocol has it."""
        return (100,) if self.name.split(":")[-1].lower().startswith(("protein", "year")) else (50,)

    def rows(self, index: Any) -> tuple[Any, Any]:
        """Some rows' features and targets."""
        X = self.X.iloc[index] if hasattr(self.X, "iloc") else self.X[index]
        return X, self.y[index]


def load(name: str, folder: Path | None, *, gap: bool = False) -> Problem:
    """Load a data set.

    Args:
        name: A folder's name, ``sklearn:NAME`` or ``openml:NAME`` (or its number).
        folder: Where the UCI folders are.
        gap: Whether to take the gap splits.

    Raises:
        DataError: It is not there, has no such splits, or is no regression.
    """
    source, _, inner = name.partition(":")
    if inner and gap:
        raise DataError(
            f"There are no gap splits for {name!r}: they come with a UCI folder (gap_splits.npz)."
        )
    if source == "sklearn" and inner:
        return _random(name, *load_bundled(inner))
    if source == "openml" and inner:
        return _random(name, *load_openml(int(inner) if inner.isdigit() else inner))
    if folder is None:
        raise DataError(
            f"There is no folder to find {name!r} in: give one with --folder, or take scikit-learn's or "
            "OpenML's data (--data sklearn:diabetes openml:NAME)."
        )
    data = load_uci(folder, name, gap=gap)
    return Problem(name, "gap" if gap else "standard", data.X, data.y, data.splits)


def _random(name: str, X: Any, y: Any) -> Problem:
    if infer_task(y) != "regression":
        raise DataError(
            f"The target of {name!r} is a class, expected a number: this is a regression benchmark."
        )
    held = max(1, round(TEST_SHARE * len(y)))
    orders = [np.random.default_rng(split).permutation(len(y)) for split in range(RANDOM_SPLITS)]
    splits = [(np.sort(order[held:]), np.sort(order[:held])) for order in orders]
    return Problem(name, "random", X, np.asarray(y, dtype=np.float64), splits)
