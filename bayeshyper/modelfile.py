"""The model file: one safetensors file whose header holds the rest as JSON. Nothing in it is code.

Layout, format version 1::

    header["bayeshyper"]   JSON: format, version, checksum, and the record given by the estimator
    tensors                whatever the estimator stores, by name; bytes are stored as uint8 tensors

The checksum is SHA-256 over names, shapes, types and bytes of all tensors and over the record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bayeshyper.errors import ModelFileError
from bayeshyper.files import write_atomically

__all__ = ["read_model_file", "write_model_file"]

FORMAT = "bayeshyper-model"
VERSION = 1
KEY = "bayeshyper"


def write_model_file(path: Path, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write record and tensors to one file, atomically."""
    # Copies: tied weights are one tensor with two names, and safetensors refuses memory that is shared.
    stored = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    header = {
        "format": FORMAT,
        "version": VERSION,
        "checksum": _checksum(record, stored),
        "record": record,
    }
    write_atomically(path, save(stored, metadata={KEY: json.dumps(header)}))


def read_model_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what `write_model_file` wrote: record and tensors.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: The file is truncated, damaged, of a newer format, or not ours.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no model file {path}.")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})[KEY])
            version = header["version"]
            if header["format"] != FORMAT:
                raise KeyError(FORMAT)
            if not isinstance(version, int) or not 1 <= version <= VERSION:
                raise ModelFileError(
                    f"{path} has format version {version}, but this bayeshyper reads up to {VERSION}; "
                    "update bayeshyper."
                )
            # Copies: a tensor that lies unaligned in the file's own memory takes other vector instructions,
            # and predictions from it differ in the last bit.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
            record: dict[str, Any] = header["record"]
            checksum = header["checksum"]
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path} is not a bayeshyper model, or it is truncated or damaged ({error})."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path} is not a bayeshyper model: its header is not one of ours.") from error
    if checksum != _checksum(record, tensors):
        raise ModelFileError(f"{path} is damaged: its checksum does not match; use another copy of it.")
    return record, tensors


def _checksum(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
