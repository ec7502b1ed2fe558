"""Model files of version 1: no checksum of the file, and the encoder in a zip file inside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bayeshyper.strictjson import read_json
from bayeshyper.tensorfile import TensorFile

from .encoders import encoder_1

__all__ = ["model_1"]


def model_1(file: TensorFile) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The record and tensors of version 2 that a file of version 1 stands for.

    Its text ``bayeshyper`` is JSON with ``format``, ``version``, ``checksum`` and ``record``; the checksum is
    that of the record and of each tensor's name, type, shape and bytes.

    Raises:
        KeyError, TypeError, ValueError: It is none, or damaged.
    """
    told = read_json(file.metadata["bayeshyper"].encode(), words=True)
    versioned = told["format"] == "bayeshyper-model" and type(told["version"]) is int and told["version"] == 1
    if not versioned or not isinstance(told["record"], dict):
        raise ValueError("its header is not one of ours")
    if told["checksum"] != _checksum(told["record"], file.tensors):
        raise ValueError("its checksum does not match; use another copy of it")
    record, tensors = dict(told["record"]), dict(file.tensors)
    encoder, arrays = encoder_1(tensors.pop("encoder").numpy().tobytes())
    if encoder["named"] != (record.pop("feature_names") is not None):
        raise ValueError("it has names of columns in one place only")
    for derived in ("n_features", "n_encoded"):
        del record[derived]
    record["encoder"] = encoder
    record.setdefault("inference", "not recorded")
    return record, tensors | {f"encoder.{name}": torch.tensor(array) for name, array in arrays.items()}


def _checksum(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
