"""The best state of a fit so far, as its looks at itself find it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

__all__ = ["Looks"]

State = dict[str, Tensor]


class Looks:
    """Keeps the last good state of a fit, or with held-out scores the best one.

    A look proposes the state after a step, whose loss nobody has seen yet; the next step's finite loss
    confirms it.

    Args:
        modules: What is fitted; their present state is kept as that of step 0.

    Attributes:
        values: What was maximised, at each step since the last look.
        fits: The mean log likelihood of a row, at each step since `mean_fit` was asked for.
        since_best: How many looks ago the best score was.
        best_score: That score; None before there is any.

    Example:
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> looks = Looks(layer)
        >>> before = layer.weight.item()
        >>> _ = layer.weight.data.add_(1.0)
        >>> looks.propose(10, None)  # and no loss is seen after it
        >>> looks.restore(), layer.weight.item() == before
        (0, True)
    """

    def __init__(self, *modules: nn.Module) -> None:
        self.modules = modules
        self.values: list[float] = []
        self.fits: list[float] = []
        self.best_score: float | None = None
        self.since_best = 0
        self._proposed: tuple[int, list[State]] | None = None
        self.keep()

    def _states(self) -> list[State]:
        return [
            {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
            for module in self.modules
        ]

    def keep(self) -> None:
        """Keep the present state as that of step 0."""
        self._kept = (0, self._states())

    def mean_value(self) -> float:
        """The mean of `values`, which are forgotten."""
        return _taken_mean(self.values)

    def mean_fit(self) -> float:
        """The mean of `fits`, which are forgotten."""
        return _taken_mean(self.fits)

    def propose(self, step: int, score: float | None) -> None:
        """Propose the present state, unless an earlier one scored better; without scores the latest is it."""
        if score is None or self.best_score is None or score > self.best_score:
            self._proposed = (step, self._states())
            self.best_score = score
            self.since_best = 0
        else:
            self.since_best += 1

    def confirm(self) -> None:
        """Keep what was proposed."""
        if self._proposed is not None:
            self._kept, self._proposed = self._proposed, None

    def restore(self) -> int:
        """Put the kept state back; returns its step."""
        step, states = self._kept
        for module, state in zip(self.modules, states, strict=True):
            module.load_state_dict(state)
        return step

    def state_dict(self) -> dict[str, Any]:
        """What it keeps."""
        states = {"kept": self._kept, "proposed": self._proposed}
        scores = {"best": self.best_score, "since": self.since_best}
        return {**states, **scores, "values": list(self.values), "fits": list(self.fits)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Keep what another one did.

        Raises:
            KeyError, TypeError, ValueError: It kept states of other modules, or what are no scores.
        """
        kept, proposed, best, since = (state[name] for name in ("kept", "proposed", "best", "since"))
        for step, states in [kept] if proposed is None else [kept, proposed]:
            if type(step) is not int or [*map(_shapes, states)] != [*map(_shapes, self._states())]:
                raise ValueError("the states that were kept are of other modules")
        scores = [*state["values"], *state["fits"], *([] if best is None else [best])]
        if not all(isinstance(score, float) for score in scores):
            raise ValueError("the scores that were kept are no numbers")
        self._kept, self._proposed, self.best_score, self.since_best = kept, proposed, best, int(since)
        self.values, self.fits = list(state["values"]), list(state["fits"])


def _shapes(state: State) -> dict[str, Any]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}


def _taken_mean(values: list[float]) -> float:
    mean = math.fsum(values) / len(values)
    values.clear()
    return mean
