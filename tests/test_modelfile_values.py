"""Model files with a right checksum and a value that no fit comes to: each is refused in a sentence."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from bayeshyper.errors import ModelFileError
from tests.files.cases import CASES, predictions
from tests.test_modelfile import changed, held, loaded

HISTORY, AUDIT = (held("regression")[0][name] for name in ("history", "audit"))


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("seed", -1, "seed"),
        ("seed", 2**32, "seed"),
        ("history.steps", [0], "Got steps"),
        ("history.steps", [-5], "Got steps"),
        ("history.steps", [20, 30], "Got elbo_per_datum"),
        ("history", {**HISTORY, "steps": [20, 10], "elbo_per_datum": [0.0, 0.0]}, "Got steps"),
        ("history", {**HISTORY, "steps": [20, 20], "elbo_per_datum": [0.0, 0.0]}, "Got steps"),
        ("history.elbo_per_datum", [], "Got elbo_per_datum"),
        ("history.elbo_per_datum", [math.nan], "Got elbo_per_datum"),
        ("history.elbo_per_datum", [1e300], "Got elbo_per_datum"),
        ("history.heldout_score", [0.0, 0.0], "Got heldout_score"),
        ("history.heldout_score", [-math.inf], "Got heldout_score"),
        ("history.best_step", 21, "Got best_step"),
        ("history.best_step", -1, "Got best_step"),
        ("history.best_step", 0, "no step that was kept"),
        ("history.stopped_early", 1, "expected true or false"),
        ("history.seconds", -5.0, "Got seconds"),
        ("history.seconds", math.inf, "Got seconds"),
        ("history.start.temperature", -1.0, "Got start"),
        ("history.start.temperature", 0.0, "Got start"),
        ("history.start.temperature", math.nan, "Got start"),
        ("history.start.temperature", 0.25, "another temperature"),
        ("history.start.rows", -1, "Got start"),
        ("history.start.rows", 0.5, "Got start"),
        ("history.start.rows", 121, "more rows than were fitted"),
        ("history.start.spread", 0.0, "Got start"),
        ("history.start.shift", 1e300, "Got start"),
        ("history.start.other", 1.0, "Got start"),
        ("history.recovered", -1, "Got recovered"),
        ("history.log_likelihood", [math.nan], "Got log_likelihood"),
        ("history.start_steps", -1, "Got start_steps"),
        ("audit.elbo_lower", AUDIT["elbo_upper"] + 1.0, "bounds in order"),
        ("audit.entropy_upper", AUDIT["entropy_lower"] - 1.0, "bounds in order"),
        ("audit.elbo_lower_error", -0.1, "error of 0 or more"),
        ("audit.entropy_upper_error", math.nan, "error of 0 or more"),
        ("audit.elbo_linearized", math.nan, "error of 0 or more"),
        ("audit.n_members", -3, "n_members = -3"),
        ("audit.n_members", 3, "n_members = 3"),
        ("audit.temperature", -1.0, "temperature = -1.0"),
        ("audit.temperature", 0.0, "temperature = 0.0"),
        ("audit.temperature", 0.25, "another temperature"),
        ("audit.psis.khat", [0.5], "one of each per restart"),
        ("audit.psis.khat", [math.nan, 0.5], "which no weights have"),
        ("audit.psis.ess", [0.0, 1.0], "which no weights have"),
        ("audit.psis.ess", [1.0, 300.0], "which no weights have"),
        ("audit.psis.n_draws", -1, "50 draws or more"),
        ("audit.psis.source", "guessed", "expected one of"),
        ("target.scale", 0.0, "another unit"),
        ("target.scale", -1.0, "another unit"),
        ("target.scale", 1e308, "another unit"),
        ("target.scale", 1e-320, "another unit"),
        ("target.scale", math.nan, "another unit"),
        ("target.mean", 1e300, "another unit"),
        ("target.mean", math.inf, "another unit"),
    ],
)
def test_a_record_with_an_impossible_value_is_refused(
    tmp_path: Path, key: str, value: Any, sentence: str
) -> None:
    record, tensors = held("regression")
    with pytest.raises(ModelFileError, match=sentence):
        loaded(tmp_path / "m", changed(record, key, value), tensors, "regression")


def with_value(tensors: dict[str, Tensor], name: str, place: int | None, value: float) -> dict[str, Tensor]:
    """The tensors with one number changed; with no place, all of a tensor's."""
    wrong = tensors[name].clone()
    wrong.view(-1)[slice(None) if place is None else place] = value
    return tensors | {name: wrong}


