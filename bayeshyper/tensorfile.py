"""Files in the safetensors format, of which nothing is believed that their own size does not bear out.

A file is ``length: u64 | header: JSON of that many bytes | data``, little-endian. The header names each
tensor's type, shape and place in the data, and has texts under ``__metadata__``. One of these may be the
SHA-256 of the whole file, taken with zeros in its own place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bayeshyper.files import replacing
from bayeshyper.memory import free_memory
from bayeshyper.strictjson import read_json

__all__ = ["TensorFile", "read_tensor_file", "read_texts", "write_tensor_file"]

# A header that is read is held in memory some twenty times over.
LONGEST_HEADER = 2**24
MOST_DIMENSIONS = 32
LENGTH = struct.Struct("<Q")
METADATA = "__metadata__"
CHECKSUM = "sha256"
NO_CHECKSUM = b"0" * 64
# Within a text of the header every quotation mark has a backslash before it, so this stands nowhere else.
CHECKSUM_PLACE = re.compile(rb'"sha256":"([0-9a-f]{64})"')
TYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "C64": torch.complex64,
}
NAMES = {dtype: name for name, dtype in TYPES.items()}


@dataclass(frozen=True)
class TensorFile:
    """What a file held.

    Attributes:
        metadata: Its texts, by name.
        tensors: Its tensors, by name, in memory of their own.
        intact: Whether the bytes are those that its checksum was taken of; None without a checksum.
    """

    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    intact: bool | None


@dataclass(frozen=True)
class Entry:
    """One tensor, as the header describes it; ``size`` in bytes."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    size: int


def write_tensor_file(path: Path, metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    """Write texts and tensors with a checksum, atomically, without a copy of them all in memory.

    Raises:
        OSError: As `replacing` does.
        ValueError: A tensor is of a type that the format does not have, or the header would be too long.
    """
    # Large types first, as safetensors has it, so that each tensor starts at a multiple of its own size.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header = _header(metadata, ordered)
    digest = hashlib.sha256(LENGTH.pack(len(header)) + header)
    with replacing(path) as file:
        file.write(LENGTH.pack(len(header)) + header)
        for _, tensor in ordered:
            # A copy, of one at a time: nobody changes it between the digest and the disk.
            content = _bytes(tensor.detach().cpu().clone(memory_format=torch.contiguous_format))
            digest.update(content)
            file.write(content)
        file.seek(LENGTH.size + _checksum_place(header))
        file.write(digest.hexdigest().encode())


def read_tensor_file(path: Path) -> TensorFile:
    """Read a file of which every byte is accounted for.

    Nothing larger than the file is allocated for tensors, and for the header no more than about twenty-five
    times its length, of which 16 MiB are allowed.

    Raises:
        OSError: It is missing or cannot be read.
        ValueError: It is not such a file.
    """
    with _opened(path) as (file, size):
        if size > free_memory():
            raise ValueError(f"it has {size:,} bytes, more than there is free memory")
        header = _read_header(file, size)
        metadata, entries = _parse(header, size - LENGTH.size - len(header))
        place = _checksum_place(header) if CHECKSUM in metadata else None
        blank = header if place is None else header[:place] + NO_CHECKSUM + header[place + len(NO_CHECKSUM) :]
        digest = hashlib.sha256(LENGTH.pack(len(header)) + blank)
        tensors = {entry.name: _read_tensor(file, entry, digest) for entry in entries}
    intact = None if place is None else digest.hexdigest() == metadata[CHECKSUM]
    return TensorFile(metadata, tensors, intact)


def read_texts(path: Path) -> dict[str, str]:
    """The texts of a file whose tables and sizes agree; tensors and checksum are not looked at.

    Raises:
        OSError: It is missing or cannot be read.
        ValueError: It is not such a file.
    """
    with _opened(path) as (file, size):
        header = _read_header(file, size)
        metadata, _ = _parse(header, size - LENGTH.size - len(header))
    return metadata


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedReader, int]]:
    """A file at its beginning, and its size in bytes."""
    if path.exists() and not path.is_file():  # a pipe would never end
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        yield file, size


