"""Public Pyro examples, run again: each with its own guide and with ours, and what is said of both."""

from __future__ import annotations

import dataclasses
import importlib
import math
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from bayeshyper import AutoHypernetwork

BENCHMARKS = Path(__file__).parents[1] / "examples" / "benchmarks"


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("pyro_examples")
    monkeypatch.setattr(module, "EVALUATIONS", 4)
    monkeypatch.setattr(module, "VECTORIZED", 2)
    return module


@pytest.mark.parametrize("number", range(15))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_example_runs_with_its_own_guide_and_with_ours(harness: Any, number: int) -> None:
    made = dataclasses.replace(harness.example(harness.EXAMPLES[number]), steps=2)
    ours = partial(AutoHypernetwork, search=False, noise_dim=2, hidden=(4,))
    for guide_of in (made.guide, ours):
        elbo, error, seconds = harness.run(made, guide_of, seed=0)
        assert all(map(math.isfinite, (elbo, error, seconds)))


def test_there_are_no_more_examples_than_are_tried(harness: Any) -> None:
    assert len(harness.EXAMPLES) == 15


def test_a_run_is_the_same_again(harness: Any) -> None:
    made = dataclasses.replace(harness.example("introduction"), steps=3)
    first, again = (harness.run(made, made.guide, seed=1)[:2] for _ in range(2))
    other = harness.run(made, made.guide, seed=2)[:2]
    assert first == again != other


def test_the_banana_has_log_normaliser_0(harness: Any) -> None:
    model = harness.example("banana, flow").model
    shapes = importlib.import_module("public_examples.shapes")
    banana = shapes.Banana(*harness.example("banana, flow").data)
    torch.manual_seed(0)
    assert model.__module__ == shapes.__name__
    # ∫ p over a grid that holds all but 1e-5 of it.
    x, y = torch.meshgrid(torch.arange(-5.5, 5.5, 0.02), torch.arange(-4.0, 28.0, 0.02), indexing="ij")
    total = banana.log_prob(torch.stack([x, y], -1)).exp().sum() * 0.02 * 0.02
    assert total.item() == pytest.approx(1.0, abs=1e-3)
    draws = banana.sample(torch.Size([20_000]))
    assert draws[:, 0].std().item() == pytest.approx(1.15, rel=0.03)


@pytest.mark.parametrize(
    ("ours", "own", "said"),
    [([-1.0, -1.1, -0.9], [-3.0, -3.1, -2.9], "better"), ([-3.0, -3.1], [-1.0, -1.1], "worse")],
)
def test_the_table_says_which_guide_is_better(
    harness: Any, ours: list[float], own: list[float], said: str
) -> None:
    assert said in harness.table(rows_of(ours, own)).splitlines()[-1]


def test_a_difference_below_two_standard_errors_is_noise(harness: Any) -> None:
    # ±0.1 are a standard deviation of 0.1 √2, and a standard error of 0.1, of either mean.
    line = harness.table(rows_of([0.1, -0.1], [0.25, 0.05], error=0.0)).splitlines()[-1]
    assert "-0.150 ± 0.141" in line
    assert "within noise" in line


def rows_of(ours: list[float], own: list[float], error: float = 0.01) -> pd.DataFrame:
    pairs = [("AutoHypernetwork", seed, elbo) for seed, elbo in enumerate(ours)]
    pairs += [("AutoNormal", seed, elbo) for seed, elbo in enumerate(own)]
    rows = [("introduction", guide, seed, elbo, error, 1.0, "a/b.ipynb", "") for guide, seed, elbo in pairs]
    return pd.DataFrame(
        rows, columns=["example", "guide", "seed", "elbo", "error", "seconds", "source", "versions"]
    )
