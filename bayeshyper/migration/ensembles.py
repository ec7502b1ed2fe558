"""Ensemble files of version 1: texts of their own beside the tensors, and no checksum."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bayeshyper.strictjson import read_json
from bayeshyper.tensorfile import TensorFile

__all__ = ["ensemble_1"]


def ensemble_1(file: TensorFile) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The record and tensors of version 2 that a file of version 1 stands for.

    Its texts are ``format``, ``version``, ``draws`` and ``shapes``: the tensors' names and shapes, in order.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    wanted = ("bayeshyper-ensemble", "1")
    if (told := (file.metadata["format"], file.metadata["version"])) != wanted:
        raise ValueError(f"it is of format {told[0]!r:.40}, version {told[1]!r:.40}")
    shapes = read_json(file.metadata["shapes"].encode())
    if any(list(file.tensors[name].shape[1:]) != shape for name, shape in shapes):
        raise ValueError("its tensors do not have the shapes that it says")
    return {"names": [name for name, _ in shapes]}, dict(file.tensors)
