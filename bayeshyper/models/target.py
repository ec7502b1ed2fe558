"""A target network whose chosen tensors are read from a flat weight vector."""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bayeshyper.threads import OwnLock

from .local import Conditional, LinearCall, LocalReparameterization, find_linear_calls
from .spec import WeightSpec
from .stack import LinearStack

__all__ = ["Target"]


class Target(nn.Module):
    """Any ``nn.Module``, run on many weight vectors at once; the module given is copied, never touched.

    Args:
        network: The network; its forward takes one tensor with rows first.
        bayesian: Globs of the parameter names that are read from the weight vector. The others stay
            ordinary parameters: trained as point estimates, or fixed where ``requires_grad`` is False.

    Raises:
        ValueError: A glob that matches no parameter, or a network without any.

    Example:
        >>> target = Target(nn.Linear(3, 2))
        >>> target.spec.size
        8
        >>> target(torch.zeros(5, 8), torch.ones(4, 3)).shape
        torch.Size([5, 4, 2])
    """

    def __init__(self, network: nn.Module, bayesian: Sequence[str] = ("*",)) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.bayesian = tuple(bayesian)
        parameters = dict(self.network.named_parameters())
        chosen = _matching(parameters, self.bayesian)
        self.spec = WeightSpec((name, parameters[name].shape) for name in chosen)
        for name in chosen:  # read from the weight vector: never trained in place
            parameters[name].requires_grad_(False)
        self.stack = LinearStack.of(self.network, self.spec)
        self._linear_calls: list[LinearCall] | None = None
        self._vectorizes = True
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
        if self.stack is not None and x.dim() == 2 and len(weights) > 1:
            return self.stack(weights, x)
        tensors = self.spec.unflatten(weights)
        with self._swapping:
            self._probe(x)
            if len(weights) > 1 and self._vectorizes:
                outputs: Tensor = vmap(self._call, in_dims=(0, None), randomness="different")(tensors, x)
                return outputs
            rows = range(len(weights))
            return torch.stack(
                [self._call({name: tensor[i] for name, tensor in tensors.items()}, x) for i in rows]
            )

    def forward_local(self, weights: Tensor, conditional: Conditional, x: Tensor) -> Tensor:
        """`forward`, with the output noise of qualifying Linears sampled at their outputs.

        Args:
            weights: ``(G·R, D)``, the draw itself; used for every tensor that does not qualify.
            conditional: Its law given z, ``(G, R, D)``; the first ``spec.size`` columns are the network's.
            x: ``(N, …)``.

        Returns:
            ``(G·R, N, …)`` with the same mean over ε of any function of single rows as `forward`.
        """
        if self.stack is not None and x.dim() == 2:
            return self.stack.local(conditional, x)
        calls = self.linear_calls(x)
        if not calls:
            sampled: Tensor = self(weights, x)
            return sampled
        groups, draws = conditional.mean.shape[:2]
        size = self.spec.size
        local = [name for call in calls for name in (call.weight, call.bias) if name is not None]
        sampled_names = [name for name in self.spec.names if name not in local]
        tensors = self.spec.unflatten(conditional.mean[..., :size], local)
        if sampled_names:
            tensors |= self.spec.unflatten(weights.unflatten(0, (groups, draws)), sampled_names)
        variances = self.spec.unflatten(conditional.scale[:, 0, :size].square(), local)
        noise = [
            torch.randn(
                (groups * draws, call.out_features, len(x)),
                generator=conditional.generator,
                dtype=weights.dtype,  # x may hold integers
                device=weights.device,
            ).mT
            for call in calls
        ]
        # One group: its variances are the same for all draws, and are multiplied with x once.
        per_draw = None if groups == 1 else 0
        variances = {
            name: variance[0] if groups == 1 else variance.repeat_interleave(draws, dim=0)
            for name, variance in variances.items()
        }

        def one(
            tensors: dict[str, Tensor], noise: list[Tensor], variances: dict[str, Tensor], x: Tensor
        ) -> Tensor:
            layers = {
                id(tensors[call.weight]): (
                    variances[call.weight],
                    None if call.bias is None else variances[call.bias],
                    eps,
                )
                for call, eps in zip(calls, noise, strict=True)
            }
            with LocalReparameterization(layers):
                return self._call(tensors, x)

        over_draws = vmap(one, in_dims=(0, 0, per_draw, None), randomness="different")
        with self._swapping:
            outputs: Tensor = over_draws(
                {name: tensor.flatten(0, 1) for name, tensor in tensors.items()}, noise, variances, x
            )
        return outputs

    def linear_calls(self, x: Tensor) -> list[LinearCall]:
        """The Linears whose outputs may be sampled instead of their weights; found on the first batch."""
        with self._swapping:
            return self._probe(x)

    def vectorizes(self, x: Tensor) -> bool:
        """Whether vmap can run the network; found, as `linear_calls` is, on the first batch."""
        with self._swapping:
            self._probe(x)
            return self._vectorizes

    def train(self, mode: bool = True) -> Self:
        """The network stays in evaluation mode: what is random about it is the posterior's to say."""
        super().train(mode)
        self.network.eval()
        return self

    def _probe(self, x: Tensor) -> list[LinearCall]:
        """Look once at how the network uses its weights, and whether vmap can run it at all."""
        if self._linear_calls is None:
            probe = x[:2]
            calls = find_linear_calls(self.network, probe, self.spec.names)
            twice = {name: torch.stack([tensor, tensor]) for name, tensor in self.initial().items()}
            try:
                with torch.no_grad():
                    vmap(self._call, in_dims=(0, None), randomness="different")(twice, probe)
                self._vectorizes = True
            except RuntimeError:  # no batching rule: torch's fused LSTM, say; then draws run one by one
                self._vectorizes, calls = False, []
            self._linear_calls = calls
        return self._linear_calls

    def _call(self, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
        output: Tensor = functional_call(self.network, dict(tensors), (x,))
        return output


def _matching(parameters: Mapping[str, Tensor], globs: Sequence[str]) -> list[str]:
    if not globs:
        raise ValueError("Got no globs of Bayesian tensors, expected at least one, such as '*'.")
    if not parameters:
        raise ValueError("Got a network without parameters, expected at least one to be uncertain about.")
    for glob in globs:
        if not fnmatch.filter(parameters, glob):
            raise ValueError(
                f"The glob {glob!r} matches no parameter; the network has {', '.join(list(parameters)[:12])}."
            )
    return [name for name in parameters if any(fnmatch.fnmatchcase(name, glob) for glob in globs)]
