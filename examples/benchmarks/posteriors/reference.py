"""A posterior: its model, draws of it that others made, and how the two name the same numbers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bayeshyper.errors import DataError

Model = Callable[[], None]
Data = Mapping[str, Tensor]


@dataclass(frozen=True)
class Posterior:
    """A posterior as a Pyro model, and as draws.

    Args:
        name: As posteriordb has it.
        model: Takes no arguments. No site has batch dimensions: ``max_plate_nesting`` is 0.
        names: The reference's parameters, P of them, such as "beta[1]", "beta[2]" and "sigma".
        reference: Draws, ``(10_000, P)``: ten chains of 1 000, one after the other.
        simplices: Sites that are a simplex, by the parameters that are all its entries but the last.
            Every other site is the parameter, or the vector of parameters, of its name.
    """

    name: str
    model: Model
    names: tuple[str, ...]
    reference: Tensor = field(repr=False)
    simplices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def parameters(self, sites: Mapping[str, Tensor]) -> Tensor:
        """Draws of the model's sites, ``(S, …)`` each, as parameters in the reference's order, ``(S, P)``."""
        values = dict(sites)
        for site, entries in self.simplices.items():
            values |= zip(entries, values[site].unbind(-1), strict=False)
        columns = [values[name].reshape(len(values[name]), -1) for name, _ in self._vectors()]
        return torch.cat(columns, dim=-1)

    def sites(self, parameters: Tensor) -> dict[str, Tensor]:
        """Parameters ``(S, P)`` as values of the model's sites, ``(S, …)`` each."""
        values: dict[str, Tensor] = {}
        start = 0
        for name, size in self._vectors():
            values[name] = parameters[:, start : start + size] if size else parameters[:, start]
            start += size or 1
        for site, entries in self.simplices.items():
            first = torch.stack([values.pop(name) for name in entries], dim=-1)
            values[site] = torch.cat([first, 1.0 - first.sum(-1, keepdim=True)], dim=-1)
        return values

    def _vectors(self) -> list[tuple[str, int]]:
        """The parameters' names without indices, with their sizes: 0 for a number."""
        grouped = groupby(self.names, key=lambda name: name.split("[")[0])
        return [(name, sum("[" in member for member in members)) for name, members in grouped]


def read_index(folder: Path) -> dict[str, dict[str, Any]]:
    """What posteriordb's extract says of each posterior, by name.

    Raises:
        DataError: There is no index in the folder.
    """
    path = folder / "index.json"
    if not path.is_file():
        raise DataError(f"There are no reference posteriors in {folder}: index.json is expected there.")
    return {entry["posterior"]: entry for entry in json.loads(path.read_text("utf-8"))}


def read_data(folder: Path, name: str) -> Data:
    """A data set's arrays and numbers, in float64."""
    values = _read(folder / "data" / f"{name}.json.zip")
    return {key: torch.tensor(value, dtype=torch.float64) for key, value in values.items()}


def read_draws(folder: Path, name: str, names: tuple[str, ...]) -> Tensor:
    """The draws of the named parameters, chain after chain, ``(chains · draws, P)``."""
    chains = _read(folder / "reference_draws" / f"{name}.json.zip")
    draws = [[chain[name] for name in names] for chain in chains]
    return torch.tensor(draws, dtype=torch.float64).mT.flatten(0, 1)


def _read(path: Path) -> Any:
    """The JSON in a zip file of that one member."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(path.stem))
