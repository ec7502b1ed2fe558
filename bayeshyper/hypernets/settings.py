"""The sizes and starting scales of a hypernetwork, and how they become its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bayeshyper.memory import free_memory, readable
from bayeshyper.models import WeightSpec

from .heads import HEADS, Head
from .heads.bounded import BoundedHead
from .heads.matrix_noise import MatrixNoiseHead
from .trunk import Trunk

if TYPE_CHECKING:
    from .hypernetwork import Hypernetwork

__all__ = ["MIN_OUTPUT_NOISE", "HypernetworkSettings", "HypernetworkSize", "head_options"]

# σ is never 0 (in prior units): the output noise is what gives the posterior a density.
MIN_OUTPUT_NOISE = 1e-4
# Heads with fewer numbers than the dense one, the most able first.
SMALLER = ("per-layer", "low-rank", "chunked")
# Numbers that a draw holds per weight: θ, its mean, its noise, σ, the prior's terms, and gradients of them;
# and how many draws are counted with.
DRAW_COPIES, DRAWS = 12, 4


@dataclass(frozen=True)
class HypernetworkSettings:
    """The sizes and starting scales of a hypernetwork: the ``[hypernetwork]`` table of a model recipe.

    Args:
        head: How the map from features to weights is stored: one of `HEADS`.
        noise_dim: d, the dimension of the noise z. 0 gives a mean-field posterior.
        hidden: Units of the trunk's tanh layers; ``()`` gives a low-rank-plus-diagonal Gaussian.
        gain: Standard deviation that the features give each weight at the start, in prior units.
        output_noise: σ at the start, in prior units.
        start_share: The most that either of the two may be as a share of a tensor's own scale: with a
            quarter, generated weights start within √(1 + 2/16) = 1.06 of the scale of the network's. Of a
            tensor of fewer than 64 numbers the features have √(numbers/64) of it: their mean, which is not
            zero, shifts all of them one way.
        mean: ``"free"``: a mean for every weight is learned; ``"frozen"``: it stays where the network starts,
            and what the head generates is added; ``"auto"``: frozen for the heads that are made for it.
        noise: One σ for every ``"weight"``, or one for every ``"tensor"``; ``"auto"`` likewise; or
            ``"varying"``, one for every weight, whose scale is generated from z as well (`VaryingNoise`).
        matrix_noise: r, for random matrices of rank r in every layer, beside σ; 0 for none.
        bound: The most that the features can move a weight, in prior units; None for no bound.
        spectral_norm: Whether the trunk's layers are divided by their largest singular value.
        constant_norm: Whether the trunk sees noise of constant length.
        options: The head's own arguments, such as ``{"rank": 4}``; in a recipe they stand beside these.

    Example:
        >>> spec = WeightSpec([("weight", (500, 400)), ("bias", (500,))])
        >>> HypernetworkSettings(head="low-rank", options={"rank": 2}).size(spec)
        low-rank head for D=200,500, members=1: 424,304 parameters (1.7 MB; about 45.3 MB in training)
    """

    head: str = "dense"
    noise_dim: int = 8
    hidden: Sequence[int] = (32, 32)
    gain: float = 0.02
    output_noise: float = 0.03
    start_share: float = 0.25
    mean: str = "auto"
    noise: str = "auto"
    matrix_noise: int = 0
    bound: float | None = None
    spectral_norm: bool = False
    constant_norm: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What they are, as people read it; beyond the sizes only what differs from the defaults.

        Example:
            >>> HypernetworkSettings(noise_dim=4, gain=0.1).words
            'a hypernetwork: dense head, hidden layers of 32 and 32, noise of 4 dimensions; gain 0.1'
        """
        noise = f"noise of {self.noise_dim} dimension{'' if self.noise_dim == 1 else 's'}"
        if not self.noise_dim:
            kind = "a mean-field Gaussian"
        elif not self.hidden:
            kind = f"a low-rank plus diagonal Gaussian: {self.head} head, {noise}"
        else:
            layers = " and ".join(map(str, self.hidden))
            kind = f"a hypernetwork: {self.head} head, hidden layers of {layers}, {noise}"
        told = ("head", "noise_dim", "hidden", "options")
        rest = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in told}
        defaults = {one.name: one.default for one in fields(self)}
        rest = {name: value for name, value in rest.items() if value != defaults[name]} | {**self.options}
        return "; ".join([kind, *(f"{name.replace('_', ' ')} {value}" for name, value in rest.items())])

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise ValueError(f"Got head {self.head!r}, expected one of {', '.join(HEADS)}.")
        if not MIN_OUTPUT_NOISE < self.output_noise < math.inf:
            raise ValueError(
                f"Got output_noise = {self.output_noise}, expected more than {MIN_OUTPUT_NOISE}."
            )
        if not 0 < self.gain < math.inf:
            raise ValueError(f"Got gain = {self.gain}, expected a positive number.")
        if any(units < 1 for units in self.hidden):
            raise ValueError(
                f"Got hidden = {list(self.hidden)}, expected layers of at least 1 unit, or none."
            )
        for name, value, allowed in (
            ("mean", self.mean, ("auto", "free", "frozen")),
            ("noise", self.noise, ("auto", "weight", "tensor", "varying")),
        ):
            if value not in allowed:
                raise ValueError(f"Got {name} = {value!r}, expected one of {', '.join(allowed)}.")
        if not self.start_share > 0:
            raise ValueError(f"Got start_share = {self.start_share}, expected a positive share.")
        if self.matrix_noise < 0:
            raise ValueError(f"Got matrix_noise = {self.matrix_noise}, expected a rank, or 0 for none.")

    @property
    def kind(self) -> type[Head]:
        """The head's class."""
        return HEADS[self.head]

    @property
    def mean_is_frozen(self) -> bool:
        """Whether the mean weights stay where they start."""
        return self.kind.compressive if self.mean == "auto" else self.mean == "frozen"

    @property
    def noise_per_tensor(self) -> bool:
        """Whether all weights of a tensor have one σ."""
        return self.kind.compressive if self.noise == "auto" else self.noise == "tensor"

    def build(self, mean: Tensor, unit: Tensor, spec: WeightSpec | None = None) -> Hypernetwork:
        """The hypernetwork around given mean weights ``(M, D)``, in units ``(D,)`` of the prior's scale."""
        from .hypernetwork import Hypernetwork  # which is made from settings in turn

        return Hypernetwork(mean, unit, self, spec)

    def parts(
        self, spec: WeightSpec, members: int, gains: float | Sequence[float] = 0.1, context: int = 0
    ) -> tuple[Trunk, Head]:
        """Trunk and head for a spec's tensors, each of whose weights starts at its gain.

        The trunk sees a context of so many features.

        Raises:
            ValueError: Options that the head does not have, or that do not fit the spec.
        """
        for name in self.options:
            if name not in head_options(self.head):
                known = ", ".join(head_options(self.head)) or "nothing, for it has no options"
                raise ValueError(f"Got {name} for the head {self.head!r}, expected {known}.")
        own = self.kind.own_noise(spec, **self.options)
        matrices = MatrixNoiseHead.own_noise(spec, rank=self.matrix_noise) if self.matrix_noise else 0
        trunk = Trunk(
            self.noise_dim,
            hidden=self.hidden,
            members=members,
            own_noise=own + matrices,
            constant=self.mean_is_frozen,
            spectral_norm=self.spectral_norm,
            constant_norm=self.constant_norm,
            context=context,
        )
        head: Head = self.kind(
            spec, features=trunk.features - matrices, members=members, gain=gains, **self.options
        )
        if self.matrix_noise:
            head = MatrixNoiseHead(head, self.matrix_noise)
        if self.bound is not None:
            head = BoundedHead(head, self.bound)
        return trunk, head

    def size(self, spec: WeightSpec, members: int = 1) -> HypernetworkSize:
        """How large the hypernetwork will be; nothing is allocated."""
        with torch.device("meta"):
            trunk, head = self.parts(spec, members)
        numbers = sum(p.numel() for module in (trunk, head) for p in module.parameters())
        means = 0 if self.mean_is_frozen else spec.size
        noises = len(spec) if self.noise_per_tensor else spec.size
        held = DRAW_COPIES + self.kind.numbers_held(self.noise_dim, **self.options)
        if self.noise == "varying":
            numbers += members * spec.size * trunk.features
            held += Head.numbers_held(self.noise_dim)
        if self.bound is not None and self.kind.linear:
            held += Head.numbers_held(self.noise_dim)
        return HypernetworkSize(self.head, spec.size, members, numbers + members * (means + noises), held)

    def check_size(self, spec: WeightSpec, members: int = 1) -> None:
        """Refuse what cannot fit in memory, with the head to use instead.

        Raises:
            ValueError: Training needs more than the memory that is free; the estimate and a smaller head.
        """
        size, free = self.size(spec, members), free_memory()
        if size.training_bytes <= free:
            return
        smaller = {
            name: replace(self, head=name, options={}, matrix_noise=0).size(spec, members) for name in SMALLER
        }
        fitting = [name for name, other in smaller.items() if other.training_bytes <= free]
        advice = (
            f"use head = {fitting[0]!r}" if fitting else "use a smaller network, or make part of it Bayesian"
        )
        raise ValueError(
            f"Got too large a hypernetwork, {size}; expected no more than the {free / 1e9:.1f} GB of memory "
            f"that are free: {advice}."
        )


