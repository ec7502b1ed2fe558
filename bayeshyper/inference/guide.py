"""The guide: a hypernetwork as a Pyro guide that stock SVI can train."""

from __future__ import annotations

import weakref
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.runtime import am_i_wrapped, effectful
from torch import Tensor, nn

from bayeshyper.hypernets import Hypernetwork, WeightDraw
from bayeshyper.models import BayesianModel

from .draw import ImplicitDraw
from .entropies import Entropy, EntropyEstimator, LinearizedEntropy

__all__ = ["ImplicitGuide"]


class ImplicitGuide(nn.Module):
    """The implicit posterior q(θ) of a `BayesianModel`, for ``SVI(model, guide, …)``, ``elbo(model, guide)``.

    Args:
        model: The model whose site ``"weights"`` it guides; its particles and KL weight hold here too.
        hypernetwork: What the weights are drawn from; its D must be the model's.
        entropy: How a draw's entropy is estimated; `LinearizedEntropy` where none is given. What an estimator
            learns is trained with the guide.
        local: Whether the likelihood may use local reparameterisation.

    Attributes:
        generator: Where noise comes from; None (the default) is torch's global generator.

    Example:
        >>> from pyro.infer import SVI, Trace_ELBO
        >>> from bayeshyper.models import FanInPrior, Gaussian, MLP, Target
        >>> x, y = torch.randn(20, 3), torch.randn(20)
        >>> model = BayesianModel(Target(MLP(3, 1)), FanInPrior(), Gaussian(), num_data=20, particles=4)
        >>> mean = torch.zeros(1, model.spec.size)
        >>> guide = ImplicitGuide(model, Hypernetwork(mean, model.prior.scale))
        >>> svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss=Trace_ELBO())
        >>> svi.step(x, y) > 0
        True
    """

    def __init__(
        self,
        model: BayesianModel,
        hypernetwork: Hypernetwork,
        *,
        entropy: EntropyEstimator | None = None,
        local: bool = True,
    ) -> None:
        super().__init__()
        if hypernetwork.size != model.spec.size:
            raise ValueError(
                f"Got a hypernetwork of D = {hypernetwork.size}, expected the model's D = {model.spec.size}."
            )
        # Not a submodule: the model's parameters are not the guide's.
        object.__setattr__(self, "model", model)
        self.hypernetwork = hypernetwork
        self.entropy = LinearizedEntropy(hypernetwork) if entropy is None else entropy
        self.local = local
        self.generator: torch.Generator | None = None

    model: BayesianModel

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Announce all parameters and draw the site ``"weights"``; the model's arguments are not needed."""
        announce_parameters("guide", self)
        announce_parameters("model", self.model)
        return self.draw()

    def draw(self, *, pointwise: bool = False) -> dict[str, Tensor]:
        """Draw the site ``"weights"``; for those who train the parameters themselves.

        Args:
            pointwise: Score each draw by the log density at it, which importance weights need, and not by an
                estimate of the entropy, of which the mean alone is right; and sample the weights, since the
                outputs' noise of local reparameterisation is not what has that density.

        Raises:
            ValueError: A pointwise draw, where the entropy's estimator knows no density.
        """
        score, local = self.entropy, self.local
        if pointwise:
            score, local = self._surprise, False
        draw = ImplicitDraw(self.hypernetwork, score, generator=self.generator, local=local)
        with self.model.particle_plate(), poutine.scale(scale=self.model.kl_weight):
            return {"weights": pyro.sample("weights", draw)}

    def _surprise(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """−log q(θ) at each draw."""
        if not isinstance(self.entropy, Entropy):
            raise ValueError("Got a plain function as the entropy, expected an Entropy that knows densities.")
        return -self.entropy.log_density(hypernetwork, draw).to(draw.weights.dtype)


def announce_parameters(prefix: str, module: nn.Module) -> None:
    """Tell an enclosing Pyro trace of a plain module's parameters, leaving the param store empty.

    Stock ``SVI.step`` trains what it sees as ``"param"`` sites and reads ``value.unconstrained()`` of each,
    so a plain ``nn.Module`` guide would train nothing, silently. An alias of each parameter carries a weak
    reference to it as ``unconstrained``: nothing is stored by name, and the guide still pickles.
    """
    if not am_i_wrapped():
        return
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            alias = parameter.view_as(parameter)
            alias.unconstrained = weakref.ref(parameter)  # type: ignore[attr-defined]
            effectful(lambda value: value, type="param")(alias, name=f"{prefix}.{name}")
            _tell_name(parameter, f"{prefix}.{name}", module)


def _tell_name(parameter: nn.Parameter, name: str, owner: nn.Module) -> None:
    """Let Pyro's optimisers know what a parameter is called, for as long as its owner lives.

    They ask the store for it, to choose a learning rate by name and to store their state, whether or not the
    parameter itself is there.
    """
    names = pyro.get_param_store()._param_to_name
    if parameter not in names:
        names[parameter] = name
        weakref.finalize(owner, names.pop, parameter, None)
