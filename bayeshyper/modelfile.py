"""The model file: a container whose record and tensors are a fitted estimator's. Nothing in it is code.

The container is that of ``container.py``; ``docs/model_files.md`` says what each field and tensor is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bayeshyper._vocabulary import check_types
from bayeshyper.container import KEY, not_ours, open_container, unpack, write_container
from bayeshyper.errors import ModelFileError
from bayeshyper.migration import model_1

__all__ = ["ModelRecord", "read_model_file", "write_model_file"]

KIND = "model"
VERSION = 2


@dataclass(frozen=True)
class ModelRecord:
    """What a model file holds beside tensors, in version 2.

    Raises:
        ValueError: A field is of another type than it says here, or a number that no fit has.
    """

    estimator: str
    bayeshyper: str
    recipe: dict[str, Any]
    inference_recipe: dict[str, Any]
    inference: str
    custom_network: str | None
    n_draws: int
    seed: int | None
    encoder: dict[str, Any]
    target_name: str | None
    n_rows: int
    n_heldout: int
    history: dict[str, Any]
    audit: dict[str, Any] | None
    target: dict[str, Any]

    def __post_init__(self) -> None:
        check_types(self)
        if min(self.n_draws, self.n_rows, self.n_heldout + 1) < 1:
            raise ValueError("Got a number of rows or draws that is not positive.")
        if self.seed is not None and not 0 <= self.seed < 2**32:
            raise ValueError(f"Got the seed {self.seed}, expected one from 0 to 2**32 - 1, or none.")


def write_model_file(path: Path, record: ModelRecord, tensors: Mapping[str, Tensor]) -> None:
    """Write record and tensors to one file, atomically; it raises as `write_container` does."""
    write_container(path, KIND, VERSION, asdict(record), tensors)


def read_model_file(path: Path) -> tuple[ModelRecord, dict[str, Tensor]]:
    """Read record and tensors of a file of any version, as the newest has them.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: The file is truncated, damaged, of a newer format, or not ours.
    """
    file = open_container(path, KIND)
    try:
        if file.intact is None and KEY in file.metadata:
            record, tensors = model_1(file)
        else:
            _, record, tensors = unpack(path, file, KIND, VERSION)
        return ModelRecord(**record), tensors
    except ModelFileError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise not_ours(path, KIND, error) from error
