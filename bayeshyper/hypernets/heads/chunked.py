"""A chunked head: one small generator for all chunks of the weight vector, told apart by embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from bayeshyper.models import WeightPiece, WeightSpec

from .base import LinearHead

__all__ = ["ChunkedHead"]

# So many numbers are made at a time, 2 MB of them.
BLOCK = 1 << 18


class ChunkedHead(LinearHead, name="chunked"):
    """Chunk c of the weights is B ((G e_c) ∘ (H φ)), so that A_c = B diag(G e_c) H: all is shared but e_c.

    Von Oswald et al. 2020 (arXiv 1906.00695) feed a chunk's embedding to the generator beside its input; here
    the two multiply, which keeps the weights linear in the features. It has about n·m + c·q + q·k numbers
    for n chunks of c weights: far fewer than D.

    Args:
        spec: The tensors.
        features: k.
        members: M.
        gain: As for `Head`; kept as the log of a learned scale for each tensor, the generator being shared.
        chunk: c, weights made at a time.
        width: q, units of the generator.
        embedding: m, numbers that tell one chunk from another.

    Example:
        >>> spec = WeightSpec([("weight", (500, 400)), ("bias", (500,))])
        >>> head = ChunkedHead(spec, features=16)
        >>> head(torch.randn(1, 3, 16)).shape, sum(p.numel() for p in head.parameters()) < spec.size // 5
        (torch.Size([1, 3, 200500]), True)
    """

    compressive = True

    def __init__(
        self,
        spec: WeightSpec,
        *,
        features: int,
        members: int = 1,
        gain: float | Sequence[float] = 0.1,
        chunk: int = 256,
        width: int = 32,
        embedding: int = 16,
    ) -> None:
        if min(chunk, width, embedding) < 1:
            raise ValueError(
                f"Got chunk = {chunk}, width = {width} and embedding = {embedding}, "
                "expected at least 1 of each."
            )
        super().__init__(spec, features=features, members=members, gain=gain)
        chunk = min(chunk, max(spec.size, 1))
        self.chunks = -(-spec.size // chunk)
        self.output = nn.Parameter(torch.empty(members, chunk, width))  # B
        self.modulate = nn.Parameter(torch.empty(members, width, embedding))  # G
        self.embeddings = nn.Parameter(torch.empty(members, self.chunks, embedding))  # e
        self.encode = nn.Parameter(torch.empty(members, width, features))  # H
        self.log_gains = nn.Parameter(torch.empty(members, len(spec)))
        self.reset_parameters()

    @classmethod
    def numbers_held(cls, noise_dim: int, **options: Any) -> int:
        """The weights before and after their gains, with what their gradients need."""
        return 8

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Every factor of such variance that weights have unit variance before the gains."""
        width, embedding = self.modulate.shape[1:]
        with torch.no_grad():
            self.output.normal_(0.0, 1.0 / math.sqrt(width), generator=generator)
            self.modulate.normal_(0.0, 1.0 / math.sqrt(embedding), generator=generator)
            self.embeddings.normal_(0.0, 1.0, generator=generator)
            self.encode.normal_(0.0, 1.0 / math.sqrt(max(self.features, 1)), generator=generator)
            self.log_gains.copy_(self.log_gains_at_start())

    def forward(self, features: Tensor, base: Tensor | None = None) -> Tensor:
        """A φ: ``(M, S, k)`` to ``(M, S, D)``."""
        codes = (features @ self.encode.mT).unsqueeze(2) * self._of_chunks().unsqueeze(1)  # (M, S, n, q)
        made = (codes @ self.output.mT.unsqueeze(1)).flatten(2)
        return made[..., : self.spec.size] * self._gain_of_weights().unsqueeze(1)

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        """One tensor's weights, ``(M, S, size)``, from the chunks that it has part in."""
        chunk = self.output.shape[1]
        first, last = piece.start // chunk, -(-(piece.start + piece.size) // chunk)
        codes = (features @ self.encode.mT).unsqueeze(2) * self._of_chunks()[:, first:last].unsqueeze(1)
        made = (codes @ self.output.mT.unsqueeze(1)).flatten(2)
        start = piece.start - first * chunk
        return made[..., start : start + piece.size] * self._gain_of_weights()[:, None, piece.slice]

    def gram(self, precision: Tensor) -> Tensor:
        """Hᵀ [Σ_c (g_c g_cᵀ) ∘ (Bᵀ P_c B)] H with g_c = G e_c: D·q² products, over blocks of chunks.

        What is made of a block, q² numbers for each of its chunks, is made again for the gradient.
        """
        scaled = precision.double() * self._gain_of_weights().double().square()
        by_chunk = self._in_chunks(scaled)  # (M, n, c)
        output, codes, encode = self.output.double(), self._of_chunks().double(), self.encode.double()
        pairs = (output.unsqueeze(-1) * output.unsqueeze(-2)).flatten(2)  # (M, c, q²)
        width = encode.shape[1]
        rows = max(BLOCK // width**2, 1)
        kernel_of = _kernel if self.chunks <= rows else _kernel_made_twice
        kernel = torch.zeros_like(pairs[:, 0])  # (M, q²)
        for some, of_codes in zip(by_chunk.split(rows, dim=1), codes.split(rows, dim=1), strict=True):
            kernel = kernel + kernel_of(some, of_codes, pairs)
        gram: Tensor = encode.mT @ kernel.unflatten(-1, (width, width)) @ encode
        return gram

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        """Σ_c [(u_cᵀ P_c B) ∘ g_c] H."""
        weighted = offsets.double() * (precision.double() * self._gain_of_weights().double()).unsqueeze(-2)
        small = self._in_chunks(weighted) @ self.output.double().unsqueeze(1)  # (M, S, n, q)
        codes = self._of_chunks().double().unsqueeze(1)
        return (small * codes).sum(2) @ self.encode.double()

    def _of_chunks(self) -> Tensor:
        """G e_c, ``(M, n, q)``."""
        return self.embeddings @ self.modulate.mT

    def _gain_of_weights(self) -> Tensor:
        """Each weight's scale, ``(M, D)``."""
        return self.spec.repeat(self.log_gains.exp())

    def _in_chunks(self, flat: Tensor) -> Tensor:
        """``(…, D)`` as ``(…, n, c)``, with zeros where the last chunk reaches past the end."""
        chunk = self.output.shape[1]
        padded = F.pad(flat, (0, self.chunks * chunk - self.spec.size))
        chunks: Tensor = padded.unflatten(-1, (self.chunks, chunk))
        return chunks


def _kernel(by_chunk: Tensor, codes: Tensor, pairs: Tensor) -> Tensor:
    """Σ_c (g_c g_cᵀ) ∘ (Bᵀ P_c B) over some chunks, ``(M, q²)``."""
    of_codes = (codes.unsqueeze(-1) * codes.unsqueeze(-2)).flatten(2)  # (M, n, q²)
    return ((by_chunk @ pairs) * of_codes).sum(1)


def _kernel_made_twice(*tensors: Tensor) -> Tensor:
    """The same; what it is made of is not kept for the gradient, but made again."""
    kernel: Tensor = checkpoint(_kernel, *tensors, use_reentrant=False, preserve_rng_state=False)
    return kernel
