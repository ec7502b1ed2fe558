"""A hypernetwork as an automatic guide: where Pyro's `AutoNormal` stands, for any Pyro model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, cast

import pyro
import torch
from numpy.typing import ArrayLike
from pyro import poutine
from pyro.infer.autoguide import AutoGuide
from pyro.infer.autoguide.initialization import InitMessenger, init_to_feasible
from torch import Tensor

from bayeshyper.inference.guide import announce_parameters
from bayeshyper.progress import ProgressBar

from .admission import check_settings
from .joint import LogJoint
from .outside import outside
from .placed import Placed
from .posterior import CORRELATED, EntropyChoice, LatentPosterior
from .sites import LatentSite, LatentSites
from .start import StartingGaussian, find_starts, starts_around
from .structure import StructureWatch

__all__ = ["AutoHypernetwork"]

NOISE_DIM = 4
# Draws that median and quantiles are of, the same every time; of many latents fewer, for memory's sake.
QUANTILE_DRAWS, QUANTILE_NUMBERS = 10_000, 2**25


class AutoHypernetwork(AutoGuide):
    """The implicit posterior of any Pyro model with continuous latents, drop-in for `AutoNormal`.

    Every latent site is mapped to the reals by ``biject_to`` of its support, whose Jacobian is part of the
    density; the D numbers that all of them have together are the weights that a noise-conditioned
    hypernetwork makes (`LatentPosterior`), whose scales vary with the noise as well as their means.

    Parameters are made when the model is first seen: at once where it takes no arguments or ``example_args``
    are given, else at the first call. They are the module's own: Pyro's parameter store stays empty, and
    ``state_dict`` has them all.

    Args:
        model: A Pyro model; its latents continuous, its structure the same in every call.
        init_loc_fn: Where latents start, as Pyro's `initialization` has it.
        noise_dim: d; None for at most 4.
        hidden: Units of the trunk's tanh layers.
        entropy: How the density of draws is estimated in training: a name in
            `bayeshyper.inference.ENTROPIES`, or what makes an estimator for a hypernetwork.
        members: M, independent posteriors from different starts, mixed in equal parts.
        init_scale: The scale of the start, where no better is found.
        search: Whether a Gaussian of high ELBO is looked for before training (`find_starts`), through a few
            hundred evaluations of the model's density. It is skipped for models whose density changes from
            call to call, which subsample.
        example_args: Arguments of the model, to make all parameters at once.
        example_kwargs: Keyword arguments likewise.
        create_plates: As in `AutoNormal`: makes the plates, for subsampling.

    Attributes:
        sites: The latent sites, once the model has been seen.
        posterior: What the latents are drawn from, once the model has been seen.

    Raises:
        ValueError: A model without latents, and the like; the message says what to do.

    Example:
        >>> import pyro.distributions as dist
        >>> from pyro.infer import SVI, Trace_ELBO
        >>> def model(y):
        ...     mean = pyro.sample("mean", dist.Normal(0.0, 10.0))
        ...     scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
        ...     with pyro.plate("rows", len(y)):
        ...         pyro.sample("y", dist.Normal(mean, scale), obs=y)
        >>> guide = AutoHypernetwork(model)
        >>> svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
        >>> loss = svi.step(torch.randn(20) + 3.0)
        >>> guide.sample_posterior(100)["scale"].shape
        torch.Size([100])
    """

    def __init__(
        self,
        model: Callable[..., Any],
        init_loc_fn: Callable[..., Any] = init_to_feasible,
        *,
        noise_dim: int | None = None,
        hidden: Sequence[int] = (32, 32),
        entropy: EntropyChoice = "hierarchical",
        members: int = 1,
        init_scale: float = 0.1,
        search: bool = True,
        example_args: Iterable[Any] | None = None,
        example_kwargs: Mapping[str, Any] | None = None,
        create_plates: Callable[..., Any] | None = None,
    ) -> None:
        check_settings(noise_dim, hidden, members, init_scale)
        super().__init__(InitMessenger(init_loc_fn)(model), create_plates=create_plates)  # type: ignore[no-untyped-call]
        self.sites: LatentSites | None = None
        self._settings = {"noise_dim": noise_dim, "hidden": tuple(hidden), "entropy": entropy}
        self._members, self._init_scale, self._search = members, init_scale, search
        if example_args is not None or example_kwargs is not None or _takes_nothing(model):
            self._setup_prototype(*(example_args or ()), **(example_kwargs or {}))

    # -- the model is seen ------------------------------------------------------------------------------

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        """Run the model, find its latent sites, and make all parameters."""
        self._watch = StructureWatch(self.model, args, kwargs)
        with outside():
            super()._setup_prototype(*args, **kwargs)  # type: ignore[no-untyped-call]
        sites = LatentSites(cast(poutine.Trace, self.prototype_trace))
        self._watch.look_aside(self.model, sites, args, kwargs)
        with torch.enable_grad():  # the first call may be one that nobody wants gradients of
            starts = self._starts(sites, args, kwargs)
            posterior = LatentPosterior(starts, **self._sizes(sites.size))
        # Past PyroModule, which would register every parameter in the global store when it is looked at.
        self._modules["posterior_"] = posterior
        self.sites = sites

    def _sizes(self, size: int) -> dict[str, Any]:
        noise_dim = self._settings["noise_dim"]
        return {**self._settings, "noise_dim": min(NOISE_DIM, size) if noise_dim is None else noise_dim}

    def _starts(self, sites: LatentSites, args: Any, kwargs: Any) -> list[StartingGaussian]:
        """One for each member; where nothing is searched for, at or around the initial values."""
        log_joint = LogJoint(self.model, sites, args, kwargs)
        if not (self._search and sites.size <= CORRELATED and log_joint.is_fixed(sites.start.unsqueeze(0))):
            return starts_around(sites.start, self._init_scale, self._members)
        with ProgressBar(label="Looking for a start", objective="") as bar:
            return find_starts(
                log_joint,
                sites.start,
                self._init_scale,
                self._members,
                progress=lambda done, of: bar(done, of, None, None),
            )

    @property
    def posterior(self) -> LatentPosterior:
        """What the flat latents are drawn from.

        Raises:
            RuntimeError: The model has not been seen yet.
        """
        posterior = self._modules.get("posterior_")
        if not isinstance(posterior, LatentPosterior):
            raise RuntimeError(
                "Got a guide that has not seen its model yet, so it has no parameters; call it once with the "
                "model's arguments, or give them as example_args when you make it."
            )
        return posterior

    # -- draws as Pyro sees them ------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Draw all sites, in their plates; arguments as the model's."""
        if self.sites is None:
            self._setup_prototype(*args, **kwargs)
        elif torch.is_grad_enabled() and poutine.get_mask() is not False:
            self._watch.look(self.model, args, kwargs)  # not where a fitted guide predicts, on other rows
        plates = self._create_plates(*args, **kwargs)  # type: ignore[no-untyped-call]
        announce_parameters(self._pyro_name, self.posterior)
        draw = self.posterior.distribution()
        flat = pyro.sample(f"_{self._pyro_name}_latent", draw, infer={"is_auxiliary": True})
        return {site.name: _place(site, flat, plates) for site in self.sites or ()}

    # -- what is asked of a fitted guide ----------------------------------------------------------------

    def sample_posterior(self, n: int, *, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Draw every site n times: ``(n, *shape)``, at full size where a plate is subsampled.

        Args:
            n: How many joint draws.
            generator: Where the noise comes from; None is torch's global generator.
        """
        with torch.no_grad():
            return self._seen.values(self.posterior.sample(n, generator))

    def median(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Median of each number of each site, ``(*shape,)``: of 10 000 draws, the same every time."""
        return {name: values[0] for name, values in self.quantiles([0.5]).items()}

    def quantiles(self, quantiles: Sequence[float] | Tensor, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Quantiles of each number of each site, ``(Q, *shape)``: of 10 000 draws, the same every time."""
        generator = torch.Generator(device=self.posterior.frame.location.device).manual_seed(0)
        n = max(1000, min(QUANTILE_DRAWS, QUANTILE_NUMBERS // self._seen.size))
        draws = self.sample_posterior(n, generator=generator)
        return {name: _quantiles(values, quantiles) for name, values in draws.items()}

    def to_arviz(
        self,
        *args: Any,
        draws: int | Mapping[str, Tensor] = 1000,
        groups: Collection[str] = ("posterior", "posterior_predictive", "log_likelihood", "observed_data"),
        coords: Mapping[str, ArrayLike] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> Any:
        """What was found, as ArviZ takes it; plates are the names of dimensions.

        The model is run at each draw, with the given arguments: for the log likelihood of each observed
        value (0 where it is masked), for replications of it, and for `pyro.deterministic` sites, which are
        in the posterior too. With ``groups=["posterior"]`` it is not run, and needs no arguments.

        Args:
            *args: The model's, for all rows.
            draws: How many joint draws; or draws at hand, ``(S, *shape)`` of each site.
            groups: Of ``posterior``, ``posterior_predictive``, ``log_likelihood``, ``observed_data``,
                ``prior`` and ``prior_predictive``.
            coords: Labels along a plate, or along another dimension by the name that ArviZ gives it.
            seed: Of all that is drawn; the global generator is left as it was.
            **kwargs: The model's.

        Returns:
            ``arviz.InferenceData`` with ArviZ below 1.0, ``xarray.DataTree`` from 1.0 on.

        Raises:
            ValueError: An unknown group or dimension; a plate that is subsampled; a likelihood that is
                random at given latents, as the model draws sites that are hidden from the guide.
        """
        from .export import to_arviz  # ArviZ takes seconds to import

        return to_arviz(self, args, kwargs, draws=draws, groups=groups, coords=coords or {}, seed=seed)

    def get_posterior(self, *args: Any, **kwargs: Any) -> Any:
        """An implicit posterior is no distribution object.

        Raises:
            NotImplementedError: Always, with advice.
        """
        raise NotImplementedError(
            "AutoHypernetwork's posterior is implicit: there is no distribution object with a closed-form "
            "density. Draw with guide.sample_posterior(n), ask for densities with guide.log_density(values), "
            "and for guide.median() or guide.quantiles(...) of any site."
        )

    @property
    def _seen(self) -> LatentSites:
        if self.sites is None:
            _ = self.posterior  # says what to do
        assert self.sites is not None
        return self.sites

    def __getstate__(self) -> dict[str, Any]:
        """All but the model, which need not pickle; `AutoGuide` would take it from the living guide, too."""
        return {**self.__dict__, "_model": (None,), "master": None}


def _place(site: LatentSite, flat: Tensor, plates: Mapping[str, Any]) -> Tensor:
    """Sample one site of flat latents ``(…, D)``, in its plates; of those subsampled, the present rows."""
    unconstrained = site.unconstrained(flat)
    with ExitStack() as stack:
        for frame in site.frames:
            rows = stack.enter_context(plates[frame.name])
            unconstrained = unconstrained.index_select(frame.dim - site.event_dim, rows)
        value, log_volume = site.constrain(unconstrained)
        placed: Tensor = pyro.sample(site.name, Placed(value, -log_volume, site.value_event_dim))
    return placed


def _quantiles(values: Tensor, quantiles: Sequence[float] | Tensor) -> Tensor:
    levels = torch.as_tensor(quantiles, dtype=values.dtype, device=values.device)
    flat = values.reshape(len(values), -1)
    found = torch.stack([torch.quantile(column, levels) for column in flat.unbind(-1)], dim=-1)
    return found.reshape(*levels.shape, *values.shape[1:])


def _takes_nothing(model: Callable[..., Any]) -> bool:
    """Whether a model is sure to be called without arguments."""
    call = model.forward if isinstance(model, torch.nn.Module) else model
    return not inspect.signature(call).parameters
