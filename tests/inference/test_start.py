"""The start of a fit: which rows have a say in what, what they choose, and what is left as it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

import bayeshyper
from bayeshyper import HyperClassifier, HyperRegressor
from bayeshyper.data import load_bundled
from bayeshyper.errors import TrainingDiverged
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import (
    CalibrationSettings,
    KLSettings,
    NaturalGaussian,
    OptimizerSettings,
    SVISettings,
    WarmStartSettings,
    fit,
)
from bayeshyper.inference import start as start_module
from bayeshyper.inference.start import SECOND_SHARE, WARMER_SHARE, Start, find_start
from bayeshyper.models import (
    MLP,
    BayesianModel,
    Bernoulli,
    FanInPrior,
    Gaussian,
    HeteroscedasticGaussian,
    Likelihood,
    Target,
)
from tests.inference.toys import same_bits, small_problem, state_of

ROWS = 24


def recipe(
    *,
    natural: int = 8,
    warm: int = 4,
    least: int = 6,
    holdout: float = 0.25,
    temperature: float | str = "auto",
    steps: int = 6,
    limit: int = 1500,
    batch_size: int = 10,
) -> SVISettings:
    return SVISettings(
        particles=1,
        members=2,
        batch_size=batch_size,
        warm_start=WarmStartSettings(steps=warm, natural_steps=natural, natural_limit=limit),
        calibration=CalibrationSettings(holdout=holdout, least=least),
        optimizer=OptimizerSettings(learning_rate=1e-3, steps=steps),
        kl=KLSettings(temperature=temperature, start=1.0, anneal=0.0),  # type: ignore[arg-type]
    )


Heard = list[tuple[int, int, int]]


def start_of(
    settings: SVISettings,
    *,
    likelihood: Likelihood | None = None,
    change: int | None = None,
    seed: int = 0,
    heard: Heard | None = None,
) -> tuple[Start, list[Tensor], BayesianModel]:
    """The start, the hypernetwork it leaves and the model, with one row's target changed where asked for."""
    model, guide, x, y = small_problem(rows=ROWS, members=2, likelihood=likelihood)
    if likelihood is not None and likelihood.task == "classification":
        y = (y > 0).float()
        if change is not None:
            y[change] = 1 - y[change]
    elif change is not None:
        y[change] += 0.5

    def progress(step: int, steps: int) -> None:
        if heard is not None:
            heard.append((step, steps, model.num_data))

    generator = torch.Generator().manual_seed(seed)
    start = find_start(model, guide.hypernetwork, x, y, settings, generator, progress)
    return start, state_of(guide.hypernetwork), model


# -- which rows have a say ----------------------------------------------------------------------------------


@pytest.fixture
def gaussians(monkeypatch: pytest.MonkeyPatch) -> list[list[Tensor]]:
    """Mean and precision after every round of natural-gradient steps, in order."""
    rounds: list[list[Tensor]] = []

    class Watched(NaturalGaussian):
        def train(self, *arguments: Tensor, **more: object) -> Watched:  # type: ignore[override]
            super().train(*arguments, **more)  # type: ignore[arg-type]
            rounds.append([self.mean.clone(), self.precision.clone()])
            return self

    monkeypatch.setattr(start_module, "NaturalGaussian", Watched)
    return rounds


def test_held_out_rows_have_no_say_in_the_first_round_and_all_rows_have_one_in_the_second(
    gaussians: list[list[Tensor]],
) -> None:
    settings = recipe(temperature=0.3)
    results = []
    for change in (None, *range(ROWS)):
        gaussians.clear()
        start, state, _ = start_of(settings, change=change)
        first, second = gaussians
        results.append((first, second, state, start))
    (base_first, base_second, base_state, base), others = results[0], results[1:]
    assert base.rows == 6
    held = [n for n, (first, *_) in enumerate(others) if same_bits(first, base_first)]
    assert len(held) == base.rows  # the others all have a say
    assert held != sorted(held)[: base.rows] or held[-1] != base.rows - 1  # from the whole table
    for n, (_, second, state, start) in enumerate(others):
        assert not torch.equal(second[0], base_second[0])  # every row moves the mean that is kept
        assert not same_bits(state, base_state)
        if n in held:
            assert start.noise is not None
            assert base.noise is not None
            assert start.noise.score != base.noise.score


