"""The models that are kept in files of every version: what they were fitted to, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bayeshyper import HyperClassifier, HyperRegressor

__all__ = ["CASES", "Case", "OwnNetwork", "predictions"]

ROWS = 120
SMALL = {
    "target.hidden": [3],
    "hypernetwork.noise_dim": 2,
    "hypernetwork.hidden": [3],
    "optimizer.steps": 20,
    "warm_start.steps": 20,
    "members": 2,
}


class OwnNetwork(nn.Module):
    """A network of a user's own, with tied weights and a buffer."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, inputs)
        self.second = nn.Linear(inputs, inputs)
        self.second.weight = self.first.weight
        self.out = nn.Linear(inputs, 1)
        self.register_buffer("shift", torch.linspace(-1, 1, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.second(torch.tanh(self.first(x + self.shift)))))


def mixed_table(rows: int = ROWS, start: int = 0) -> pd.DataFrame:
    """Numbers, gaps, dates, durations, booleans, text, categories, more of them than have a column each."""
    i = np.arange(start, start + rows)
    gap = i % 7 == 3
    return pd.DataFrame(
        {
            "size": (i * 7 % 13) / 4 - 1,
            "größe": np.where(gap, np.nan, (i * 5 % 17) * 1e6 + 0.25),
            "constant": np.full(rows, 1e-3),
            "when": pd.Timestamp("2020-02-28", tz="UTC") + pd.to_timedelta(i * 11 % 400, unit="D"),
            "iso": [f"20{10 + n % 13}-0{1 + n % 9}-1{n % 9}" for n in i],
            "took": pd.to_timedelta(np.where(gap, np.nan, i * 3 % 29), unit="min"),
            "flag": i % 3 == 0,
            "colour": np.where(gap, None, np.array(["red", "grün", "🟦", ""], dtype=object)[i % 4]),
            "level": pd.Categorical.from_codes(i % 3, ["low", "mid", "high"], ordered=True),
            "code": [f"c{n * 7 % 83}" for n in i],
            "mixed": [[1, 2.5, "two", None][n % 4] for n in i],
        }
    )


def plain_table(rows: int = ROWS, start: int = 0) -> np.ndarray:
    i = np.arange(start, start + rows)
    return np.stack([(i * 7 % 13) / 4, np.where(i % 9 == 4, np.nan, (i * 5 % 11) / 8), i % 2], axis=1)


def number(rows: int = ROWS) -> pd.Series:
    i = np.arange(rows)
    return pd.Series((i * 7 % 13) / 4 + (i * 3 % 5) / 16, name="Preis €")


@dataclass(frozen=True)
class Case:
    """One model: its estimator, table, target, and what it is fitted with."""

    kind: type
    table: Callable[..., Any]
    target: Any
    settings: dict[str, Any] = field(default_factory=dict)
    model: str = "mlp"
    network: Callable[[], nn.Module] | None = None
    audited: bool = False

    def fit(self) -> Any:
        network = None if self.network is None else self.network()
        settings = SMALL | self.settings
        if network is not None:
            del settings["target.hidden"]
        fitted = self.kind(self.model, settings=settings, network=network, n_draws=4, random_state=1)
        fitted.fit(self.table(), self.target)
        if self.audited:
            fitted.audit()
        return fitted

    def fresh(self) -> Any:
        """Rows that it was not fitted to, a missing value and a category among them that are new to it."""
        return self.table(9, start=ROWS)


NUMBERED = np.arange(ROWS)
CASES = {
    "regression": Case(HyperRegressor, mixed_table, number(), audited=True),
    "array": Case(HyperRegressor, plain_table, number().to_numpy(), {"members": 1}),
    "columns": Case(HyperRegressor, plain_table, np.stack([number(), number()[::-1] * 1e3], axis=1)),
    "counts": Case(HyperRegressor, plain_table, NUMBERED * 7 % 13, {"likelihood.family": "poisson"}),
    "binary": Case(HyperClassifier, mixed_table, pd.Series(NUMBERED % 3 == 0, name="yes")),
    "ordered": Case(
        HyperClassifier,
        mixed_table,
        pd.Categorical.from_codes(NUMBERED % 3, ["low", "mid", "high"], ordered=True),
        audited=True,
    ),
    "text": Case(
        HyperClassifier, mixed_table, pd.Series(np.array(["a", "bé", "c c"], dtype=object)[NUMBERED % 3])
    ),
    "integers": Case(HyperClassifier, plain_table, NUMBERED % 4 * 10 - 5),
    "low-rank": Case(
        HyperRegressor, plain_table, number(), {"hypernetwork.head": "low-rank", "prior.family": "horseshoe"}
    ),
    "mean-field": Case(
        HyperRegressor, plain_table, number(), {"hypernetwork.noise_dim": 0}, model="mean-field"
    ),
    "own-network": Case(HyperRegressor, plain_table, number(), network=lambda: OwnNetwork(4)),
}


def predictions(model: Any, rows: Any) -> dict[str, np.ndarray]:
    """What a model says of rows: encoded ``(N, F)``, and the mean and spread or the probabilities."""
    predictive = model.predictive(rows)
    found = {"encoded": model.encoder_.transform(rows)}
    if predictive.task == "regression":
        return found | {"mean": predictive.mean, "std": predictive.std}
    return found | {"probs": predictive.probs}
