"""What sites a model has, watched from one call to the next: a guide is of the sites that it was made for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence, Sized
from dataclasses import is_dataclass
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.infer.inspect import is_sample_site
from torch import Tensor

from .admission import has_its_arguments, trace_model
from .outside import outside
from .sites import LatentSites

__all__ = ["Structure", "StructureWatch"]

Model = Callable[..., Any]

# Calls of different shapes at which the model is looked at again.
LOOKS = 32
# How far from the start its sites are looked at, in unconstrained numbers, and from how many places to
# either side.
FAR, FAR_LOOKS = 5.0, 4


class StructureWatch:
    """Refuses models that draw other latent sites than when their guide was made.

    A site that was observed and is drawn now, as where a model predicts, is no site of the guide; nor is one
    that was drawn and is given now.

    Args:
        model: The guide's model, which starts its latents; it is given at each look again, not kept.
        args: Of the first call.
        kwargs: Likewise.

    Raises:
        ValueError: A model that cannot be guided (`trace_model`).
    """

    def __init__(self, model: Model, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._first = Structure.of(trace_model(model, args, kwargs))
        self._seen = {_shapes(args, kwargs)}

    def look(
        self, model: Model | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], sites: LatentSites
    ) -> None:
        """Run the model if arguments of these shapes are new.

        Sites that have a posterior for each row of a plate may have any number of rows.

        Raises:
            ValueError: A latent site that is new, is missing, or has another shape.
        """
        shapes = _shapes(args, kwargs)
        if model is None or shapes in self._seen or len(self._seen) > LOOKS:
            return  # a guide that was stored has no model
        if has_its_arguments(model, args, kwargs):  # a guide that was fitted needs none
            self._compare(Structure.of(trace_model(model, args, kwargs)), sites)
            self._seen.add(shapes)

    def look_aside(
        self, model: Model, sites: LatentSites, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """Run the model away from the start, a step to either side and far: its sites may depend on values.

        Raises:
            ValueError: As in `look`.
        """
        if any(site.is_subsampled for site in sites):
            return
        near = torch.ones_like(sites.start)
        self._look_at([sites.start - near, sites.start + near], model, sites, args, kwargs)
        generator = torch.Generator().manual_seed(0)
        far = FAR * torch.randn(FAR_LOOKS, sites.size, generator=generator).to(sites.start)
        with torch.random.fork_rng(devices=[]):  # however many they are, they take no random number
            self._look_at([*(sites.start + far), *(sites.start - far)], model, sites, args, kwargs)

    def _look_at(
        self,
        places: Sequence[Tensor],
        model: Model,
        sites: LatentSites,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        for place in places:
            values = {name: value[0] for name, value in sites.values(place.unsqueeze(0)).items()}
            try:
                with outside():
                    aside = poutine.condition(model, data=values)
                    trace = poutine.trace(aside).get_trace(*args, **kwargs)
            except (ValueError, RuntimeError, ArithmeticError):
                continue  # values there that a distribution refuses as parameters
            self._compare(Structure.of(trace), sites)

    def _compare(self, now: Structure, sites: LatentSites) -> None:
        rows = {site.name: sites.rows.dim - site.value_event_dim for site in sites if sites.rows is not None}
        gone = [name for name in self._first.latents if name not in now.sites]
        come = [name for name in now.latents if name not in self._first.sites]
        for name in gone + come:
            was, it_is = ("drawn", "is not") if name in gone else ("not drawn", "is")
            raise ValueError(
                f"The site {name!r} was {was} when the guide was made and {it_is} now, expected the same "
                "sites on every call. Draw it always and let the model ignore it, or make a guide for each."
            )
        for name in self._first.latents.keys() & now.latents.keys():
            had, has = self._first.latents[name], now.latents[name]
            if _without(had, rows.get(name)) != _without(has, rows.get(name)):
                raise ValueError(
                    f"The site {name!r} has shape {has} now and had {had} when the guide was made, expected "
                    "the same on every call. Rows that come in batches need a plate of the size of all rows, "
                    "pyro.plate(name, size, subsample=rows), and a guide with create_plates=."
                )


class Structure(NamedTuple):
    """What sites a run of a model had.

    Args:
        latents: The shape of each latent site's value, with all rows of its plates.
        sites: The names of all.
    """

    latents: dict[str, tuple[int, ...]]
    sites: frozenset[str]

    @classmethod
    def of(cls, trace: poutine.Trace) -> Structure:
        """Of a trace of the model."""
        sites = {name: site for name, site in trace.nodes.items() if is_sample_site(site)}
        latents = {name: _full_shape(site) for name, site in sites.items() if not site["is_observed"]}
        return cls(latents, frozenset(sites))


def _shapes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
    """What of a call can change a model's structure: the shapes of its tensors, and its whole numbers."""
    return _shape(args), _shape(kwargs)


def _shape(value: Any) -> Hashable:
    if isinstance(value, int | str | None):
        return value
    if isinstance(value, Mapping):
        return tuple((name, _shape(value[name])) for name in sorted(value, key=repr))
    if isinstance(value, list | tuple):
        return tuple(map(_shape, value))
    if is_dataclass(value) and not isinstance(value, type):
        return _shape(vars(value))
    sized = len(value) if isinstance(value, Sized) and not isinstance(value, Tensor) else None
    return type(value).__name__, tuple(getattr(value, "shape", ())), sized


def _without(shape: tuple[int, ...], dim: int | None) -> tuple[int, ...]:
    """A shape but for one of its dimensions, counted from the right."""
    return shape if dim is None else shape[:dim] + shape[len(shape) + dim + 1 :]


def _full_shape(site: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of a site's value with all rows of its plates."""
    shape = list(site["value"].shape)
    for frame in site["cond_indep_stack"]:
        if frame.vectorized:
            shape[frame.dim - site["fn"].event_dim] = frame.full_size or frame.size
    return tuple(shape)
