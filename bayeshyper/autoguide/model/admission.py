"""Which Pyro models can be guided; what cannot is told why, and by the name of the site in the way."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer.inspect import is_sample_site
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.distributions import Distribution, biject_to

from bayeshyper.autoguide.checks import check_count

from .outside import outside

__all__ = ["Refused", "check_arguments", "check_given", "check_settings", "has_its_arguments", "trace_model"]

Model = Callable[..., Any]
Site = Mapping[str, Any]

ENUMERATION = "https://pyro.ai/examples/enumeration.html"


def trace_model(model: Model, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> poutine.Trace:
    """A trace of the model where inference starts, made outside of all handlers that are active.

    Args:
        model: Any Pyro model in an ``InitMessenger``, which says where its latents start.
        args: The model's arguments.
        kwargs: Its keyword arguments.

    Raises:
        ValueError: Arguments that the model needs are missing; it has no latent site; or one that is
            discrete, in a sequential plate, on a support that has no transform from the reals, or drawn
            twice; or a site that cannot start, or whose density is not finite there.

    Example:
        >>> import pyro, pyro.distributions as dist
        >>> from pyro.infer.autoguide.initialization import InitMessenger, init_to_feasible
        >>> def model():
        ...     pyro.sample("k", dist.Bernoulli(0.5))
        >>> trace_model(InitMessenger(init_to_feasible)(model), (), {})
        Traceback (most recent call last):
        ValueError: Got the discrete latent site 'k' (Bernoulli), expected continuous ones: ...
    """
    start, bare = getattr(model, "args")  # noqa: B009 - a partial, as all of Pyro's handlers make it
    advice = "Call the guide with them once, as svi.step does, or give example_args=."
    check_arguments(bare, args, kwargs, advice)
    inspector = _Inspector()
    try:
        with outside():
            trace: poutine.Trace = poutine.trace(start(inspector(bare))).get_trace(*args, **kwargs)
    except Refused as refused:
        raise ValueError(str(refused)) from refused.__cause__
    except NotImplementedError as error:
        name, said = inspector.current, str(error).splitlines()[0]
        raise ValueError(
            f"The site {name!r} cannot start: {said}, expected a prior that can be drawn from. Give it a "
            f"value, by init_loc_fn=init_to_value(values={{{name!r}: …}})."
        ) from error
    except ValueError as error:  # the model's own, or of a distribution that refuses its parameters
        where = f"at its site {inspector.current!r} or after it" if inspector.current else "before any site"
        said = str(error).split("\nTrace Shapes:")[0].rstrip()
        raise ValueError(f"The model cannot be run where inference starts, {where}: {said}") from error
    sites = [site for site in trace.nodes.values() if is_sample_site(site)]
    latents = [site for site in sites if not site["is_observed"]]
    if not latents:
        raise ValueError(
            "Got a model without latent sites, expected at least one to guide. Where only parameters are to "
            "be learned, a guide that draws nothing is enough: lambda *args, **kwargs: None."
        )
    for site in latents:
        _check_value(site)
    for site in sites:
        _check_density(site)
    return trace


def check_arguments(model: Model, args: tuple[Any, ...], kwargs: Mapping[str, Any], advice: str = "") -> None:
    """Refuse arguments that the model does not take.

    Args:
        model: Any Pyro model, under handlers too.
        args: Its arguments.
        kwargs: Its keyword arguments.
        advice: A sentence that says where they are given.

    Raises:
        ValueError: Arguments that it needs are missing, or it takes no such ones.
    """
    function = _innermost(model)
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except ValueError:
        return  # a callable that does not say what it takes
    except TypeError as error:
        takes = ", ".join(inspect.signature(function).parameters)
        raise ValueError(
            f"The model cannot be run: {error}, expected its arguments ({takes}). {advice}"
        ) from error


def has_its_arguments(model: Model, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether the model can be run with these arguments; a guide that has seen it needs none."""
    try:
        check_arguments(model, args, kwargs)
    except ValueError:
        return False
    return True


def check_settings(noise_dim: int | None, hidden: Sequence[int], members: int, init_scale: float) -> None:
    """Refuse sizes that are none.

    Raises:
        ValueError: A size that is no whole number or too small, or a scale that is not above 0.
    """
    check_count("noise_dim", 0 if noise_dim is None else noise_dim, 0)
    check_count("members", members, 1)
    if not isinstance(hidden, Sequence) or any(not isinstance(units, int) or units < 1 for units in hidden):
        raise ValueError(f"Got hidden = {hidden!r}, expected the units of each layer, such as (32, 32).")
    if not (isinstance(init_scale, (int, float)) and 0.0 < init_scale < math.inf):
        raise ValueError(f"Got init_scale = {init_scale!r}, expected a number above 0, such as 0.1.")


