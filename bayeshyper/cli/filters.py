"""Filters of warnings that name ours, in ``-W`` options and ``PYTHONWARNINGS``."""

from __future__ import annotations

import sys
import warnings

from bayeshyper import errors

__all__ = ["use_named_filters"]

ACTIONS = ("default", "error", "ignore", "always", "all", "module", "once")


def use_named_filters() -> None:
    """Read once more the filters ``action::bayeshyper.NAME`` that Python was started with.

    It reads them before it can see installed packages, and leaves out those that name a class of theirs.
    """
    for option in sys.warnoptions:
        action, _, category = (*option.split(":"), "", "")[:3]
        kind = getattr(errors, category.rpartition(".")[2].strip(), None)
        if category.startswith("bayeshyper.") and isinstance(kind, type) and issubclass(kind, Warning):
            named = next((each for each in ACTIONS if each.startswith(action)), "default")
            warnings.filterwarnings(named, category=kind)  # type: ignore[arg-type]
