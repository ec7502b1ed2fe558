"""Files that are almost model files: damaged ones, and well-formed ones that say something else."""

from __future__ import annotations

import copy
import io
import json
import math
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from bayeshyper.container import KEY
from bayeshyper.migration.models import _checksum

__all__ = ["MUTATIONS", "with_checksum", "with_record"]

WILD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        10**9,
        -(10**9),
        2**31,
        2**63 - 1,
        -(2**63),
        0.0,
        -0.0,
        0.5,
        -1.5,
        1e300,
    ),
    *("", "x", "mlp", "os.system", "../../etc/passwd", "/dev/zero", "numpy.ndarray", "\ud800", "a" * 5000),
    *("*" * 200, "(?:a+)+$", "<U1000000000", "V99999999", "O", "nan"),
    *([], {}, [[]], [None], [0], [10**9], [1] * 3000, ["*"], ["a", "a"], {"": 0}, {"a": {"b": {"c": []}}}),
    *({"$number": "nan"}, {"$number": "inf"}, {"$number": 1}),
    {"__class__": "system", "__module__": "os", "__reduce__": "rm"},
]
# In the place of a number: what is none, and what no fit comes to.
EXTREME: list[Any] = [
    *(-1, 0, 1, 2**40, 2**64 - 1, 2**70, -0.0, 0.5, -3.5, 1e-320, 1e-30, 1e30, 1e300, 1.7e308, -1e300),
    *(math.nan, {"$number": "nan"}, {"$number": "inf"}, {"$number": "-inf"}, True, None, "", "1", [], [1.0]),
]
TYPES = [torch.uint8, torch.bool, torch.int64, torch.float16, torch.float32, torch.float64, torch.bfloat16]
SHAPES = [(), (0,), (1,), (3, 0, 5), (0, 10**9), (1, 1, 1, 1), (7, 11)]

Mutation = Callable[[random.Random, bytes], bytes]


def flip(chance: random.Random, whole: bytes) -> bytes:
    """A few bits are wrong."""
    damaged = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def truncate(chance: random.Random, whole: bytes) -> bytes:
    """The end is missing."""
    return whole[: chance.randrange(len(whole))]


def tear(chance: random.Random, whole: bytes) -> bytes:
    """A page was never written."""
    start = chance.randrange(len(whole))
    size = min(len(whole) - start, chance.choice([1, 8, 512, 4096]))
    return whole[:start] + chance.choice([bytes(size), chance.randbytes(size)]) + whole[start + size :]


def splice(chance: random.Random, whole: bytes) -> bytes:
    """A part is missing, or comes twice, or stands elsewhere."""
    a, b, c = (chance.randrange(len(whole)) for _ in range(3))
    a, b = min(a, b), max(a, b)
    rest = whole[:a] + chance.choice([b"", whole[a:b] * 2]) + whole[b:]
    return rest[:c] + whole[a:b] + rest[c:]


def digits(chance: random.Random, whole: bytes) -> bytes:
    """Numbers in the header are others; the checksum is right."""
    header = bytearray(header_of(whole))
    places = [place for place, byte in enumerate(header) if chr(byte).isdigit()]
    for place in chance.sample(places, min(len(places), chance.randint(1, 3))):
        header[place] = ord(chance.choice("0123456789-.eE"))
    return framed(bytes(header), data_of(whole))


def table(chance: random.Random, whole: bytes) -> bytes:
    """A line of the header is another; the checksum is right."""
    header = json.loads(header_of(whole))
    name = chance.choice(list(header))
    match chance.randrange(5):
        case 0:
            del header[name]
        case 1:
            header[chance.choice(["draws", "x", "__metadata__", "../x"])] = header[name]
        case 2:
            header[name] = chance.choice(WILD)
        case _ if isinstance(header[name], dict):
            header[name][chance.choice(list(header[name]))] = chance.choice(WILD)
    return framed(json.dumps(header).encode(), data_of(whole))


def record(chance: random.Random, whole: bytes) -> bytes:
    """The record says something else; the checksum is right."""
    metadata, tensors = opened(whole)
    told = json.loads(metadata[KEY])
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        change(
            chance,
            told["record"] if isinstance(told.get("record"), dict) and chance.random() < 0.95 else told,
        )
    return with_record(told, tensors)


def tensors(chance: random.Random, whole: bytes) -> bytes:
    """Tensors are missing, or have other names, types, shapes or values; the checksum is right."""
    metadata, held = opened(whole)
    for _ in range(chance.choice([1, 1, 2])):
        name = chance.choice(list(held))
        one = held[name]
        match chance.randrange(7):
            case 0:
                del held[name]
            case 1:
                held[chance.choice([*held, "guide.x", "draws", "probe.rows"])] = held.pop(name)
            case 2:
                held[name] = one.to(chance.choice(TYPES))
            case 3:
                held[name] = torch.zeros(chance.choice(SHAPES), dtype=one.dtype)
            case 4:
                held[name] = torch.full_like(one, chance.choice([0, 1, -1, 127]))
            case 5 if one.is_floating_point() and one.numel():
                held[name] = one.clone()
                held[name].view(-1)[chance.randrange(one.numel())] = float(
                    chance.choice(["nan", "inf", "-1e30"])
                )
            case _:
                held[name] = torch.cat([one, one]) if one.dim() else one[None]
    return with_record(json.loads(metadata[KEY]), held)