def test_held_out_rows_are_judged_by_what_the_others_made_of_them(gaussians: list[list[Tensor]]) -> None:
    # Each held-out row far off: the others' fit is the same to the bit, and the noise is wider.
    settings = recipe(temperature=0.3, natural=40, warm=100, least=6)
    model, guide, x, y = small_problem(rows=ROWS, members=2)
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))
    levels, rounds = [], []
    for scale in (0.0, 1.0):
        changed = y.clone()
        changed[order[:6]] += scale * torch.tensor([3.0, -3.0]).repeat(3)
        gaussians.clear()
        generator = torch.Generator().manual_seed(0)
        model, guide, x, _ = small_problem(rows=ROWS, members=2)
        start = find_start(model, guide.hypernetwork, x, changed, settings, generator)
        assert start.noise is not None
        levels.append(start.noise)
        rounds.append(gaussians[0])
    assert same_bits(rounds[0], rounds[1])
    assert levels[1].shift > levels[0].shift + 0.5
    assert levels[1].score < levels[0].score - 6.0  # a nat a row, at least


def test_what_is_held_out_depends_on_the_seed(gaussians: list[list[Tensor]]) -> None:
    settings = recipe(temperature=0.3)
    who = []
    for seed in (0, 1):
        gaussians.clear()
        start_of(settings, seed=seed)
        base = gaussians[0]
        held = set()
        for n in range(ROWS):
            gaussians.clear()
            start_of(settings, seed=seed, change=n)
            if same_bits(gaussians[0], base):
                held.add(n)
        who.append(held)
    assert len(who[0]) == len(who[1]) == 6
    assert who[0] != who[1]


def test_without_a_share_to_hold_out_there_is_one_round_with_all_rows(gaussians: list[list[Tensor]]) -> None:
    settings = recipe(holdout=0.0)
    start, _, _ = start_of(settings)
    assert (start.rows, start.noise, start.temperature) == (0, None, 1.0)
    assert len(gaussians) == 1
    base = gaussians[0]
    for n in range(ROWS):
        gaussians.clear()
        start_of(settings, change=n)
        assert not torch.equal(gaussians[0][0], base[0])


# -- the rows that the model believes it has ----------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.3, "auto"])
@pytest.mark.parametrize("natural", [0, 1, 8, 12])
def test_progress_counts_every_step_with_the_rows_of_its_round(
    natural: int, temperature: float | str
) -> None:
    heard: Heard = []
    start, _, model = start_of(recipe(natural=natural, temperature=temperature), heard=heard)
    assert [step for step, _, _ in heard] == list(range(1, len(heard) + 1))
    assert len({steps for _, steps, _ in heard}) == 1
    total = heard[0][1]
    warmer, second = round(WARMER_SHARE * natural), round(SECOND_SHARE * natural)
    rungs = 2 if natural and temperature == "auto" else 0
    assert total == 4 + natural + warmer * rungs + second
    assert len(heard) in (total, total - warmer)  # a warmer temperature that is worse is the last
    first = len(heard) - second
    held = 6 if natural else 0
    assert [rows for _, _, rows in heard] == [ROWS - held] * first + [ROWS] * (len(heard) - first)
    assert start.rows == held
    assert model.num_data == ROWS


class NoScale(Gaussian):
    """A Gaussian that does not say which latent its scale is."""

    scale_latent: ClassVar[str | None] = None


