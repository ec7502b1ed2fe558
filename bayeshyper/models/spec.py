"""Which named tensors stand where in a flat weight vector."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["WeightPiece", "WeightSpec"]


@dataclass(frozen=True)
class WeightPiece:
    """One named tensor and its place in the flat weight vector.

    Args:
        name: The tensor's dotted name, such as ``"layers.0.weight"``.
        shape: Its shape.
        start: The index of its first entry in the flat vector.
    """

    name: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """How many numbers it holds; a 0-D tensor holds one."""
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        """Its place in the flat vector."""
        return slice(self.start, self.start + self.size)


class WeightSpec:
    """The table of names, shapes and places that gives a flat ``(…, D)`` tensor its meaning.

    Args:
        shapes: Name and shape of each tensor, in the order in which they are laid out.

    Example:
        >>> spec = WeightSpec([("weight", (2, 3)), ("bias", (2,))])
        >>> spec.size, spec["bias"].slice
        (8, slice(6, 8, None))
        >>> pieces = spec.unflatten(torch.arange(8.0))
        >>> pieces["weight"].shape
        torch.Size([2, 3])
        >>> torch.equal(spec.flatten(pieces), torch.arange(8.0))
        True
    """

    def __init__(self, shapes: Iterable[tuple[str, Iterable[int]]]) -> None:
        pieces: dict[str, WeightPiece] = {}
        start = 0
        for name, shape in shapes:
            if name in pieces:
                raise ValueError(f"Got the weight name {name!r} twice; names must be unique in a WeightSpec.")
            piece = WeightPiece(name, tuple(shape), start)
            pieces[name] = piece
            start += piece.size
        self._pieces = pieces
        self.size = start

    def __iter__(self) -> Iterator[WeightPiece]:
        return iter(self._pieces.values())

    def __len__(self) -> int:
        return len(self._pieces)

    def __contains__(self, name: object) -> bool:
        return name in self._pieces

    def __getitem__(self, name: str) -> WeightPiece:
        return self._pieces[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WeightSpec) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors' names, in order."""
        return tuple(self._pieces)

    @property
    def shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        """Name and shape of each tensor: what the constructor takes."""
        return [(piece.name, piece.shape) for piece in self]

    def __add__(self, other: WeightSpec) -> WeightSpec:
        return WeightSpec(self.shapes + other.shapes)

    def unflatten(self, flat: Tensor, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """Cut ``(…, D)`` into named views of shape ``(…, *shape)``: all of them, or those asked for."""
        if flat.shape[-1] != self.size:
            raise ValueError(
                f"Got {flat.shape[-1]} weights, expected D = {self.size}; "
                "pass a tensor whose last dimension is the spec's size."
            )
        pieces = self if names is None else [self._pieces[name] for name in names]
        return {piece.name: flat[..., piece.slice].reshape(flat.shape[:-1] + piece.shape) for piece in pieces}

    def split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """Cut ``(…, D)`` into views of each tensor's weights, ``(…, size)``.

        The gradient is one concatenation, where each of as many slices would fill a D-vector with zeros.
        """
        parts: tuple[Tensor, ...] = flat.split([piece.size for piece in self], dim=-1)
        return parts

    def repeat(self, numbers: Tensor) -> Tensor:
        """Give each tensor's number, of ``(…, n)``, to all of its weights: ``(…, D)``."""
        each = zip(numbers.split(1, dim=-1), self, strict=True)
        return torch.cat([one.expand(*one.shape[:-1], piece.size) for one, piece in each], dim=-1)

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Lay named tensors of shape ``(…, *shape)`` end to end as ``(…, D)``."""
        missing = [name for name in self._pieces if name not in tensors]
        if missing:
            raise ValueError(
                f"Got no tensor for {missing[0]!r}, expected one for each of {list(self.names)}."
            )
        rows = []
        for piece in self:
            tensor = tensors[piece.name]
            lead = tensor.shape[: tensor.dim() - len(piece.shape)]
            if tuple(tensor.shape[len(lead) :]) != piece.shape:
                raise ValueError(
                    f"Got {piece.name!r} of shape {tuple(tensor.shape)}, expected it to end in {piece.shape}."
                )
            rows.append(tensor.reshape(*lead, piece.size))
        return torch.cat(rows, dim=-1) if rows else torch.empty(0)

    def __repr__(self) -> str:
        width = max((len(name) for name in self._pieces), default=4)
        rows = [f"  {piece.name:<{width}}  {piece.shape!s:<16} {piece.size:>10,}" for piece in self]
        return "\n".join([f"WeightSpec: {self.size:,} weights in {len(self)} tensors", *rows])
