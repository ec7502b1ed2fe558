"""Small tables whose law is known: the log density of new rows, beside that of the law itself.

    python examples/benchmarks/small_tables.py > examples/benchmarks/results/small_tables.md

Each table is drawn anew for each seed, fitted by the recipe, and judged by a thousand new rows. No method can
be above the law but by chance; how far a fit is below it is what it did not learn.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import norm

from bayeshyper import BayeshyperWarning, HyperRegressor

__all__ = ["TABLES", "SmallTable", "gap"]

NEW_ROWS = 1000
LETTERS = np.array(["a", "b", "c", "d"])


@dataclass(frozen=True)
class SmallTable:
    """A table of numbers and categories, with a target that is a function of them plus normal noise.

    Args:
        rows: How many to fit.
        columns: Draws so many rows.
        mean: The target's mean, row by row.
        noise: The noise's standard deviation.

    Example:
        >>> X, y = TABLES["a sine"].draw(50, np.random.default_rng(0))
        >>> X.shape, y.shape
        ((50, 1), (50,))
    """

    rows: int
    columns: Callable[[Generator, int], pd.DataFrame]
    mean: Callable[[pd.DataFrame], NDArray[np.float64]]
    noise: float

    def draw(self, rows: int, rng: Generator) -> tuple[pd.DataFrame, NDArray[np.float64]]:
        """So many rows and their targets."""
        X = self.columns(rng, rows)
        return X, self.mean(X) + self.noise * rng.normal(size=rows)

    def log_prob(self, X: pd.DataFrame, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density of each target under the law."""
        result: NDArray[np.float64] = norm(self.mean(X), self.noise).logpdf(y)
        return result


def _letters(count: int, columns: int) -> Callable[[Generator, int], pd.DataFrame]:
    return lambda rng, rows: pd.DataFrame(rng.choice(LETTERS[:count], (rows, columns))).add_prefix("x")


def _normals(columns: int) -> Callable[[Generator, int], pd.DataFrame]:
    return lambda rng, rows: pd.DataFrame(rng.normal(size=(rows, columns))).add_prefix("x")


def _one_letter(X: pd.DataFrame) -> NDArray[np.float64]:
    return np.where(X["x0"] == "b", 5.0, 2.0)


def _two_letters(X: pd.DataFrame) -> NDArray[np.float64]:
    return 3.0 * ((X["x0"] == "b") & (X["x1"] == "c")) + 1.0 * (X["x0"] == "c")


def _sine(X: pd.DataFrame) -> NDArray[np.float64]:
    return np.sin(2.0 * X["x"].to_numpy())


def _uniform(rng: Generator, rows: int) -> pd.DataFrame:
    return pd.DataFrame({"x": rng.uniform(-3.0, 3.0, rows)})


TABLES = {
    "one column of three letters": SmallTable(200, _letters(3, 1), _one_letter, 0.1),
    "the same, much noise": SmallTable(200, _letters(3, 1), _one_letter, 2.0),
    "two columns of four letters": SmallTable(200, _letters(4, 2), _two_letters, 0.1),
    "a digit": SmallTable(
        300,
        lambda rng, rows: pd.DataFrame({"x": rng.integers(0, 10, rows)}),
        lambda X: np.sin(X["x"].to_numpy(dtype=float)),
        0.05,
    ),
    "a sine": SmallTable(100, _uniform, _sine, 0.1),
    "a sine of few rows": SmallTable(50, _uniform, _sine, 0.1),
    "a sine of more rows": SmallTable(200, _uniform, _sine, 0.1),
    "a line of five columns": SmallTable(
        60, _normals(5), lambda X: X.to_numpy() @ np.array([1.0, 2.0, 0.0, 0.0, -1.0]), 0.2
    ),
    "a line of two of twelve columns": SmallTable(
        100, _normals(12), lambda X: (X["x0"] - X["x1"]).to_numpy(), 0.5
    ),
}


def gap(table: SmallTable, seed: int, inference: str = "svi") -> float:
    """By how many nats per row a fit falls short of the law, on new rows.

    Args:
        table: What is fitted.
        seed: Of its rows, and of the fit.
        inference: The inference recipe.
    """
    rng = np.random.default_rng(seed)
    X, y = table.draw(table.rows, rng)
    new_X, new_y = table.draw(NEW_ROWS, rng)
    model = HyperRegressor(inference=inference, random_state=seed).fit(X, y)
    return float((table.log_prob(new_X, new_y) - model.log_prob(new_X, new_y)).mean())


def main() -> None:
    """Print the table in Markdown: mean ± standard deviation over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="Tables of each kind.")
    parser.add_argument("--inference", nargs="+", default=["svi", "bayes"], help="Inference recipes.")
    options = parser.parse_args()
    warnings.simplefilter("ignore", BayeshyperWarning)
    print("| table | rows | " + " | ".join(options.inference) + " |")
    print("|---|" + "---:|" * (1 + len(options.inference)))
    for name, table in TABLES.items():
        cells = []
        for inference in options.inference:
            gaps = [gap(table, seed, inference) for seed in range(options.seeds)]
            cells.append(f"{np.mean(gaps):.2f} ± {np.std(gaps, ddof=1):.2f}")
        print(f"| {name} | {table.rows} | " + " | ".join(cells) + " |", flush=True)
    print(
        "\nNats per row below the law itself, on a thousand new rows: mean ± standard deviation over "
        f"{options.seeds} tables of each kind."
    )


if __name__ == "__main__":
    main()
