"""One posterior for each row of a plate: which plate that is, and which of its rows are present."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from pyro import poutine
from pyro.poutine.runtime import NonlocalExit
from torch import Tensor

from bayeshyper.autoguide.model.outside import outside
from bayeshyper.autoguide.model.sites import LatentSite, LatentSites
from bayeshyper.autoguide.posterior.conditional import GivenContexts
from bayeshyper.autoguide.posterior.latent import LatentPosterior
from bayeshyper.inference import ImplicitDraw

__all__ = ["in_plate", "plate_of_rows", "present_frame"]


def plate_of_rows(sites: LatentSites, count: int) -> str:
    """The plate of so many rows that all latents stand in.

    Raises:
        ValueError: There is none, or more than one; latents that stand in no such plate are named.
    """
    frames = {frame.name: frame for site in sites for frame in site.frames}
    fitting: list[str] = [name for name, frame in frames.items() if count in (frame.size, frame.full_size)]
    if not fitting:
        sizes = ", ".join(f"{name!r} of {frame.size}" for name, frame in frames.items())
        raise ValueError(
            f"Got a context of {count} rows, expected those of a plate that the latents stand in; there is "
            f"{sizes or 'none'}. For features of the whole data set return (C,)."
        )
    outside = {name: [site.name for site in sites if not _stands_in(site, name)] for name in fitting}
    around_all = [name for name in fitting if not outside[name]]
    if len(around_all) > 1:
        raise ValueError(
            f"Got a context of {count} rows, expected a number that tells which plate they are of: "
            f"{' and '.join(map(repr, around_all))} both have so many. Give example data of other sizes."
        )
    if not around_all:
        name = min(fitting, key=lambda name: len(outside[name]))
        hidden = ", ".join(map(repr, outside[name]))
        raise ValueError(
            f"Got a context of each row of the plate {name!r}, in which {hidden} does not stand, expected "
            "all latents of the guide in it. Give the others a guide of their own, in an AutoGuideList: "
            f"AutoHypernetwork(poutine.block(model, hide=[{hidden}]), context=…) beside "
            f"AutoHypernetwork(poutine.block(model, expose=[{hidden}]))."
        )
    return around_all[0]


def _stands_in(site: LatentSite, plate: str) -> bool:
    return any(frame.name == plate for frame in site.frames)


def present_frame(
    model: Callable[..., Any] | None,
    sites: LatentSites,
    count: int,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """The plate of rows as it is for these arguments: the model is run as far as its first latent.

    Args:
        model: The guide's; None for a guide that was stored, which is without it.
        sites: Its latents.
        count: How many rows the context has.
        args: The model's arguments.
        kwargs: Its keyword arguments.

    Raises:
        ValueError: The latents do not stand in the plate any more; or other rows than when the guide was made
            while it is trained without its model, which alone knows the size of their plate.
    """
    plate = sites.rows
    if model is None:
        return _stored_frame(plate, count)
    try:
        with outside(), torch.no_grad():
            poutine.escape(model, lambda site: site["name"] in sites.names)(*args, **kwargs)
    except NonlocalExit as reached:
        for frame in reached.site["cond_indep_stack"]:
            if frame.name == plate.name and frame.dim == plate.dim:
                return frame
    raise ValueError(
        f"Got a model whose latents do not stand in the plate {plate.name!r} at dim {plate.dim} now, "
        "expected them there as when the guide was made."
    )


def _stored_frame(plate: Any, count: int) -> Any:
    if count in (plate.size, plate.full_size):
        return plate
    if torch.is_grad_enabled() and poutine.get_mask() is not False:
        raise ValueError(
            f"Got a context of {count} rows for a guide that was stored, and so has no model, expected "
            f"{plate.size} as when it was made: the model alone knows the size of their plate, which "
            "training needs. To draw, call the guide within torch.no_grad(), or its sample_posterior."
        )
    return plate._replace(size=count, full_size=count)


@contextmanager
def in_plate(
    given: LatentPosterior | GivenContexts, frame: Any, plates: Mapping[str, Any]
) -> Iterator[ImplicitDraw]:
    """The distribution of flat latents; where there is one for each row, in the plate of those present.

    Args:
        given: What is drawn from.
        frame: The model's plate of rows; None for none.
        plates: The guide's.

    Raises:
        ValueError: A context of another number of rows than are present; plates of different sizes.
    """
    if frame is None or isinstance(given, LatentPosterior):
        yield given.distribution()
        return
    with plates[frame.name] as index:
        contexts = _present(given.contexts, index, frame, plates[frame.name])
        contexts = contexts.reshape(len(contexts), *[1] * (-1 - frame.dim), -1)
        yield given.posterior.given(contexts).distribution()


def _present(contexts: Tensor, index: Tensor, frame: Any, plate: Any) -> Tensor:
    """Contexts of the rows that are present, of theirs alone or of those of all rows of the plate."""
    size, present = frame.full_size or frame.size, len(index)
    if plate.size != size:
        raise ValueError(
            f"Got the plate {plate.name!r} of size {size} in the model and of size {plate.size} in the "
            "guide, expected the same. Where sizes change from call to call, tell the guide, or the "
            f"AutoGuideList: create_plates=lambda *args: pyro.plate({plate.name!r}, …, dim={frame.dim})."
        )
    if len(contexts) == present:
        return contexts
    if len(contexts) == size:
        return contexts[index.to(contexts.device)]
    total = "" if present == size else f", or {size}, one for each row of all"
    raise ValueError(
        f"Got a context of {len(contexts)} rows, expected {present}, one for each row of the plate "
        f"{plate.name!r} that is present{total}."
    )
