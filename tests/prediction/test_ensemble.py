from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bayeshyper.container import write_container
from bayeshyper.errors import ModelFileError
from bayeshyper.models import MLP, Target, WeightSpec
from bayeshyper.prediction import WeightEnsemble


def make(draws: int = 5, dtype: torch.dtype = torch.float32) -> WeightEnsemble:
    """A network's tensors and a latent behind them, as a fitted model has them."""
    target = Target(MLP(3, 2, hidden=(4,)).to(dtype))
    spec = target.spec + WeightSpec([("log_scale", ())])
    return WeightEnsemble(torch.randn(draws, spec.size, dtype=dtype), spec, target)


def test_a_name_gives_all_draws_of_its_tensor() -> None:
    ensemble = make()
    assert ensemble["layers.0.weight"].shape == (5, 4, 3)
    assert ensemble["log_scale"].shape == (5,)
    assert torch.equal(ensemble["log_scale"], ensemble.weights[:, -1])
    rows = torch.cat([ensemble[name].reshape(5, -1) for name in ensemble.names], dim=1)
    assert torch.equal(rows, ensemble.weights)


def test_an_unknown_name_is_a_key_error_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"'weight', expected one of layers\.0\.weight, .*log_scale"):
        make()["weight"]


@pytest.mark.parametrize("draws", [1, 5])
def test_modules_give_the_targets_outputs(draws: int) -> None:
    ensemble, x = make(draws, torch.float64), torch.randn(6, 3, dtype=torch.float64)
    target = ensemble.target
    assert target is not None
    expected = target(ensemble.weights[:, : target.spec.size], x)
    actual = torch.stack([module(x) for module in ensemble.modules()])
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    assert len(list(ensemble.modules())) == len(ensemble) == draws


def test_modules_keep_what_is_not_uncertain() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).eval()
    network[1].running_mean = torch.linspace(-1, 1, 4)
    target = Target(network, ["2.*"])
    ensemble = WeightEnsemble(torch.randn(3, target.spec.size), target.spec, target)
    x = torch.randn(6, 3)
    for module, expected in zip(ensemble.modules(), target(ensemble.weights, x), strict=True):
        assert not module.training
        torch.testing.assert_close(module(x), expected)


def test_modules_are_the_users_to_change() -> None:
    ensemble, x = make(), torch.randn(6, 3)
    assert ensemble.target is not None
    before = ensemble.target(ensemble.weights[:, :-1], x), ensemble.weights.clone()
    for module in ensemble.modules():
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.zero_()
    assert all((p != 0).any() for p in ensemble.target.parameters())
    first, second = list(ensemble.modules())[:2]
    assert not torch.equal(first(x), second(x))
    assert torch.equal(ensemble.target(ensemble.weights[:, :-1], x), before[0])
    assert torch.equal(ensemble.weights, before[1])


def test_without_a_network_there_are_numbers_only() -> None:
    ensemble = make()
    alone = WeightEnsemble(ensemble.weights, ensemble.spec)
    with pytest.raises(ValueError, match="without its network"):
        next(alone.modules())


@pytest.mark.parametrize("shape", [(5, 26), (27,), (5, 28), (1, 5, 27)])
def test_weights_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(S, 27\)"):
        WeightEnsemble(torch.zeros(shape), make().spec)


# -- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("draws", [1, 2, 5])
def test_saving_and_loading_gives_the_same_bits(tmp_path: Path, draws: int, dtype: torch.dtype) -> None:
    ensemble = make(draws, dtype)
    ensemble.save(tmp_path / "e.safetensors")
    again = WeightEnsemble.load(tmp_path / "e.safetensors", ensemble.target)
    assert again.spec == ensemble.spec
    assert again.weights.dtype == dtype
    assert torch.equal(again.weights, ensemble.weights)
    x = torch.randn(2, 3, dtype=dtype)
    for one, two in zip(ensemble.modules(), again.modules(), strict=True):
        assert torch.equal(one(x), two(x))


