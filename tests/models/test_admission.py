from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bayeshyper import HyperRegressor
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import ImplicitGuide, OptimizerSettings, SVISettings, WarmStartSettings, fit
from bayeshyper.models import BayesianModel, Conditional, FanInPrior, Gaussian, Target
from bayeshyper.prediction import WeightEnsemble


class Tied(nn.Module):
    """One matrix under two names, and then transposed: as in a tied autoencoder."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.last(self.second(torch.tanh(self.first(x))))
        return output


class Tables(nn.Module):
    """Integer buffers that are used: which columns are taken, and how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.register_buffer("columns", torch.tensor([2, 0]))
        self.register_buffer("mask", torch.tensor([True, False, True]))
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.linear(self.norm(x[:, self.columns] * self.mask[self.columns]))
        return output


def with_integers() -> nn.Module:
    network = nn.Linear(3, 1)
    network.steps = nn.Parameter(torch.tensor([1, 2]), requires_grad=False)
    return network


def weight_norm_of_old() -> nn.Module:
    with pytest.warns(FutureWarning, match="weight_norm"):
        network = nn.utils.weight_norm(nn.Linear(3, 1))
    network(torch.zeros(1, 3))
    return network


def scripted() -> nn.Module:
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.script"):
        inside: nn.Module = torch.jit.script(nn.Linear(3, 1))
    return nn.Sequential(inside)


class Pair(nn.Linear):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(x), x


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: nn.LazyLinear(1), r"lazy tensor 'weight'.*run the network on one batch"),
    (lambda: nn.Sequential(nn.LazyBatchNorm1d()), r"lazy tensor '0\.weight'"),
    (lambda: nn.Linear(3, 1, device="meta"), r"'weight' on the device meta.*to_empty"),
    (
        lambda: nn.Linear(3, 1).half(),
        r"'weight' of torch\.float16, expected torch\.float32.*network\.float\(\)",
    ),
    (lambda: nn.Sequential(nn.Linear(3, 1), nn.BatchNorm1d(1).bfloat16()), r"'1\.weight' of torch\.bfloat16"),
    (lambda: nn.Linear(3, 1, dtype=torch.complex64), "complex64, expected real numbers"),
    (
        lambda: nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 1).double()),
        "float32 and torch.float64, expected one",
    ),
    (with_integers, "'steps' of torch.int64, expected real numbers"),
    (lambda: nn.ReLU(), "without parameters"),
    (lambda: nn.Linear, "the class Linear as the network, expected an instance"),
    (lambda: torch.tanh, "a builtin_function_or_method as the network"),
    (lambda: nn.DataParallel(nn.Linear(3, 1)), r"pass network\.module"),
    (scripted, r"compiled by torch\.jit.*pass the module"),
    (weight_norm_of_old, "cannot be copied.*parametrizations has weight_norm"),
    (
        lambda: nn.Sequential(nn.Linear(3, 1), nn.BatchNorm1d(1, track_running_stats=False)),
        "BatchNorm '1' without running statistics.*track_running_stats=True",
    ),
]


def with_start(value: float) -> nn.Module:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    nn.init.constant_(network[1].bias, value)
    return network


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_start_that_is_no_number_is_refused_by_name(value: float) -> None:
    broken = with_start(value)
    with pytest.raises(ValueError, match=r"starts with '1\.bias' not finite"):
        Target(broken)
    # Whichever it comes from: what counts are the values after the pretrained ones are read.
    with pytest.raises(ValueError, match=r"starts with '1\.bias' not finite"):
        Target(with_start(0.0), pretrained=broken.state_dict())
    assert Target(broken, pretrained=with_start(0.0).state_dict()).spec.size == 11


def test_a_buffer_may_be_infinite() -> None:
    network = nn.Linear(3, 1)
    network.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    assert Target(network).spec.size == 4


@pytest.mark.parametrize(("make", "sentence"), REFUSED)
def test_what_cannot_be_a_target_is_told_why(make: Callable[[], nn.Module], sentence: str) -> None:
    network = make()
    with pytest.raises(ValueError, match=f"(?s){sentence}"):
        Target(network)


def test_a_network_that_gives_no_tensor_is_told_so() -> None:
    target = Target(Pair(3, 1))
    with pytest.raises(ValueError, match=r"gives a tuple, expected one tensor"):
        target(torch.zeros(2, 4), torch.zeros(5, 3))


def test_once_the_obstacle_is_removed_it_is_taken() -> None:
    """What the sentences advise."""
    lazy = nn.LazyLinear(1)
    lazy(torch.zeros(1, 3))
    nowhere = nn.Linear(3, 1, device="meta").to_empty(device="cpu")
    nowhere.load_state_dict(lazy.state_dict())
    for network in (lazy, nowhere, nn.Linear(3, 1).half().float()):
        assert Target(network).spec.size == 4
    assert Target(with_integers(), ["weight", "bias"]).spec.names == ("weight", "bias")