@pytest.mark.parametrize(
    ("name", "place", "value", "sentence"),
    [
        ("encoder.median", 0, 1e300, "median above the largest"),
        ("encoder.largest", 0, 1e-320, "a scale that is not positive"),
        ("encoder.largest", 0, 1e300, "above 1e.100"),
        ("encoder.mean", 0, 1e300, "mean beyond ±1"),
        ("encoder.scale", 0, 1e-320, "a scale that is not positive"),
        ("encoder.scale", 0, 1e300, "scale above 1"),
        ("encoder.scale", 0, -1.0, "a scale that is not positive"),
        ("extent.low", 0, 2.0, "end before they begin"),
        ("extent.high", 0, 1e300, "end before they begin, or beyond"),
        ("extent.outside", 0, -1.0, "distances of the fitted rows"),
        ("extent.outside", 0, 1e300, "distances of the fitted rows"),
        ("extent.apart", 0, 0.0, "distances of the fitted rows"),
        ("extent.apart", 0, 1e300, "distances of the fitted rows"),
        ("extent.numbers", None, 0, "of one twice"),
        ("extent.inverse", 1, 1.0, "no positive definite matrix"),
        ("extent.inverse", 0, -1.0, "no positive definite matrix"),
        ("extent.inverse", None, 0.0, "no positive definite matrix"),
        ("draws", 0, 1e300, "not finite in float32"),
        ("draws", None, 1e30, "predictions are beyond all numbers"),
        ("draws", -1, 1e30, "predictions are not finite"),
        ("guide.hypernetwork.unit", 0, 2.0, "not the prior's scale"),
        ("model.prior.scale", 0, -1.0, "not the prior's scale"),
        ("model.prior.loc", 0, math.nan, "prior.loc not finite"),
        ("guide.hypernetwork.log_output_noise", 0, 1e30, "weights are not finite"),
        ("guide.hypernetwork.head.matrix", None, 3e38, "weights are not finite"),
    ],
)
def test_a_tensor_with_an_impossible_value_is_refused(
    tmp_path: Path, name: str, place: int | None, value: float, sentence: str
) -> None:
    record, tensors = held("regression")
    with pytest.raises(ModelFileError, match=sentence):
        loaded(tmp_path / "m", record, with_value(tensors, name, place, value), "regression")


def test_both_scales_may_not_be_negative_together(tmp_path: Path) -> None:
    record, tensors = held("array")
    for name in ("guide.hypernetwork.unit", "model.prior.scale"):
        tensors = with_value(tensors, name, None, -1.0)
    with pytest.raises(ModelFileError, match="above 0"):
        loaded(tmp_path / "m", record, tensors)


def test_an_audit_that_was_infinite_and_bounds_that_cross_by_chance_are_kept(tmp_path: Path) -> None:
    """A draw without any likelihood has no error; the same draws with the truth and without it may cross."""
    record, tensors = held("ordered")
    infinite = {f"elbo_{kind}": -math.inf for kind in ("lower", "upper", "linearized")}
    errors = {f"{name}_error": math.nan for name in infinite}
    crossed = {"entropy_lower": 1.0, "entropy_upper": 1.0 - math.log(65 / 64)}
    audit = {**record["audit"], **infinite, **errors, **crossed, "psis": None}
    model = loaded(tmp_path / "m", record | {"audit": audit}, tensors, "ordered")
    assert model.audit().elbo_upper == -math.inf


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_loads_with_another_number_predicts_finite_ones(tmp_path: Path, name: str) -> None:
    """Any number of the draws or the encoder, made an extreme one."""
    record, tensors = held(name)
    refused, rows = 0, CASES[name].fresh()
    chosen = [one for one in tensors if one == "draws" or one.startswith("encoder.")]
    for one in (one for one in chosen if tensors[one].is_floating_point() and tensors[one].numel()):
        for value in (-1.0, 0.0, 1e30, -1e30, 1e-320, 1e300):
            try:
                model = loaded(tmp_path / "m", record, with_value(tensors, one, -1, value), name)
            except ModelFileError:
                refused += 1
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of rows that are far, by the file's own scale
                found = predictions(model, rows)
            near = (np.abs(found["encoded"]) < 1e3).all(axis=1)
            assert all(np.isfinite(values[near]).all() for values in found.values()), (one, value)
    assert refused