def test_anyone_with_safetensors_can_read_it(tmp_path: Path) -> None:
    ensemble = make()
    ensemble.save(str(tmp_path / "e.safetensors"))
    tensors = load_file(tmp_path / "e.safetensors")
    assert set(tensors) == set(ensemble.names)
    assert all(torch.equal(tensors[name], ensemble[name]) for name in ensemble.names)


def test_weights_that_learn_are_saved_by_value(tmp_path: Path) -> None:
    ensemble = make()
    ensemble.weights = ensemble.weights.requires_grad_()
    ensemble.save(tmp_path / "e.safetensors")
    assert torch.equal(WeightEnsemble.load(tmp_path / "e.safetensors").weights, ensemble.weights)


def test_any_truncation_is_a_model_file_error(tmp_path: Path) -> None:
    path = tmp_path / "e.safetensors"
    make(2).save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            WeightEnsemble.load(path)


@given(st.binary(max_size=200))
def test_junk_is_a_model_file_error(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "e"
    path.write_bytes(junk)
    with pytest.raises(ModelFileError):
        WeightEnsemble.load(path)


def test_every_flipped_bit_is_a_model_file_error(tmp_path: Path) -> None:
    path = tmp_path / "e.safetensors"
    make(2).save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 2):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            WeightEnsemble.load(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_draws_that_are_no_numbers_are_a_model_file_error(tmp_path: Path, number: float) -> None:
    ensemble = make(2)
    ensemble.weights[1, 0] = number
    ensemble.save(tmp_path / "e.safetensors")
    with pytest.raises(ModelFileError, match="not finite"):
        WeightEnsemble.load(tmp_path / "e.safetensors")


@pytest.mark.parametrize(
    ("network", "differing"),
    [
        (MLP(3, 2, hidden=(5,)), r"layers\.0\.weight"),
        (MLP(4, 2, hidden=(4,)), r"layers\.0\.weight"),
        (MLP(3, 2, hidden=(4, 4)), r"layers\.2\.weight"),
        (nn.Linear(3, 2), r"layers\.2\.weight, layers\.2\.bias"),
        (nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(3, 4)])}), r"layers\.2\.weight, layers\.2\.bias"),
    ],
)
def test_draws_of_another_network_are_a_model_file_error(
    tmp_path: Path, network: nn.Module, differing: str
) -> None:
    make(2).save(tmp_path / "e.safetensors")
    with pytest.raises(ModelFileError, match=f"another network.* {differing}"):
        WeightEnsemble.load(tmp_path / "e.safetensors", Target(network))


def test_draws_of_some_tensors_belong_to_a_network_of_which_these_are_bayesian(tmp_path: Path) -> None:
    target = Target(MLP(3, 2), ["layers.2.*"])
    WeightEnsemble(torch.ones(2, target.spec.size), target.spec).save(tmp_path / "e")
    assert len(list(WeightEnsemble.load(tmp_path / "e", target).modules())) == 2
    with pytest.raises(ModelFileError, match="another network"):
        WeightEnsemble.load(tmp_path / "e", Target(MLP(3, 2)))


def test_no_draws_and_draws_of_other_types_are_refused() -> None:
    spec = make().spec
    for weights in (torch.zeros(0, spec.size), torch.zeros(2, spec.size, dtype=torch.float16)):
        with pytest.raises(ValueError, match=r"draws of .*, expected at least one, of float32 or float64"):
            WeightEnsemble(weights, spec)


def test_someone_elses_file_is_not_an_ensemble(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelFileError, match="not a bayeshyper ensemble"):
        WeightEnsemble.load(tmp_path / "other.safetensors")


HEADER = {
    "format": "bayeshyper-ensemble",
    "version": "1",
    "draws": "2",
    "shapes": json.dumps([["a", [3]], ["b", []]]),
}
HELD = {"a": torch.zeros(2, 3), "b": torch.zeros(2)}


def test_the_header_of_the_cases_below_is_right(tmp_path: Path) -> None:
    save_file(HELD, tmp_path / "e", metadata=HEADER)
    assert WeightEnsemble.load(tmp_path / "e").weights.shape == (2, 4)