def head_options(head: str) -> dict[str, Any]:
    """A head's own arguments, with their types: those with defaults that `HypernetworkSettings` does not set.

    Example:
        >>> list(head_options("low-rank"))
        ['rank']
    """
    parameters = signature(HEADS[head], eval_str=True).parameters.values()
    return {
        p.name: p.annotation
        for p in parameters
        if p.default is not p.empty and p.name not in ("members", "gain")
    }


@dataclass(frozen=True, repr=False)
class HypernetworkSize:
    """How large a hypernetwork is.

    Args:
        head: The head's name.
        weights: D.
        members: M.
        parameters: Numbers that training learns.
        held: Numbers that a training step holds for every weight of a draw.
    """

    head: str
    weights: int
    members: int
    parameters: int
    held: int = DRAW_COPIES

    @property
    def bytes(self) -> int:
        """Of the parameters, in float32."""
        return 4 * self.parameters

    @property
    def training_bytes(self) -> int:
        """Parameters, gradients, Adam's two moments, and four draws of each member with their gradients."""
        return 4 * self.bytes + 4 * DRAWS * self.held * self.members * self.weights

    def __repr__(self) -> str:
        return (
            f"{self.head} head for D={self.weights:,}, members={self.members}: {self.parameters:,} "
            f"parameters ({readable(self.bytes)}; about {readable(self.training_bytes)} in training)"
        )
