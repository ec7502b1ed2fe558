from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bayeshyper import HyperRegressor
from bayeshyper.errors import RecipeError
from bayeshyper.models import MLP, Target
from bayeshyper.recipes import read_recipe
from tests.models.zoo import ZOO


def trained() -> nn.Module:
    """A network whose tensors, statistics among them, are those of nobody's initialisation."""
    network, _, _ = ZOO["convnet"]()
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.copy_(torch.rand(tensor.shape).add(1).mul(7))
    return network


@pytest.mark.parametrize("kind", ["mapping", "m.pt", "m.pth", "m.safetensors", "m"])
def test_a_target_starts_at_the_pretrained_state(kind: str, tmp_path: Path) -> None:
    state = trained().state_dict()
    path = tmp_path / kind
    if kind.endswith(".safetensors"):
        save_file(state, path)
    elif kind != "mapping":
        torch.save(state, path)
    network, x, _ = ZOO["convnet"]()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    target = Target(network, pretrained=state if kind == "mapping" else path)
    assert all(torch.equal(target.network.state_dict()[name], tensor) for name, tensor in state.items())
    assert all(torch.equal(target.initial()[name], state[name]) for name in target.spec.names)
    target.set_statistics(x)  # they came along, and stay
    assert torch.equal(target.network[1].running_mean, state["1.running_mean"])
    # The user's network and the given state are nobody's to change.
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    with torch.no_grad():
        target.network[0].weight.zero_()
    assert state["0.weight"].all()


def test_half_precision_on_disk_is_a_start_like_another() -> None:
    state = {name: tensor.half() for name, tensor in nn.Linear(3, 1).state_dict().items()}
    target = Target(nn.Linear(3, 1), pretrained=state)
    assert target.initial()["weight"].dtype == torch.float32
    assert torch.equal(target.initial()["weight"], state["weight"].float())


def test_what_does_not_fit_is_named() -> None:
    state = nn.Linear(3, 2).state_dict()
    state["extra"] = torch.zeros(1)
    del state["bias"]
    with pytest.raises(
        ValueError,
        match=r"it lacks bias; it has what the network has not: extra; "
        r"it has weight of shape \(2, 3\) instead of \(1, 3\)",
    ):
        Target(nn.Linear(3, 1), pretrained=state)


def test_long_lists_are_cut() -> None:
    with pytest.raises(ValueError, match=r"lacks layers\.0\.weight, .*layers\.2\.bias, …; choose"):
        Target(MLP(3, 1, hidden=(4, 4)), pretrained={})


class Surprise:
    """What a pickle may run when it is read."""

    def __reduce__(self) -> tuple[type[collections.OrderedDict[str, int]], tuple[()]]:
        return collections.OrderedDict, ()


def write(kind: str, path: Path) -> None:
    if kind == "a checkpoint":
        torch.save({"epoch": 3, "model": nn.Linear(3, 1).state_dict()}, path)
    elif kind == "a tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "a module":
        torch.save(nn.Linear(3, 1), path)
    elif kind == "half a file":
        torch.save(nn.Linear(3, 1).state_dict(), path)
        path.write_bytes(path.read_bytes()[:300])
    else:
        path.write_bytes(b"" if kind == "nothing" else b"price,area\n1,2\n")


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("a checkpoint", "m.pt", r"holds a dict with epoch, model, expected a state dict.*take that out"),
        ("a tensor", "m.pt", "holds a Tensor, expected a state dict"),
        ("a module", "m.pt", r"cannot be read as a state dict; write one with torch\.save"),
        ("half a file", "m.pt", "cannot be read as a state dict"),
        ("nothing", "m.pt", "cannot be read as a state dict"),
        ("text", "m.pt", "cannot be read as a state dict"),
        ("text", "m.safetensors", "cannot be read as a state dict"),
    ],
)
def test_a_file_of_something_else_is_told_so(kind: str, name: str, sentence: str, tmp_path: Path) -> None:
    write(kind, tmp_path / name)
    with pytest.raises(ValueError, match=sentence):
        Target(nn.Linear(3, 1), pretrained=tmp_path / name)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.pt to take pretrained weights from"):
        Target(nn.Linear(3, 1), pretrained=tmp_path / "none.pt")


# -- from a recipe ----------------------------------------------------------------------------------------

QUICK = {"optimizer.steps": 3, "warm_start.steps": 3, "warm_start.natural_steps": 0}


def table() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 3))
    return X, X[:, 0] + 0.1 * generator.normal(size=40)


def test_a_recipe_names_the_file_and_the_model_no_longer_needs_it(tmp_path: Path) -> None:
    X, y = table()
    path = tmp_path / "start.pt"
    with torch.no_grad():
        start = MLP(3, 1, hidden=[4])
        for parameter in start.parameters():
            parameter.fill_(0.25)
    torch.save(start.state_dict(), path)
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'[target]\nnetwork = "mlp"\nhidden = [4]\npretrained = "{path.as_posix()}"\n')
    still = {"warm_start.learning_rate": 1e-9, "optimizer.learning_rate": 1e-9}
    model = HyperRegressor(recipe, settings={**QUICK, **still}, random_state=0).fit(X, y)
    mean = model._guide.hypernetwork.mean[0, : model._model.target.spec.size]
    torch.testing.assert_close(mean, torch.full_like(mean, 0.25), rtol=0, atol=1e-6)
    model.save(tmp_path / "m.bayeshyper")
    path.unlink()
    loaded = HyperRegressor.load(tmp_path / "m.bayeshyper")
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert loaded.recipe_ == model.recipe_ == read_recipe("models", recipe)


def test_a_recipe_with_another_networks_file_is_refused(tmp_path: Path) -> None:
    X, y = table()
    torch.save(MLP(3, 1, hidden=[7]).state_dict(), tmp_path / "start.pt")
    settings = {**QUICK, "target.pretrained": str(tmp_path / "start.pt")}
    with pytest.raises(RecipeError, match=r"layers\.0\.weight of shape \(7, 3\) instead of \(50, 3\)"):
        HyperRegressor(settings=settings, random_state=0).fit(X, y)
