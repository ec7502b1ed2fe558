"""Model files as a stranger may send them: well-formed, with the right checksum, and asking for too much."""

from __future__ import annotations

import functools
import json
import math
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bayeshyper import load
from bayeshyper.container import read_container, write_container
from bayeshyper.errors import ModelFileError
from tests.files.cases import CASES, predictions

FOLDER = Path(__file__).parent / "files" / "v2"


@functools.cache
def held(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    _, record, tensors = read_container(FOLDER / f"{name}.bayeshyper", "model", newest=2)
    return record, tensors


def changed(record: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The record with a dotted key set."""
    first, _, rest = key.partition(".")
    return record | {first: changed(record[first], rest, value) if rest else value}


def loaded(path: Path, record: dict[str, Any], tensors: dict[str, Tensor], name: str = "array") -> Any:
    write_container(path, "model", 2, record, tensors)
    return load(path, network=CASES[name].network and CASES[name].network())


@pytest.mark.parametrize("name", CASES)
def test_a_file_written_again_is_the_same_model(tmp_path: Path, name: str) -> None:
    record, tensors = held(name)
    again = loaded(tmp_path / "m", record, tensors, name)
    again.save(tmp_path / "n")
    _, kept, same = read_container(tmp_path / "n", "model", newest=2)
    assert kept == record
    assert all(torch.equal(same[one], tensors[one]) for one in same | tensors)


BILLION = 10**9


def most_memory() -> int:
    """The most that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe.target.hidden", [BILLION]),
        ("recipe.target.hidden", [30_000, 30_000]),
        ("recipe.target.hidden", [1] * 100_000),
        ("recipe.target.hidden", [-1]),
        ("recipe.target.network", "os.system"),
        ("recipe.target.network", "../../mlp"),
        ("recipe.target.bayesian", ["x" + "*" * 5000]),
        ("recipe.hypernetwork.noise_dim", BILLION),
        ("recipe.hypernetwork.noise_dim", 2**62),
        ("recipe.hypernetwork.hidden", [BILLION, BILLION]),
        ("recipe.hypernetwork.hidden", [2] * 100_000),
        ("recipe.hypernetwork.matrix_noise", BILLION),
        ("recipe.hypernetwork.head", "pickle.loads"),
        ("recipe.hypernetwork", {"head": "low-rank", "rank": BILLION}),
        ("recipe.hypernetwork", {"head": "chunked", "chunk": 1, "width": 10**6, "embedding": 10**6}),
        ("recipe.hypernetwork", {"head": "coordinate", "units": BILLION}),
        ("recipe.likelihood", {"family": "mixture", "components": BILLION}),
        ("recipe.likelihood.family", "categorical"),
        ("recipe.prior.family", "subprocess"),
        ("recipe.extra", {"a": 1}),
        ("recipe", {"target": None}),
        ("inference_recipe.members", BILLION),
        ("inference_recipe.members", 3),
        ("inference_recipe.members", True),
        ("inference_recipe.entropy", "prior-contrastive"),
        ("inference_recipe", {"entropy": "prior-contrastive", "entropy_options": {"hidden": BILLION}}),
        ("inference_recipe", {"entropy": "hierarchical", "entropy_options": {"hidden": 10**6}}),
        ("inference_recipe.optimizer", {"steps": -1}),
        ("n_draws", 0),
        ("n_rows", -1),
        ("n_rows", 1.5),
        ("n_heldout", -1),
        ("seed", "0"),
        ("target.mean", [0.0] * 100_000),
        ("target", {"mean": [0.0] * 100_000, "scale": [1.0] * 100_000}),
        ("target.mean", math.nan),
        ("target.scale", 0.0),
        ("target.scale", -1.0),
        ("target.scale", "1"),
        ("target", {}),
        ("encoder.names", ["x0", "x0", "x2"]),
        ("encoder.names", [f"x{i}" for i in range(100_000)]),
        ("encoder.kinds", ["number", "number", "category"]),
        ("history.steps", "abc"),
        ("history.start", {"temperature": "hot", "rows": 0}),
        ("history", {"unknown": 1}),
        ("history.steps", []),
        ("history.start", {}),
        ("history.start", {"temperature": 1.0, "rows": 9, "shift": 0.1}),
        ("audit", {"elbo_lower": 1.0}),
        ("audit", []),
        ("estimator", "HyperClassifier"),
        ("estimator", ["HyperRegressor"]),
        ("estimator", "os.system"),
        ("custom_network", "MyNetwork"),
    ],
)
def test_a_record_that_asks_for_what_the_file_does_not_hold_is_refused(
    tmp_path: Path, key: str, value: Any
) -> None:
    record, tensors = held("array")
    before, peak = time.process_time(), most_memory()
    with pytest.raises(ModelFileError) as raised:
        loaded(tmp_path / "m", changed(record, key, value), tensors)
    assert "alloc" not in str(raised.value)  # torch's word for memory that it asked for and did not get
    assert time.process_time() - before < 5.0
    assert most_memory() - peak < 300


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target.kind", "<U1000000000"),
        ("target.kind", "|V1000000000"),
        ("target.kind", "(100000,100000)f8"),
        ("target.kind", "i4,O"),
        ("target.kind", "<M8[ns]"),
        ("target.kind", ["<U3"]),
        ("target.kind", "<U1"),
        ("target.kind", "<i8"),
        ("target.classes", ["low", "low", "high"]),
        ("target.classes", ["low"]),
        ("target.classes", ["low", "mid", ["high"]]),
        ("target.classes", ["low", "mid", None]),
        ("target.classes", {"low": 1, "mid": 2, "high": 3}),
        ("target.classes", [f"c{i}" for i in range(100_000)]),
        ("recipe.likelihood.family", "gaussian"),
        ("recipe.likelihood.family", "bernoulli"),
        ("audit.elbo_lower", "high"),
        ("audit.psis", {"khat": ["x"], "ess": [1.0], "n_draws": 5, "source": "exact"}),
        ("encoder.named", False),
    ],
)
def test_a_record_of_classes_that_does_not_fit_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    record, tensors = held("ordered")
    if key == "encoder.named":
        value = "yes"
    with pytest.raises(ModelFileError):
        loaded(tmp_path / "m", changed(record, key, value), tensors, "ordered")


