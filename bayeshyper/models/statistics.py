"""Running statistics of BatchNorm, set once on training rows; from then on they are constants.

A posterior over weights needs rows that do not depend on each other, so BatchNorm always runs as in
evaluation: x ↦ γ (x − m)/√(v + ε) + β with fixed m and v. A trained network brings them along. A fresh one
has m = 0 and v = 1, and its BatchNorms would do nothing: so they are given the mean and variance that
training rows have there at the network's initial weights, as one pass in training mode with a cumulative
average finds them (Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

__all__ = ["set_statistics"]

# More rows would tell the statistics no better than training needs them, and take longer.
ROWS = 4096
BATCH = 512


@torch.no_grad()
def set_statistics(network: nn.Module, x: Tensor) -> list[str]:
    """Set the running statistics of normalisations that have not seen a batch yet; returns their names.

    Those that have are left as they are, to the bit.

    Args:
        network: In evaluation mode; changed in place.
        x: Training rows ``(N, …)``; with a single row there is no variance, and nothing is set.

    Example:
        >>> network = nn.Sequential(nn.BatchNorm1d(1, affine=False)).eval()
        >>> x = 5 + 2 * torch.randn(100, 1)
        >>> set_statistics(network, x), set_statistics(network, x)
        (['0'], [])
        >>> bool(network(x).mean().abs() < 1e-5)
        True
    """
    fresh = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, _NormBase) and _is_fresh(module)
    }
    if not fresh or len(x) < 2:
        return []
    momenta = {name: module.momentum for name, module in fresh.items()}
    x = x[:: -(-len(x) // ROWS)]
    batches = -(-len(x) // BATCH)
    try:
        for module in fresh.values():
            module.train()
            module.momentum = None  # a cumulative average
        for first in range(batches):  # in strides: a table that is sorted has unlike blocks
            network(x[first::batches])
    finally:
        for name, module in fresh.items():
            module.eval()
            module.momentum = momenta[name]
    return list(fresh)


def _is_fresh(module: _NormBase) -> bool:
    mean, variance, batches = module.running_mean, module.running_var, module.num_batches_tracked
    if mean is None or variance is None or batches is None:
        return False
    # Old state dicts bring statistics along, but not the number of batches that they are from.
    return int(batches) == 0 and not bool(mean.any()) and bool((variance == 1).all())
