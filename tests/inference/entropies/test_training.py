"""Every estimator by its name in a recipe: it trains, and the audit sees what it gained."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bayeshyper import HyperRegressor
from bayeshyper.inference import ENTROPIES

# Correlated inputs, so that the weights' posterior is correlated too.
rng = np.random.default_rng(0)
CAUSE = rng.normal(size=(60, 1))
X = CAUSE + 0.3 * rng.normal(size=(60, 3))
Y = np.sin(CAUSE[:, 0]) + 0.2 * rng.normal(size=60)


def fitted(entropy: str, steps: int, **options: object) -> HyperRegressor:
    settings = {
        "target.hidden": [5],
        "hypernetwork.noise_dim": 3,
        "warm_start.steps": 50,
        "optimizer.steps": steps,
        "stopping.evaluate_every": 20,
        "entropy": entropy,
        **options,
    }
    return HyperRegressor("mlp", "bayes", settings=settings, random_state=0).fit(X, Y)


@cache
def start() -> float:
    """The audited ELBO after one step, which is next to nowhere: the same for all."""
    return fitted("linearized", 1).audit().elbo_upper


@pytest.mark.parametrize("name", ENTROPIES)
def test_an_estimator_chosen_by_name_raises_the_audited_elbo(name: str) -> None:
    # In nats, of a hundred or so between trained mean weights with next to no spread and the posterior.
    assert fitted(name, 80).audit().elbo_lower > start() + 8.0


@pytest.mark.parametrize("name", ["hierarchical", "prior-contrastive"])
def test_what_an_estimator_learned_is_saved_with_the_model(name: str, tmp_path: Path) -> None:
    model = fitted(name, 5, **{"entropy_options.hidden": 7})
    model.save(tmp_path / "m.bayeshyper")
    again = HyperRegressor.load(tmp_path / "m.bayeshyper")
    assert np.array_equal(model.predict(X), again.predict(X))
