"""Do the restarts agree about the function? R̂ and effective sample size on what the network says of rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.arviz.majors import effective_sample_size, rhat
from bayeshyper.errors import DataError

__all__ = ["Convergence", "convergence"]

# Quantities looked at; more rows of the same table would say nothing new.
MOST = 1000
WORST = 5


@dataclass(frozen=True)
class Convergence:
    """Rank-normalised R̂ (Vehtari et al. 2021) across restarts, on function values.

    Weights are not compared: units of a layer can change places without changing the function, so that two
    restarts may agree about everything and share no weight. And restarts are meant to be different modes:
    where R̂ is large they disagree about the function, which their mixture covers and any one of them alone
    would be over-confident of. Draws of one restart are independent, so that the effective sample size falls
    below their number only as the restarts differ.

    Attributes:
        n_members: M, the restarts.
        n_draws: S, of each.
        n_compared: How many function values were compared: rows times outputs, evenly spaced ones of many.
        reason: Why nothing could be compared; then all that follows is None.
        rhat_max: Of all function values; infinite where restarts are constant and differ.
        rhat_median: Of them.
        share_above_1_01: How many of them are above 1.01, the bound for chains of MCMC.
        share_above_1_05: How many are above 1.05.
        worst_rows: The rows of the largest R̂, the worst first, at most five.
        ess_min: The smallest bulk effective sample size, of M · S.
        ess_median: Their median.
    """

    n_members: int
    n_draws: int
    n_compared: int
    reason: str | None = None
    rhat_max: float | None = None
    rhat_median: float | None = None
    share_above_1_01: float | None = None
    share_above_1_05: float | None = None
    worst_rows: tuple[int, ...] = ()
    ess_min: float | None = None
    ess_median: float | None = None

    @property
    def sentence(self) -> str:
        """What it means, in plain words."""
        if self.reason is not None or self.rhat_max is None or self.share_above_1_05 is None:
            return f"The restarts were not compared: {self.reason}."
        found = f"R̂ across {self.n_members} restarts is {self.rhat_max:.2f} at most"
        if self.rhat_max <= 1.05:
            found += ": they agree about the function."
        else:
            found += (
                f", and above 1.05 for {self.share_above_1_05:.0%} of the function values: there the "
                "restarts disagree. Their mixture covers that; one restart alone would be over-confident."
            )
        return (
            f"{found} Function values are compared, not weights: units of a layer can change places without "
            "changing the function."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON, with the sentence; an infinite R̂ is None."""
        record = {**asdict(self), "worst_rows": list(self.worst_rows), "sentence": self.sentence}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in record.items()
        }


def convergence(functions: ArrayLike) -> Convergence:
    """Compare restarts on the values of their functions.

    Args:
        functions: ``(M, S, N)`` or ``(M, S, N, C)``: S draws of each of M restarts, on N rows, as in
            ``model.to_arviz(X, y).posterior["f"]``.

    Raises:
        DataError: Another shape, no rows, or values that are NaN or infinite.

    Example:
        >>> draws = np.random.default_rng(0).normal(size=(2, 200, 3))
        >>> draws[1, :, 2] += 3.0  # the restarts disagree about the last row
        >>> found = convergence(draws)
        >>> found.worst_rows[0], found.rhat_max > 1.5
        (2, True)
    """
    values = np.asarray(functions, dtype=np.float64)
    if values.ndim not in (3, 4) or 0 in values.shape:
        raise DataError(
            f"Function values must have shape (M, S, N) or (M, S, N, C), none of them 0: got {values.shape}. "
            "Their first two dimensions are restarts and draws."
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{int((~np.isfinite(values)).sum())} function values are NaN or infinite; look at those rows."
        )
    members, draws = values.shape[:2]
    outputs = math.prod(values.shape[3:])
    flat = values.reshape(members, draws, -1)
    chosen = np.unique(np.linspace(0, flat.shape[2] - 1, min(flat.shape[2], MOST)).round().astype(np.intp))
    flat = flat[:, :, chosen]
    compared = Convergence(members, draws, len(chosen))
    if members < 2:
        return _without(compared, "there is one restart, and it takes two; fit with n_members=2 or more")
    if draws < 4:
        return _without(compared, f"there are {draws} draws of each restart, and it takes four")
    if not np.ptp(flat, axis=(0, 1)).any():
        return _without(compared, "no draw differs from another, so that their spread cannot be computed")
    found = _rhat(flat)
    sizes = np.where(np.ptp(flat, axis=(0, 1)) > 0, effective_sample_size(flat), members * draws)
    rows = chosen[np.argsort(-found, kind="stable")] // outputs
    return Convergence(
        members,
        draws,
        len(chosen),
        rhat_max=float(found.max()),
        rhat_median=float(np.median(found)),
        share_above_1_01=float((found > 1.01).mean()),
        share_above_1_05=float((found > 1.05).mean()),
        worst_rows=tuple(int(row) for row in dict.fromkeys(rows.tolist()))[:WORST],
        ess_min=float(np.nanmin(sizes)),
        ess_median=float(np.nanmedian(sizes)),
    )


def _without(compared: Convergence, reason: str) -> Convergence:
    return Convergence(compared.n_members, compared.n_draws, compared.n_compared, reason=reason)


def _rhat(values: Floats) -> Floats:
    """R̂ of each of N values, ``(M, S, N)`` to ``(N,)``, where ArviZ has 0/0 too."""
    still = np.ptp(values, axis=1).max(axis=0) == 0  # within every restart
    differ = np.ptp(values, axis=(0, 1)) > 0
    found = np.where(differ, math.inf, 1.0)
    if not still.all():
        found[~still] = rhat(values[:, :, ~still])
    return found