@pytest.mark.parametrize(
    ("change", "tensors"),
    [
        ({"version": "2"}, HELD),
        ({"version": "new"}, HELD),
        ({"format": "bayeshyper-model"}, HELD),
        ({"shapes": "["}, HELD),
        ({"shapes": "3"}, HELD),
        ({"shapes": json.dumps([["a", [3]], ["a", []]])}, HELD),
        ({"shapes": json.dumps([["a", [4]], ["b", []]])}, HELD),
        ({"shapes": json.dumps([["a", ["x"]], ["b", []]])}, HELD),
        ({}, {"a": HELD["a"]}),
        ({}, {"a": HELD["a"], "b": torch.zeros(2, 3)}),
        ({}, {"a": HELD["a"], "b": torch.zeros(5)}),
        pytest.param({}, {"a": torch.zeros(3), "b": torch.zeros(())}, id="no draws"),
    ],
)
def test_a_file_of_version_1_that_does_not_fit_together_is_a_model_file_error(
    tmp_path: Path, change: dict[str, str], tensors: dict[str, Tensor]
) -> None:
    save_file(tensors, tmp_path / "e", metadata=HEADER | change)
    with pytest.raises(ModelFileError):
        WeightEnsemble.load(tmp_path / "e")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WeightEnsemble.load(tmp_path / "nowhere.safetensors")


def test_a_newer_version_is_named(tmp_path: Path) -> None:
    save_file(HELD, tmp_path / "e", metadata=HEADER | {"version": "7"})
    with pytest.raises(ModelFileError, match="version '7'"):
        WeightEnsemble.load(tmp_path / "e")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "e.safetensors"
    make(2).save(path)
    before = path.read_bytes()
    broken = make(2)
    broken.weights = broken.weights[:, :5]
    with pytest.raises(ValueError, match="Got 5 weights"):
        broken.save(path)
    assert path.read_bytes() == before


def test_its_summary_counts() -> None:
    assert repr(make()) == "WeightEnsemble(5 draws of 27 weights in 5 tensors)"


@pytest.mark.parametrize(
    ("record", "tensors"),
    [
        ({}, HELD),
        ({"names": ["a"]}, HELD),
        ({"names": ["a", "b", "c"]}, HELD),
        ({"names": ["a", "a"]}, HELD),
        ({"names": "ab"}, HELD),
        ({"names": [["a"], ["b"]]}, HELD),
        ({"names": 2}, HELD),
        ({"names": []}, {}),
        ({"names": ["a", "b"]}, HELD | {"b": torch.zeros(3)}),
        ({"names": ["a", "b"]}, HELD | {"b": torch.zeros(2, dtype=torch.float64)}),
        ({"names": ["a"]}, {"a": torch.zeros(2, 3, dtype=torch.int64)}),
        ({"names": ["a"]}, {"a": torch.zeros(())}),
        ({"names": ["a", "b"], "more": 1}, HELD),
        ({"names": ["a"]}, {"a": torch.zeros(0, 3)}),
        ({"names": ["a"]}, {"a": torch.zeros(8, 0, 2**40)}),
        ({"names": ["a", "b"]}, {"a": torch.zeros(2, 3), "b": torch.zeros(2, 0)}),
        *(
            pytest.param({"names": ["a"]}, {"a": torch.zeros(2, 3, dtype=dtype)}, id=str(dtype))
            for dtype in (torch.float8_e4m3fn, torch.float16, torch.bfloat16, torch.complex64)
        ),
    ],
)
def test_a_file_that_does_not_fit_together_is_a_model_file_error(
    tmp_path: Path, record: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    write_container(tmp_path / "e", "ensemble", 2, {"names": ["a", "b"]}, HELD)
    assert WeightEnsemble.load(tmp_path / "e").weights.shape == (2, 4)
    write_container(tmp_path / "e", "ensemble", 2, record, tensors)
    with pytest.raises(ModelFileError):
        WeightEnsemble.load(tmp_path / "e")
