"""Writing a report: all of it or nothing, and nothing of anybody else's is lost.

A report folder holds::

    report.html    the page, one file that opens offline
    report.md      the same in Markdown
    metrics.json   the numbers
    plots/         the plots, each as .png and as .svg

The keys of ``metrics.json`` are described in ``metrics.schema.json``, a JSON Schema that lies beside this
module.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bayeshyper.diagnostics import Evaluation
from bayeshyper.errors import BayeshyperError, DataError
from bayeshyper.report.contents import Contents
from bayeshyper.report.drawing.png import png
from bayeshyper.report.drawing.svg import svg
from bayeshyper.report.metrics import FORMAT, metrics_json
from bayeshyper.report.page import render_html, render_markdown

if TYPE_CHECKING:
    from bayeshyper.diagnostics.posterior.audit import Audit
    from bayeshyper.diagnostics.posterior.collapse import Collapse
    from bayeshyper.diagnostics.posterior.convergence import Convergence
    from bayeshyper.inference import History


class ReportExistsError(BayeshyperError, FileExistsError):
    """The folder already holds a report, or files of the same names, and nobody said to replace them."""


def write_report(
    folder: str | os.PathLike[str],
    evaluation: Evaluation,
    *,
    about: Mapping[str, str] | None = None,
    audit: Audit | None = None,
    history: History | None = None,
    convergence: Convergence | None = None,
    collapse: Collapse | None = None,
    comparisons: Mapping[str, Evaluation] | None = None,
    name: str = "this model",
    title: str = "Can its uncertainty be trusted?",
    force: bool = False,
) -> Path:
    """Writes report.html, report.md, metrics.json and plots/ into a folder, and returns the page's path.

    Everything is written beside the folder first and then renamed into place: a full disk leaves no half
    report. Other files in the folder are never touched.

    Args:
        folder: Made if it is missing.
        evaluation: From `bayeshyper.diagnostics.evaluate`.
        about: What to say about data, split, seed, versions, recipe and time, in this order.
        audit: The audited ELBO, with Pareto k̂.
        history: The training curve.
        convergence: R̂ and ESS across the restarts, on function values.
        collapse: What the noise does to the weights.
        comparisons: Other models evaluated on the same rows; the scores get a column for each.
        name: What to call this model beside them.
        title: The page's heading.
        force: Replace the files of an earlier report, or files that happen to have their names.

    Raises:
        ReportExistsError: The folder holds such files and ``force`` is not set; nothing is changed.
        DataError: A comparison is of other rows, or has this model's name.
        OSError: The disk is full, or the folder cannot be written; nothing is changed.
    """
    others = dict(comparisons or {})
    if name in others:
        raise DataError(f"Two models are called {name!r}: give this one another name.")
    contents = Contents(
        title, {name: evaluation, **others}, dict(about or {}), audit, history, convergence, collapse
    )
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise ReportExistsError(f"{target} is a file: name a folder for the report.")
    figures = contents.figures
    plots = [f"plots/{figure.name}.{kind}" for figure in figures for kind in ("png", "svg")]
    names = ["report.html", "report.md", "metrics.json", *plots]
    taken = [file for file in names if (target / file).exists()]
    if taken and not force:
        raise ReportExistsError(
            f"{target} already holds {taken[0]}: name another folder, or pass force=True (--force) to "
            "replace it."
        )
    files = {
        "report.html": render_html(contents).encode(),
        "report.md": render_markdown(contents).encode(),
        "metrics.json": metrics_json(contents, names).encode(),
        **{f"plots/{figure.name}.png": png(figure) for figure in figures},
        **{f"plots/{figure.name}.svg": svg(figure) for figure in figures},
    }
    _install(target, files)
    return target / "report.html"


def _install(target: Path, files: dict[str, bytes]) -> None:
    """Writes the files beside the folder, then renames them into it, the page last."""
    target.parent.mkdir(parents=True, exist_ok=True)
    stale = _stale(target, files)
    beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:24]}."))
    try:
        for file, content in files.items():
            (beside / file).parent.mkdir(exist_ok=True)
            (beside / file).write_bytes(content)
        (target / "plots").mkdir(parents=True, exist_ok=True)
        for file in reversed(files):
            os.replace(beside / file, target / file)
        for plot in stale:
            plot.unlink(missing_ok=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _stale(target: Path, files: dict[str, bytes]) -> list[Path]:
    """Lists the plots of an earlier report of ours that this one does not have."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        metrics = json.loads((target / "metrics.json").read_text(encoding="utf-8"))
        if metrics["format"] == FORMAT:
            plots = {Path(file).name for file in metrics["files"] if file.startswith("plots/")}
            return [target / "plots" / plot for plot in sorted(plots) if f"plots/{plot}" not in files]
    return []