# -- tied weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("globs", "names"),
    [
        (["*"], ["first.weight", "first.bias", "second.bias", "last.weight", "last.bias"]),
        (["first.weight"], ["first.weight"]),
        (["second.weight"], ["first.weight"]),
        (["second.*", "first.weight"], ["first.weight", "second.bias"]),
    ],
)
def test_a_tensor_of_two_names_is_one_and_either_name_chooses_it(globs: list[str], names: list[str]) -> None:
    network = Tied().double()
    target = Target(network, globs)
    assert list(target.spec.names) == names
    assert not target.network.first.weight.requires_grad
    assert target.network.second.weight is target.network.first.weight
    # Both uses see the drawn values.
    weights, x = torch.randn(3, target.spec.size).double(), torch.randn(5, 3).double()
    for row, found in zip(weights, target(weights, x), strict=True):
        plain = copy.deepcopy(network)
        with torch.no_grad():
            for name, value in target.spec.unflatten(row).items():
                plain.get_parameter(name).copy_(value)
        assert plain.second.weight is plain.first.weight
        torch.testing.assert_close(found, plain(x), rtol=1e-12, atol=1e-12)


def test_tied_weights_are_fitted_as_one_and_come_out_as_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(30, 3)
    target = Target(Tied())
    model = BayesianModel(target, FanInPrior(), Gaussian(), num_data=30)
    mean = torch.cat([target.spec.flatten(target.initial()), torch.zeros(1)]).unsqueeze(0)
    guide = ImplicitGuide(model, HypernetworkSettings(noise_dim=2).build(mean, model.prior.scale))
    settings = SVISettings(optimizer=OptimizerSettings(steps=5), warm_start=WarmStartSettings(steps=5))
    fit(model, guide, x, x[:, 0], settings)
    ensemble = WeightEnsemble(guide.hypernetwork.sample(3).detach(), model.spec, target)
    drawn = target.spec.unflatten(ensemble.weights[:, : target.spec.size])["first.weight"]
    for module, weight in zip(ensemble.modules(), drawn, strict=True):
        assert torch.equal(module.first.weight, weight)
        assert torch.equal(module.second.weight, weight)


# -- what a module keeps ----------------------------------------------------------------------------------


class Keeping(nn.Module):
    """Keeps what it computed, as attention does for those who plot it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)
        self.hidden: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.hidden = self.also = torch.tanh(self.first(x))
        output: Tensor = self.last(self.hidden)
        return output


def test_what_a_module_keeps_of_its_run_is_forgotten() -> None:
    target = Target(Keeping())
    weights = torch.randn(3, target.spec.size, requires_grad=True)
    x = torch.randn(5, 3)
    for draws in (weights, weights[:1]):
        target(draws, x)
    law = Conditional(weights.unsqueeze(0), torch.ones(1, 1, target.spec.size))
    target.forward_local(weights, law, x)
    assert target.vectorizes(x)
    assert target.network.hidden is None
    assert not hasattr(target.network, "also")
    copy.deepcopy(target)  # which refuses tensors that were computed


# -- buffers ----------------------------------------------------------------------------------------------


def test_integer_buffers_stay_what_they_are() -> None:
    network = Tables()
    target = Target(network).double()
    assert target.network.columns.dtype == torch.int64
    assert target.network.mask.dtype == torch.bool
    assert target.spec.names == ("linear.weight", "linear.bias", "norm.weight", "norm.bias")
    x = torch.randn(6, 3, dtype=torch.float64)
    target.set_statistics(x)
    assert target.network.norm.num_batches_tracked.tolist() == 1
    weights = torch.randn(4, target.spec.size, dtype=torch.float64)
    expected = [
        torch.func.functional_call(target.network, target.spec.unflatten(row), (x,)) for row in weights
    ]
    torch.testing.assert_close(target(weights, x), torch.stack(expected), rtol=1e-12, atol=1e-12)


# -- globs ------------------------------------------------------------------------------------------------


def test_globs_given_as_text_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the text 'head\.\*' as globs.*\['head\.\*'\]"):
        Target(Tied(), "head.*")


def test_a_name_that_reads_like_a_pattern_is_a_name() -> None:
    network = nn.ModuleDict({"a[0]": nn.Linear(1, 1)})
    assert Target(network, ["a[0].weight"]).spec.names == ("a[0].weight",)


def test_globs_that_choose_no_numbers_are_refused() -> None:
    network = nn.Linear(3, 1)
    network.empty = nn.Parameter(torch.empty(0))
    with pytest.raises(ValueError, match="empty hold no numbers"):
        Target(network, ["empty"])


# -- the way in that most take ----------------------------------------------------------------------------


def test_an_estimator_takes_a_network_of_doubles() -> None:
    """A fit is in float32 whatever it is given; the user's module stays as it is."""
    network = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Tanh(), nn.Linear(3, 1)).double()
    x = torch.randn(30, 2).numpy()
    settings = {"optimizer.steps": 3, "warm_start.steps": 3, "warm_start.natural_steps": 0}
    model = HyperRegressor(network=network, settings=settings, random_state=0).fit(x, x[:, 0])
    assert model.predict(x).shape == (30,)
    assert network[0].weight.dtype == torch.float64
