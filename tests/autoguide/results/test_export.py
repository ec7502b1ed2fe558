"""What ArviZ gets from a guide of any Pyro model: by plates, by hand, and by ArviZ's own functions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import init_to_value
from torch import Tensor

with warnings.catch_warnings():  # arviz 0.23 announces 1.0 on import
    warnings.simplefilter("ignore", FutureWarning)
    import arviz

from bayeshyper import AutoHypernetwork

SCHOOLS, ROWS, DRAWS = 3, 12, 50
GROUPS = ("posterior", "posterior_predictive", "log_likelihood", "observed_data", "prior", "prior_predictive")


def hierarchy(school: Tensor, scores: Tensor | None) -> None:
    """Two scores of each pupil; pupils in schools."""
    spread = pyro.sample("spread", dist.HalfNormal(1.0))
    slopes = pyro.sample("slopes", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    with pyro.plate("schools", SCHOOLS):
        effect = pyro.sample("effect", dist.Normal(0.0, spread))
        pyro.deterministic("doubled", 2.0 * effect)
    pyro.factor("pull", -spread)
    with pyro.plate("pupils", len(school)):
        mean = effect[school].unsqueeze(-1) + slopes
        pyro.sample("scores", dist.MultivariateNormal(mean, torch.eye(2)), obs=scores)


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    school = torch.arange(ROWS) % SCHOOLS
    return school, school.unsqueeze(-1) + torch.randn(ROWS, 2)


@pytest.fixture(scope="module")
def guide(data: tuple[Tensor, Tensor]) -> AutoHypernetwork:
    torch.manual_seed(0)
    return trained_nowhere(hierarchy, *data)


@pytest.fixture(scope="module")
def gathered(guide: AutoHypernetwork, data: tuple[Tensor, Tensor]) -> Any:
    return guide.to_arviz(*data, draws=DRAWS, groups=GROUPS, coords={"schools": ["A", "B", "C"]})


def values(data: Any, group: str, name: str) -> Tensor:
    """Draws ``(S, …)`` of the one chain."""
    array = np.array(data[group][name])
    assert array.shape[0] == 1
    return torch.from_numpy(array[0])


def names_of(data: Any) -> set[str]:
    return {name.strip("/") for name in (data.groups() if callable(data.groups) else data.children)}


def trained_nowhere(model: Any, *args: Any) -> AutoHypernetwork:
    return AutoHypernetwork(model, search=False, example_args=args)


# -- shapes and names ---------------------------------------------------------------------------------------


def test_plates_are_dimensions_and_every_group_is_there(gathered: Any) -> None:
    assert names_of(gathered) == set(GROUPS)
    dims = {
        group: {name: gathered[group][name].dims for name in gathered[group].data_vars} for group in GROUPS
    }
    drawn = ("chain", "draw")
    latents = {
        "spread": drawn,
        "slopes": (*drawn, "slopes_dim_0"),
        "effect": (*drawn, "schools"),
        "doubled": (*drawn, "schools"),
    }
    assert dims["posterior"] == dims["prior"] == latents
    scores = (*drawn, "pupils", "scores_dim_1")
    assert dims["posterior_predictive"] == dims["prior_predictive"] == {"scores": scores}
    assert dims["log_likelihood"] == {"scores": (*drawn, "pupils")}
    assert dims["observed_data"] == {"scores": ("pupils", "scores_dim_1")}
    assert values(gathered, "posterior_predictive", "scores").shape == (DRAWS, ROWS, 2)
    assert list(np.asarray(gathered["posterior"]["schools"])) == ["A", "B", "C"]
    assert gathered.attrs["guide"] == "AutoHypernetwork"
    assert gathered.attrs["sample_kind"] == "variational"


def test_a_plate_alone_on_the_left_leaves_no_empty_dimension() -> None:
    def model() -> None:
        with pyro.plate("left", 4, dim=-3):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    posterior = trained_nowhere(model).to_arviz(draws=5)["posterior"]
    assert posterior["x"].dims == ("chain", "draw", "left")


def test_plates_with_names_that_arviz_has_for_itself() -> None:
    def model() -> None:
        with pyro.plate("draw", 4):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    posterior = trained_nowhere(model).to_arviz(draws=5)["posterior"]
    assert posterior["x"].dims == ("chain", "draw", "x_dim_0")


def test_a_model_without_data_has_a_posterior_alone() -> None:
    def model() -> None:
        pyro.sample("x", dist.Normal(0.0, 1.0))

    assert names_of(trained_nowhere(model).to_arviz(draws=5)) == {"posterior"}


# -- numbers ------------------------------------------------------------------------------------------------


def test_the_posterior_is_what_the_guide_draws_and_what_the_model_computes_of_it(
    gathered: Any, guide: AutoHypernetwork, data: tuple[Tensor, Tensor]
) -> None:
    torch.manual_seed(0)
    drawn = guide.sample_posterior(DRAWS)
    for name, expected in drawn.items():
        torch.testing.assert_close(values(gathered, "posterior", name), expected, rtol=0.0, atol=0.0)
    effect = values(gathered, "posterior", "effect")
    torch.testing.assert_close(values(gathered, "posterior", "doubled"), 2.0 * effect)
    given = guide.to_arviz(*data, draws=drawn, groups=["posterior"])
    torch.testing.assert_close(values(given, "posterior", "effect"), effect, rtol=0.0, atol=0.0)


def test_the_log_likelihood_of_each_row_is_the_one_by_hand(
    gathered: Any, data: tuple[Tensor, Tensor]
) -> None:
    school, scores = data
    effect, slopes = (values(gathered, "posterior", name) for name in ("effect", "slopes"))
    mean = effect[:, school, None] + slopes[:, None, :]
    by_hand = dist.Normal(mean, 1.0).log_prob(scores).sum(-1)
    torch.testing.assert_close(values(gathered, "log_likelihood", "scores"), by_hand)
    observed = torch.from_numpy(np.array(gathered["observed_data"]["scores"]))
    torch.testing.assert_close(observed, scores, rtol=0.0, atol=0.0)


def test_replications_follow_their_draw_and_prior_draws_the_prior(
    guide: AutoHypernetwork, data: tuple[Tensor, Tensor]
) -> None:
    gathered = guide.to_arviz(*data, draws=200, groups=GROUPS)
    school = data[0]
    for posterior, predictive in (("posterior", "posterior_predictive"), ("prior", "prior_predictive")):
        effect, slopes = (values(gathered, posterior, name) for name in ("effect", "slopes"))
        residuals = values(gathered, predictive, "scores") - effect[:, school, None] - slopes[:, None, :]
        # Standard Normals, N of them: their mean has variance 1/N, and their variance 2/N.
        assert abs(residuals.mean().item()) < 4 * residuals.numel() ** -0.5
        assert abs(residuals.var().item() - 1.0) < 4 * (2 / residuals.numel()) ** 0.5
    spread = values(gathered, "prior", "spread")
    # A half Normal: mean √(2/π), variance 1 − 2/π.
    assert abs(spread.mean().item() - (2 / np.pi) ** 0.5) < 4 * ((1 - 2 / np.pi) / 200) ** 0.5
    assert not torch.equal(spread, values(gathered, "posterior", "spread"))


def test_masked_rows_have_no_likelihood_and_tempered_ones_their_own() -> None:
    present = torch.tensor([True, False, True])
    y = torch.tensor([0.0, 50.0, 1.0])

    def model() -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", 3), poutine.scale(scale=0.1), poutine.mask(mask=present):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    gathered = trained_nowhere(model).to_arviz(draws=5)
    by_hand = dist.Normal(values(gathered, "posterior", "mean")[:, None], 1.0).log_prob(y) * present
    torch.testing.assert_close(values(gathered, "log_likelihood", "y"), by_hand)


def test_one_value_for_a_whole_plate_is_observed_in_all_of_its_places() -> None:
    def model() -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", 3):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=torch.tensor(2.0))

    gathered = trained_nowhere(model).to_arviz(draws=5)
    assert np.array(gathered["observed_data"]["y"]).tolist() == [2.0, 2.0, 2.0]
    assert values(gathered, "log_likelihood", "y").shape == (5, 3)


def test_missing_values_that_the_model_draws_are_in_the_posterior() -> None:
    present = torch.tensor([True, False, True])

    def model() -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", 3):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=torch.tensor([1.0, 0.0, 3.0]), obs_mask=present)

    gathered = trained_nowhere(model).to_arviz(draws=5)
    filled, drawn = values(gathered, "posterior", "y"), values(gathered, "posterior", "y_unobserved")
    assert filled[:, [0, 2]].tolist() == [[1.0, 3.0]] * 5
    torch.testing.assert_close(filled[:, 1], drawn[:, 1])
    assert values(gathered, "log_likelihood", "y_observed")[:, 1].tolist() == [0.0] * 5


def test_new_rows_without_data_are_predicted(guide: AutoHypernetwork) -> None:
    school = torch.tensor([0, 2, 2, 2])
    gathered = guide.to_arviz(school, None, draws=300)
    assert names_of(gathered) == {"posterior", "posterior_predictive"}
    effect, slopes = (values(gathered, "posterior", name) for name in ("effect", "slopes"))
    residuals = (
        values(gathered, "posterior_predictive", "scores") - effect[:, school, None] - slopes[:, None, :]
    )
    assert abs(residuals.mean().item()) < 4 * residuals.numel() ** -0.5
    assert abs(residuals.var().item() - 1.0) < 4 * (2 / residuals.numel()) ** 0.5


def test_the_same_seed_gives_the_same_and_the_global_generator_is_left_alone(
    guide: AutoHypernetwork, data: tuple[Tensor, Tensor]
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = (guide.to_arviz(*data, draws=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    scores = [values(each, "posterior_predictive", "scores") for each in (first, second, other)]
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])
    assert not pyro.get_param_store()


# -- ArviZ's own functions ----------------------------------------------------------------------------------


def test_arviz_summarises_and_plots(gathered: Any) -> None:
    table = arviz.summary(gathered, kind="stats", round_to="none")
    effect = values(gathered, "posterior", "effect")
    assert table.loc["effect[B]", "mean"] == pytest.approx(effect[:, 1].double().mean().item(), rel=1e-5)
    arviz.plot_forest(gathered, var_names=["effect"])


def test_arvizs_leave_one_out_of_exact_draws_is_the_exact_one() -> None:
    torch.manual_seed(0)
    y = torch.randn(30) + 1.0

    def model() -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", len(y)):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    posterior = dist.Normal(y.sum() / (len(y) + 1), (len(y) + 1) ** -0.5)
    draws = {"mean": posterior.sample((2000,))}
    gathered = trained_nowhere(model).to_arviz(draws=draws, groups=["log_likelihood"])
    found = arviz.loo(gathered)
    # Each row given all others: Normal around the sum of those over N, of variance 1 + 1/N.
    exact = dist.Normal((y.sum() - y) / len(y), (1 + 1 / len(y)) ** 0.5).log_prob(y).sum().item()
    elpd = float(found.elpd if hasattr(found, "elpd") else found.elpd_loo)
    # The weights of a row vary by about its density's own sd, here 0.2: 30 rows, 2 000 draws.
    assert elpd == pytest.approx(exact, abs=4 * 30**0.5 * 0.2 * 2000**-0.5)


# -- what is refused ----------------------------------------------------------------------------------------


def test_subsampled_plates_are_refused_but_for_the_posterior() -> None:
    def model(rows: int = 2) -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", 10, subsample_size=rows):
            local = pyro.sample("local", dist.Normal(mean, 1.0))
            pyro.sample("y", dist.Normal(local, 1.0), obs=torch.zeros(rows))

    guide = trained_nowhere(model)
    with pytest.raises(ValueError, match=r"plate 'rows' takes 2 of 10 rows.*groups=\[\"posterior\"\]"):
        guide.to_arviz(draws=5)
    assert values(guide.to_arviz(draws=5, groups=["posterior"]), "posterior", "local").shape == (5, 10)
    assert values(guide.to_arviz(10, draws=5), "log_likelihood", "y").shape == (5, 10)


def test_a_likelihood_of_hidden_sites_is_refused_and_replications_of_it_are_not() -> None:
    def model() -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", 3):
            kind = pyro.sample("kind", dist.Bernoulli(0.5))
            pyro.sample("y", dist.Normal(mean + 5.0 * kind, 1.0), obs=torch.zeros(3))

    guide = trained_nowhere(poutine.block(model, hide=["kind"]))
    with pytest.raises(ValueError, match=r"likelihood of 'y' differs from run to run.*leave log_likelihood"):
        guide.to_arviz(draws=5)
    gathered = guide.to_arviz(draws=300, groups=["posterior_predictive"])
    far = (
        values(gathered, "posterior_predictive", "y") - values(gathered, "posterior", "mean")[:, None]
    ) > 2.5
    assert abs(far.double().mean().item() - 0.5) < 4 * 0.5 / 900**0.5


def test_data_outside_of_a_plate_would_have_replications_of_another_shape() -> None:
    def model() -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mean, 1.0), obs=torch.zeros(3))

    with pytest.raises(
        ValueError, match=r"'y' is observed in shape \(3,\).*in shape \(\): put it into a plate"
    ):
        trained_nowhere(model).to_arviz(draws=5)


def test_an_improper_prior_has_no_draws() -> None:
    def model() -> None:
        mean = pyro.sample("mean", dist.ImproperUniform(dist.constraints.real, (), ()))
        with pyro.plate("rows", 3):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=torch.zeros(3))

    guide = AutoHypernetwork(
        model, init_loc_fn=init_to_value(values={"mean": torch.tensor(0.0)}), search=False
    )
    assert "prior" not in names_of(guide.to_arviz(draws=5))
    with pytest.raises(ValueError, match=r"prior cannot be drawn, as an improper one"):
        guide.to_arviz(draws=5, groups=GROUPS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["posteriors"]}, r"Got the group 'posteriors', expected some of posterior, "),
        ({"coords": {"school": [1, 2, 3]}}, r"coordinates of 'school', expected .* schools, "),
        ({"coords": {"schools": [1, 2]}}, r"coordinates of shape \(2,\) for 'schools', expected .* 3 places"),
        ({"draws": 0}, r"Got draws = 0"),
        ({"draws": 2.5}, r"Got draws = 2.5"),
        ({"groups": "prior "}, r"Got the group 'prior ', expected some of posterior, "),
        ({"draws": {"spread": torch.ones(3)}}, r"no value for slopes, effect"),
    ],
)
def test_options_that_cannot_be(
    guide: AutoHypernetwork, data: tuple[Tensor, Tensor], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        guide.to_arviz(*data, **{"draws": 2, **options})
