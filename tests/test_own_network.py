"""A network of the user's own: what is asked of it, from a fit to a file and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bayeshyper
from bayeshyper import DataError, HyperClassifier, HyperRegressor, ModelFileError
from bayeshyper.errors import RecipeError

QUICK = {"members": 1, "warm_start.steps": 10, "warm_start.natural_steps": 5, "optimizer.steps": 10}

X = np.random.default_rng(0).normal(size=(60, 3))
Y = X[:, 0] + np.tanh(X[:, 1])


def perceptron(
    activation: Callable[[], nn.Module] = nn.Tanh, *, inputs: int = 3, outputs: int = 1
) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 4), activation(), nn.Linear(4, outputs))


class Tied(nn.Module):
    """One matrix under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.last(torch.tanh(self.b(torch.tanh(self.a(x)))))
        return output


class Lookup(nn.Module):
    """Takes whole numbers from 0 to 3 alone: rows that nobody can make up."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(4, 2), nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.last(self.table((x[:, 0] > 0).long() + 7 * (x.abs() > 3).any().long()))
        return output


def fitted(network: nn.Module, **settings: Any) -> HyperRegressor:
    model = HyperRegressor(network=network, settings={**QUICK, **settings}, random_state=0, verbose=False)
    return model.fit(X, Y)


@pytest.mark.parametrize("bayesian", [["*"], ["last.*"]])
def test_tied_weights_come_back_from_a_file_to_the_bit(tmp_path: Path, bayesian: list[str]) -> None:
    model = fitted(Tied(), **{"target.bayesian": bayesian})
    model.save(tmp_path / "m.bayeshyper")
    loaded = bayeshyper.load(tmp_path / "m.bayeshyper", network=Tied())
    assert np.array_equal(loaded.predict(X), model.predict(X))
    network = loaded._model.target.network
    assert network.a.weight is network.b.weight


def test_another_network_of_the_same_tensors_is_refused(tmp_path: Path) -> None:
    model = fitted(perceptron(nn.Tanh))
    model.save(tmp_path / "m.bayeshyper")
    for other in (nn.ReLU, nn.ELU, nn.Hardtanh):
        with pytest.raises(
            ModelFileError, match=r"other outputs than the Sequential.*pass the same architecture"
        ):
            bayeshyper.load(tmp_path / "m.bayeshyper", network=perceptron(other))
    loaded = bayeshyper.load(tmp_path / "m.bayeshyper", network=perceptron(nn.Tanh))
    assert np.array_equal(loaded.predict(X), model.predict(X))
    # What was loaded is saved with the same outputs beside it.
    loaded.save(tmp_path / "again.bayeshyper")
    with pytest.raises(ModelFileError, match="other outputs"):
        bayeshyper.load(tmp_path / "again.bayeshyper", network=perceptron(nn.ReLU))


def test_a_network_of_other_tensors_is_refused_in_one_sentence(tmp_path: Path) -> None:
    fitted(perceptron()).save(tmp_path / "m.bayeshyper")
    others = {
        r"\(0\.weight\)": perceptron(inputs=5),
        r"\(2\.weight, 2\.bias\)": perceptron(outputs=2),
        r"\(weight, bias, 0\.bias, 0\.weight and 2 more\)": nn.Linear(3, 1),
    }
    for names, other in others.items():
        with pytest.raises(
            ModelFileError, match=f"^The network passed has other tensors {names} than the Seq"
        ) as e:
            bayeshyper.load(tmp_path / "m.bayeshyper", network=other)
        assert "\n" not in str(e.value)


def test_a_network_that_takes_no_made_up_rows_is_saved_all_the_same(tmp_path: Path) -> None:
    inside = np.clip(X, -1, 1)
    model = HyperRegressor(network=Lookup(), settings=QUICK, random_state=0, verbose=False).fit(inside, Y)
    model.save(tmp_path / "m.bayeshyper")
    loaded = bayeshyper.load(tmp_path / "m.bayeshyper", network=Lookup())
    assert np.array_equal(loaded.predict(inside), model.predict(inside))


class Fifth(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, 4].unsqueeze(1))


@pytest.mark.parametrize("inference", [None, "bayes"])
@pytest.mark.parametrize("network", [perceptron(inputs=5), Fifth(1, 1)])
def test_a_network_of_other_inputs_is_told_how_many_there_are(
    inference: str | None, network: nn.Module
) -> None:
    model = HyperRegressor(inference=inference, network=network, settings=QUICK, verbose=False)
    with pytest.raises(
        DataError, match=r"gives 3 encoded inputs per row, which the \w+ .* refused \("
    ) as refused:
        model.fit(X, Y)
    assert isinstance(refused.value.__cause__, (RuntimeError, IndexError))
    assert "\n" not in str(refused.value)


def test_two_outputs_for_two_classes_are_for_the_categorical_which_is_offered() -> None:
    labels = np.where(Y > 0, "up", "down")
    network = perceptron(outputs=2)
    with pytest.raises(ValueError, match=r'last layer, or set likelihood\.family = "categorical"\.'):
        HyperClassifier(network=network, settings=QUICK, random_state=0, verbose=False).fit(X, labels)
    settings = QUICK | {"likelihood.family": "categorical"}
    model = HyperClassifier(network=network, settings=settings, random_state=0, verbose=False).fit(X, labels)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0, rtol=1e-12)
    assert model.predict_proba(X).shape == (60, 2)


def test_settings_that_would_build_a_network_are_refused_beside_one() -> None:
    for settings in ({"target.hidden": [8]}, {"target": {"activation": "tanh"}}, {"target.network": "mlp"}):
        with pytest.raises(RecipeError, match=r"Got target\.(hidden|activation|network) and network="):
            HyperRegressor(network=perceptron(), settings=settings, verbose=False).fit(X, Y)
    # What merely stands in the recipe is its default, and not asked for.
    model = HyperRegressor({"target": {"hidden": [8]}}, network=perceptron(), settings=QUICK, verbose=False)
    assert model.fit(X, Y)._model.target.spec.size == 21
