"""The model file: a container whose record and tensors are a fitted estimator's. Nothing in it is code.

The container is that of ``container.py``; what a record of version 2 holds stands in ``docs/model_files.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bayeshyper.container import KEY, not_ours, open_container, unpack, write_container
from bayeshyper.migration import model_1

__all__ = ["read_model_file", "write_model_file"]

KIND = "model"
VERSION = 2


def write_model_file(path: Path, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write record and tensors to one file, atomically; it raises as `write_container` does."""
    write_container(path, KIND, VERSION, record, tensors)


def read_model_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read record and tensors of a file of any version, as the newest has them.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: The file is truncated, damaged, of a newer format, or not ours.
    """
    file = open_container(path, KIND)
    if file.intact is None and KEY in file.metadata:
        try:
            return model_1(file)
        except (KeyError, TypeError, ValueError) as error:
            raise not_ours(path, KIND, error) from error
    _, record, tensors = unpack(path, file, KIND, VERSION)
    return record, tensors
