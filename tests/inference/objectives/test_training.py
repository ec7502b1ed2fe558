"""Every objective by its name in a recipe: it trains, says what it is, and is named in the record."""

from __future__ import annotations

import numpy as np
import pytest

from bayeshyper import HyperRegressor
from bayeshyper.inference import OBJECTIVES, History, SVISettings

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
Y = np.sin(X[:, 0]) + 0.2 * rng.normal(size=60)
SETTINGS = {
    "target.hidden": [5],
    "hypernetwork.noise_dim": 3,
    "warm_start.steps": 50,
    "optimizer.steps": 80,
    "stopping.evaluate_every": 20,
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_chosen_by_name_is_raised_and_recorded(name: str) -> None:
    settings = {**SETTINGS, "objective": name}
    history = HyperRegressor("mlp", "bayes", settings=settings, random_state=0).fit(X, Y).history_
    assert history.elbo_per_datum[-1] > history.elbo_per_datum[0] + 0.1
    assert history.objective == OBJECTIVES[name].label
    assert history.entropy == "linearized"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_says_what_it_is(name: str) -> None:
    kind = OBJECTIVES[name]
    assert kind.estimates
    assert kind.direction
    assert kind.cost
    assert kind.__doc__


def test_a_record_from_before_there_was_a_choice_was_of_the_elbo() -> None:
    record = History(steps=[1], elbo_per_datum=[-1.0]).to_dict()
    del record["objective"], record["entropy"]
    assert History.from_dict(record).objective == "ELBO"


def test_what_cannot_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match="Got entropy 'stein' with the objective 'renyi'"):
        SVISettings(objective="renyi", entropy="stein")
    with pytest.raises(ValueError, match="Got alpha = 2"):
        SVISettings(objective="renyi", alpha=2.0)
    with pytest.raises(ValueError, match=r"Got entropy_options\.inner, expected none"):
        SVISettings(entropy_options={"inner": 3})
    SVISettings(objective="elbo", alpha=2.0)  # which has no α
