"""What can go wrong, by name: one base class, so that a caller can catch all of it at once."""

from __future__ import annotations

__all__ = [
    "ApproximationWarning",
    "BayeshyperError",
    "CheckpointError",
    "CheckpointWarning",
    "DataError",
    "DataWarning",
    "ModelFileError",
    "RecipeError",
    "TooLarge",
    "TrainingDiverged",
]


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


class DataWarning(UserWarning):
    """Data that can be used, but from which less can be learned than it seems."""


class ApproximationWarning(UserWarning):
    """A result that rests on an approximation further from the truth than it may be."""


class CheckpointWarning(UserWarning):
    """A state of a fit that could not be written, or not be read again."""
