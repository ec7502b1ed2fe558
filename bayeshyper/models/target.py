"""A target network whose chosen tensors are read from a flat weight vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from bayeshyper.threads import OwnLock

from .admission import admit, check_values, chosen_names
from .fused import Unfused
from .layers import Layers, find_layers
from .local import Conditional
from .pretrained import Pretrained, load_pretrained
from .rownoise import RowNoise
from .spec import WeightSpec
from .stack import LinearStack
from .statistics import set_statistics

__all__ = ["Target"]

# Where no gradient is wanted, as many draws are run at once as have this many numbers in their largest layer.
HELD_NUMBERS = 2**23

Tensors = dict[str, Tensor]


class Target(nn.Module):
    """Any ``nn.Module``, run on many weight vectors at once; the module given is copied, never touched.

    It runs in evaluation mode, in training too: what is random about it is the posterior's to say, and
    BatchNorm's running statistics are constants. Where they are fresh, a fit sets them (`set_statistics`).

    Args:
        network: The network; its forward takes one tensor with rows first, and gives one likewise.
        bayesian: Globs of the parameter names that are read from the weight vector. The others stay
            ordinary parameters: trained as point estimates, or fixed where ``requires_grad`` is False.
        pretrained: A state dict to start from, or a file of one (`load_pretrained`); None starts from the
            network's own values.

    Raises:
        FileNotFoundError: There is no file of pretrained weights.
        ValueError: A network that cannot be a target (`admit`), a glob that matches no parameter, or
            pretrained weights of another network.

    Example:
        >>> target = Target(nn.Linear(3, 2))
        >>> target.spec.size
        8
        >>> target(torch.zeros(5, 8), torch.ones(4, 3)).shape
        torch.Size([5, 4, 2])
    """

    def __init__(
        self,
        network: nn.Module,
        bayesian: Sequence[str] = ("*",),
        *,
        pretrained: Pretrained | None = None,
    ) -> None:
        super().__init__()
        self.network = admit(network)
        if pretrained is not None:
            load_pretrained(self.network, pretrained)
        check_values(self.network)
        chosen = chosen_names(self.network, bayesian)
        self.bayesian = tuple(bayesian)
        parameters = dict(self.network.named_parameters())
        self.spec = WeightSpec((name, parameters[name].shape) for name in chosen)
        for name in chosen:  # read from the weight vector: never trained in place
            parameters[name].requires_grad_(False)
        self.stack = LinearStack.of(self.network, self.spec)
        # What is found out on the first batch: which layers take row noise, and what vmap can run.
        self._layers: Layers | None = None
        self._maps: bool | None = None
        self._slopes: bool | None = None
        self._swapping = OwnLock()

    def initial(self) -> dict[str, Tensor]:
        """The network's own values of the chosen tensors, by name."""
        parameters = dict(self.network.named_parameters())
        return {name: parameters[name].detach().clone() for name in self.spec.names}

    def forward(self, weights: Tensor, x: Tensor) -> Tensor:
        """Run the network once per weight vector.

        Args:
            weights: ``(S, D)``.
            x: ``(N, …)``, the same rows for all.

        Returns:
            ``(S, N, …)``.
        """
        # One draw alone is run as the network itself, to the last bit.
        if len(weights) == 1:
            with self._running():
                return self._call(_at(0, self.spec.unflatten(weights)), x).unsqueeze(0)
        if self.stack is not None and x.dim() == 2:
            return self.stack(weights, x)
        with self._running():
            return self._each_draw(lambda tensors: self._call(tensors, x), x, self.spec.unflatten(weights))

    def forward_local(self, weights: Tensor, conditional: Conditional, x: Tensor) -> Tensor:
        """`forward`, with every row's own output noise in the layers that allow it (`find_layers`).

        Linears called once on ``(N, F)`` have their outputs sampled, other Linears and convolutions their
        noise's signs flipped; the rest uses the sampled weights.

        Args:
            weights: ``(G·R, D)``, the draw itself.
            conditional: Its law given z, ``(G, R, D)``; the first ``spec.size`` columns are the network's.
            x: ``(N, …)``.

        Returns:
            ``(G·R, N, …)`` with the same mean over ε of any function of single rows as `forward`.
        """
        if self.stack is not None and x.dim() == 2:
            return self.stack.local(conditional, x)
        layers = self.layers(x)
        if not layers:
            sampled: Tensor = self(weights, x)
            return sampled
        noise = RowNoise(layers, self.spec, weights, conditional, len(x))

        def one(tensors: Tensors, drawn: Tensors, variances: Tensors) -> Tensor:
            with noise.of(tensors, drawn, variances):
                return self._call(tensors, x)

        with self._running():
            return self._each_draw(one, x, noise.tensors, noise.drawn, noise.variances)

    def layers(self, x: Tensor) -> Layers:
        """The layers whose rows may have noise of their own; found on the first batch."""
        with self._running():
            if self._layers is None:
                self._layers = find_layers(self.network, x, self.initial())
            return self._layers

    def vectorizes(self, x: Tensor) -> bool:
        """Whether vmap can run the network and its gradient; found, as `layers` are, on the first batch."""
        with self._running():
            if self._slopes is None:
                self._slopes = self._runs(grad(lambda tensors, x: self._unfused(tensors, x).sum()), x)
            return self._slopes

    def set_statistics(self, x: Tensor) -> None:
        """Set BatchNorm's running statistics on training rows ``(N, …)``, where none have been set yet.

        At the network's own initial weights, once: from then on they are constants, which all members of a
        posterior share though they start at other weights. Its γ and β are weights like any others.
        """
        with self._running():
            set_statistics(self.network, x)

    def train(self, mode: bool = True) -> Self:
        """The network stays in evaluation mode: what is random about it is the posterior's to say."""
        super().train(mode)
        self.network.eval()
        return self

    @contextmanager
    def _running(self) -> Iterator[None]:
        """One thread at a time; what the modules keep of their run as attributes is forgotten after it.

        A kept tensor is one of many draws at once, and would hold on to its whole computation.
        """
        with self._swapping:
            before = [(vars(module), dict(vars(module))) for module in self.network.modules()]
            try:
                yield
            finally:
                for attributes, were in before:
                    for name in attributes.keys() - were.keys():
                        del attributes[name]
                    attributes.update(were)

    def _each_draw(self, run: Callable[..., Tensor], x: Tensor, *tensors: Tensors) -> Tensor:
        """Run every draw's tensors ``(S, …)``: by vmap, or where it has no rule one after the other.

        Under vmap what comes before the first Bayesian tensor is computed once for all draws; where no
        gradient is wanted, once for each chunk of as many draws as memory allows.
        """
        if self._maps is None:
            self._maps = self._runs(self._unfused, x)
        if not self._maps:
            draws = range(len(next(iter(tensors[0].values()))))
            return torch.stack([run(*(_at(draw, each) for each in tensors)) for draw in draws])
        chunk = None if torch.is_grad_enabled() else max(1, HELD_NUMBERS // (self.layers(x).widest * len(x)))

        def unfused(*one: Tensors) -> Tensor:
            with Unfused():
                return run(*one)

        outputs: Tensor = vmap(unfused, randomness="different", chunk_size=chunk)(*tensors)
        return outputs

    def _runs(self, function: Callable[[Tensors, Tensor], object], x: Tensor) -> bool:
        """Whether vmap can run a function of two draws' tensors and two rows."""
        twice = {name: torch.stack([tensor, tensor]) for name, tensor in self.initial().items()}
        try:
            with torch.no_grad():
                vmap(function, in_dims=(0, None), randomness="different")(twice, x[:2])
        # No batching rule, or a branch that depends on a value; or rows that it refuses however it is run.
        except (RuntimeError, IndexError):
            return False
        return True

    def _unfused(self, tensors: Tensors, x: Tensor) -> Tensor:
        with Unfused():
            return self._call(tensors, x)

    def _call(self, tensors: Tensors, x: Tensor) -> Tensor:
        output = functional_call(self.network, tensors, (x,))
        if not isinstance(output, Tensor):
            raise ValueError(
                f"The network gives a {type(output).__name__}, expected one tensor (N, outputs); wrap it in "
                "a module that returns the one that is meant."
            )
        return output


def _at(draw: int, tensors: Tensors) -> Tensors:
    return {name: tensor[draw] for name, tensor in tensors.items()}
