"""The training loop: its schedule, what it keeps, what it refuses to touch, and how it fails."""

from __future__ import annotations

import copy
import itertools
import json
import math
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from bayeshyper.errors import DataError, TrainingDiverged
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import (
    History,
    ImplicitGuide,
    KLSettings,
    OptimizerSettings,
    Progress,
    StoppingSettings,
    SVISettings,
    WarmStartSettings,
    elbo_terms,
    fit,
    take_holdout,
)
from bayeshyper.inference.clipping import clip_gradients
from bayeshyper.inference.schedule import kl_weight, rate_share
from bayeshyper.inference.warmstart import warm_start
from bayeshyper.models import BayesianModel, Likelihood, NormalPrior, Target
from tests.inference.toys import (
    BreaksAfter,
    KnownNoise,
    Ridge,
    random_hypernetwork,
    same_bits,
    small_problem,
    state_of,
)


def settings(
    steps: int = 12,
    *,
    rate: float = 1e-2,
    clip: float = 10.0,
    batch_size: int = 128,
    members: int = 1,
    anneal: float = 0.3,
    every: int = 5,
    patience: int = 20,
    temperature: float = 1.0,
    warm: int = 0,
    warm_rate: float = 1e-2,
) -> SVISettings:
    return SVISettings(
        particles=3,
        members=members,
        batch_size=batch_size,
        optimizer=OptimizerSettings(learning_rate=rate, steps=steps, clip=clip),
        warm_start=WarmStartSettings(steps=warm, learning_rate=warm_rate),
        kl=KLSettings(anneal=anneal, temperature=temperature),
        stopping=StoppingSettings(evaluate_every=every, patience=patience),
    )


Snapshots = dict[int, list[Tensor]]


def remember(modules: tuple[torch.nn.Module, ...], snapshots: Snapshots) -> Progress:
    """A progress callback that keeps a copy of every look's state."""

    def progress(step: int, steps: int, elbo: float, score: float | None) -> None:
        snapshots[step] = state_of(*modules)

    return progress


# -- the same seed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [128, 7])
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(batch_size: int) -> None:
    states, histories = [], []
    for number, seed in enumerate((3, 3, 4)):
        model, guide, x, y = small_problem(members=2)
        torch.manual_seed(number)  # the global generator has no say
        torch.rand(number)
        histories.append(fit(model, guide, x, y, settings(batch_size=batch_size, members=2), seed=seed))
        states.append(state_of(guide))
    assert same_bits(states[0], states[1])
    assert histories[0].elbo_per_datum == histories[1].elbo_per_datum
    assert not same_bits(states[0], states[2])


