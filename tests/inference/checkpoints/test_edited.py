"""Checkpoints whose checksum is right, and that no fit has written: put aside, or refused in a sentence."""

from __future__ import annotations

import copy
import math
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bayeshyper.container import read_container, write_container
from bayeshyper.errors import BayeshyperError, CheckpointError, CheckpointWarning
from bayeshyper.inference import Checkpoint
from tests.inference.test_resume import USUAL, Ended, Fitted, fitted
from tests.inference.toys import same_bits

Record, Tensors = dict[str, Any], dict[str, Tensor]
# Steps at which a fit is ended, by the stage that is then under way.
STAGES = {"mean weights": 3, "natural gradients": 6, "posterior": 25}


@pytest.fixture(scope="module")
def whole() -> Fitted:
    return fitted(USUAL)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of a fit that was ended, for each stage."""
    folders = {}
    for stage, step in STAGES.items():
        folders[stage] = tmp_path_factory.mktemp("kept")
        with pytest.raises(Ended):
            fitted(USUAL, checkpoint=Checkpoint(folders[stage] / "fit", steps=1), ended_at=step)
    return folders


def edit(path: Path, change: Callable[[Record, Tensors], None]) -> None:
    _, record, tensors = read_container(path, "checkpoint", newest=1)
    change(record, tensors)
    write_container(path, "checkpoint", 1, record, tensors)


def setting(key: str, value: Any) -> Callable[[Record, Tensors], None]:
    """A change of the record at a key, whose parts have slashes between them."""

    def change(record: Record, tensors: Tensors) -> None:
        *parents, last = key.split("/")
        for parent in parents:
            record = record[parent]
        if value is None:
            del record[last]
        else:
            record[last] = value

    return change


REACHED = "state/reached/posterior"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fit", [1, 2]),
        ("fit", None),
        ("fit/seed", 3),
        ("fit/seed", "three"),
        ("state", [1]),
        ("state", None),
        ("state/reached", 3),
        ("state/reached", None),
        ("state/seconds", "long"),
        ("state/seconds", -1.0),
        ("state/seconds", math.nan),
        ("state/other", 1),
        (REACHED, 5),
        (f"{REACHED}/step", -1),
        (f"{REACHED}/step", 0),
        (f"{REACHED}/step", "3"),
        (f"{REACHED}/step", None),
        (f"{REACHED}/parts", []),
        (f"{REACHED}/parts", None),
        (f"{REACHED}/parts/history", [1]),
        (f"{REACHED}/parts/guide", "guide"),
        (f"{REACHED}/parts/random/state", {"$tensor": "none such"}),
        (f"{REACHED}/parts/random/state", {"$items": [[1]]}),
        (f"{REACHED}/parts/random/state", {"$items": [[[], 1]]}),
    ],
)
def test_what_is_no_state_is_put_aside_and_the_fit_goes_on_from_the_one_before(
    key: str, value: Any, kept: dict[str, Path], whole: Fitted, tmp_path: Path
) -> None:
    folder = shutil.copytree(kept["posterior"], tmp_path / "fit")
    edit(folder / "fit", setting(key, value))
    with pytest.warns(CheckpointWarning, match=r"fit\.damaged, and the fit goes on from the state before it"):
        again = fitted(USUAL, checkpoint=Checkpoint(folder / "fit"))
    assert again[0] == whole[0]
    assert same_bits(again[1], whole[1])
    assert (folder / "fit.damaged").exists()


@pytest.mark.parametrize(
    ("stage", "key", "value"),
    [
        ("posterior", f"{REACHED}/step", 10**6),
        ("posterior", f"{REACHED}/parts/history", None),
        ("posterior", f"{REACHED}/parts/more", {}),
        ("posterior", f"{REACHED}/parts/history/steps", [3, 2]),
        ("posterior", f"{REACHED}/parts/history/steps", 3),
        ("posterior", f"{REACHED}/parts/history/more", 3),
        ("posterior", f"{REACHED}/parts/looks/kept", 3),
        ("posterior", f"{REACHED}/parts/looks/kept", {"$tuple": [0, []]}),
        ("posterior", f"{REACHED}/parts/looks/values", ["a"]),
        ("posterior", f"{REACHED}/parts/looks/best", "high"),
        ("posterior", f"{REACHED}/parts/looks/best", ""),
        ("posterior", f"{REACHED}/parts/looks/proposed", ""),
        ("posterior", f"{REACHED}/parts/recoveries/count", -1),
        ("posterior", f"{REACHED}/parts/recoveries/count", "none"),
        ("posterior", f"{REACHED}/parts/optimizer/param_groups", []),
        ("posterior", f"{REACHED}/parts/batches/left", [1, 2]),
        ("posterior", f"{REACHED}/parts/random/state", 1),
        ("posterior", "state/reached/start", {"result": 3}),
        ("posterior", "state/reached/start/result/temperature", -1.0),
        ("posterior", "state/reached/start/result/temperature", "hot"),
        ("posterior", "state/reached/start/result/rows", -1),
        ("posterior", "state/reached/start/result/noise", None),
        ("posterior", "state/reached/start/result/noise", {"shift": 0.1}),
        ("posterior", "state/reached/start/result/noise/spread", 0.0),
        ("natural gradients", "state/reached/natural gradients/parts/gaussian/steps", "many"),
        ("natural gradients", "state/reached/natural gradients/parts/global_random/state", "x"),
        ("mean weights", "state/reached/mean weights/parts/hypernetwork", {}),
    ],
)
def test_a_state_that_is_not_of_its_part_is_refused(
    stage: str, key: str, value: Any, kept: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(kept[stage], tmp_path / "fit")
    edit(folder / "fit", setting(key, value))
    before = (folder / "fit").read_bytes()
    with pytest.raises(
        CheckpointError, match=r"that is none of this fit .*: remove it, or give another path"
    ):
        fitted(USUAL, checkpoint=Checkpoint(folder / "fit"))
    assert (folder / "fit").read_bytes() == before


@pytest.mark.parametrize("stage", STAGES)
def test_a_tensor_of_another_shape_is_refused(stage: str, kept: dict[str, Path], tmp_path: Path) -> None:
    names = list(read_container(kept[stage] / "fit", "checkpoint", newest=1)[2])
    for name in names:
        folder = shutil.copytree(kept[stage], tmp_path / name)
        edit(folder / "fit", lambda record, tensors, name=name: tensors.update({name: torch.ones(3, 5)}))
        with pytest.raises(CheckpointError, match="none of this fit"):
            fitted(USUAL, checkpoint=Checkpoint(folder / "fit"))
    assert len(names) > 5


WILD = [None, True, 0, -1, 2**40, 0.5, math.nan, -1e300, "", "x", [], [1], {}, {"a": 1}, {"$tensor": "0"}]


def places(told: Any) -> Iterator[tuple[Any, Any]]:
    """Everywhere in JSON."""
    for key, value in list(told.items() if isinstance(told, dict) else enumerate(told)):
        yield told, key
        if isinstance(value, dict | list):
            yield from places(value)


@pytest.mark.parametrize("stage", STAGES)
def test_any_value_anywhere_ends_in_a_fit_or_in_an_error_of_ours(
    stage: str, kept: dict[str, Path], tmp_path: Path
) -> None:
    ended = 0
    for seed in range(25):
        chance = random.Random(seed)

        def change(record: Record, tensors: Tensors, chance: random.Random = chance) -> None:
            table, key = chance.choice(list(places(record)))
            table[key] = copy.deepcopy(chance.choice(WILD))

        folder = shutil.copytree(kept[stage], tmp_path / str(seed))
        edit(folder / "fit", change)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckpointWarning)
            try:
                fitted(USUAL, checkpoint=Checkpoint(folder / "fit"))
            except BayeshyperError:
                ended += 1
    assert 0 < ended < 25
