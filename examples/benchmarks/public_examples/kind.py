"""What an example needs to be run again with another guide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pyro.infer import ELBO, Trace_ELBO
from pyro.infer.autoguide import AutoGuide
from pyro.optim import PyroOptim

Model = Callable[..., Any]


@dataclass(frozen=True)
class PublicExample:
    """An example that trains an autoguide.

    Args:
        source: The public file.
        model: Its model.
        data: What the model is given; the ELBO is taken on all of it.
        guide: Its own guide, of a model.
        optimizer: A fresh optimiser, as the example makes it.
        steps: How many steps it takes.
        guided: The model that the guide is given, where that is not the whole model.
        batches: What each step is given, where that is not all data.
        elbo: The ELBO that it trains with.
        particles: Of how many particles, in a plate.
        vectorized: Whether its model can be run with particles in a plate.
    """

    source: str
    model: Model
    data: tuple[Any, ...]
    guide: Callable[[Model], AutoGuide]
    optimizer: Callable[[], PyroOptim]
    steps: int
    guided: Model | None = None
    batches: Callable[[], Iterator[tuple[Any, ...]]] | None = None
    elbo: Callable[..., ELBO] = Trace_ELBO
    particles: int = 1
    vectorized: bool = True


def generator(seed: int = 0) -> torch.Generator:
    """For data that is the same on every run."""
    return torch.Generator().manual_seed(seed)
