"""A hypernetwork as an automatic guide: where Pyro's `AutoNormal` stands, for any Pyro model."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, cast

import pyro
import torch
from pyro import poutine
from pyro.infer.autoguide.initialization import InitMessenger, init_to_feasible
from torch import Tensor

from bayeshyper.inference.guide import announce_parameters
from bayeshyper.memory import check_fits
from bayeshyper.progress import ProgressBar

from .draws.context import Context
from .draws.placed import place
from .draws.rows import in_plate, present_frame
from .fitted import FittedGuide
from .model.admission import check_given, check_settings
from .model.joint import LogJoint
from .model.outside import outside
from .model.sites import LatentSites
from .model.structure import StructureWatch
from .posterior.conditional import ConditionalPosterior, GivenContexts
from .posterior.latent import CORRELATED, EntropyChoice, LatentPosterior
from .posterior.start import StartingGaussian, find_starts, starts_around

__all__ = ["AutoHypernetwork"]

NOISE_DIM = 4
# Of a parameter in float32: means' and scales' maps, each with a gradient and Adam's two moments.
BYTES_IN_TRAINING = 32


class AutoHypernetwork(FittedGuide):
    """The implicit posterior of any Pyro model with continuous latents, drop-in for `AutoNormal`.

    Every latent site is mapped to the reals by ``biject_to`` of its support, whose Jacobian is part of the
    density; the D numbers that all of them have together are the weights that a noise-conditioned
    hypernetwork makes (`LatentPosterior`), whose scales vary with the noise as well as their means.

    Parameters are made when the model is first seen: at once where it takes no arguments or ``example_args``
    are given, else at the first call. They are the module's own: Pyro's parameter store stays empty, and
    ``state_dict`` has them all.

    The page "Use it in your own Pyro model", which ``bayeshyper docs`` shows, has a worked example.

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
        context: From the model's arguments to features c of about unit scale, which the posterior is
            conditioned on: ``(C,)`` of the data set, ``(B, C)`` of each row of a plate that all latents stand
            in, and that have then one posterior for each row. An ``nn.Module``'s parameters are the guide's.

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
        context: Callable[..., Tensor] | None = None,
    ) -> None:
        check_settings(noise_dim, hidden, members, init_scale)
        functions = {
            "model": model,
            "init_loc_fn": init_loc_fn,
            "create_plates": create_plates,
            "context": context,
        }
        check_given(functions, example_args, example_kwargs)
        super().__init__(InitMessenger(init_loc_fn)(model), create_plates=create_plates)  # type: ignore[no-untyped-call]
        # Past PyroModule, which would register every parameter in the global store when it is looked at.
        self._modules["context_"] = None if context is None else Context(context)
        self.sites: LatentSites | None = None
        self._settings = {"noise_dim": noise_dim, "hidden": tuple(hidden), "entropy": entropy}
        self._members, self._init_scale, self._search = members, init_scale, search
        if example_args is not None or example_kwargs is not None or _takes_nothing(model):
            self._setup_prototype(*(example_args or ()), **(example_kwargs or {}))

    # -- the model is seen ------------------------------------------------------------------------------

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        """Run the model, find its latent sites, and make all parameters."""
        self._watch = StructureWatch(self._own_model, args, kwargs)
        with outside():
            super()._setup_prototype(*args, **kwargs)  # type: ignore[no-untyped-call]
        trace = cast(poutine.Trace, self.prototype_trace)
        sites = LatentSites(trace)
        self._watch.look_aside(self.model, sites, args, kwargs)
        features = 0
        if self.context is not None:
            sites, features = self.context.see(trace, args, kwargs)
        with torch.enable_grad():  # the first call may be one that nobody wants gradients of
            starts, sizes = self._starts(sites, args, kwargs), self._sizes(sites.size)
            if features:
                self._modules["posterior_"] = ConditionalPosterior(starts, features, **sizes)
            else:
                self._modules["posterior_"] = LatentPosterior(starts, **sizes)
        self.sites = sites

    def _sizes(self, size: int) -> dict[str, Any]:
        noise_dim = self._settings["noise_dim"]
        return {**self._settings, "noise_dim": min(NOISE_DIM, size) if noise_dim is None else noise_dim}

    def _starts(self, sites: LatentSites, args: Any, kwargs: Any) -> list[StartingGaussian]:
        """One for each member; where nothing is searched for, at or around the initial values."""
        units: int = max(self._sizes(sites.size)["hidden"], default=0)
        check_fits(
            self._members * sites.size * (units + min(sites.size, CORRELATED)),
            f"{self._members:,} members of {sites.size:,} latents",
            bytes_each=BYTES_IN_TRAINING,
            instead="ask for fewer",
        )
        log_joint = LogJoint(self.model, sites, args, kwargs)
        searched = self._search and self.context is None and sites.size <= CORRELATED
        if not (searched and log_joint.is_fixed(sites.start.unsqueeze(0))):
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
    def context(self) -> Context | None:
        """What the posterior is conditioned on; None for nothing."""
        return cast(Context | None, self._modules["context_"])

    def _given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LatentPosterior | GivenContexts:
        posterior = self._modules.get("posterior_")
        if posterior is None:
            raise RuntimeError(
                "Got a guide that has not seen its model yet, so it has no parameters; call it once with the "
                "model's arguments, or give them as example_args when you make it."
            )
        if self.context is None:
            return cast(LatentPosterior, posterior)
        conditional = cast(ConditionalPosterior, posterior)
        return conditional.given(self.context.read(args, kwargs, conditional.matrix))

    # -- draws as Pyro sees them ------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Draw all sites, in their plates; arguments as the model's."""
        if self.sites is None:
            self._setup_prototype(*args, **kwargs)
        elif torch.is_grad_enabled() and poutine.get_mask() is not False:
            # Not where a fitted guide predicts, on other rows.
            self._watch.look(self.model, args, kwargs, self._seen)
        announce_parameters(self._pyro_name, self)
        given, rows = self._given(args, kwargs), None
        if isinstance(given, GivenContexts) and self._seen.rows is not None:
            rows = present_frame(self.model, self._seen, len(given.contexts), args, kwargs)
            self._prototype_frames[rows.name] = rows  # of as many rows as this call's arguments have
        plates = self._create_plates(*args, **kwargs)  # type: ignore[no-untyped-call]
        with in_plate(given, rows, plates) as draw:
            flat = pyro.sample(f"_{self._pyro_name}_latent", draw, infer={"is_auxiliary": True})
        return {site.name: place(site, flat, plates, rows) for site in self._seen}

    @property
    def _seen(self) -> LatentSites:
        if self.sites is None:
            self._given((), {})  # says what to do
        assert self.sites is not None
        return self.sites

    def __getstate__(self) -> dict[str, Any]:
        """All but the model, which need not pickle; `AutoGuide` would take it from the living guide, too."""
        return {**self.__dict__, "_model": (None,), "master": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy with parameters of its own, of the same model."""
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))  # type: ignore[no-untyped-call]
        copied._model = self._model
        return copied

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if any(name.startswith(f"{prefix}posterior_.") for name in state_dict):
            self._seen  # noqa: B018 - says what to do where there are no parameters yet
        super()._load_from_state_dict(state_dict, prefix, *args)


def _takes_nothing(model: Callable[..., Any]) -> bool:
    """Whether a model is sure to be called without arguments."""
    call = model.forward if isinstance(model, torch.nn.Module) else model
    return not inspect.signature(call).parameters