@pytest.mark.parametrize("batch_size", [128, 7])
def test_nothing_global_is_touched(batch_size: int) -> None:
    model, guide, x, y = small_problem()
    rng, validation = torch.random.get_rng_state(), pyro.settings.get()
    fit(model, guide, x, y, settings(batch_size=batch_size), heldout=(x, y))
    assert torch.equal(rng, torch.random.get_rng_state())
    assert pyro.settings.get() == validation
    assert len(pyro.get_param_store()) == 0
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_two_fits_in_two_threads_are_the_two_fits_one_after_the_other() -> None:
    def one(seed: int, results: dict[int, list[Tensor]]) -> None:
        model, guide, x, y = small_problem(seed=seed)
        fit(model, guide, x, y, settings(20, batch_size=10), heldout=(x[:5], y[:5]), seed=seed)
        results[seed] = state_of(guide)

    alone: dict[int, list[Tensor]] = {}
    together: dict[int, list[Tensor]] = {}
    # small_problem's network takes its (unused) first weights from the global generator: made before.
    for seed in (0, 1):
        one(seed, alone)
    threads = [threading.Thread(target=one, args=(seed, together)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same_bits(alone[0], together[0])
    assert same_bits(alone[1], together[1])
    assert not same_bits(alone[0], alone[1])


# -- members ------------------------------------------------------------------------------------------------


def test_a_members_clipped_gradient_is_its_own() -> None:
    clipped = []
    for factor in (1.0, 1e6, 0.0):
        net = random_hypernetwork(6, noise_dim=2, hidden=(4,), members=2)
        generator = torch.Generator().manual_seed(1)
        for parameter in net.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad[1] *= factor
        clip_gradients(net.parameters(), 2.0, step=1)
        clipped.append([p.grad for p in net.parameters() if p.grad is not None])
    for other in clipped[1:]:
        assert all(torch.equal(a[0], b[0]) for a, b in zip(clipped[0], other, strict=True))
    norms = [
        [math.sqrt(sum(float(g[member].square().sum()) for g in gradients)) for member in (0, 1)]
        for gradients in clipped
    ]
    assert norms[0] == pytest.approx([2.0, 2.0])
    assert norms[1] == pytest.approx([2.0, 2.0])
    assert norms[2] == pytest.approx([2.0, 0.0])


def test_clipping_leaves_small_gradients_and_directions_alone() -> None:
    net = random_hypernetwork(6, noise_dim=2, hidden=(4,), members=2)
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    before = torch.cat([p.grad[0].flatten() for p in net.parameters() if p.grad is not None]).clone()
    norm = before.norm().item()
    for limit, expected in ((2 * norm, before), (0.0, before), (norm / 4, before / 4)):
        clip_gradients(net.parameters(), limit, step=1)
        after = torch.cat([p.grad[0].flatten() for p in net.parameters() if p.grad is not None])
        torch.testing.assert_close(after, expected, rtol=1e-12, atol=0)


def test_a_members_posterior_does_not_depend_on_what_another_starts_from() -> None:
    results = []
    for shift in (0.0, 30.0):
        model, guide, x, y = small_problem(members=2)
        with torch.no_grad():
            guide.hypernetwork.mean[1, :-1] += shift  # member 1's gradients are thousands of times as large
        fit(model, guide, x, y, settings(10, members=2, clip=0.5))
        results.append([p.detach() for p in guide.parameters()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one[0], other[0], rtol=1e-6, atol=1e-7)
    assert not torch.allclose(results[0][0][1], results[1][0][1])


def test_a_gradient_that_is_not_finite_is_named() -> None:
    for value in (math.nan, math.inf):
        net = random_hypernetwork(6, noise_dim=2)
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        assert net.mean.grad is not None
        net.mean.grad[0, 3] = value
        with pytest.raises(TrainingDiverged, match="gradient") as caught:
            clip_gradients(net.parameters(), 10.0, step=5)
        assert (caught.value.term, caught.value.step) == ("gradient", 5)


# -- the warm start -----------------------------------------------------------------------------------------


def test_the_warm_start_finds_the_mode_and_moves_nothing_but_the_mean() -> None:
    problem = Ridge.draw()
    model = problem.model()
    family = HypernetworkSettings(noise_dim=2, hidden=(4,), gain=0.2, output_noise=0.2)
    net = family.build(torch.randn(2, model.spec.size), model.prior.scale)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    data = itertools.repeat((problem.x, problem.y))
    warm_start(model, net, data, settings(warm_rate=0.3), steps=500)
    moved = [name for name, p in net.named_parameters() if not torch.equal(p, before[name])]
    assert moved == ["mean"]
    # The mode of a Gaussian posterior is its mean, here known; both members get there from anywhere.
    exact = problem.posterior
    error = (net.mean.detach().double() - exact.mean) / exact.stddev
    assert error.abs().max().item() < 0.05


def test_the_warm_start_trains_what_is_not_bayesian_too() -> None:
    problem = Ridge.draw()
    network = torch.nn.Linear(problem.x.shape[1], 1)
    model = BayesianModel(
        Target(network, ("bias",)), NormalPrior(scale=problem.prior), KnownNoise(problem.noise), num_data=30
    )
    net = HypernetworkSettings(noise_dim=0).build(torch.zeros(1, 1), model.prior.scale)
    warm_start(model, net, itertools.repeat((problem.x, problem.y)), settings(warm_rate=0.3), steps=500)
    # The coefficients have no prior, the bias has: least squares in which it alone is shrunk.
    design, shrunk = problem.design, torch.diag(torch.tensor([0.0, 0.0, 0.0, 1.0])).double()
    exact = torch.linalg.solve(design.mT @ design + problem.noise**2 * shrunk, design.mT @ problem.y.double())
    found = torch.cat([model.target.network.weight[0], net.mean[0]]).detach().double()
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-3)


def test_the_warm_start_scales_mini_batches_to_all_rows() -> None:
    problem = Ridge.draw(rows=16, noise=3.0)  # so noisy that the prior has a say in the mode
    model = problem.model()
    net = HypernetworkSettings(noise_dim=0).build(torch.zeros(1, model.spec.size), model.prior.scale)
    halves = itertools.cycle([(problem.x[:8], problem.y[:8]), (problem.x[8:], problem.y[8:])])
    warm_start(model, net, halves, settings(warm_rate=0.05), steps=800)
    exact = problem.posterior
    # The rate has gone down to a hundredth, and with it what the halves disagree about.
    assert ((net.mean[0].detach().double() - exact.mean) / exact.stddev).abs().max().item() < 0.1


def test_a_fit_starts_from_the_mode_that_the_warm_start_found() -> None:
    elbos = []
    for warm in (0, 100):
        model, guide, x, y = small_problem()
        with torch.no_grad():
            guide.hypernetwork.mean[0, :-1] += 1.0  # a bad start
        elbos.append(fit(model, guide, x, y, settings(25, every=1, warm=warm)).elbo_per_datum[0])
    assert elbos[1] > elbos[0] + 0.5  # nats per row


def test_a_warm_start_that_diverges_leaves_the_guide_as_it_came() -> None:
    model, guide, x, y = small_problem(likelihood=BreaksAfter(calls=3))
    before = state_of(guide, model)
    with pytest.raises(TrainingDiverged) as caught:
        quietly(model, guide, x, y, settings(20, warm=20))
    assert (caught.value.term, caught.value.step) == ("log likelihood", 4)
    assert same_bits(before, state_of(guide, model))


# -- schedules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 50, 1000, 4000])
def test_the_learning_rate_warms_up_and_ends_at_its_share(steps: int) -> None:
    recipe = settings(steps, rate=0.02)
    rates = [0.02 * rate_share(step, steps, recipe.optimizer) for step in range(1, steps + 1)]
    warmup = min(100, steps // 10)
    for step in range(warmup):
        assert rates[step] == pytest.approx(0.02 * (step + 1) / warmup)
    if steps > warmup + 1:  # down all the way, along half a cosine
        assert all(a > b for a, b in zip(rates[max(warmup - 1, 0) :], rates[max(warmup, 1) :], strict=False))
    assert rates[-1] == pytest.approx(0.02 * 0.01)
    assert all(0 < rate <= 0.02 * (1 + 1e-12) for rate in rates)
    if (steps - warmup) % 2 == 0:
        middle = rates[warmup + (steps - warmup) // 2 - 1]
        assert middle == pytest.approx(0.02 * (0.01 + 1.0) / 2)


@pytest.mark.parametrize("steps", [1, 7, 100])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
@pytest.mark.parametrize("anneal", [0.0, 0.3, 0.99])
def test_the_kl_weight_rises_to_the_temperature_and_is_never_zero(
    steps: int, temperature: float, anneal: float
) -> None:
    recipe = settings(steps, temperature=temperature, anneal=anneal)
    weights = [kl_weight(step, steps, recipe.kl, temperature) for step in range(1, steps + 1)]
    assert all(0 < weight <= temperature for weight in weights)
    assert all(a <= b for a, b in itertools.pairwise(weights))
    assert weights[-1] == temperature
    for step, weight in enumerate(weights, start=1):
        if step >= anneal * steps:
            assert weight == temperature
        else:
            # Along a straight line in its logarithm, from the start's share of the temperature.
            share = step / (anneal * steps)
            assert weight == pytest.approx(temperature * recipe.kl.start ** (1 - share))


class Watched(BayesianModel):
    """Notes the KL weight and the rows of every step."""

    def forward(self, x: Tensor, y: Tensor | None = None, **more: Any) -> Tensor:
        if not hasattr(self, "seen"):
            self.seen: list[tuple[float, Tensor]] = []
        self.seen.append((self.kl_weight, x))
        return super().forward(x, y, **more)


def test_every_epoch_visits_every_row_once_at_the_weight_of_its_step() -> None:
    model, guide, x, y = small_problem(rows=24)
    model.__class__ = Watched
    recipe = settings(9, batch_size=10, temperature=0.5)
    fit(model, guide, x, y, recipe)
    seen = model.seen  # type: ignore[attr-defined]
    seen = seen[:9]  # one more pass looks at the last state's loss
    assert [weight for weight, _ in seen] == [kl_weight(step, 9, recipe.kl, 0.5) for step in range(1, 10)]
    assert [len(rows) for _, rows in seen] == [10, 10, 4] * 3
    orders = []
    for epoch in range(3):
        rows = torch.cat([rows for _, rows in seen[3 * epoch : 3 * epoch + 3]])
        orders.append(rows)
        assert torch.equal(rows.sort(0).values, x.sort(0).values)
    assert not torch.equal(orders[0], orders[1])


# -- what is kept -------------------------------------------------------------------------------------------


def test_without_held_out_rows_the_last_state_is_kept() -> None:
    model, guide, x, y = small_problem()
    snapshots: Snapshots = {}
    history = fit(model, guide, x, y, settings(12, every=5), progress=remember((guide,), snapshots))
    assert history.steps == [5, 10, 12]
    assert history.best_step == 12
    assert not history.stopped_early
    assert history.heldout_score == []
    assert len(history) == len(history.elbo_per_datum) == 3
    assert all(map(math.isfinite, history.elbo_per_datum))
    assert same_bits(snapshots[12], state_of(guide))


def test_early_stopping_restores_the_best_state_and_counts_after_the_annealing_only() -> None:
    model, guide, x, y = small_problem()
    # Held-out rows that contradict the training rows: the longer the fit, the worse their score.
    heldout = (x, -3.0 * y - 2.0)
    snapshots: Snapshots = {}
    history = fit(
        model,
        guide,
        x,
        y,
        settings(200, rate=0.03, every=5, patience=4, anneal=0.2),
        heldout=heldout,
        progress=remember((guide, model), snapshots),
    )
    assert history.stopped_early
    scores = dict(zip(history.steps, history.heldout_score, strict=True))
    annealed = {step: score for step, score in scores.items() if step >= 40}
    # Were the annealing counted, a step before its end would have won.
    assert max(scores.values()) > max(annealed.values())
    assert history.best_step == max(annealed, key=lambda step: annealed[step])
    assert same_bits(snapshots[history.best_step], state_of(guide, model))
    assert history.steps[-1] == history.best_step + 4 * 5  # patience: four looks without a better score
    assert history.steps[-1] < 200


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_patience_is_counted_from_the_last_better_look(seed: int) -> None:
    model, guide, x, y = small_problem(seed=seed)
    recipe = settings(150, rate=0.02, every=1, patience=12, anneal=0.1)
    history = fit(model, guide, x, y, recipe, heldout=(x[:4], y[:4]), seed=seed)
    best, since, setbacks, total = -math.inf, 0, 0, 0
    for step, score in zip(history.steps, history.heldout_score, strict=True):
        assert since < 12  # it went on only while it was right to
        if step < 15:
            continue
        setbacks += since > 0 and score > best  # worse for a while, then better than ever
        total += score <= best
        best, since = (score, 0) if score > best else (best, since + 1)
    assert history.stopped_early == (since == 12)
    assert setbacks > 0
    assert total > 12  # without forgiveness it would have stopped sooner
    assert history.heldout_score[history.steps.index(history.best_step)] == best


def test_held_out_scores_are_given_in_the_targets_own_units() -> None:
    scores = []
    for log_unit in (0.0, 2.0):
        model, guide, x, y = small_problem()
        scores.append(fit(model, guide, x, y, settings(5), heldout=(x, y), log_unit=log_unit).heldout_score)
    assert scores[0][0] - scores[1][0] == pytest.approx(2.0)


def test_the_recorded_elbo_is_the_mean_over_the_steps_of_the_look() -> None:
    records = {}
    for every in (1, 5):
        model, guide, x, y = small_problem()
        records[every] = fit(model, guide, x, y, settings(12, every=every)).elbo_per_datum
    single = records[1]
    means = [sum(single[a:b]) / (b - a) for a, b in ((0, 5), (5, 10), (10, 12))]
    assert records[5] == pytest.approx(means, rel=1e-12)


def test_the_fit_raises_the_elbo() -> None:
    model, guide, x, y = small_problem()
    model.particles = 64

    def elbo() -> float:
        with torch.no_grad():
            torch.manual_seed(0)
            return elbo_terms(model, guide, x, y).value()

    before = elbo()
    fit(model, guide, x, y, settings(80, rate=0.03, anneal=0.1, every=40))
    model.particles = 64
    assert elbo() > before + 5.0  # nats; a standard error is about 1


def test_history_survives_json() -> None:
    history = History(
        steps=[5, 9],
        elbo_per_datum=[-1.5, -1.25],
        heldout_score=[-0.1, 0.2],
        best_step=9,
        stopped_early=True,
        seconds=0.125,
    )
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history


# -- how it fails -------------------------------------------------------------------------------------------


def quietly(
    model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor, recipe: SVISettings, **more: Any
) -> None:
    """A fit that is expected to diverge: Pyro warns of the same value that the error is about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Encountered", category=UserWarning)
        fit(model, guide, x, y, recipe, **more)


def test_divergence_names_term_and_step_and_keeps_the_last_good_state() -> None:
    model, guide, x, y = small_problem(likelihood=BreaksAfter(calls=7))
    snapshots: Snapshots = {}
    with pytest.raises(TrainingDiverged) as caught:
        quietly(model, guide, x, y, settings(20, every=3), progress=remember((guide, model), snapshots))
    assert caught.value.term == "log likelihood"
    assert caught.value.step == 8
    assert sorted(snapshots) == [3, 6]
    assert same_bits(snapshots[6], state_of(guide, model))
    assert model.kl_weight == 1.0  # usable as it stands
    assert guide.generator is None


def test_divergence_before_the_first_look_leaves_the_guide_as_it_came() -> None:
    model, guide, x, y = small_problem(likelihood=BreaksAfter(calls=0))
    before = state_of(guide, model)
    with pytest.raises(TrainingDiverged) as caught:
        quietly(model, guide, x, y, settings(20, every=3))
    assert caught.value.step == 1
    assert same_bits(before, state_of(guide, model))


@pytest.mark.parametrize("every", [1, 2, 100])
def test_an_extreme_learning_rate_leaves_a_state_that_can_be_used(every: int) -> None:
    model, guide, x, y = small_problem()
    with pytest.raises(TrainingDiverged):
        quietly(model, guide, x, y, settings(50, rate=1e25, clip=0.0, every=every))
    assert all(bool(tensor.isfinite().all()) for tensor in state_of(guide))
    model.particles = 4
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Encountered", category=UserWarning)
        loss = elbo_terms(model, guide, x, y).loss
    assert math.isfinite(loss.item())


class Checked(Likelihood):
    """The ten lines of the documentation: torch's own argument checks are on."""

    task = "regression"

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        return torch.distributions.Laplace(outputs[..., 0], 1.0)


def test_divergence_is_called_that_where_the_users_likelihood_checks_its_arguments() -> None:
    model, guide, x, y = small_problem(likelihood=Checked())
    with pytest.raises(TrainingDiverged):
        quietly(model, guide, x, y, settings(50, rate=1e25, clip=0.0))


def test_divergence_comes_as_the_error_alone() -> None:
    model, guide, x, y = small_problem(likelihood=BreaksAfter(calls=2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(TrainingDiverged):
            fit(model, guide, x, y, settings(20))
    assert [str(warning.message) for warning in caught] == []


def test_targets_that_are_not_numbers_are_named_before_the_first_step() -> None:
    model, guide, x, y = small_problem()
    y[3] = math.nan
    before = state_of(guide)
    with pytest.raises(DataError, match=r"target nan in row 4 .*expected finite numbers .*Gaussian"):
        quietly(model, guide, x, y, settings())
    assert same_bits(before, state_of(guide))


def test_an_interrupted_fit_leaves_model_and_guide_in_order() -> None:
    model, guide, x, y = small_problem()
    snapshots: Snapshots = {}
    keep = remember((guide,), snapshots)

    def interrupt(step: int, steps: int, elbo: float, score: float | None) -> None:
        keep(step, steps, elbo, score)
        if step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, guide, x, y, settings(50), progress=interrupt)
    # The state of step 10 has not been seen to have a finite loss yet; that of step 5 has.
    assert same_bits(snapshots[5], state_of(guide))
    assert not model.training
    assert not guide.training
    assert (model.kl_weight, model.particles, guide.generator) == (1.0, None, None)


def test_a_fitted_guide_can_be_copied_and_fitted_on() -> None:
    model, guide, x, y = small_problem()
    fit(model, guide, x, y, settings())
    twin = copy.deepcopy(guide)
    for one in (guide, twin):
        fit(one.model, one, x, y, settings(), seed=1)
    assert same_bits(state_of(guide), state_of(twin))


# -- what is held out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "held"), [(2, None), (1999, None), (2000, 200), (2009, 200), (80_000, 5000)]
)
def test_small_tables_give_no_rows_away(rows: int, held: int | None) -> None:
    split = take_holdout(rows, SVISettings(), torch.Generator().manual_seed(0))
    if held is None:
        assert split is None
        return
    assert split is not None
    kept, out = split
    assert len(out) == held
    assert torch.equal(torch.cat([kept, out]).sort().values, torch.arange(rows))


def test_what_is_held_out_depends_on_the_seed_alone_and_can_be_switched_off() -> None:
    first, same, other = (
        take_holdout(3000, SVISettings(), torch.Generator().manual_seed(s)) for s in (0, 0, 1)
    )
    assert first is not None
    assert same is not None
    assert other is not None
    assert torch.equal(first[1], same[1])
    assert not torch.equal(first[1], other[1])
    assert int((first[1] < 1500).sum()) not in (0, 300)  # from the whole table, not from one end
    none = SVISettings(stopping=StoppingSettings(holdout=0.0))
    assert take_holdout(3000, none, torch.Generator().manual_seed(0)) is None


# -- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("particles", lambda: SVISettings(particles=0)),
        ("members", lambda: SVISettings(members=0)),
        ("batch_size", lambda: SVISettings(batch_size=-1)),
        ("optimizer.learning_rate", lambda: settings(rate=0.0)),
        ("optimizer.learning_rate", lambda: settings(rate=math.nan)),
        ("optimizer.steps", lambda: settings(0)),
        ("kl.temperature", lambda: settings(temperature=0.0)),
        ("kl.anneal", lambda: settings(anneal=1.0)),
        ("kl.anneal", lambda: settings(anneal=-0.1)),
        ("stopping.patience", lambda: settings(patience=0)),
        ("entropy", lambda: SVISettings(entropy="exact")),
        ("objective", lambda: SVISettings(objective="iwae")),
    ],
)
def test_settings_that_mean_nothing_are_named(name: str, make: Callable[[], SVISettings]) -> None:
    with pytest.raises(ValueError, match=f"Got {name}"):
        make()


def test_automatic_steps_grow_with_the_rows_between_two_limits() -> None:
    steps = [SVISettings().steps_for(rows) for rows in (1, 50, 300, 1000, 10_000, 10**7)]
    assert steps == sorted(steps)
    assert steps[0] >= 100
    assert steps[-1] == steps[-2] < 20_000
