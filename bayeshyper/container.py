"""The container that all files of bayeshyper have in common: safetensors whose header holds the rest as JSON.

Beside the tensors there are two texts::

    __metadata__["bayeshyper"]   {"format": "bayeshyper-KIND", "version": 2, "record": {…}}
    __metadata__["sha256"]       the checksum of the whole file, taken with 64 zeros in its place

Nothing in it is code, and nothing in it is opened or imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bayeshyper.errors import ModelFileError
from bayeshyper.strictjson import read_json, to_json
from bayeshyper.tensorfile import TensorFile, read_tensor_file, read_texts, write_tensor_file

__all__ = [
    "KEY",
    "NewerFileError",
    "not_ours",
    "open_container",
    "read_container",
    "read_record",
    "unpack",
    "write_container",
]

KEY = "bayeshyper"


class NewerFileError(ModelFileError):
    """A file that is whole, and of a version that a newer bayeshyper writes."""


def write_container(
    path: Path, kind: str, version: int, record: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Write a record and tensors to one file, atomically; afterwards they are on the disk.

    Args:
        path: Where to; a file that is there is replaced once the new one is whole.
        kind: What it is, such as ``"model"``.
        version: Of what a file of this kind holds.
        record: JSON, where floats may also be infinite or NaN.
        tensors: Any tensors, by name; tied ones are written twice.

    Raises:
        OSError: The folder is missing or the disk is full; an old file is untouched.
        TypeError: The record holds what is no JSON.
        ValueError: The record or a tensor is one that no file can hold.
    """
    told = {"format": f"bayeshyper-{kind}", "version": version, "record": record}
    write_tensor_file(path, {KEY: to_json(told)}, tensors)


def read_container(path: Path, kind: str, newest: int) -> tuple[int, dict[str, Any], dict[str, Tensor]]:
    """Read what `write_container` wrote: version, record and tensors.

    Args:
        path: Where from.
        kind: What is expected, such as ``"model"``.
        newest: The newest version that the caller can read; the oldest is 1.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: The file is truncated, damaged, newer, of another kind, or not ours.
    """
    return unpack(path, open_container(path, kind), kind, newest)


def read_record(path: Path, kind: str, newest: int) -> dict[str, Any]:
    """The record alone, at the cost of the header alone: the tensors and the checksum are not looked at.

    Raises:
        As `read_container`, but not of damage beyond the header.
    """
    try:
        return _told(path, read_texts(path), kind, newest)[1]
    except ModelFileError:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no {kind} file {path}.") from None
    except (OSError, ValueError) as error:
        raise not_ours(path, kind, error) from error


def open_container(path: Path, kind: str) -> TensorFile:
    """Read a file whose tables and sizes agree, whoever wrote it.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: They do not agree.
    """
    try:
        return read_tensor_file(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no {kind} file {path}.") from None
    except (OSError, ValueError) as error:
        raise not_ours(path, kind, error) from error


def unpack(
    path: Path, file: TensorFile, kind: str, newest: int
) -> tuple[int, dict[str, Any], dict[str, Tensor]]:
    """Version, record and tensors of a file that was opened; it raises as `read_container` does."""
    version, record = _told(path, file.metadata, kind, newest)
    if file.intact is None:
        raise not_ours(path, kind, "it has no checksum")
    if not file.intact:
        raise ModelFileError(f"{path} is damaged: its checksum does not match; use another copy of it.")
    return version, record, dict(file.tensors)


def _told(path: Path, metadata: Mapping[str, str], kind: str, newest: int) -> tuple[int, dict[str, Any]]:
    """Version and record, from the texts of a file."""
    try:
        told = read_json(metadata[KEY].encode())
    except KeyError:
        raise not_ours(path, kind, "it was written by something else") from None
    except ValueError as error:
        raise not_ours(path, kind, error) from error
    match told:
        case {"format": str(format_), "version": int(version), "record": dict(record), **rest} if not rest:
            if format_ != f"bayeshyper-{kind}":
                raise ModelFileError(f"{path} is a file {format_[:40]!r}, expected a bayeshyper {kind}.")
        case _:
            raise not_ours(path, kind, "its record is not one of ours")
    if isinstance(version, bool) or version < 1:
        raise not_ours(path, kind, f"it has version {version}")
    if version > newest:
        raise NewerFileError(
            f"{path} has format version {version}, but this bayeshyper reads up to {newest}; "
            "update bayeshyper."
        )
    return version, record


def not_ours(path: Path, kind: str, reason: object) -> ModelFileError:
    """What to raise for a file that is none of ours, or no longer is."""
    return ModelFileError(f"{path} is not a bayeshyper {kind}, or it is truncated or damaged ({reason}).")