def check_given(
    functions: Mapping[str, Any], example_args: Iterable[Any] | None, example_kwargs: Mapping[str, Any] | None
) -> None:
    """Refuse functions that cannot be called, and example arguments that are not several.

    Args:
        functions: By the names that the caller knows them by; None where there is none.
        example_args: The model's arguments.
        example_kwargs: Its keyword arguments.

    Raises:
        ValueError: The first that is of no such kind.
    """
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise ValueError(f"Got {name} = {function!r}, expected a function.")
    if example_args is not None and (
        isinstance(example_args, Tensor | str | Mapping) or not isinstance(example_args, Iterable)
    ):
        raise ValueError(
            f"Got example_args of type {type(example_args).__name__}, expected a tuple of the model's "
            "arguments: (y,) of one."
        )
    if example_kwargs is not None and not isinstance(example_kwargs, Mapping):
        raise ValueError(
            f"Got example_kwargs of type {type(example_kwargs).__name__}, expected a dictionary of the "
            "model's keyword arguments."
        )


class Refused(Exception):
    """What cannot be guided. No ValueError: to the message of one, Pyro's trace adds pages of shapes."""


class _Inspector(Messenger):
    """Looks at the sites that a model draws, before it does.

    Attributes:
        current: The last site that it saw.
    """

    def __init__(self) -> None:
        super().__init__()
        self.current = ""
        self._seen: set[str] = set()

    def _pyro_sample(self, msg: Site) -> None:
        if not is_sample_site(msg):
            return
        self.current = msg["name"]
        if self.current in self._seen:
            raise Refused(f"Got two sites of the name {self.current!r}, expected a name of its own for each.")
        self._seen.add(self.current)
        if not msg["is_observed"]:
            _check_support(self.current, msg["fn"])
            _check_plates(msg)


def _innermost(model: Model) -> Model:
    """What stands under Pyro's handlers, and a module's own forward."""
    while isinstance(model, functools.partial) and model.args and isinstance(model.args[0], Messenger):
        model = model.args[1]
    return model.forward if isinstance(model, nn.Module) else model


def _check_support(name: str, distribution: Distribution) -> None:
    try:
        biject_to(distribution.support)
    except NotImplementedError as error:
        kind, support = _kind(distribution), distribution.support
        if support is not None and support.is_discrete:
            raise Refused(
                f"Got the discrete latent site {name!r} ({kind}), expected continuous ones: a guide draws "
                f"real numbers. Sum it out as in {ENUMERATION}, with TraceEnum_ELBO and "
                "infer={'enumerate': 'parallel'}, and hide it from the guide: "
                f"AutoHypernetwork(poutine.block(model, hide=[{name!r}]))."
            ) from error
        advice = (
            "Put pyro.infer.reparam.ProjectedNormalReparam in its place, with poutine.reparam."
            if "sphere" in repr(support).lower()
            else "Draw real numbers in its place and transform them, or register a transform."
        )
        raise Refused(
            f"Got the latent site {name!r} ({kind}) on the support {support}, expected one that "
            f"torch.distributions.biject_to maps real numbers to. {advice}"
        ) from error


def _kind(distribution: Distribution) -> str:
    """The name of what stands under masks and events."""
    while hasattr(distribution, "base_dist") and type(distribution).__name__ in (
        "Independent",
        "MaskedDistribution",
        "ExpandedDistribution",
    ):
        distribution = distribution.base_dist
    return type(distribution).__name__


def _check_plates(site: Site) -> None:
    for frame in site["cond_indep_stack"]:
        if not frame.vectorized:
            raise Refused(
                f"Got the latent site {site['name']!r} in the sequential plate {frame.name!r}, expected "
                f"plates that are vectorised. Write 'with pyro.plate({frame.name!r}, size):' in place of the "
                "loop, or loop over range(size)."
            )


def _check_value(site: Site) -> None:
    name, value, support = site["name"], site["value"], site["fn"].support
    advice = "Look at its prior's parameters, or give init_loc_fn=, which says where each site starts."
    if not value.isfinite().all():
        raise ValueError(f"Got a start of the site {name!r} that is not finite, expected numbers. {advice}")
    if not support.check(value).all():
        raise ValueError(
            f"Got a start of the site {name!r} outside of its support {support}, expected one inside. "
            + advice
        )


def _check_density(site: Site) -> None:
    name, where = site["name"], "where inference starts"
    try:
        with torch.no_grad():
            density = scale_and_mask(site["fn"].log_prob(site["value"]), mask=site["mask"])
    except ValueError as error:  # torch's own validation, which does not know the site
        raise ValueError(f"The site {name!r} has no density {where}: {error}") from error
    if density.isfinite().all():
        return
    if density.isnan().any():
        got, advice = "NaN", "Look for NaN in the data and in the distribution's parameters"
    elif (density < 0).any():
        got, advice = "−inf", "Look for data outside of the support, and for scales that are nearly 0"
    else:
        got, advice = "inf", "Look for scales that are 0: the density is improper"
    bad = int((~density.isfinite()).sum())
    raise ValueError(
        f"Got a log density of {got} at the site {name!r} {where} ({bad} of {density.numel()} values), "
        f"expected finite ones. {advice}, or start elsewhere: init_loc_fn= says where each site starts."
    )
