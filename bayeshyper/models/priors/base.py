"""What all priors share: a location and a scale for every weight, laid out over a network's tensors."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, Literal, Self, TypedDict

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import Distribution

from bayeshyper.models.likelihoods import Latent
from bayeshyper.models.spec import WeightPiece, WeightSpec

from .flat import FlatLocationScale, FlatNormal, log_normalizer_of

__all__ = ["Placement", "Prior"]

Center = Literal["initial"] | Mapping[str, float | Tensor] | None
Scale = float | Mapping[str, float | Tensor] | None

BY_NAME = "a mapping from tensor names to numbers or to tensors of their shapes"


class Placement(TypedDict, total=False):
    """Where a prior stands and how wide it is: the arguments of `Prior`, which explains them."""

    gain: float
    bias_scale: float
    scale: Scale
    center: Center


class Prior(nn.Module):
    """Independent weights θ_i = loc_i + scale_i u_i, where u has one law for all: a family of priors.

    A family says which law: it subclasses `Prior` and gives ``standard()``. Location and scale are the same
    choice for every family, and are made here; they are buffers ``(D,)``, since the posterior lives in units
    of ``scale`` (DESIGN section 2). The likelihood's latents stand behind the weights and keep their own
    Normal priors.

    Args:
        gain: Weights have scale gain/√fan_in, so that a wide layer's output keeps its own (Neal 1996; He et
            al. 2015 for the gain √2 of ReLU). Tensors with two or more dimensions count as weights, with
            fan_in the product of all but the first.
        bias_scale: Of biases, which all other tensors count as.
        scale: One scale for every tensor instead; or a mapping from the names of some tensors to one scale
            each, or to tensors of their shapes, one scale for each entry.
        center: Where the prior is centred. None: at zero, and at one for a tensor that starts as all ones
            (the gain of a normalisation layer, which counts as a bias). ``"initial"``: where the network
            starts, which may be pretrained. A mapping from tensor names to numbers or tensors: there; the
            tensors that it does not name, as for None.

    Raises:
        ValueError: A scale that is not a positive number; when a model is built, a tensor of ``scale`` or
            ``center`` whose name or shape is not the network's.

    Example:
        >>> class Logistic(Prior):
        ...     def standard(self):
        ...         uniform = torch.distributions.Uniform(self.loc.new_zeros(()), self.loc.new_ones(()))
        ...         logit = torch.distributions.SigmoidTransform().inv
        ...         return torch.distributions.TransformedDistribution(uniform, logit)
        >>> prior = Logistic(scale=2.0)
        >>> prior.build(WeightSpec([("weight", (1, 3))]), {"weight": torch.zeros(1, 3)}, {})
        >>> prior().log_prob(torch.zeros(3)).exp()  # (¼/2)³
        tensor(0.0020)
    """

    loc: Tensor
    scale: Tensor
    log_normalizer: Tensor

    def __init__(
        self,
        *,
        gain: float = math.sqrt(2.0),
        bias_scale: float = 1.0,
        scale: Scale = None,
        center: Center = None,
    ) -> None:
        super().__init__()
        check_positive("gain", gain)
        check_positive("bias_scale", bias_scale)
        if not isinstance(scale, Mapping | None):
            _check_number("scale", scale, f"a number, or {BY_NAME}")
            check_positive("scale", scale)
        if not isinstance(center, Mapping | None) and not (isinstance(center, str) and center == "initial"):
            raise ValueError(f"Got center = {_shown(center)}, expected 'initial', or {BY_NAME}.")
        self.gain, self.bias_scale = gain, bias_scale
        self._given_scale, self._center = scale, center
        self._latents = 0
        self.register_buffer("loc", torch.empty(0))
        self.register_buffer("scale", torch.empty(0))
        self.register_buffer("log_normalizer", torch.empty(()), persistent=False)

    # -- what a family says -----------------------------------------------------------------------------

    def standard(self) -> Distribution:
        """The law of u = (θ − loc)/scale, with scalar events, in the type and on the device of ``loc``."""
        raise NotImplementedError(
            f"{type(self).__name__} must define standard(), the law of (θ − loc)/scale."
        )

    def expectation(self, u: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """E[log f(u)] for u ~ N(mean, spread²), entry by entry; here log f at the draw, which is unbiased.

        A family that has it in closed form trains with less noise.

        Args:
            u: Standardised weights that were drawn, ``(G, R, W)``.
            mean: Their means given z, ``(G, R, W)``.
            spread: Their standard deviations given z, ``(G, 1, W)``.
        """
        return self.standard().log_prob(u)

    def piece_scale(self, piece: WeightPiece) -> float:
        """The scale of one tensor's entries: ``gain/√fan_in`` for weights, ``bias_scale`` for biases."""
        if isinstance(self._given_scale, numbers.Real):
            return float(self._given_scale)
        if len(piece.shape) < 2:
            return self.bias_scale
        return self.gain / math.sqrt(math.prod(piece.shape[1:]))

    def latents(self, initial: Mapping[str, Tensor]) -> Mapping[str, Latent]:
        """Unknowns of the prior's own, which are inferred with the weights; none unless a family has some.

        Args:
            initial: The network's own initial tensors, by name.
        """
        return {}

    def forward(self) -> TorchDistribution:
        """The prior as a Pyro distribution with event shape ``(D,)``."""
        return FlatLocationScale(
            self.loc,
            self.scale,
            self.standard(),
            latents=self._latents,
            expectation=self.expectation,
            log_normalizer=self.log_normalizer,
        )

    # -- what all families share ------------------------------------------------------------------------

    @property
    def is_normal(self) -> bool:
        """Whether it is N(loc, scale²), weight by weight, which natural gradients are made for."""
        law = self()
        return type(law) is FlatNormal and law.scale is self.scale

    def build(self, spec: WeightSpec, initial: Mapping[str, Tensor], latents: Mapping[str, Latent]) -> None:
        """Lay the prior out over a spec.

        Args:
            spec: The network's tensors followed by the latents.
            initial: The network's own initial tensors, by name.
            latents: The likelihood's latents and the prior's own, by name.
        """
        given_scale = _by_name("scale", self._given_scale, initial)
        given_center = _by_name("center", self._center, initial)
        loc, scale = torch.zeros(spec.size), torch.ones(spec.size)
        for piece in spec:
            place = piece.slice
            if piece.name in latents:
                loc[place], scale[place] = latents[piece.name].loc, latents[piece.name].scale
                continue
            if is_gain(initial[piece.name]):
                loc[place] = 1.0
                piece = WeightPiece(piece.name, (piece.size,), piece.start)
            scale[place] = self.piece_scale(piece)
            if self._center == "initial":
                loc[place] = initial[piece.name].flatten()
            if piece.name in given_center:
                loc[place] = given_center[piece.name]
            if piece.name in given_scale:
                scale[place] = given_scale[piece.name]
            if not bool((scale[place] > 0).all() and scale[place].isfinite().all()):
                raise ValueError(f"Got a scale of {piece.name!r} that is not positive, expected all above 0.")
            if not bool(loc[place].isfinite().all()):
                raise ValueError(f"Got a center of {piece.name!r} with infinite or missing numbers.")
        self._latents = sum(piece.size for piece in spec if piece.name in latents)
        self.loc, self.scale = loc, scale
        self.log_normalizer = log_normalizer_of(scale)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.log_normalizer = log_normalizer_of(self.scale)  # of the scales that have just been read

    def _apply(self, *args: Any, **options: Any) -> Self:
        super()._apply(*args, **options)  # type: ignore[no-untyped-call]
        self.log_normalizer = log_normalizer_of(self.scale)  # a float64 whatever the type, as after loading
        return self

    def extra_repr(self) -> str:
        """The choices that were made, for ``print`` and reports."""
        if isinstance(self._given_scale, numbers.Real):
            choices = [f"scale={self._given_scale:g}"]
        else:
            choices = [f"gain={self.gain:.3g}", f"bias_scale={self.bias_scale:g}"]
        if isinstance(self._given_scale, Mapping):
            choices.append(f"scale of {', '.join(self._given_scale)}")
        if self._center is not None:
            choices.append("center=" + ("initial" if self._center == "initial" else ", ".join(self._center)))
        return ", ".join(choices)


