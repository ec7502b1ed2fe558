"""Ensemble files of version 1: texts of their own beside the tensors, and no checksum."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bayeshyper.strictjson import read_json
from bayeshyper.tensorfile import TensorFile

__all__ = ["ensemble_1"]


def ensemble_1(file: TensorFile) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The record and tensors of version 2 that a file of version 1 stands for.

    Raises:
        KeyError, ValueError: It is none.
    """
    if (file.metadata["format"], file.metadata["version"]) != ("bayeshyper-ensemble", "1"):
        raise ValueError("its format is not one of ours")
    return {"names": [name for name, _ in read_json(file.metadata["shapes"].encode())]}, dict(file.tensors)
