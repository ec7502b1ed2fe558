from __future__ import annotations

import contextlib
import copy
import io
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bayeshyper.hypernets import Hypernetwork
from bayeshyper.inference import ImplicitGuide, OptimizerSettings, SVISettings, fit
from bayeshyper.models import MLP, BayesianModel, Conditional, FanInPrior, Gaussian, Target


class Tied(nn.Module):
    """One matrix in two places, as in a tied autoencoder."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.second(torch.tanh(self.first(x)))
        return output


class Scaled(nn.Module):
    """A 0-D parameter, and one that holds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))
        self.nothing = nn.Parameter(torch.empty(0, 3))
        self.linear = nn.Linear(3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.gain * self.linear(x) + self.nothing.sum()
        return output


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 3)),
        nn.Conv1d(1, 2, 2),
        nn.BatchNorm1d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4, 1),
    )


def normalised() -> nn.Module:
    network = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.LayerNorm(4), nn.Linear(4, 2)
    )
    network[1].running_mean = torch.linspace(-1, 1, 4)
    network[1].running_var = torch.linspace(0.5, 2, 4)
    return network


NETWORKS = [MLP, Tied, Scaled, convolutional, normalised]


def make(kind: Callable[..., nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return (kind(3, 2, hidden=(5,)) if kind is MLP else kind()).eval()


def state_bytes(module: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("draws", [1, 2, 7])
def test_many_weights_at_once_equal_a_loop_of_plain_modules(
    kind: Callable[..., nn.Module], draws: int
) -> None:
    network = make(kind).double()
    target = Target(network)
    weights = torch.randn(draws, target.spec.size, dtype=torch.float64)
    x = torch.randn(6, 3, dtype=torch.float64)
    loop = []
    for row in weights:
        plain = copy.deepcopy(network)
        plain.load_state_dict(target.spec.unflatten(row), strict=False)
        loop.append(plain(x))
    # the same float64 arithmetic in another order
    torch.testing.assert_close(target(weights, x), torch.stack(loop), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", NETWORKS)
def test_its_own_initial_weights_give_the_network_back(kind: Callable[..., nn.Module]) -> None:
    network = make(kind).double()
    target = Target(network)
    weights = target.spec.flatten(target.initial()).unsqueeze(0)
    x = torch.randn(6, 3, dtype=torch.float64)
    assert torch.equal(target(weights, x)[0], network(x))


def test_one_draw_alone_equals_the_same_draw_among_others() -> None:
    target = Target(make(normalised).double())
    weights, x = torch.randn(4, target.spec.size).double(), torch.randn(6, 3).double()
    alone = torch.cat([target(row.unsqueeze(0), x) for row in weights])
    torch.testing.assert_close(target(weights, x), alone, rtol=1e-11, atol=1e-11)


def test_gradients_equal_those_of_the_loop() -> None:
    target = Target(make(MLP).double())
    weights = torch.randn(3, target.spec.size, dtype=torch.float64, requires_grad=True)
    x = torch.randn(6, 3, dtype=torch.float64)
    (vectorised,) = torch.autograd.grad(target(weights, x).square().sum(), weights)
    looped = sum(
        functional_call(target.network, target.spec.unflatten(row), (x,)).square().sum() for row in weights
    )
    (expected,) = torch.autograd.grad(looped, weights)
    torch.testing.assert_close(vectorised, expected, rtol=1e-10, atol=1e-10)


# -- the user's module is never touched -------------------------------------------------------------------


def test_forward_leaves_the_given_module_as_it_was() -> None:
    network = make(normalised).train()
    before, flags = state_bytes(network), [p.requires_grad for p in network.parameters()]
    target = Target(network).eval()
    x = torch.randn(6, 3)
    weights = torch.randn(4, target.spec.size)
    target(weights, x)
    target(weights[:1], x)
    mean = torch.randn(1, 4, target.spec.size)
    target.forward_local(weights, Conditional(mean, torch.ones(1, 1, target.spec.size)), x)
    assert state_bytes(network) == before
    assert [p.requires_grad for p in network.parameters()] == flags
    assert network.training  # and in its own mode


def test_a_fit_leaves_the_given_module_as_it_was() -> None:
    network = make(MLP)
    before = state_bytes(network)
    model = BayesianModel(Target(network, ["layers.0.*"]), FanInPrior(), Gaussian2(), num_data=8)
    guide = ImplicitGuide(model, Hypernetwork(torch.zeros(1, model.spec.size), model.prior.scale))
    fitted = model.target.network.layers[2].weight.detach().clone()
    settings = SVISettings(optimizer=OptimizerSettings(steps=3))
    fit(model, guide, torch.randn(8, 3), torch.randn(8), settings)
    assert state_bytes(network) == before
    # while the copy's ordinary parameters did learn
    assert not torch.equal(model.target.network.layers[2].weight, fitted)


class Gaussian2(Gaussian):
    """A Gaussian that takes the first of two outputs."""

    n_outputs = 2


def test_the_network_stays_in_evaluation_mode_and_its_running_statistics_as_they_were() -> None:
    network = make(normalised).train()
    target = Target(network)
    target.train()
    before = state_bytes(target)
    target.layers(torch.randn(6, 3))
    target(torch.randn(2, target.spec.size), torch.randn(6, 3))
    assert state_bytes(target) == before
    assert not any(module.training for module in target.network.modules())
    assert all(module.training for module in network.modules())  # the user's own is as it was


def test_targets_of_one_module_run_in_threads_without_touching_it() -> None:
    network = make(MLP).double()
    before = state_bytes(network)
    targets = [Target(network) for _ in range(4)]
    x = torch.randn(6, 3, dtype=torch.float64)
    weights = [torch.randn(3, targets[0].spec.size, dtype=torch.float64) for _ in targets]
    expected = [target(w, x) for target, w in zip(targets, weights, strict=True)]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(50) if not torch.equal(targets[i](weights[i], x), expected[i]))

    in_threads([lambda i=i: work(i) for i in range(4)])
    assert not wrong
    assert state_bytes(network) == before


MEETING = threading.Barrier(2)


class Meeting(nn.Module):
    """Waits until two threads stand inside its forward, or gives up."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.meet()
        output: Tensor = self.linear(x)
        self.meet()
        return output

    def meet(self) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            MEETING.wait(timeout=0.5)


def in_threads(work: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_threads_may_run_the_same_target() -> None:
    MEETING.reset()
    target = Target(Meeting())
    weights, x = torch.tensor([[1.0, 1, 1, 0], [0.0, 0, 0, 5]]), torch.ones(2, 3)
    results: dict[int, Tensor] = {}

    def work(i: int) -> None:
        results[i] = target(weights[i : i + 1], x)

    in_threads([lambda i=i: work(i) for i in range(2)])
    assert results[0].unique().tolist() == [3.0]
    assert results[1].unique().tolist() == [5.0]


def test_deep_copies_are_independent() -> None:
    target = Target(make(MLP), ["layers.0.*"])
    x, weights = torch.randn(4, 3), torch.randn(2, target.spec.size)
    before = target(weights, x)
    twin = copy.deepcopy(target)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(target(weights, x), before)
    assert not torch.equal(twin(weights, x), before)


# -- which tensors are uncertain --------------------------------------------------------------------------


def test_globs_choose_and_the_rest_stay_the_networks_own() -> None:
    network = make(MLP).double()
    target = Target(network, ["layers.2.*"])
    assert target.spec.names == ("layers.2.weight", "layers.2.bias")
    weights, x = torch.randn(3, target.spec.size).double(), torch.randn(6, 3).double()
    hidden = network.layers[:2](x)
    w, b = weights[:, :10].reshape(3, 2, 5), weights[:, 10:]
    by_hand = torch.einsum("nf,sof->sno", hidden, w) + b[:, None]
    torch.testing.assert_close(target(weights, x), by_hand, rtol=1e-12, atol=1e-12)


def test_only_the_rest_is_trained_in_place() -> None:
    target = Target(make(MLP), ["*.bias"])
    trained = {name for name, p in target.network.named_parameters() if p.requires_grad}
    assert trained == {"layers.0.weight", "layers.2.weight"}
    weights = torch.zeros(2, target.spec.size)
    target(weights, torch.randn(4, 3)).sum().backward()
    assert all((p.grad is not None) == (name in trained) for name, p in target.network.named_parameters())


def test_frozen_parameters_stay_frozen() -> None:
    network = make(MLP)
    network.layers[0].weight.requires_grad_(False)
    target = Target(network, ["layers.2.*"])
    assert [name for name, p in target.network.named_parameters() if p.requires_grad] == ["layers.0.bias"]


def test_overlapping_globs_choose_a_tensor_once_in_the_networks_order() -> None:
    target = Target(make(MLP), ["*.bias", "layers.0.*"])
    assert target.spec.names == ("layers.0.weight", "layers.0.bias", "layers.2.bias")


@pytest.mark.parametrize("globs", [["layers.7.*"], ["*", "Layers.0.*"]])
def test_a_glob_that_matches_nothing_is_refused(globs: list[str]) -> None:
    with pytest.raises(ValueError, match=r"matches no parameter; the network has layers\.0\.weight"):
        Target(make(MLP), globs)


def test_a_network_without_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="without parameters"):
        Target(nn.ReLU())


def test_no_glob_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no globs"):
        Target(make(MLP), [])


def test_tied_weights_are_one_tensor() -> None:
    target = Target(Tied())
    assert target.spec.size == 3 * 3 + 3 + 3


def test_moving_to_float64_moves_every_tensor() -> None:
    target = Target(make(normalised)).double()
    assert {t.dtype for t in target.state_dict().values()} == {torch.float64, torch.int64}  # batches counted
    assert (
        target(torch.randn(2, target.spec.size).double(), torch.randn(3, 3).double()).dtype == torch.float64
    )


class LastState(nn.Module):
    """A recurrent network for which vmap has no rule, and a Linear on top."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(3, 2, batch_first=True)
        self.last = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.last(self.cell(x)[0][:, -1])
        return output


def looped(network: nn.Module, weights: Tensor, x: list[Tensor]) -> Tensor:
    plain, results = Target(network), []
    for row, inputs in zip(weights, x, strict=True):
        module = copy.deepcopy(network)
        module.load_state_dict(plain.spec.unflatten(row), strict=False)
        results.append(module(inputs))
    return torch.stack(results)


def test_a_network_that_vmap_cannot_run_is_run_in_a_loop() -> None:
    network = LastState().double()
    target = Target(network)
    weights, x = torch.randn(3, target.spec.size).double(), torch.randn(4, 5, 3).double()
    for _ in range(2):  # and the second time without trying
        torch.testing.assert_close(
            target(weights, x), looped(network, weights, [x] * 3), rtol=1e-12, atol=1e-12
        )


def test_its_weights_are_sampled_where_vmap_cannot_run_it() -> None:
    target = Target(LastState().double())
    mean = torch.randn(1, 3, target.spec.size, dtype=torch.float64)
    law = Conditional(mean, torch.full((1, 1, target.spec.size), 1e-9, dtype=torch.float64))
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    # next to no noise: the outputs are those of the mean weights, to √MIN_VARIANCE = 1e-6 and five σ
    torch.testing.assert_close(target.forward_local(mean[0], law, x), target(mean[0], x), rtol=0, atol=1e-5)
