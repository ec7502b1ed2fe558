from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bayeshyper import HyperRegressor
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import ImplicitGuide, OptimizerSettings, SVISettings, WarmStartSettings, fit
from bayeshyper.models import BayesianModel, FanInPrior, Gaussian, Target
from bayeshyper.models.statistics import BATCH, ROWS, set_statistics
from tests.models.zoo import ZOO

SHORT = SVISettings(optimizer=OptimizerSettings(steps=3), warm_start=WarmStartSettings(steps=3))


def norms(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}


def normalised(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What each BatchNorm gives, before its own γ and β: they are 1 and 0 in a fresh network."""
    seen = {}
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
        for name, module in norms(network).items()
    ]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("kind", ["convnet", "resnet"])
def test_a_fresh_network_gets_normalised_activations(kind: str) -> None:
    """Layer by layer: the second sees what the first, already normalised, gives."""
    network, x, _ = ZOO[kind]()
    target = Target(network.double())
    before = normalised(target.network, x.double())
    assert any(output.mean((0, 2, 3)).abs().max() > 0.1 for output in before.values())
    target.set_statistics(x.double())
    after = normalised(target.network, x.double())
    assert len(after) == len(norms(network)) > 1
    # The running variance is the unbiased one, over the rows' pixels: so far, and no further, is it from the
    # variance that each layer in its turn was normalised by.
    bound = 2 / (len(x) * 9)
    for output in after.values():
        assert output.mean((0, 2, 3)).abs().max() < bound
        assert (output.var((0, 2, 3)) - 1).abs().max() < bound + 1e-3  # and ε is added to it


def test_one_batch_gives_what_torch_itself_has_with_momentum_one() -> None:
    network, x, _ = ZOO["resnet"]()
    by_torch = copy.deepcopy(network).train()
    for module in norms(by_torch).values():
        module.momentum = 1.0
    by_torch(x)
    set_statistics(network, x)
    for name, module in norms(network).items():
        torch.testing.assert_close(module.running_mean, norms(by_torch)[name].running_mean)
        torch.testing.assert_close(module.running_var, norms(by_torch)[name].running_var)


def test_sorted_rows_are_taken_in_strides() -> None:
    """In blocks, the variance within each would miss that between them."""
    rows = 2 * ROWS
    x = torch.linspace(-3, 3, rows, dtype=torch.float64).unsqueeze(1)
    norm = nn.BatchNorm1d(1).double()
    set_statistics(norm, x)
    assert norm.num_batches_tracked == ROWS // BATCH
    assert norm.running_var.item() == pytest.approx(x.var().item(), rel=2 / BATCH)
    assert norm.momentum == 0.1


@pytest.mark.parametrize("kind", ["seen batches", "an old state dict"])
def test_statistics_that_are_there_stay_to_the_bit(kind: str) -> None:
    network, x, _ = ZOO["resnet"]()
    for module in norms(network).values():
        module.running_mean.uniform_(-1, 1)
        module.running_var.uniform_(0.5, 2)
        module.num_batches_tracked.fill_(7 if kind == "seen batches" else 0)
    before = copy.deepcopy(network.state_dict())
    assert set_statistics(network, x) == []
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_where_some_are_fresh_the_others_stay() -> None:
    network, x, _ = ZOO["resnet"]()
    network.eval()
    network.bn.num_batches_tracked.fill_(1)
    before = network.bn.running_mean.clone()
    assert set_statistics(network, x) == ["block.bn1", "block.bn2"]
    assert torch.equal(network.bn.running_mean, before)


def test_a_fit_sets_them_once_and_leaves_the_users_module_alone() -> None:
    network, x, y = ZOO["convnet"]()
    given = copy.deepcopy(network.state_dict())
    target = Target(network)
    model = BayesianModel(target, FanInPrior(), Gaussian(), num_data=len(x))
    mean = torch.cat([target.spec.flatten(target.initial()), torch.zeros(1)]).unsqueeze(0)

    def statistics() -> list[Tensor]:
        return [buffer.clone() for _, buffer in target.network.named_buffers()]

    expected = copy.deepcopy(network)
    set_statistics(expected, x)
    guide = ImplicitGuide(model, HypernetworkSettings(noise_dim=2).build(mean, model.prior.scale))
    fit(model, guide, x, y, SHORT)
    first = statistics()
    assert all(map(torch.equal, first, [buffer for _, buffer in expected.named_buffers()]))
    fit(model, guide, x[:20], y[:20], SHORT)  # going on with other rows
    assert all(map(torch.equal, first, statistics()))
    assert all(torch.equal(given[name], tensor) for name, tensor in network.state_dict().items())
    assert network.training


@pytest.mark.parametrize("kind", ["convnet", "resnet"])
def test_a_rows_prediction_does_not_depend_on_its_batch(kind: str) -> None:
    network, x, _ = ZOO[kind]()
    target = Target(network.double())
    target.set_statistics(x.double())
    weights = torch.randn(5, target.spec.size, dtype=torch.float64)
    alone = torch.cat([target(weights, row) for row in x[:6].double().split(1)], dim=1)
    together = target(weights, x.double())[:, :6]
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)


def test_one_row_has_no_variance() -> None:
    network = nn.BatchNorm1d(2)
    assert set_statistics(network, torch.ones(1, 2)) == []
    assert network.running_var.tolist() == [1.0, 1.0]


def with_norm(features: int) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, features)),
        nn.Conv1d(1, 3, 2),
        nn.BatchNorm1d(3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(3 * (features - 1), 1),
    )


def test_a_model_file_keeps_them(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    X = 3 + generator.normal(size=(40, 4))
    y = X[:, 0] * X[:, 1]
    settings = {"optimizer.steps": 5, "warm_start.steps": 5, "warm_start.natural_steps": 0}
    model = HyperRegressor(network=with_norm(4), settings=settings, random_state=0).fit(X, y)
    model.save(tmp_path / "m.bayeshyper")
    loaded = HyperRegressor.load(tmp_path / "m.bayeshyper", network=with_norm(4))
    assert np.array_equal(model.predict(X), loaded.predict(X))
    norm = loaded._model.target.network[2]
    assert norm.running_mean.abs().max() > 0
    assert norm.num_batches_tracked == 1
