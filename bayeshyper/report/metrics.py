"""The numbers of a report as JSON; metrics.schema.json, beside this file, says what each key means."""

from __future__ import annotations

import json
import math
from typing import Any

from bayeshyper.report.contents import Contents
from bayeshyper.report.sections.comparison import differences

FORMAT, VERSION = "bayeshyper-report", 2

LONG = 20
"""The numbers of a longer list, a curve's, are written with six digits."""


def metrics_json(contents: Contents, files: list[str]) -> str:
    """Writes the numbers of a report; one that cannot be computed is null, with a reason beside it.

    Args:
        contents: The report.
        files: The names of all files of the report, this one too.
    """
    checks = {name: getattr(contents, name) for name in ("audit", "convergence", "collapse", "history")}
    (name, first), *others = contents.models.items()
    metrics = {
        "format": FORMAT,
        "version": VERSION,
        "title": contents.title,
        "files": files,
        "about": contents.about,
        "model": name,
        "evaluation": first.to_dict(),
        "comparisons": {
            other: {
                "evaluation": evaluation.to_dict(),
                "differences": {score.name: score.to_dict() for score in differences(first, evaluation)},
            }
            for other, evaluation in others
        },
        **{name: None if check is None else check.to_dict() for name, check in checks.items()},
    }
    return _text(_finite(metrics)) + "\n"


def _text(value: Any, indent: str = "") -> str:
    """Writes JSON with one key a line, but a list of numbers or words, and each object in a list, on one."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{_line(key)}: {_text(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(deeper + line for line in lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n" + ",\n".join(deeper + _line(item) for item in value) + f"\n{indent}]"
    if isinstance(value, list) and len(value) > LONG:
        return _line([_rounded(item) for item in value])
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _finite(value: Any) -> Any:
    """Replaces NaN and infinity, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
