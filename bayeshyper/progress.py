"""A progress bar that appears only when a fit takes long enough to wonder."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

__all__ = ["ProgressBar"]

PATIENCE_SECONDS = 2.0


class ProgressBar:
    """Shows objective and held-out score per datum while a fit runs; a callback for `inference.fit`.

    Args:
        show: True shows it at once, False never, None after two seconds where standard error is a terminal.
        label: What is being fitted.
        objective: What is being maximised; empty where nothing is, and no score is shown.

    Example:
        >>> with ProgressBar(show=False) as bar:
        ...     bar(100, 400, -1.2, None)
    """

    def __init__(self, show: bool | None = None, label: str = "Fitting", objective: str = "ELBO") -> None:
        self._objective = objective
        console = Console(stderr=True)
        self._hidden = show is False or (show is None and not console.is_terminal)
        self._appears_at = time.monotonic() + (0.0 if show else PATIENCE_SECONDS)
        self._progress = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TextColumn("{task.fields[scores]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(label, scores="")
        self._running = False

    def __enter__(self) -> ProgressBar:
        return self

    def __call__(
        self, step: int, steps: int, elbo_per_datum: float | None, heldout_score: float | None
    ) -> None:
        """Take note of one look at the fit."""
        if self._hidden:
            return
        scores = (
            "starting" if elbo_per_datum is None else f"{self._objective} per datum {elbo_per_datum:+.3f}"
        )
        if not self._objective:
            scores = ""
        if heldout_score is not None:
            scores += f"   held-out score {heldout_score:+.3f}"
        self._progress.update(self._task, completed=step, total=steps, scores=scores)
        if not self._running and time.monotonic() >= self._appears_at:
            self._progress.start()
            self._running = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running:
            self._progress.stop()
