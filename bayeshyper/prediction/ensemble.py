"""Weight ensembles: draws from a posterior, as tensors, as modules, as a file."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from bayeshyper.container import not_ours, open_container, unpack, write_container
from bayeshyper.data.names import listed
from bayeshyper.errors import ModelFileError
from bayeshyper.migration import ensemble_1
from bayeshyper.models import Target, WeightSpec

__all__ = ["WeightEnsemble"]

KIND = "ensemble"
VERSION = 2
DTYPES = (torch.float32, torch.float64)


class WeightEnsemble:
    """S weight vectors drawn from a posterior, with the table that names their entries.

    Args:
        weights: ``(S, D)``, float32 or float64, with one draw at least.
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
        if not len(weights) or weights.dtype not in DTYPES:
            raise ValueError(
                f"Got {len(weights)} draws of {weights.dtype}, expected at least one, of float32 or float64."
            )
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
        record = {"names": list(self.names)}
        write_container(Path(path), KIND, VERSION, record, self.spec.unflatten(self.weights))

    @classmethod
    def load(cls, path: str | Path, target: Target | None = None) -> WeightEnsemble:
        """Read what `save` wrote.

        Args:
            path: The file.
            target: The network that the draws belong to; without it the ensemble is numbers only.

        Raises:
            FileNotFoundError: There is no such file.
            ModelFileError: The file is not an ensemble of ours, or it is damaged; or its draws are of another
                network than the target's.
        """
        path = Path(path)
        file = open_container(path, KIND)
        try:
            if file.intact is None and "shapes" in file.metadata:
                record, tensors = ensemble_1(file)
            else:
                _, record, tensors = unpack(path, file, KIND, VERSION)
            if record.keys() != {"names"}:
                raise ValueError("its record is not one of an ensemble")
            ensemble = cls._from_named(record["names"], tensors)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise not_ours(path, KIND, error) from error
        if target is not None:
            _check_belongs(path, ensemble.spec, target.spec)
            ensemble.target = target
        return ensemble

    @classmethod
    def _from_named(cls, names: list[str], tensors: dict[str, Tensor]) -> WeightEnsemble:
        if not isinstance(names, list) or len(names) != len(tensors) or set(names) != tensors.keys():
            raise ValueError("its tensors are not those that it names")
        kinds = {(tensor.shape[:1], tensor.dtype) for tensor in tensors.values()}
        if len(kinds) != 1 or not all(shape and dtype.is_floating_point for shape, dtype in kinds):
            raise ValueError("its tensors are not draws of one posterior")
        if not all(tensor.numel() for tensor in tensors.values()):
            raise ValueError("some of its tensors hold nothing")
        spec = WeightSpec((name, tensors[name].shape[1:]) for name in names)
        ensemble = cls(spec.flatten(tensors), spec)
        if not bool(ensemble.weights.isfinite().all()):
            raise ValueError("its draws are not finite")
        return ensemble

    def __repr__(self) -> str:
        return f"WeightEnsemble({len(self)} draws of {self.spec.size:,} weights in {len(self.spec)} tensors)"


def _check_belongs(path: Path, held: WeightSpec, wanted: WeightSpec) -> None:
    """Refuse draws of another network: they have its tensors, and behind them the likelihood's latents."""
    pieces, tensors = list(held), list(wanted)
    network, latents = pieces[: len(tensors)], pieces[len(tensors) :]
    # What a likelihood calls its latents has no dots; a tensor in a module of a module has.
    foreign = [piece.name for piece in latents if "." in piece.name]
    if network != tensors or foreign:
        differing = foreign or [piece.name for piece in tensors if piece not in network]
        raise ModelFileError(
            f"{path} holds draws of another network than the target, they differ in "
            f"{listed(differing or wanted.names, most=4)}: pass the network that they were drawn for."
        )