def _header(metadata: Mapping[str, str], tensors: list[tuple[str, Tensor]]) -> bytes:
    if CHECKSUM in metadata or METADATA in dict(tensors):
        raise ValueError(
            f"Got the name {CHECKSUM} or {METADATA}, expected others: the format has its own use for it."
        )
    table: dict[str, Any] = {METADATA: {**metadata, CHECKSUM: NO_CHECKSUM.decode()}}
    start = 0
    for name, tensor in tensors:
        if tensor.dtype not in NAMES:
            raise ValueError(f"Got {name} of type {tensor.dtype}, expected one of {', '.join(TYPES)}.")
        end = start + tensor.numel() * tensor.element_size()
        table[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        start = end
    header = json.dumps(table, separators=(",", ":")).encode()
    header += b" " * (-len(header) % LENGTH.size)
    if len(header) > LONGEST_HEADER:
        raise ValueError(
            f"Got {len(header):,} bytes of names and records, expected {LONGEST_HEADER:,} at most."
        )
    return header


def _checksum_place(header: bytes) -> int:
    found = CHECKSUM_PLACE.search(header)
    if found is None:
        raise ValueError("its checksum is not one")
    return found.start(1)


def _read_header(file: BufferedReader, size: int) -> bytes:
    if size < LENGTH.size:
        raise ValueError(f"it has {size} bytes")
    (length,) = LENGTH.unpack(file.read(LENGTH.size))
    if length > min(size - LENGTH.size, LONGEST_HEADER):
        raise ValueError(f"its header is said to have {length:,} bytes")
    return file.read(length)


def _parse(header: bytes, size: int) -> tuple[dict[str, str], list[Entry]]:
    """The texts, and the tensors in the order of their bytes, which must fill ``size``."""
    table = read_json(header)
    if not isinstance(table, dict):
        raise ValueError("its header is no table")
    metadata = table.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError(f"its {METADATA} is not texts by name")
    entries = sorted(
        (_entry(name, told) for name, told in table.items()), key=lambda one: (one.start, one.size)
    )
    end = 0
    for entry in entries:
        if entry.start != end:
            raise ValueError(f"{entry.name[:40]!r} is not where the one before it ends")
        end += entry.size
    if end != size:
        raise ValueError(f"it has {size:,} bytes of tensors, and its header describes {end:,}")
    return metadata, entries


def _entry(name: str, told: Any) -> Entry:
    """One line of the header, held against itself."""
    match told:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(start), int(end)], **rest} if (
            not rest
        ):
            dtype = TYPES.get(kind)
        case _:
            raise ValueError(f"{name[:40]!r} is not described as a tensor")
    if dtype is None:
        raise ValueError(f"{name[:40]!r} is of the unknown type {kind[:40]!r}")
    if len(shape) > MOST_DIMENSIONS or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"{name[:40]!r} has no shape")
    # The lengths beside a 0 count as well: torch multiplies them, and has 63 bits for it.
    if math.prod(max(length, 1) for length in shape) * dtype.itemsize >= 2**63:
        raise ValueError(f"{name[:40]!r} is of a shape that no tensor has")
    size = math.prod(shape) * dtype.itemsize
    if type(start) is not int or type(end) is not int or start < 0 or end - start != size:
        raise ValueError(f"{name[:40]!r} does not have the bytes that its shape needs")
    return Entry(name, dtype, tuple(shape), start, size)


def _read_tensor(file: BufferedReader, entry: Entry, digest: Any) -> Tensor:
    # Into memory of its own, which torch aligns: from the file's own, predictions differ in the last bit.
    tensor = torch.empty(entry.shape, dtype=entry.dtype)
    content = _bytes(tensor)
    if file.readinto(content) != entry.size:
        raise ValueError("it became shorter while it was read")
    digest.update(content)
    if entry.dtype == torch.bool and (tensor.view(torch.uint8) > 1).any():
        raise ValueError(f"{entry.name[:40]!r} has booleans that are neither true nor false")
    return tensor


def _bytes(tensor: Tensor) -> memoryview:
    """A tensor's own memory."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data
