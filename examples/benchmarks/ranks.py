"""Mean ranks of methods over data sets and splits, and the difference that is too large for chance.

Each (data set, split) ranks the methods, 1 for the best, ties sharing their mean. Ranks are averaged over the
splits of a data set and then over data sets, so that each data set counts once. With k methods, m data sets
and n_d splits of each, two methods differ at level α by Nemenyi's test (Demšar 2006) if their mean ranks
differ by more than

    CD = q_α(k)·√(k(k + 1)/(6N)),    N = m²/Σ_d 1/n_d

where q_α is the studentised range's quantile over √2. The splits of a data set share rows, so their ranks are
not independent, and this CD is too small; that of the data sets alone, N = m, errs the other way. Both are
given. Friedman's test, over the same blocks, asks whether any differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from bayeshyper.errors import DataError

LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """How methods rank.

    Args:
        mean: Mean rank of each method, best first.
        blocks: How many data sets and splits ranked them.
        data: The data sets.
        difference: CD with every split as a block of its own.
        data_difference: CD with every data set as one block.
        p_value: Friedman's, over all blocks; NaN for two methods, which it cannot test.
    """

    mean: pd.Series
    blocks: int
    data: tuple[str, ...]
    difference: float
    data_difference: float
    p_value: float

    def groups(self) -> list[tuple[str, str]]:
        """First and last of each largest run of methods that do not differ, two or more in each."""
        names, ranks = list(self.mean.index), self.mean.to_numpy()
        runs: list[tuple[int, int]] = []
        for first in range(len(names)):
            last = int(np.searchsorted(ranks, ranks[first] + self.difference, side="right")) - 1
            if last > first and (not runs or last > runs[-1][1]):
                runs.append((first, last))
        return [(names[first], names[last]) for first, last in runs]


def rank(scores: dict[str, pd.DataFrame], *, higher_is_better: bool = True) -> Ranking:
    """Rank methods.

    Args:
        scores: For each data set a column per method and a row per split, none missing; data sets that lack
            a method altogether are left out.
        higher_is_better: What a good score is.

    Raises:
        DataError: No data set has two methods or more.
    """
    complete = {name: wide for name, wide in scores.items() if len(wide) and wide.notna().all(axis=None)}
    methods = next(iter(complete.values())).columns if complete else []
    if len(methods) < 2:
        raise DataError(
            "There is nothing to rank: no data set has a split that two methods or more finished."
        )
    ranked = {name: wide.rank(axis=1, ascending=not higher_is_better) for name, wide in complete.items()}
    mean = pd.concat([wide.mean() for wide in ranked.values()], axis=1).mean(axis=1)
    effective = len(ranked) ** 2 / sum(1 / len(wide) for wide in ranked.values())
    every = pd.concat(complete.values())
    p_value = float(stats.friedmanchisquare(*every.T.to_numpy()).pvalue) if len(methods) > 2 else math.nan
    return Ranking(
        mean.sort_values(kind="stable"),
        len(every),
        tuple(ranked),
        critical_difference(len(methods), effective),
        critical_difference(len(methods), len(ranked)),
        p_value,
    )


def critical_difference(methods: int, blocks: float, level: float = LEVEL) -> float:
    """Nemenyi's CD (see the module)."""
    quantile = float(stats.studentized_range.ppf(1 - level, methods, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * blocks))
