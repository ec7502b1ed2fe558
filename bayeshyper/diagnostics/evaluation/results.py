"""What an evaluation gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bayeshyper.diagnostics._checks import Floats, Integers
from bayeshyper.diagnostics.calibration.corp import CORPCurve
from bayeshyper.diagnostics.calibration.coverage import Coverage, CoverageCurve
from bayeshyper.diagnostics.calibration.ecdf import PITDifference
from bayeshyper.diagnostics.calibration.errors import CalibrationError
from bayeshyper.diagnostics.calibration.frequencies import ClassFrequencies
from bayeshyper.diagnostics.calibration.groups import GroupTable
from bayeshyper.diagnostics.calibration.pit import PITHistogram
from bayeshyper.diagnostics.calibration.reliability import ReliabilityCurve
from bayeshyper.diagnostics.decisions import Novelty, RiskCoverage, UncertaintySplit
from bayeshyper.diagnostics.evaluation.verdict import Verdict
from bayeshyper.diagnostics.repair.comparison import RepairComparison
from bayeshyper.diagnostics.scores.score import Score


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores, curves and a verdict for one prediction of one table.

    Args:
        task: "regression" or "classification".
        n_rows: How many rows were scored.
        scores: In the order in which they are read.
        verdict: What the evidence says.
        rows: What each row contributes to a score, name to ``(N,)``, for paired differences between models.
        seed: Of the bootstrap and of the draws behind the CRPS.
        n_bootstrap: How many bootstrap replicates.
        classes: The labels as text, for a classifier.
        coverages: At 50, 80, 90 and 95 % (regression).
        coverage: The coverage curve (regression).
        pit: The PIT histogram (regression).
        reliability: The reliability curve (classification).
        frequencies: How often each class was predicted, and how often it happened (classification).
        calibration_errors: The family of the ECE, each with what chance alone gives (classification).
        confidence_counts: Rows per confidence bin, 20 equal bins from 0 to 1 (classification).
        pit_difference: The PIT without bins, less what it is if calibrated (regression).
        corp: The reliability curve without bins, of the second of two classes or of the likeliest of more.
        groups: Where it is wrong, of the columns that were given.
        risk: The error that is left where the least certain rows are set aside.
        uncertainty: What kind of uncertainty it is, where weight draws tell.
        repairs: What recalibration would change, on rows that it did not learn from.
        novelty: How well it tells the rows of a second table from these, where there is one.
        tests: The numbers behind the verdict.
    """

    task: str
    n_rows: int
    scores: tuple[Score, ...]
    verdict: Verdict
    rows: dict[str, Floats] = field(repr=False)
    seed: int = 0
    n_bootstrap: int = 1000
    classes: tuple[str, ...] = ()
    coverages: tuple[Coverage, ...] = ()
    coverage: CoverageCurve | None = field(default=None, repr=False)
    pit: PITHistogram | None = field(default=None, repr=False)
    reliability: ReliabilityCurve | None = field(default=None, repr=False)
    frequencies: ClassFrequencies | None = field(default=None, repr=False)
    calibration_errors: tuple[CalibrationError, ...] = ()
    confidence_counts: Integers | None = field(default=None, repr=False)
    pit_difference: PITDifference | None = field(default=None, repr=False)
    corp: CORPCurve | None = field(default=None, repr=False)
    groups: GroupTable | None = field(default=None, repr=False)
    risk: RiskCoverage | None = field(default=None, repr=False)
    uncertainty: UncertaintySplit | None = field(default=None, repr=False)
    novelty: Novelty | None = field(default=None, repr=False)
    repairs: RepairComparison | None = field(default=None, repr=False)
    tests: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Score:
        """Returns the score of that name: ``evaluation["crps"].value``."""
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(f"No score {name!r}: there are {', '.join(score.name for score in self.scores)}.")

    def to_dict(self) -> dict[str, Any]:
        """Returns everything but the rows, as JSON knows it: no NaN, no infinity, no arrays."""
        parts = {
            "coverage_curve": self.coverage,
            "pit_histogram": self.pit,
            "reliability_curve": self.reliability,
            "class_frequencies": self.frequencies,
            "pit_difference": self.pit_difference,
            "corp": self.corp,
            "groups": self.groups,
            "risk": self.risk,
            "uncertainty": self.uncertainty,
            "novelty": self.novelty,
            "repairs": self.repairs,
        }
        return {
            "task": self.task,
            "n_rows": self.n_rows,
            "seed": self.seed,
            "n_bootstrap": self.n_bootstrap,
            "classes": list(self.classes),
            "verdict": self.verdict.to_dict(),
            "scores": {score.name: score.to_dict() for score in self.scores},
            "coverages": [asdict(coverage) for coverage in self.coverages],
            "calibration_errors": [error.to_dict() for error in self.calibration_errors],
            "tests": self.tests,
            **{name: None if part is None else part.to_dict() for name, part in parts.items()},
            "confidence_counts": None if self.confidence_counts is None else self.confidence_counts.tolist(),
        }
