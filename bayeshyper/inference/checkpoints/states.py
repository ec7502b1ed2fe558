"""States of modules, optimisers and generators, as JSON and tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["AdamState", "GlobalRandomState", "RandomState", "Stateful", "digest", "packed", "unpacked"]

# What JSON has no word for is an object with one of these as its only key.
TENSOR, TUPLE, ITEMS = "$tensor", "$tuple", "$items"


class Stateful(Protocol):
    """Whatever can be put back into an earlier state: torch's modules and optimisers, and parts of ours."""

    def state_dict(self) -> Mapping[str, Any]:
        """All of its state: numbers, texts, tensors, and lists, tuples and dicts of them."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Put it back into a state."""


class RandomState:
    """A generator, as a part of a fit."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def state_dict(self) -> dict[str, Tensor]:
        """Where it stands."""
        return {"state": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put it back."""
        self._generator.set_state(state["state"])


class GlobalRandomState:
    """torch's global generator, within `bayeshyper.threads.seeded`."""

    def state_dict(self) -> dict[str, Tensor]:
        """Where it stands."""
        return {"state": torch.get_rng_state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put it back."""
        torch.set_rng_state(state["state"])


class AdamState:
    """Adam, as a part of a fit: torch itself takes moments of any shape, and fails at the next step."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def state_dict(self) -> dict[str, Any]:
        """Its moments and rates."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put them back.

        Raises:
            KeyError, TypeError, ValueError: They are not of these parameters.
        """
        own = self._optimizer.state_dict()
        if _but_rates(state["param_groups"]) != _but_rates(own["param_groups"]):
            raise ValueError("the optimizer is of other settings")
        parameters = [one for group in self._optimizer.param_groups for one in group["params"]]
        for place, moments in state["state"].items():
            shapes = {"step": (), "exp_avg": parameters[place].shape, "exp_avg_sq": parameters[place].shape}
            if {name: moment.shape for name, moment in moments.items()} != shapes:
                raise ValueError("the optimizer's moments are of other parameters")
        self._optimizer.load_state_dict(dict(state))


def _but_rates(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups without the rate of the step, which is set at each."""
    return [{name: value for name, value in group.items() if name != "lr"} for group in groups]


def packed(state: Any, tensors: dict[str, Tensor]) -> Any:
    """A state as JSON, whose tensors are put into ``tensors`` under names of their own.

    Raises:
        TypeError: Anything else than numbers, texts, None, tensors, and lists, tuples and dicts of them.

    Example:
        >>> tensors = {}
        >>> packed({"step": 3, 0: (0.9, torch.ones(2))}, tensors)
        {'$items': [['step', 3], [0, {'$tuple': [0.9, {'$tensor': '0'}]}]]}
        >>> unpacked(packed({"step": 3, 0: (0.9, None)}, {}), {})
        {'step': 3, 0: (0.9, None)}
    """
    match state:
        case None | bool() | int() | float() | str():
            return state
        case np.bool_() | np.integer() | np.floating():
            return packed(state.tolist(), tensors)
        case Tensor():
            name = str(len(tensors))
            tensors[name] = state.detach()
            return {TENSOR: name}
        case tuple():
            return {TUPLE: [packed(item, tensors) for item in state]}
        case list():
            return [packed(item, tensors) for item in state]
        case Mapping():
            if all(isinstance(key, str) and not key.startswith("$") for key in state):
                return {key: packed(value, tensors) for key, value in state.items()}
            return {ITEMS: [[packed(key, tensors), packed(value, tensors)] for key, value in state.items()]}
    raise TypeError(f"Got a {type(state).__name__} in a state, expected numbers, texts, tensors and lists.")


def unpacked(record: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `packed`."""
    match record:
        case {"$tensor": name}:
            return tensors[name].clone()  # a state is put back more than once
        case {"$tuple": items}:
            return tuple(unpacked(item, tensors) for item in items)
        case {"$items": pairs}:
            return {unpacked(key, tensors): unpacked(value, tensors) for key, value in pairs}
        case dict():
            return {key: unpacked(value, tensors) for key, value in record.items()}
        case list():
            return [unpacked(item, tensors) for item in record]
    return record


def digest(state: Any) -> str:
    """SHA-256 of a state: of its structure, and of the types, shapes and bytes of its tensors.

    Example:
        >>> digest([torch.zeros(2), 1.0]) == digest([torch.zeros(2), 1.0])
        True
        >>> digest(torch.zeros(2)) == digest(torch.zeros(1, 2))
        False
    """
    tensors: dict[str, Tensor] = {}
    found = hashlib.sha256(json.dumps(packed(state, tensors)).encode())
    for tensor in tensors.values():
        found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
