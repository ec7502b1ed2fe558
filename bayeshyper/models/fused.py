"""Torch's fused layers, taken apart just so far that ``vmap`` can run them on many weights at once.

``vmap`` knows no rule for recurrent layers, nor for the fast paths of attention. The first are run draw by
draw, they alone: what stands before them is run once where it does not depend on the weights, and what stands
behind them for all draws together. Attention is computed by plain matrix products, the same to rounding. No
setting of torch's is touched: while such a mode is on, in this thread, torch itself takes no fast path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

__all__ = ["Unfused"]

# Functions that give one tensor, or a tuple of them.
DRAW_BY_DRAW = frozenset(
    {torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu, F.scaled_dot_product_attention}
)


class Unfused(TorchFunctionMode):
    """Inside it, and inside ``vmap``, networks with recurrent layers and attention run.

    Example:
        >>> layer = torch.nn.GRU(2, 3, batch_first=True)
        >>> weights = {name: torch.stack([p, -p]) for name, p in layer.named_parameters()}
        >>> def run(weights):
        ...     with Unfused():
        ...         return torch.func.functional_call(layer, weights, (torch.ones(4, 5, 2),))[0]
        >>> torch.func.vmap(run)(weights).shape
        torch.Size([2, 4, 5, 3])
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward and not kwargs.get("need_weights", True):
            # Asked for its weights, it computes them; not asked, it calls a fused kernel.
            return func(*args, **{**kwargs, "need_weights": True})[0], None
        if func in DRAW_BY_DRAW:
            flat, tree = tree_flatten((args, kwargs))
            return _DrawByDraw.apply(func, tree, *flat)  # type: ignore[no-untyped-call]
        return func(*args, **kwargs)


class _DrawByDraw(torch.autograd.Function):
    """A function of tensors as it is, except under ``vmap``, where it is called once for each draw."""

    @staticmethod
    def forward(func: Callable[..., Any], tree: TreeSpec, *flat: Any) -> Any:
        args, kwargs = tree_unflatten(flat, tree)
        return func(*args, **kwargs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.function, ctx.tree, *flat = inputs
        ctx.plain = [None if isinstance(value, Tensor) else value for value in flat]
        ctx.save_for_backward(*(value if isinstance(value, Tensor) else None for value in flat))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        """Where no input is a draw's: the function is run again, to be differentiated."""
        needed = ctx.needs_input_grad[2:]
        flat = [
            plain if tensor is None else tensor.detach().requires_grad_(wanted)
            for plain, tensor, wanted in zip(ctx.plain, ctx.saved_tensors, needed, strict=True)
        ]
        args, kwargs = tree_unflatten(flat, ctx.tree)
        with torch.enable_grad():
            results = ctx.function(*args, **kwargs)
        results = (results,) if isinstance(results, Tensor) else results
        wanted = [value for value, use in zip(flat, needed, strict=True) if use]
        found = iter(torch.autograd.grad(results, wanted, slopes, allow_unused=True))
        return None, None, *(next(found) if use else None for use in needed)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], func: Callable[..., Any], tree: TreeSpec, *flat: Any
    ) -> Any:
        results = []
        for draw in range(info.batch_size):
            one = [
                value if dim is None else value.select(dim, draw)
                for value, dim in zip(flat, in_dims[2:], strict=True)
            ]
            args, kwargs = tree_unflatten(one, tree)
            results.append(func(*args, **kwargs))
        if isinstance(results[0], Tensor):
            return torch.stack(results), 0
        together = tuple(torch.stack(each) for each in zip(*results, strict=True))
        return together, tuple(0 for _ in together)
