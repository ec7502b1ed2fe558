"""Starting from trained weights: a state dict, or a file that holds one."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

__all__ = ["Pretrained", "load_pretrained"]

Pretrained = Mapping[str, Tensor] | str | os.PathLike[str]
# How many names a sentence lists.
LISTED = 4


def load_pretrained(network: nn.Module, pretrained: Pretrained) -> None:
    """Give a network the tensors of a state dict: every one that it has, and no others.

    Args:
        network: Changed in place.
        pretrained: Name → tensor, or the path of a file with that: ``.safetensors``, or else what
            ``torch.save`` wrote (read without running code that a file may carry).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no state dict, or another network's; what differs is named.

    Example:
        >>> network, trained = nn.Linear(3, 1), nn.Linear(3, 1)
        >>> load_pretrained(network, trained.state_dict())
        >>> torch.equal(network.weight, trained.weight)
        True
        >>> load_pretrained(network, {"weight": torch.zeros(1, 3)})
        Traceback (most recent call last):
        ValueError: The pretrained state does not fit the network: it lacks bias; choose the network's own.
    """
    state = pretrained if isinstance(pretrained, Mapping) else _read(Path(pretrained))
    own = network.state_dict()
    lacking = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    misshapen = [
        f"{name} of shape {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    faults = [
        f"it {verb} {_some(names)}"
        for verb, names in (
            ("lacks", lacking),
            ("has what the network has not:", unknown),
            ("has", misshapen),
        )
        if names
    ]
    if faults:
        raise ValueError(
            f"The pretrained state does not fit the network: {'; '.join(faults)}; choose the network's own."
        )
    network.load_state_dict(state)


def _read(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path} to take pretrained weights from.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read as a state dict; write one with torch.save(network.state_dict(), path), "
            "or with safetensors to a file ending in .safetensors."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        inside = f" with {_some(list(map(str, state)))}" if isinstance(state, Mapping) else ""
        raise ValueError(
            f"{path} holds a {type(state).__name__}{inside}, expected a state dict, name → tensor; "
            "take that out, and save it alone."
        )
    return state


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join([*names[:LISTED], *(["…"] if len(names) > LISTED else [])])
