"""What is asked of a guide that is fitted: its posterior, draws, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from numpy.typing import ArrayLike
from pyro.infer.autoguide import AutoGuide
from torch import Tensor

from bayeshyper.memory import check_draws

from .checks import check_count, read_levels
from .model.admission import check_arguments
from .model.joint import LogJoint
from .model.sites import LatentSites
from .posterior.conditional import GivenContexts
from .posterior.latent import LatentPosterior
from .results.density import log_density

if TYPE_CHECKING:  # diagnostics know ArviZ, which takes seconds to import
    from bayeshyper.diagnostics import Audit

    from .results.importance import WeightedDraws

__all__ = ["FittedGuide"]

# Draws that median and quantiles are of, the same every time; of many latents fewer, for memory's sake.
QUANTILE_DRAWS, QUANTILE_NUMBERS = 10_000, 2**25

GIVE_ARGUMENTS = "Give those that the guide was trained with, of all rows."


class FittedGuide(AutoGuide):
    """What is asked of an `AutoHypernetwork` that is fitted.

    A guide with a context has a posterior for each of its values: arguments of the model say which.
    """

    @property
    def _seen(self) -> LatentSites:
        """The latent sites; a RuntimeError says what to do where the model has not been seen."""
        raise NotImplementedError

    def _given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LatentPosterior | GivenContexts:
        """What latents are drawn from, given the model's arguments."""
        raise NotImplementedError

    @property
    def _own_model(self) -> Callable[..., Any]:
        """The model, where it is known."""
        if self.model is None:
            raise ValueError(
                "Got a guide without its model, as one is that was saved and loaded, expected one that knows "
                "it. Make the guide from the model again, and give it the saved state_dict()."
            )
        return cast(Callable[..., Any], self.model)

    def _log_joint(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LogJoint:
        check_arguments(self._own_model, args, kwargs, GIVE_ARGUMENTS)
        return LogJoint(self._own_model, self._seen, args, kwargs)

    @property
    def posterior(self) -> LatentPosterior:
        """What the flat latents are drawn from: `posterior_at` of no arguments, which no context needs."""
        return self.posterior_at()

    def posterior_at(self, *args: Any, **kwargs: Any) -> LatentPosterior:
        """What the flat latents are drawn from, given the model's arguments.

        Raises:
            RuntimeError: The model has not been seen yet.
            ValueError: The context is of more rows than one, each of which has a posterior of its own.
        """
        given = self._given(args, kwargs)
        return given if isinstance(given, LatentPosterior) else given.only()

    def sample_posterior(
        self, n: int, *args: Any, generator: torch.Generator | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Draw every site n times: ``(n, *shape)``, at full size where a plate is subsampled.

        Args:
            n: How many joint draws.
            *args: The model's, which a context alone needs; of rows, those whose posteriors are drawn from.
            generator: Where the noise comes from; None is torch's global generator.
            **kwargs: The model's.

        Raises:
            TooLarge: They need more memory than is free; so say `audit`, `importance` and `to_arviz`.
        """
        check_count("n", n, 1)
        given = self._given(args, kwargs)
        check_draws(n, given.size, instead="ask for fewer at a time")
        with torch.no_grad():
            return self._seen.values(given.sample(n, generator))

    def median(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Median of each number of each site, ``(*shape,)``, by the draws that `quantiles` takes."""
        return self.quantiles(0.5, *args, **kwargs)

    def quantiles(
        self, quantiles: float | Sequence[float] | Tensor, *args: Any, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Quantiles of each number of each site: of 10 000 draws, the same every time.

        Args:
            quantiles: Their levels, between 0 and 1.
            *args: The model's, which a context alone needs.
            **kwargs: The model's.

        Returns:
            ``(Q, *shape)`` of each site; of one level that is a number, ``(*shape,)``.

        Raises:
            ValueError: Levels outside of [0, 1].
        """
        n = max(1000, min(QUANTILE_DRAWS, QUANTILE_NUMBERS // self._given(args, kwargs).size))
        generator = torch.Generator(device=next(self.parameters()).device).manual_seed(0)
        draws = self.sample_posterior(n, *args, generator=generator, **kwargs)
        levels = read_levels(quantiles, like=next(iter(draws.values())))
        return {name: _quantiles(values, levels) for name, values in draws.items()}

    def log_density(
        self, values: Mapping[str, Tensor], *args: Any, inner: int = 256, seed: int = 0, **kwargs: Any
    ) -> Tensor:
        """log q of any values of the sites, ``(S,)`` in float64; −∞ outside of their supports.

        By importance sampling over the noise: the log of an unbiased estimate of q, so that its mean is below
        log q, and the closer the larger ``inner``. Members are summed as a mixture.

        Args:
            values: ``(S, *shape)`` of each site, as `sample_posterior` gives them; or arrays.
            *args: The model's, which a context alone needs.
            inner: K, importance draws of the noise for each.
            seed: Of those; the same values have the same density every time.
            **kwargs: The model's.

        Raises:
            ValueError: A site without values, with values of another shape, or that the guide does not have;
                a context of several rows.
        """
        return log_density(self.posterior_at(*args, **kwargs), self._seen, values, inner=inner, seed=seed)

    def audit(self, *args: Any, draws: int = 256, inner: int = 64, seed: int = 0, **kwargs: Any) -> Audit:
        """The ELBO between two bounds, whatever training believed: ``elbo_lower``, ``elbo_upper`` and more.

        Args:
            *args: The model's, for all rows.
            draws: Of each member, two or more; at least 50 for a k̂.
            inner: K, importance draws of the noise for each; at least 64 for bounds worth having.
            seed: Of all that is drawn.
            **kwargs: The model's.

        Returns:
            The members' mean, and each member's own in ``members``: in nats, with standard errors.

        Raises:
            ValueError: Missing arguments; a model whose density changes from call to call, as one does that
                subsamples.
        """
        from .results.audit import audit

        posterior = self.posterior_at(*args, **kwargs)
        return audit(posterior, self._log_joint(args, kwargs), draws=draws, inner=inner, seed=seed)

    def importance(self, n: int, *args: Any, inner: int = 64, seed: int = 0, **kwargs: Any) -> WeightedDraws:
        """Draw n times, with weights that correct the guide where it is near the posterior, as k̂ tells.

        The guide's density is known by importance sampling over its noise, and so is p/q: Pareto-smoothed
        importance sampling (Vehtari et al. 2024). Warns with `ApproximationWarning` where the weights are not
        to be used.

        Args:
            n: How many draws, at least 50.
            *args: The model's, for all rows.
            inner: K, importance draws of the noise for each.
            seed: Of all that is drawn.
            **kwargs: The model's.

        Raises:
            ValueError: Fewer draws; missing arguments; a model whose density changes from call to call, as
                one does that subsamples, or is 0 at all draws.
        """
        from .results.importance import importance

        posterior, log_joint = self.posterior_at(*args, **kwargs), self._log_joint(args, kwargs)
        return importance(posterior, self._seen, log_joint, n, inner=inner, seed=seed)

    def to_arviz(
        self,
        *args: Any,
        draws: int | Mapping[str, Tensor] = 1000,
        groups: str | Collection[str] = (
            "posterior",
            "posterior_predictive",
            "log_likelihood",
            "observed_data",
        ),
        coords: Mapping[str, ArrayLike] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> Any:
        """What was found, as ArviZ takes it; plates are the names of dimensions.

        The model is run at each draw, with the given arguments: for the log likelihood of each observed
        value (0 where it is masked), for replications of it and of sites that it is given no data for, and
        for `pyro.deterministic` sites, which are in the posterior too. With ``groups=["posterior"]`` it is
        not run, and needs no arguments.

        Args:
            *args: The model's, for all rows.
            draws: How many joint draws; or draws at hand, ``(S, *shape)`` of each site.
            groups: Of ``posterior``, ``posterior_predictive``, ``log_likelihood``, ``observed_data``,
                ``prior`` and ``prior_predictive``, one or more.
            coords: Labels along a plate, or along another dimension by the name that ArviZ gives it.
            seed: Of all that is drawn; the global generator is left as it was.
            **kwargs: The model's.

        Returns:
            ``arviz.InferenceData`` with ArviZ below 1.0, ``xarray.DataTree`` from 1.0 on.

        Raises:
            ValueError: An unknown group or dimension; missing arguments; a plate that is subsampled; a
                likelihood that is random at given latents, as the model draws sites that are hidden from the
                guide.
        """
        from .results.export import to_arviz  # ArviZ takes seconds to import

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


def _quantiles(values: Tensor, levels: Tensor) -> Tensor:
    flat = values.reshape(len(values), -1)
    found = torch.stack([torch.quantile(column, levels) for column in flat.unbind(-1)], dim=-1)
    return found.reshape(levels.shape + values.shape[1:])