def is_gain(initial: Tensor) -> bool:
    """Whether a tensor starts as all ones, as the gain of a normalisation layer does."""
    return bool((initial == 1).all())


def check_positive(name: str, value: float) -> None:
    """Refuse what is no scale.

    Raises:
        ValueError: It is no number, not positive, or not finite.
    """
    _check_number(name, value, "a positive number")
    if not value > 0 or not math.isfinite(value):
        raise ValueError(f"Got {name} = {value}, expected a positive number.")


def _check_number(name: str, value: object, wanted: str) -> None:
    if not isinstance(value, numbers.Real):
        raise ValueError(f"Got {name} = {_shown(value)}, expected {wanted}.")


def _by_name(argument: str, given: object, initial: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a mapping gives for the tensors that it names, flat; nothing where it is no mapping."""
    found: dict[str, Tensor] = {}
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if name not in initial:
            raise ValueError(
                f"The prior's {argument} names the tensor {name!r}, which is none of the network's Bayesian "
                f"ones: {', '.join(list(initial)[:12])}."
            )
        shape = initial[name].shape
        if isinstance(value, numbers.Real):
            value = torch.full(shape, float(value))
        elif not isinstance(value, Tensor):
            raise ValueError(
                f"The prior's {argument} of {name!r} is {_shown(value)}, expected a number, or a tensor of "
                f"the shape {tuple(shape)}."
            )
        if value.shape != shape:
            raise ValueError(
                f"The prior's {argument} of {name!r} has shape {tuple(value.shape)}, expected "
                f"{tuple(shape)}, the shape of the network's tensor."
            )
        found[name] = value.detach().flatten()
    return found


def _shown(value: object) -> str:
    """A value in an error's sentence; a tensor by its shape."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
