"""The log score of each row, read from a prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.errors import DataError


def log_scores(predictive: Predictive, y: Any) -> Floats:
    """Returns the log score of each row, which may be minus infinity but neither NaN nor plus infinity."""
    rows = _checks.column("log_prob", predictive.log_prob(y), n_rows=predictive.n_rows, finite=False)
    if (rows == np.inf).any():
        raise DataError("log_prob is plus infinity for a row: a density must be finite.")
    return rows
