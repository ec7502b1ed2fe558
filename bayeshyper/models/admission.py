"""Which networks can be targets, and which of their tensors the globs choose; what cannot is told why."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

__all__ = ["admit", "check_values", "chosen_names"]

USABLE = (torch.float32, torch.float64)
# How many of a network's names a sentence lists.
LISTED = 12


def admit(network: nn.Module) -> nn.Module:
    """A copy of the network in evaluation mode, whose tensors can be read from a weight vector.

    Raises:
        ValueError: It is no module, cannot be copied or be run with other weights, has tensors without values
            or of too coarse a type, or mixes the rows of a batch.
    """
    if not isinstance(network, nn.Module):
        what = f"the class {network.__name__}" if isinstance(network, type) else f"a {type(network).__name__}"
        raise ValueError(f"Got {what} as the network, expected an instance of torch.nn.Module.")
    if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        raise ValueError(
            f"Got a network inside {type(network).__name__}, expected the network alone; pass network.module."
        )
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise ValueError(
            "Got a network compiled by torch.jit, expected one whose tensors can be replaced; "
            "pass the module that it was compiled from."
        )
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    for name, tensor in tensors.items():
        _check_tensor(name, tensor)
    kinds = {tensor.dtype for _, tensor in network.named_parameters() if tensor.is_floating_point()}
    if len(kinds) > 1:
        both = " and ".join(sorted(map(str, kinds)))
        raise ValueError(f"Got parameters of {both}, expected one type; call network.float().")
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and not module.track_running_stats:
            raise ValueError(
                f"Got the BatchNorm {name!r} without running statistics, expected it to have them: else a "
                "row's prediction depends on the rows beside it; set track_running_stats=True."
            )
    try:
        return copy.deepcopy(network).eval()
    except RuntimeError as error:  # the old torch.nn.utils.weight_norm, say, after a forward pass
        raise ValueError(
            f"The network cannot be copied: {str(error).splitlines()[0]} Keep no computed tensors as its "
            "attributes; torch.nn.utils.parametrizations has weight_norm and spectral_norm that do not."
        ) from error


def _check_tensor(name: str, tensor: Tensor) -> None:
    if isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
        raise ValueError(
            f"Got the lazy tensor {name!r}, whose shape nobody knows yet; run the network on one batch, "
            "then pass it."
        )
    if tensor.is_meta:
        raise ValueError(
            f"Got {name!r} on the device meta, where tensors hold no values; call "
            "network.to_empty(device='cpu') and load a state dict, then pass it."
        )
    if tensor.is_floating_point() and tensor.dtype not in USABLE:
        raise ValueError(
            f"Got {name!r} of {tensor.dtype}, expected torch.float32: the posterior's noise would be lost in "
            "rounding; call network.float()."
        )


def check_values(network: nn.Module) -> None:
    """Refuse parameters that start with missing or infinite numbers, from which nothing can be trained.

    Raises:
        ValueError: There is one; it is named. Buffers may be infinite, as attention masks are.

    Example:
        >>> network = nn.Linear(2, 1)
        >>> _ = nn.init.constant_(network.bias, float("nan"))
        >>> check_values(network)
        Traceback (most recent call last):
        ValueError: The network starts with 'bias' not finite, expected numbers; initialise it again.
    """
    for name, parameter in network.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise ValueError(
                f"The network starts with {name!r} not finite, expected numbers; initialise it again."
            )


def chosen_names(network: nn.Module, globs: Sequence[str]) -> list[str]:
    """The names of the parameters that any glob matches, in the network's order.

    A parameter that has several names (tied weights) is one tensor: it is listed once, by its first name,
    and chosen by any.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> network[1].weight = network[0].weight
        >>> chosen_names(network, ["1.*"])
        ['0.weight', '1.bias']

    Raises:
        ValueError: No globs, a glob that matches nothing, or tensors that hold no real numbers.
    """
    if isinstance(globs, str):
        raise ValueError(f"Got the text {globs!r} as globs, expected a list of them; write [{globs!r}].")
    if not globs:
        raise ValueError("Got no globs of Bayesian tensors, expected at least one, such as '*'.")
    parameters = dict(network.named_parameters(remove_duplicate=False))
    if not any(parameter.numel() for parameter in parameters.values()):
        raise ValueError("Got a network without parameters, expected at least one to be uncertain about.")
    first_names: dict[int, str] = {}
    for name, parameter in parameters.items():
        first_names.setdefault(id(parameter), name)
    chosen: set[str] = set()
    for glob in globs:
        matching = [name for name in parameters if name == glob or fnmatchcase(name, glob)]
        if not matching:
            listed = [*list(parameters)[:LISTED], *(["…"] if len(parameters) > LISTED else [])]
            raise ValueError(f"The glob {glob!r} matches no parameter; the network has {', '.join(listed)}.")
        chosen |= {first_names[id(parameters[name])] for name in matching}
    for name in chosen:
        if not parameters[name].is_floating_point():
            raise ValueError(
                f"Got the Bayesian tensor {name!r} of {parameters[name].dtype}, expected real numbers; make "
                "it a buffer, or choose the others by globs."
            )
    if not any(parameters[name].numel() for name in chosen):
        raise ValueError(f"The tensors {', '.join(sorted(chosen))} hold no numbers; choose others by globs.")
    return [name for name in parameters if name in chosen]
