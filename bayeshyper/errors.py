"""What can go wrong, by name: one base class of errors and one of warnings, to catch or filter all at once.

    BayeshyperWarning
    ├── DataWarning                 less can be learned, or said, than it seems
    │   ├── ClassImbalanceWarning
    │   ├── DuplicateRowsWarning
    │   ├── ExtrapolationWarning
    │   ├── FewRowsWarning
    │   └── MissingValuesWarning
    └── ApproximationWarning        a result further from the truth than it may be
        ├── CollapseWarning
        └── NotConvergedWarning

Each says what was measured and what to do; the page ``docs/warnings.md`` says how it was measured.
"""

from __future__ import annotations

import sys
import warnings

__all__ = [
    "ApproximationWarning",
    "BayeshyperError",
    "BayeshyperWarning",
    "CheckpointError",
    "CheckpointWarning",
    "ClassImbalanceWarning",
    "CollapseWarning",
    "DataError",
    "DataWarning",
    "DuplicateRowsWarning",
    "ExtrapolationWarning",
    "FewRowsWarning",
    "MissingValuesWarning",
    "ModelFileError",
    "NotConvergedWarning",
    "RecipeError",
    "TooLarge",
    "TrainingDiverged",
    "warn",
]

INSIDE = ("bayeshyper", "joblib", "numpy", "pandas", "pyro", "sklearn", "torch")
"""No line of these is a user's: they stand around functions of ours, or call them in a user's name."""


class BayeshyperError(Exception):
    """The base of every error that bayeshyper raises on purpose."""


class DataError(BayeshyperError, ValueError):
    """A table, a feature or a target that cannot be used as it is."""


class RecipeError(BayeshyperError, ValueError):
    """A recipe or an override with an unknown key or a value of the wrong type."""


class ModelFileError(BayeshyperError, ValueError):
    """A model file that is truncated, of a newer format, or not ours."""


class CheckpointError(BayeshyperError, ValueError):
    """A checkpoint of another fit, which would be lost."""


class TooLarge(BayeshyperError, ValueError):
    """What was asked for needs more memory than is free; it says how much."""


class TrainingDiverged(BayeshyperError, RuntimeError):
    """The loss stopped being finite; the model keeps its last good state.

    Args:
        term: Which part of the loss broke: "log likelihood", "log prior", "entropy", "gradient" or "natural
            gradient".
        step: The training step at which it was seen.
    """

    def __init__(self, term: str, step: int) -> None:
        self.term = term
        self.step = step
        super().__init__(
            f"Training diverged at step {step}: the {term} is not finite. The last good state is kept. "
            "Lower the learning rates (optimizer.learning_rate, warm_start.learning_rate, "
            "warm_start.natural_rate), or look for extreme values in the data."
        )

    def __reduce__(self) -> tuple[type[TrainingDiverged], tuple[str, int]]:
        return type(self), (self.term, self.step)


class BayeshyperWarning(UserWarning):
    """The base of every warning that bayeshyper gives; filter it to hear none of them, or to stop at any."""


class DataWarning(BayeshyperWarning):
    """Data that can be used, but from which less can be learned than it seems."""


class ClassImbalanceWarning(DataWarning):
    """A class with next to no rows, or one class that is nearly all of them."""


class DuplicateRowsWarning(DataWarning):
    """Rows that stand in a table again and again, each of which counts as an observation."""


class ExtrapolationWarning(DataWarning):
    """Rows to predict that lie far from all rows that were fitted."""


class FewRowsWarning(DataWarning):
    """Too few rows to calibrate by, or to judge calibration."""


class MissingValuesWarning(DataWarning):
    """Rows with missing values that are less certain than their intervals say."""


class ApproximationWarning(BayeshyperWarning):
    """A result that rests on an approximation further from the truth than it may be."""


class CheckpointWarning(BayeshyperWarning):
    """A state of a fit that could not be written, or not be read again."""


class CollapseWarning(ApproximationWarning):
    """A posterior without width, or as wide as its prior."""


class NotConvergedWarning(ApproximationWarning):
    """A fit that was still clearly improving when its steps ran out."""


def warn(category: type[BayeshyperWarning], sentence: str) -> None:
    """Warn, at the user's line that led into bayeshyper, however deep the warning arises.

    So Python's own rule, the same sentence once for a line, speaks of the user's lines. Where there is none,
    as in a worker of joblib's, the warning is at the outermost line.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(sentence, category, stacklevel=level)