def numbers(chance: random.Random, whole: bytes) -> bytes:
    """One number, of the record or of a tensor, is an extreme one; the checksum is right."""
    metadata, held = opened(whole)
    told = json.loads(metadata[KEY])
    if chance.random() < 0.5:
        table, key = chance.choice(list(number_places(told["record"])))
        table[key] = copy.deepcopy(chance.choice(EXTREME))
    else:
        name = chance.choice([name for name, one in held.items() if one.numel() and name != "encoder"])
        value = chance.choice([value for value in EXTREME if isinstance(value, float | int)])
        extreme = torch.tensor(float(value), dtype=torch.float64).to(held[name].dtype)
        held[name].view(-1)[chance.randrange(held[name].numel())] = extreme
    return with_record(told, held)


def number_places(told: Any) -> Iterator[tuple[Any, Any]]:
    """Where numbers stand in JSON; of each list, one."""
    for key, value in told.items() if isinstance(told, dict) else enumerate(told[:1]):
        if isinstance(value, dict | list):
            yield from number_places(value)
        elif isinstance(value, float | int):
            yield told, key


def packed(chance: random.Random, whole: bytes) -> bytes:
    """The zip file inside a file of version 1 is damaged, or says something else; the checksum is right."""
    metadata, held = opened(whole)
    if "encoder" not in held:
        return record(chance, whole)
    content = held["encoder"].numpy().tobytes()
    if chance.random() < 0.3:
        content = chance.choice([flip, truncate, tear, splice])(chance, content)
    else:
        members = {}
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        if chance.random() < 0.3:
            name = chance.choice(list(members))
            members[name] = chance.choice([flip, truncate, tear])(chance, members[name])
        else:
            schema = json.loads(members["schema.json"])
            for _ in range(chance.choice([1, 3, 20])):
                change(chance, schema)
            members["schema.json"] = json.dumps(schema).encode()
        packed_again = io.BytesIO()
        method = chance.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2])
        with zipfile.ZipFile(packed_again, "w", method) as archive:
            for name, part in members.items():
                archive.writestr(name, part)
        content = packed_again.getvalue()
    held["encoder"] = torch.frombuffer(bytearray(content or b"\0"), dtype=torch.uint8)
    return with_record(json.loads(metadata[KEY]), held)


MUTATIONS: dict[str, tuple[Mutation, bool]] = {
    # The second says whether the checksum is made anew: the file is then no damaged one, but another.
    "flip": (flip, False),
    "truncate": (truncate, False),
    "tear": (tear, False),
    "splice": (splice, False),
    "digits": (digits, True),
    "table": (table, True),
    "record": (record, True),
    "tensors": (tensors, True),
    "numbers": (numbers, True),
    "packed": (packed, True),
}


def change(chance: random.Random, told: Any) -> None:
    """Change something somewhere in JSON."""
    while True:
        keys = list(told) if isinstance(told, dict) else list(range(len(told)))
        if not keys:
            return
        key = chance.choice(keys)
        inside = told[key]
        if isinstance(inside, (dict, list)) and inside and chance.random() < 0.85:
            told = inside
            continue
        match chance.randrange(4):
            case 0:
                del told[key]
            case 1:
                told[key] = copy.deepcopy(told[chance.choice(keys)])
            case _:
                told[key] = copy.deepcopy(chance.choice(WILD))
        return


# -- making files well-formed again -----------------------------------------------------------------------


def header_of(whole: bytes) -> bytes:
    (length,) = struct.unpack("<Q", whole[:8])
    return whole[8 : 8 + length]


def data_of(whole: bytes) -> bytes:
    return whole[8 + len(header_of(whole)) :]


def framed(header: bytes, data: bytes) -> bytes:
    return with_checksum(struct.pack("<Q", len(header)) + header + data)


def with_checksum(whole: bytes) -> bytes:
    """The file with the checksum that it should have, if it has one."""
    mark = b'"sha256":"'
    place = whole.find(mark) + len(mark)
    if place < len(mark):
        place = whole.find(b'"sha256": "') + len(mark) + 1
        if place <= len(mark):
            return whole
    blank = whole[:place] + b"0" * 64 + whole[place + 64 :]
    return blank[:place] + sha256(blank).hexdigest().encode() + blank[place + 64 :]


def opened(whole: bytes) -> tuple[dict[str, str], dict[str, Tensor]]:
    return json.loads(header_of(whole))["__metadata__"], load(whole)


def with_record(told: Any, tensors: dict[str, Tensor]) -> bytes:
    """A file of these, of version 1 or newer, with the checksum of its kind."""
    if isinstance(told, dict) and "checksum" in told:
        told["checksum"] = _checksum(told.get("record", {}), tensors)
        return save(tensors, metadata={KEY: json.dumps(told)})
    return with_checksum(save(tensors, metadata={KEY: json.dumps(told), "sha256": "0" * 64}))
