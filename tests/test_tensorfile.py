from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from bayeshyper.tensorfile import LONGEST_HEADER, read_tensor_file, write_tensor_file

METADATA = {"ours": 'größe "sha256":"', "empty": ""}
TENSORS = {
    "mean": torch.arange(6, dtype=torch.float64).reshape(2, 3) / 7,
    "scalar": torch.tensor(3.0),
    "nothing": torch.empty(0, 4),
    "bytes": torch.frombuffer(bytearray(b"any bytes"), dtype=torch.uint8),
    "flags": torch.tensor([True, False]),
    "half": torch.tensor([1.5], dtype=torch.bfloat16),
    "complex": torch.tensor([1 + 2j]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "t.safetensors"
    write_tensor_file(path, METADATA, TENSORS)
    return path


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(
        one[name].dtype == two[name].dtype and torch.equal(one[name], two[name]) for name in one
    )


def test_what_was_written_is_read_to_the_bit(path: Path) -> None:
    file = read_tensor_file(path)
    assert {**METADATA, "sha256": file.metadata["sha256"]} == file.metadata
    assert same(dict(file.tensors), TENSORS)
    assert file.intact


def test_the_same_content_is_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write_tensor_file(tmp_path / "again", METADATA, dict(reversed(TENSORS.items())))
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_anyone_with_safetensors_can_read_it(path: Path) -> None:
    assert same(load_file(path), TENSORS)


def test_what_safetensors_writes_can_be_read_and_has_no_checksum(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "other", metadata={"format": "pt"})
    file = read_tensor_file(tmp_path / "other")
    assert same(dict(file.tensors), TENSORS)
    assert file.intact is None


def test_strange_layouts_are_stored_by_value(tmp_path: Path) -> None:
    wide = torch.arange(12.0).reshape(3, 4)
    one = wide[:1, 2:3].T.expand(1, 1)
    tensors = {
        "turned": wide.T,
        "cut": wide[:, 1:3],
        "learned": wide.clone().requires_grad_(),
        "tied": wide,
        "one": one,
        "wide": wide[:1].expand(5, 4),
        "none": wide[:, :0].expand(3, 0),
    }
    write_tensor_file(tmp_path / "t", {}, tensors)
    read = dict(read_tensor_file(tmp_path / "t").tensors)
    assert same(read, {name: tensor.detach().contiguous() for name, tensor in tensors.items()})


def test_tensors_have_memory_of_their_own(path: Path) -> None:
    tensors = read_tensor_file(path).tensors
    path.write_bytes(bytes(path.stat().st_size))
    tensors["mean"].add_(1.0)
    assert torch.equal(tensors["mean"], TENSORS["mean"] + 1.0)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in tensors.values() if tensor.numel())


def test_every_flipped_bit_shows(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert not read_tensor_file(path).intact
        except ValueError:
            continue


def test_any_truncation_and_any_addition_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 3), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"\S"):
            read_tensor_file(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="describes"):
        read_tensor_file(path)


@given(st.binary(max_size=300), st.booleans())
def test_junk_is_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes, framed: bool) -> None:
    path = tmp_path_factory.mktemp("junk") / "t"
    path.write_bytes(struct.pack("<Q", len(junk)) + junk if framed else junk)
    with pytest.raises(ValueError, match=r"\S"):
        read_tensor_file(path)


def written(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def line(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any) -> dict[str, Any]:
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}}


def test_the_line_of_the_cases_below_is_right(tmp_path: Path) -> None:
    assert read_tensor_file(written(tmp_path / "t", line(), bytes(8))).tensors["x"].shape == (2,)


@pytest.mark.parametrize(
    "header",
    [
        line(dtype="F99"),
        line(dtype="os.system"),
        line(dtype=["F32"]),
        line(shape=(3,)),
        line(shape=(-2,)),
        line(shape=(-1, -2)),
        line(shape=(2.0,)),
        line(shape=(True, 2)),
        line(shape=2),
        line(shape="2"),
        line(shape=[1] * 33 + [2]),
        line(shape=(10**9, 10**9)),
        line(shape=(0, 2**62, 2), offsets=(0, 0)),
        line(shape=(0, 2**63), offsets=(0, 0)),
        line(offsets=(0, 4)),
        line(offsets=(0, 9)),
        line(offsets=(1, 9)),
        line(offsets=(-8, 0)),
        line(offsets=(8, 0)),
        line(offsets=(0, 2**64)),
        line(offsets=(0.0, 8.0)),
        line(offsets=(False, 8)),
        line(offsets=[0]),
        line(offsets=None),
        line(more=1),
        {"x": None},
        {"x": {}},
        {**line(), "y": line()["x"]},
        {**line(), "y": line(offsets=(4, 12))["x"]},
        {"x": line()["x"], "y": line(offsets=(16, 24))["x"]},
        {**line(), "__metadata__": {"a": 1}},
        {**line(), "__metadata__": []},
        {**line(), "__metadata__": {"sha256": "short"}},
        [],
        7,
        b'{"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "x": null}',
        b'{"a":' * 10_000,
    ],
)
def test_a_header_that_the_size_does_not_bear_out_is_refused(tmp_path: Path, header: Any) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_tensor_file(written(tmp_path / "t", header, bytes(8)))


@pytest.mark.parametrize("length", [0, 1, 10**6, LONGEST_HEADER + 1, 2**63, 2**64 - 1])
def test_a_length_that_is_not_the_headers_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_tensor_file(written(tmp_path / "t", line(), bytes(8), length=length))


def test_a_boolean_is_true_or_false(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        read_tensor_file(written(tmp_path / "t", line(dtype="BOOL", offsets=(0, 2)), b"\x01\x02"))


def test_a_file_larger_than_the_memory_is_refused_and_not_read(tmp_path: Path) -> None:
    """A sparse one, of nothing but zeros, takes no room on the disk."""
    size = 4 * psutil.virtual_memory().total
    path = written(tmp_path / "t", line(dtype="U8", shape=(size,), offsets=(0, size)))
    os.truncate(path, path.stat().st_size + size)
    with pytest.raises(ValueError, match="free memory"):
        read_tensor_file(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(ValueError, match="no regular file"):
            read_tensor_file(path)


@pytest.mark.parametrize(
    ("metadata", "tensors"),
    [
        ({"sha256": "mine"}, {}),
        ({}, {"__metadata__": torch.zeros(1)}),
        ({}, {"x": torch.zeros(1, dtype=torch.complex128)}),
        ({"long": "x" * LONGEST_HEADER}, {}),
    ],
)
def test_what_could_not_be_read_is_not_written(
    tmp_path: Path, metadata: dict[str, str], tensors: dict[str, Tensor]
) -> None:
    with pytest.raises(ValueError, match="Got"):
        write_tensor_file(tmp_path / "t", metadata, tensors)
    assert not any(tmp_path.iterdir())