class BreaksOnce(Gaussian):
    """A Gaussian likelihood, with a scale to set, whose mean is NaN from call ``calls + 1`` on."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        self.calls -= 1
        return super().distribution(outputs * (math.nan if self.calls < 0 else 1.0), latents)


@pytest.mark.parametrize("calls", [2, 7])
def test_a_start_that_diverges_leaves_all_as_it_came(calls: int) -> None:
    likelihood = BreaksOnce(calls)
    model, guide, x, y = small_problem(rows=ROWS, members=2, likelihood=likelihood)
    before = state_of(guide, model)
    with pytest.raises(TrainingDiverged) as caught:
        fit(model, guide, x, y, recipe())
    assert caught.value.term == ("log likelihood" if calls < 4 else "natural gradient")  # four warm steps
    assert model.num_data == ROWS
    assert same_bits(before, state_of(guide, model))
    assert (model.kl_weight, model.particles, guide.generator) == (1.0, None, None)


@pytest.mark.parametrize("when", [2, 8, 12])
def test_a_start_that_is_interrupted_leaves_all_as_it_came(when: int) -> None:
    model, guide, x, y = small_problem(rows=ROWS, members=2)
    before, rng = state_of(guide, model), torch.random.get_rng_state()

    def interrupt(step: int, steps: int, elbo: float | None, score: float | None) -> None:
        if step == when:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, guide, x, y, recipe(temperature=0.3), progress=interrupt)
    assert model.num_data == ROWS
    assert same_bits(before, state_of(guide, model))
    assert torch.equal(rng, torch.random.get_rng_state())


# -- what is chosen -----------------------------------------------------------------------------------------


def judged(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> list[float]:
    """Let the held-out rows prefer temperatures as told; returns those that they are asked about."""
    asked: list[float] = []
    left = iter(scores)

    def judge(model: BayesianModel, gaussian: NaturalGaussian, *_: object) -> tuple[float, None]:
        asked.append(gaussian.temperature)
        return next(left), None

    monkeypatch.setattr(start_module, "_judge", judge)
    return asked


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [([0.0, -1.0], 0.1), ([0.0, 0.0], 0.1), ([0.0, 1.0, 0.5], 0.3), ([-9.0, -8.0, -7.0], 1.0)],
)
def test_the_temperature_is_the_last_before_the_held_out_rows_say_no(
    scores: list[float],
    chosen: float,
    monkeypatch: pytest.MonkeyPatch,
    gaussians: list[list[Tensor]],
) -> None:
    asked = judged(monkeypatch, scores)
    start, state, model = start_of(recipe())
    assert start.temperature == chosen
    assert asked == [0.1, 0.3, 1.0][: len(scores)]
    assert start.to_dict() == {"temperature": chosen, "rows": 6}
    # The second round goes on from the one that was chosen: its mean is that of the hypernetwork.
    weights = model.prior.loc + model.prior.scale * gaussians[-1][0]
    torch.testing.assert_close(state[0], weights)


def test_a_temperature_that_was_tried_in_vain_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    # Once the warmer one is turned down, all goes on as with the colder one alone, random numbers aside.
    rounds: list[Tensor] = []
    train = NaturalGaussian.train

    def watched(self: NaturalGaussian, *arguments: Tensor, **more: object) -> NaturalGaussian:
        rounds.append(self.mean.clone())  # where each round begins
        train(self, *arguments, **more)  # type: ignore[arg-type]
        rounds.append(self.mean.clone())
        return self

    monkeypatch.setattr(NaturalGaussian, "train", watched)
    judged(monkeypatch, [0.0, -1.0])
    start_of(recipe())
    (_, first_end), (warmer_begin, warmer_end), (second_begin, _) = zip(
        rounds[::2], rounds[1::2], strict=True
    )
    assert torch.equal(warmer_begin, first_end)
    assert not torch.equal(warmer_end, first_end)
    assert torch.equal(second_begin, first_end)


def test_a_temperature_that_the_recipe_names_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = judged(monkeypatch, [0.0])
    start, _, _ = start_of(recipe(temperature=0.7))
    assert (start.temperature, asked) == (0.7, [0.7])


@pytest.mark.parametrize("seed", range(3))
def test_the_posterior_itself_is_chosen_where_there_is_nothing_to_learn(seed: int) -> None:
    # Targets that are noise alone, and a network with twice as many weights as rows: colder fits follow them.
    generator = torch.Generator().manual_seed(seed)
    rows = 60
    x, y = torch.randn(rows, 5, generator=generator), torch.randn(rows, generator=generator)
    torch.manual_seed(0)
    model = BayesianModel(Target(MLP(5, 1, hidden=[20])), FanInPrior(), Gaussian(), num_data=rows)
    mean = 0.3 * torch.randn(3, model.spec.size, generator=generator)
    net = HypernetworkSettings(noise_dim=2, hidden=()).build(mean, model.prior.scale)
    settings = recipe(natural=60, warm=150, least=20, batch_size=64)
    assert find_start(model, net, x, y, settings, generator).temperature == 1.0


def test_a_held_out_row_that_is_no_number_is_named() -> None:
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))
    for likelihood in (Gaussian(), NoScale()):
        model, guide, x, y = small_problem(rows=ROWS, members=2, likelihood=likelihood)
        y[order[0]] = math.nan
        with pytest.raises(TrainingDiverged, match="log likelihood"):
            find_start(model, guide.hypernetwork, x, y, recipe(), torch.Generator().manual_seed(0))


@pytest.mark.parametrize("likelihood", [Bernoulli(), HeteroscedasticGaussian()], ids=repr)
def test_a_likelihood_without_a_scale_has_a_temperature_chosen_and_no_noise(likelihood: Likelihood) -> None:
    if isinstance(likelihood, HeteroscedasticGaussian):
        torch.manual_seed(0)
        model = BayesianModel(Target(MLP(3, 2, hidden=(5,))), FanInPrior(), likelihood, num_data=ROWS)
        net = HypernetworkSettings(noise_dim=2).build(torch.zeros(2, model.spec.size), model.prior.scale)
        x, y = torch.randn(ROWS, 3), torch.randn(ROWS)
        start = find_start(model, net, x, y, recipe(), torch.Generator())
    else:
        start, _, _ = start_of(recipe(), likelihood=likelihood)
    assert start.noise is None
    assert start.rows == 6
    assert start.temperature in start_module.TEMPERATURES
    assert set(start.to_dict()) == {"temperature", "rows"}


# -- natural_limit ------------------------------------------------------------------------------------------


def test_above_the_limit_there_are_no_natural_steps_and_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    size = small_problem()[0].spec.size

    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    start, _, _ = start_of(recipe(limit=size))
    assert start.rows == 6
    monkeypatch.setattr(start_module, "NaturalGaussian", refuse)
    with pytest.raises(MemoryError):
        start_of(recipe(limit=size))
    start, _, model = start_of(recipe(limit=size - 1))
    assert (start.temperature, start.rows, start.noise) == (1.0, 0, None)
    assert model.num_data == ROWS
    named, _, _ = start_of(recipe(limit=size - 1, temperature=0.5))
    assert named.temperature == 0.5


def test_steps_grow_with_the_rows_up_to_a_limit_and_not_with_the_weights() -> None:
    settings = replace(
        recipe(limit=100), warm_start=WarmStartSettings(natural_steps="auto", natural_limit=100)
    )
    steps = [settings.natural_steps_for(rows, 100) for rows in (250, 1000, 10_000, 10**8)]
    assert steps == sorted(steps)
    assert 0 < steps[0] < steps[-1] < 1000
    # A step sees few rows of a small table, which takes more of them.
    few = [settings.natural_steps_for(rows, 100) for rows in (2, 100, 150, 250)]
    assert few == [100, 100, 67, 40]
    assert settings.natural_steps_for(1000, 101) == 0
    assert recipe(natural=7).natural_steps_for(10**6, 3) == 7


@pytest.mark.parametrize("rows", [2, 10, 39, 40, 41, 120, 300, 1000, 20_000, 10**6])
def test_the_rows_held_out_are_some_but_never_most(rows: int) -> None:
    held = CalibrationSettings(holdout=0.1).rows_for(rows)
    assert held == 0 or 10 <= held <= min(rows // 4, 2000)
    assert (held == 0) == (rows < 40)
    assert CalibrationSettings(holdout=0.0).rows_for(rows) == 0


# -- the whole fit ------------------------------------------------------------------------------------------


def test_the_noise_is_set_after_the_fit_and_recorded() -> None:
    model, guide, x, y = small_problem(rows=ROWS, members=2)
    history = fit(model, guide, x, y, recipe(temperature=0.3))
    same, twin, _, _ = small_problem(rows=ROWS, members=2)
    generator = torch.Generator().manual_seed(0)
    start = find_start(same, twin.hypernetwork, x, y, recipe(temperature=0.3), generator)
    assert start.noise is not None
    assert history.start == start.to_dict()
    assert set(history.start) == {"temperature", "rows", "shift", "spread"}
    index = model.spec["log_scale"].slice.start
    law = guide.hypernetwork.draw(7)
    location = start.noise.location.unsqueeze(1).expand(-1, 7)
    torch.testing.assert_close(law.mean[..., index], location)
    torch.testing.assert_close(law.scale[..., index], torch.full((2, 1), start.noise.spread))


def test_progress_goes_on_from_the_start_to_the_end() -> None:
    model, guide, x, y = small_problem(rows=ROWS, members=2)
    heard: list[tuple[int, int, float | None]] = []
    fit(model, guide, x, y, recipe(), progress=lambda step, steps, elbo, _: heard.append((step, steps, elbo)))
    counts = [step for step, _, _ in heard]
    assert counts == sorted(set(counts))
    assert {steps for _, steps, _ in heard} == {heard[-1][0]}  # the last of them all
    assert [elbo is None for _, _, elbo in heard] == [True] * (len(heard) - 1) + [False]


def test_every_row_is_in_the_batches_of_the_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    model, guide, x, y = small_problem(rows=ROWS, members=2)
    seen: list[Tensor] = []
    forward = BayesianModel.forward

    def watched(self: BayesianModel, x: Tensor, y: Tensor | None = None) -> Tensor:
        seen.append(x)
        assert self.num_data == ROWS
        return forward(self, x, y)

    monkeypatch.setattr(BayesianModel, "forward", watched)
    fit(model, guide, x, y, recipe(steps=3, batch_size=8))
    assert torch.equal(torch.cat(seen[:3]).sort(0).values, x.sort(0).values)


def diabetes(rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    X, y = load_bundled("diabetes")
    return X.to_numpy()[:rows], y.to_numpy()[:rows]


def test_what_was_chosen_is_told_and_survives_the_file(tmp_path: Path) -> None:
    X, y = diabetes(120)
    model = HyperRegressor(random_state=0, n_members=2, verbose=False).fit(X, y)
    chosen = model.history_.start
    assert chosen["rows"] == 30
    assert chosen["temperature"] in (0.1, 0.3, 1.0)
    about = model.about()
    assert about["inference"] == "svi"
    assert about["temperature"] == f"{chosen['temperature']:g}"
    assert "30 rows" in about["calibration"]
    assert f"{math.exp(chosen['shift']):.2f}" in about["noise"]
    assert model.n_rows_ == 120  # they have joined in
    model.save(tmp_path / "m.bayeshyper")
    loaded = bayeshyper.load(tmp_path / "m.bayeshyper")
    assert loaded.history_ == model.history_
    assert loaded.about() == about
    # The noise of every prediction is the one that was set: its logarithm has that spread in every member.
    index = model._model.spec["log_scale"].slice.start
    log_scales = model._draws[:, index].unflatten(0, (2, -1))
    n = log_scales.shape[1]
    assert ((log_scales.std(1) / chosen["spread"] - 1).abs() < 4.5 / math.sqrt(2 * n)).all()


def test_classes_and_small_tables_have_no_noise_to_be_told() -> None:
    X, y = load_bundled("iris")
    classifier = HyperClassifier(random_state=0, n_members=2, verbose=False).fit(X, y)
    assert set(classifier.history_.start) == {"temperature", "rows"}
    assert "noise" not in classifier.about()
    X, y = diabetes(39)
    small = HyperRegressor(random_state=0, n_members=2, verbose=False).fit(X, y)
    assert small.history_.start == {"temperature": 1.0, "rows": 0}
    assert not {"noise", "calibration"} & set(small.about())
    assert small.about()["temperature"] == "1"
    assert small.about()["inference"] == (
        "bayes, since svi starts with rows to hold out, of which there are too few"
    )
    start, _, _ = start_of(recipe(), likelihood=NoScale())
    assert start.noise is None


# -- the journey --------------------------------------------------------------------------------------------


def test_the_default_is_calibrated_and_better_than_a_gaussian_and_a_line() -> None:
    X, y = diabetes()
    covered, gains, rows = 0, [], 0
    for split in range(2):
        order = np.random.default_rng(split).permutation(len(y))
        test, train = order[:142], order[142:]
        model = HyperRegressor(random_state=split, verbose=False).fit(X[train], y[train])
        low, high = model.predictive(X[test]).interval(0.9).T
        covered += int(((low <= y[test]) & (y[test] <= high)).sum())
        rows += len(test)
        mean, std = y[train].mean(), y[train].std()
        gaussian = -0.5 * ((y[test] - mean) / std) ** 2 - math.log(std * math.sqrt(2 * math.pi))
        gains.append(model.log_prob(X[test], y[test]) - gaussian)
    # Right intervals cover 0.9 of 284 rows with a standard error of √(0.9 · 0.1/284) = 0.018: three of them
    # below. Above, 30 rows know the noise to 1/√60 = 13 %, and the widest that they allow is taken: twice
    # that, and 1.26 times a right interval covers 0.962.
    assert 0.845 < covered / rows < 0.962
    # A line explains half of the variance, worth ½ log 2 = 0.35 nats a row: two thirds of that at least.
    gain = np.concatenate(gains)
    assert gain.mean() > 0.23
    assert gain.mean() - 4 * gain.std() / math.sqrt(len(gain)) > 0
