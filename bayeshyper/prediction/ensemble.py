"""Weight ensembles: draws from a posterior, as tensors, as modules, as a file."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bayeshyper.errors import ModelFileError
from bayeshyper.files import write_atomically
from bayeshyper.models import Target, WeightSpec

__all__ = ["WeightEnsemble"]

FORMAT = "bayeshyper-ensemble"
VERSION = 1


class WeightEnsemble:
    """S weight vectors drawn from a posterior, with the table that names their entries.

    Args:
        weights: ``(S, D)``.
        spec: What the D entries are: the network's tensors, then the likelihood's latents.
        target: The network they belong to; without it the ensemble is numbers only.

    Example:
        >>> from bayeshyper.models import MLP
        >>> target = Target(MLP(3, 1))
        >>> ensemble = WeightEnsemble(torch.randn(5, target.spec.size), target.spec, target)
        >>> len(ensemble), ensemble.names[:2]
        (5, ('layers.0.weight', 'layers.0.bias'))
        >>> [module(torch.zeros(2, 3)).shape for module in ensemble.modules()][0]
        torch.Size([2, 1])
    """

    def __init__(self, weights: Tensor, spec: WeightSpec, target: Target | None = None) -> None:
        if weights.dim() != 2 or weights.shape[1] != spec.size:
            raise ValueError(f"Got weights of shape {tuple(weights.shape)}, expected (S, {spec.size}).")
        self.weights = weights
        self.spec = spec
        self.target = target

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors in the flat vector, in order."""
        return self.spec.names

    def __getitem__(self, name: str) -> Tensor:
        """All draws of one named tensor, ``(S, *shape)``."""
        if name not in self.spec:
            raise KeyError(f"Got {name!r}, expected one of {', '.join(self.names)}.")
        return self.spec.unflatten(self.weights)[name]

    def modules(self) -> Iterator[nn.Module]:
        """Each draw as an ordinary module of its own; its input is encoded as in the fit."""
        if self.target is None:
            raise ValueError(
                "Got an ensemble without its network, expected one with; draw it with sample_weights, "
                "or pass target= when loading."
            )
        for weights in self.weights:
            module = copy.deepcopy(self.target.network)
            tensors = self.spec.unflatten(weights)
            with torch.no_grad():
                for name, parameter in module.named_parameters():
                    if name in self.target.spec:
                        parameter.copy_(tensors[name])
            yield module

    def save(self, path: str | Path) -> None:
        """Write a safetensors file: one ``(S, *shape)`` tensor per name, readable with safetensors alone."""
        header = {
            "format": FORMAT,
            "version": str(VERSION),
            "draws": str(len(self)),
            "shapes": json.dumps(self.spec.shapes),
        }
        tensors = {name: tensor.contiguous() for name, tensor in self.spec.unflatten(self.weights).items()}
        write_atomically(Path(path), save(tensors, metadata=header))

    @classmethod
    def load(cls, path: str | Path, target: Target | None = None) -> WeightEnsemble:
        """Read what `save` wrote.

        Raises:
            ModelFileError: The file is not an ensemble of ours.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                header = file.metadata() or {}
                if header.get("format") != FORMAT or int(header.get("version", "0")) > VERSION:
                    raise ModelFileError(
                        f"{path} is not a weight ensemble that this version can read "
                        f"(format {header.get('format')!r}, version {header.get('version')!r})."
                    )
                shapes = json.loads(header["shapes"])
                spec = WeightSpec((name, tuple(shape)) for name, shape in shapes)
                weights = spec.flatten({name: file.get_tensor(name) for name in spec.names})
                return cls(weights, spec, target)
        except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"{path} is not a weight ensemble, or it is damaged: {error}.") from error

    def __repr__(self) -> str:
        return f"WeightEnsemble({len(self)} draws of {self.spec.size:,} weights in {len(self.spec)} tensors)"
