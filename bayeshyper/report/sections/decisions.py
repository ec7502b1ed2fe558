"""Decisions: when to abstain, whether unfamiliar rows are noticed, and what kind of uncertainty it is."""

from __future__ import annotations

from collections.abc import Mapping

from bayeshyper.diagnostics import Evaluation, Score, UncertaintySplit
from bayeshyper.diagnostics._words import number, percent, plural
from bayeshyper.report.figures.decisions import novelty_figure, risk_figure
from bayeshyper.report.sections.scores import score_cell, score_column
from bayeshyper.report.sections.section import Cell, Column, Section, Table


def abstention_section(models: Mapping[str, Evaluation]) -> Section | None:
    """Shows the risk–coverage curves, where there are any."""
    curves = {name: model.risk for name, model in models.items() if model.risk is not None}
    if not curves:
        return None
    task, (first, *_) = next(iter(models.values())).task, curves.values()
    gain = first.aurc
    sentence = (
        "Where a wrong answer costs more than none, set aside the rows that it is least sure of. The plot "
        "tells how much error is left for each share of the rows that is kept."
    )
    if gain.value is not None and gain.upper is not None and gain.lower is not None:
        helps = gain.upper < first.random
        sentence += (
            " Its uncertainty ranks rows better than chance: abstaining pays."
            if helps
            else " These rows do not show that its uncertainty ranks them better than chance."
        )
    return Section(
        "abstention",
        "When should it abstain?",
        sentences=(sentence,),
        figures=(risk_figure(curves, task),),
        tables=(
            _scores(
                {name: (curve.aurc, curve.e_aurc, curve.augrc) for name, curve in curves.items()}, "areas"
            ),
        ),
    )


def novelty_section(models: Mapping[str, Evaluation]) -> Section | None:
    """Shows whether uncertainty tells a second table's rows from these, where there is such a table."""
    curves = {name: model.novelty for name, model in models.items() if model.novelty is not None}
    if not curves:
        return None
    first = next(iter(curves.values()))
    low = first.auroc.lower
    if low is None:
        said = first.auroc.reason
    elif low > 0.5:
        said = "Its uncertainty is higher on the unfamiliar rows, more than chance explains."
    else:
        said = "Its uncertainty does not tell unfamiliar rows from these: do not rely on it to notice them."
    return Section(
        "novelty",
        "Would it notice unfamiliar rows?",
        sentences=(
            f"A second table of {plural(first.n_unfamiliar, 'row')} is held against these "
            f"{first.n_familiar:,}. {said}",
        ),
        figures=(novelty_figure(curves),),
        tables=(
            _scores(
                {name: (curve.auroc, curve.fpr95, curve.aupr) for name, curve in curves.items()}, "found"
            ),
        ),
    )


def uncertainty_section(models: Mapping[str, Evaluation]) -> Section | None:
    """Shows the two kinds of uncertainty, where weight draws tell them apart."""
    splits = {name: model.uncertainty for name, model in models.items() if model.uncertainty is not None}
    if not splits:
        return None
    first, (_, split), *_ = next(iter(models.values())), *splits.items()
    share = split.epistemic_share(seed=first.seed, n_bootstrap=first.n_bootstrap)
    sentence = (
        "Aleatoric uncertainty is what stays however many rows are learned from; epistemic is what more rows "
        "would take away. The split is the model's own belief, not a measurement."
    )
    if share.value is not None:
        more = (
            "More rows like the training rows would help."
            if share.value > 0.5
            else ("More rows would help little; better features might.")
        )
        sentence += f" It puts {percent(share.value)} on not knowing the weights. {more}"
    return Section(
        "uncertainty",
        "What kind of uncertainty is it?",
        sentences=(sentence,),
        tables=(_splits(splits, first),),
    )


def _splits(splits: Mapping[str, UncertaintySplit], first: Evaluation) -> Table:
    unit = next(iter(splits.values())).unit
    rows = []
    for name, split in splits.items():
        means = [float(part.mean()) for part in (split.total, split.aleatoric, split.epistemic)]
        share = split.epistemic_share(seed=first.seed, n_bootstrap=first.n_bootstrap)
        rows.append(
            (
                Cell(name, order=name),
                *(Cell(number(m), order=m) for m in means),
                score_cell(share, first.n_rows),
            )
        )
    return Table(
        name="kinds",
        caption=f"Mean uncertainty of a row: {unit}",
        columns=(
            Column("Model", numeric=False),
            *(
                Column(kind, first="descending")
                for kind in ("Total", "Aleatoric", "Epistemic", "Epistemic share")
            ),
        ),
        rows=tuple(rows),
        models=tuple(range(len(rows))) if len(rows) > 1 else (),
    )


def _scores(lines: Mapping[str, tuple[Score, ...]], name: str) -> Table:
    """Lays out scores: one row per score for one model, one row per model for several."""
    scores = next(iter(lines.values()))
    caption = "With 95\u00a0% intervals"
    if len(lines) == 1:
        return Table(
            name,
            caption,
            columns=(Column("Score", numeric=False, first=""), Column("Value", first="")),
            rows=tuple((Cell(score.label, score.explanation), score_cell(score)) for score in scores),
            narrow=True,
        )
    return Table(
        name,
        caption,
        columns=(Column("Model", numeric=False), *map(score_column, scores)),
        rows=tuple((Cell(model, order=model), *map(score_cell, line)) for model, line in lines.items()),
        models=tuple(range(len(lines))),
    )