@pytest.mark.parametrize("name", ["array", "own-network", "low-rank"])
def test_each_tensor_must_be_there_in_its_own_shape_and_type(tmp_path: Path, name: str) -> None:
    record, tensors = held(name)
    for one, tensor in tensors.items():
        wrong = [None, tensor[None], tensor.to(torch.float16), torch.empty(0, BILLION, dtype=tensor.dtype)]
        for other in wrong:
            state = {key: kept for key, kept in tensors.items() if key != one}
            if other is not None:
                state[one] = other
            if one == "probe.rows" and other is None:
                continue  # files of networks that refuse such rows have none
            try:
                loaded(tmp_path / "m", record, state, name)
            except ModelFileError:
                continue
            raise AssertionError(f"{one} may be {other}")


@pytest.mark.parametrize("name", ["guide.x", "model.x", "x", "draws2", "encoder.x", "probe.x"])
def test_a_tensor_too_many_is_refused(tmp_path: Path, name: str) -> None:
    record, tensors = held("array")
    with pytest.raises(ModelFileError, match=r"not those|arrays of an encoder: x"):
        loaded(tmp_path / "m", record, tensors | {name: torch.zeros(2)})


@pytest.mark.parametrize("name", ["draws", "guide.hypernetwork.mean", "guide.hypernetwork.log_output_noise"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_no_fit_ends_with_are_refused(tmp_path: Path, name: str, value: float) -> None:
    record, tensors = held("array")
    wrong = tensors[name].clone()
    wrong.view(-1)[-1] = value
    with pytest.raises(ModelFileError, match="finite"):
        loaded(tmp_path / "m", record, tensors | {name: wrong})


def test_arguments_for_another_fit_are_kept_and_ask_for_nothing(tmp_path: Path) -> None:
    """They may have been set after the fit, and are anyone's to set again."""
    record, tensors = held("array")
    model = loaded(tmp_path / "m", record | {"n_draws": BILLION, "seed": BILLION}, tensors)
    assert (model.n_draws, model.random_state, len(model._draws)) == (BILLION, BILLION, 4)


def test_labels_of_a_type_that_files_do_not_have_are_kept_as_objects(tmp_path: Path) -> None:
    model = load(FOLDER / "text.bayeshyper")
    model.classes_ = model.classes_.astype(np.dtypes.StringDType())
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert (again.classes_.dtype, again.classes_.tolist()) == (object, ["a", "bé", "c c"])


def test_what_a_file_names_is_not_opened(tmp_path: Path) -> None:
    """A pretrained file that a recipe names stays shut: it is what the model started from, once."""
    record, tensors = held("array")
    trap = tmp_path / "trap.pt"
    torch.save({"weight": torch.zeros(1)}, trap)
    opened = trap.stat().st_atime_ns
    model = loaded(tmp_path / "m", changed(record, "recipe.target.pretrained", str(trap)), tensors)
    assert model.recipe_["target"]["pretrained"] == str(trap)
    assert trap.stat().st_atime_ns == opened
    loaded(tmp_path / "m", changed(record, "recipe.target.pretrained", "/nowhere"), tensors)


wild = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@given(st.data(), wild)
@settings(max_examples=100, deadline=None)
def test_any_value_anywhere_in_the_record_is_refused_or_kept(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, value: Any
) -> None:
    name = data.draw(st.sampled_from(["array", "ordered"]))
    record, tensors = held(name)
    table, keys = record, []
    while isinstance(table, dict) and table:
        keys.append(data.draw(st.sampled_from(sorted(table))))
        table = table[keys[-1]]
        if data.draw(st.booleans()):
            break
    folder = tmp_path_factory.mktemp("wild")
    try:
        model = loaded(folder / "m", changed(record, ".".join(keys), value), tensors, name)
    except ModelFileError:
        return
    model.summary()
    model.save(folder / "n")
    again, same = load(folder / "n"), predictions(model, CASES[name].fresh())
    assert again.summary() == model.summary()
    assert all(
        np.array_equal(one, same[key], equal_nan=True)
        for key, one in predictions(again, CASES[name].fresh()).items()
    )


def test_a_file_is_json_and_tensors_that_anyone_can_read() -> None:
    """The page on model files, followed by hand: predictions from numpy alone, for one member's draws."""
    whole = (FOLDER / "array.bayeshyper").read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    told = json.loads(header.pop("__metadata__")["bayeshyper"])
    kinds = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "U8": "u1", "BOOL": "?"}
    tensors = {
        name: np.frombuffer(
            whole, kinds[one["dtype"]], math.prod(one["shape"]), 8 + length + one["data_offsets"][0]
        ).reshape(one["shape"])
        for name, one in header.items()
    }
    rows = CASES["array"].fresh()
    missing = np.isnan(rows)
    filled = np.where(missing, tensors["encoder.median"], rows)
    x = (filled / tensors["encoder.largest"] - tensors["encoder.mean"]) / tensors["encoder.scale"]
    x = np.hstack([x, missing[:, tensors["encoder.indicated"]]])
    hidden, places = told["record"]["recipe"]["target"]["hidden"][0], x.shape[1]
    outputs = []
    for draw in tensors["draws"]:
        first, bias, second, last = np.split(draw, np.cumsum([hidden * places, hidden, hidden])[:3])
        outputs.append(np.maximum(x @ first.reshape(hidden, places).T + bias, 0) @ second + last[0])
    target = told["record"]["target"]
    mean = np.mean(outputs, axis=0) * target["scale"] + target["mean"]
    np.testing.assert_allclose(mean, np.load(FOLDER / "array.npz")["mean"], rtol=1e-12)
