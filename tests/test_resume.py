"""Estimators and the command line go on with a fit that was ended."""

from __future__ import annotations

import copy
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bayeshyper import Checkpoint, HyperRegressor, load
from bayeshyper.data import load_bundled
from bayeshyper.errors import CheckpointError, CheckpointWarning
from bayeshyper.hyper import HyperEstimator
from tests.inference.toys import same_bits, state_of

pytestmark = pytest.mark.usefixtures("ctrl_c")

RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.normal(size=60), "b": RNG.choice(["x", "y"], 60)})
Y = X["a"] + 0.1 * RNG.normal(size=60)
SHORT = {"optimizer.steps": 30, "warm_start.steps": 5, "warm_start.natural_steps": 5}


def bits(model: HyperEstimator) -> list[torch.Tensor]:
    return [*state_of(model._guide, model._model), model._draws]


def short() -> HyperRegressor:
    return HyperRegressor(settings=SHORT, random_state=3)


def test_an_estimator_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path / "fit", steps=4)
    whole = short().fit(X, Y)
    with monkeypatch.context() as patched:
        patched.setattr("bayeshyper.hyper.ProgressBar", InterruptingBar)
        with pytest.raises(KeyboardInterrupt):
            short().fit(X, Y, checkpoint=checkpoint)
    kept = checkpoint.files[0].stat().st_mtime_ns
    again = short().fit(X, Y, checkpoint=checkpoint)
    assert same_bits(bits(again), bits(whole))
    assert replace_seconds(again) == replace_seconds(whole)
    assert checkpoint.files[0].stat().st_mtime_ns > kept


class InterruptingBar:
    """A progress bar that is met by Ctrl-C in the middle."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> InterruptingBar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, step: int, *_: object) -> None:
        if step >= 10:
            signal.raise_signal(signal.SIGINT)


def replace_seconds(model: HyperRegressor) -> dict[str, object]:
    return {**model.history_.to_dict(), "seconds": 0.0}


def test_saving_removes_the_checkpoint_and_nothing_else_does(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "fit", steps=4)
    model = short().fit(X, Y, checkpoint=checkpoint)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        copied.save(tmp_path / "copy.bayeshyper")
        assert all(file.exists() for file in checkpoint.files)
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "missing" / "m.bayeshyper")
    assert all(file.exists() for file in checkpoint.files)
    model.save(tmp_path / "m.bayeshyper")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.bayeshyper", "m.bayeshyper"]


def test_another_table_and_another_recipe_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit"
    short().fit(X, Y, checkpoint=Checkpoint(path, steps=4))
    with pytest.raises(CheckpointError, match="other data"):
        short().fit(X, Y + 1e-3 * RNG.normal(size=60), checkpoint=path)
    with pytest.raises(CheckpointError, match="other settings"):
        HyperRegressor(settings={**SHORT, "particles": 2}, random_state=3).fit(X, Y, checkpoint=path)
    with pytest.raises(CheckpointError, match="another seed"):
        HyperRegressor(settings=SHORT, random_state=4).fit(X, Y, checkpoint=path)
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(CheckpointError, match="another default type of torch's numbers"):
            short().fit(X, Y, checkpoint=path)
    finally:
        torch.set_default_dtype(torch.float32)


def test_another_number_of_threads_is_told_of(tmp_path: Path) -> None:
    path, threads = tmp_path / "fit", torch.get_num_threads()
    short().fit(X, Y, checkpoint=Checkpoint(path, steps=4))
    torch.set_num_threads(threads + 1)
    try:
        with pytest.warns(
            CheckpointWarning, match=f"begun with {threads} threads and goes on with {threads + 1}"
        ):
            short().fit(X, Y, checkpoint=path)
    finally:
        torch.set_num_threads(threads)


def test_without_a_seed_of_its_own_a_fit_takes_that_of_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "fit"
    first = HyperRegressor(settings=SHORT).fit(X, Y, checkpoint=Checkpoint(path, steps=4))
    again = HyperRegressor(settings=SHORT).fit(X, Y, checkpoint=path)
    assert same_bits(bits(first), bits(again))
    other = HyperRegressor(settings=SHORT).fit(X, Y, checkpoint=tmp_path / "other")
    assert not same_bits(bits(first), bits(other))


def test_what_is_no_state_of_this_fit_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "fit"
    model = short().fit(X, Y, checkpoint=Checkpoint(path, steps=4))
    with pytest.raises(ValueError, match="the fit's own checkpoint"):
        model.save(path)
    other = HyperRegressor(settings=SHORT, random_state=4)
    other.fit(X, Y, checkpoint=Checkpoint(path, steps=4, replace=True))
    model.save(tmp_path / "m.bayeshyper")
    assert path.exists()
    other.save(tmp_path / "m.bayeshyper")
    assert not path.exists()


class Scaled(torch.nn.Module):
    """Two of them may differ in a number that neither their tensors nor their words tell."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scale, self.layer = scale, torch.nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = torch.tanh(self.scale * self.layer(x))
        return made


def test_a_network_that_differs_in_a_number_alone_is_another_model(tmp_path: Path) -> None:
    path, table = tmp_path / "fit", np.random.default_rng(1).normal(size=(60, 3))
    first, second = (
        HyperRegressor(network=Scaled(scale), settings=SHORT, random_state=0) for scale in (1.0, 5.0)
    )
    first.fit(table, Y, checkpoint=Checkpoint(path, steps=4))
    with pytest.raises(CheckpointError, match="another model"):
        second.fit(table, Y, checkpoint=path)


def test_a_signal_after_the_last_step_is_not_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfinished(_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("bayeshyper.inference.svi.unfinished", unfinished)
    with pytest.raises(KeyboardInterrupt, match=r"after its last step\. Its state is in"):
        short().fit(X, Y, checkpoint=Checkpoint(tmp_path / "fit", steps=4))


COMMAND = [
    *(sys.executable, "-m", "bayeshyper", "fit", "table.csv", "--target", "progression"),
    *("--inference", "bayes", "--set", "optimizer.steps=1200", "--set", "batch_size=400"),
    *("--checkpoint-every", "0.1"),
]


@pytest.mark.long
def test_signals_end_a_command_that_goes_on_when_it_is_given_again(tmp_path: Path) -> None:
    features, target = load_bundled("diabetes")
    features.assign(progression=target).to_csv(tmp_path / "table.csv", index=False)
    checkpoint, output = tmp_path / "cut.bayeshyper.checkpoint", tmp_path / "cut.bayeshyper"
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = subprocess.Popen(
            [*COMMAND, "-o", output.name], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while process.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
        assert process.returncode == status, said
        assert f"Stopped by {number.name}" in said
        assert "start the same fit again" in said
        assert not output.exists()
    for name in (output.name, "whole.bayeshyper"):
        subprocess.run([*COMMAND, "-o", name], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, "table.csv", "whole.bayeshyper"]
    one, other = (load(tmp_path / name) for name in (output.name, "whole.bayeshyper"))
    assert same_bits(bits(one), bits(other))
