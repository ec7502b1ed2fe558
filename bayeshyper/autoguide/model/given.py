"""A model whose latents are given: it has to have the guide's sites, all of them and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from .admission import Refused
from .marginal import Model, is_enumerated
from .sites import LatentSites, is_part

__all__ = ["Look", "unlike"]

SUBSAMPLED = (
    "Got a model that subsamples the rows of a plate, expected one that sees all of them: its density "
    "changes from call to call. Make subsample_size an argument of the model, and give all rows here."
)


class Look(NamedTuple):
    """What a run of a model with its latents given shows.

    Args:
        nesting: How many plate dimensions there are.
        enumerated: Whether discrete sites are to be summed out.
        refusal: Why there is no density to be had, in a sentence; None where there is.
    """

    nesting: int = 0
    enumerated: bool = False
    refusal: str | None = None

    @classmethod
    def at(
        cls,
        model: Model,
        values: Mapping[str, Tensor],
        sites: LatentSites,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Look:
        """Run the model at values of its sites.

        Args:
            model: With all its sites.
            values: Of each site of the guide, at full size.
            sites: The guide's.
            args: The model's.
            kwargs: Likewise.
        """
        watched = poutine.condition(_Shapes(values)(model), data=dict(values))
        try:
            trace = poutine.trace(watched).get_trace(*args, **kwargs)
        except Refused as refused:
            return cls(refusal=str(refused))
        drawn = [site for site in trace.nodes.values() if site["type"] == "sample"]
        frames = [frame for site in drawn for frame in site["cond_indep_stack"] if frame.vectorized]
        nesting = max((-(frame.dim or 0) for frame in frames), default=0)
        refusal = SUBSAMPLED if any(map(is_part, frames)) else unlike(trace, sites)
        return cls(nesting, any(map(is_enumerated, drawn)), refusal)


def unlike(trace: poutine.Trace, sites: LatentSites) -> str | None:
    """In a sentence, what site a run drew that is neither the guide's nor summed out, or which is missing."""
    for name, site in trace.nodes.items():
        if site["type"] != "sample" or site["is_observed"] or site_is_subsample(site) or is_enumerated(site):
            continue
        return (
            f"Got a model that draws the site {name!r}, which the guide does not have, expected one whose "
            "density is fixed where the guide's sites are given. If it is hidden from the guide, let the "
            "guide have it, or, if it is discrete, mark it with infer={'enumerate': 'parallel'}, so that it "
            "is summed out. If it is drawn only where other sites have some values, draw it always and let "
            "the model ignore it."
        )
    for name in sites.names:
        if name not in trace.nodes:
            return (
                f"The site {name!r} was drawn when the guide was made and is not now, expected the same "
                "sites at all values. Draw it always and let the model ignore it, or make a guide for each "
                "case."
            )
    return None


class _Shapes(Messenger):
    """Looks at the shapes of the guide's sites before they get their values."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._values = values

    def _pyro_sample(self, msg: Mapping[str, Any]) -> None:
        if msg["name"] not in self._values:
            return
        if any(is_part(frame) for frame in msg["cond_indep_stack"] if frame.vectorized):
            raise Refused(SUBSAMPLED)
        name, had, has = msg["name"], self._values[msg["name"]].shape, msg["fn"].shape()
        if had and had != has:  # a start that is one number may stand for many
            raise Refused(
                f"The site {name!r} has shape {tuple(has)} with these arguments and had {tuple(had)} when "
                "the guide was made, expected the same: what the guide knows is of those rows. Give those, "
                "or make a guide for these."
            )
