from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from bayeshyper.errors import ModelFileError
from bayeshyper.modelfile import read_model_file, write_model_file

RECORD: dict[str, Any] = {
    "estimator": "HyperRegressor",
    "numbers": [1, 2.5, -1e-300, None, True],
    "nested": {"name": "größe", "empty": {}},
}
TENSORS = {
    "guide.mean": torch.arange(6, dtype=torch.float64).reshape(2, 3) / 7,
    "scalar": torch.tensor(3.0),
    "nothing": torch.empty(0, 4),
    "encoder": torch.frombuffer(bytearray(b"any bytes"), dtype=torch.uint8),
    "flags": torch.tensor([True, False]),
    "half": torch.tensor([1.5], dtype=torch.bfloat16),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "m.bayeshyper"
    write_model_file(path, RECORD, TENSORS)
    return path


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(
        one[name].dtype == two[name].dtype and torch.equal(one[name], two[name]) for name in one
    )


def test_what_was_written_is_read_to_the_bit(path: Path) -> None:
    record, tensors = read_model_file(path)
    assert record == RECORD
    assert same(tensors, TENSORS)


def test_strange_layouts_are_stored_by_value(tmp_path: Path) -> None:
    wide = torch.arange(12.0).reshape(3, 4)
    tensors = {"turned": wide.T, "cut": wide[:, 1:3], "learned": wide.clone().requires_grad_()}
    write_model_file(tmp_path / "m", {}, tensors)
    _, read = read_model_file(tmp_path / "m")
    assert same(read, {name: tensor.detach().contiguous() for name, tensor in tensors.items()})


def test_anyone_with_safetensors_can_read_the_tensors(path: Path) -> None:
    assert same(load_file(path), TENSORS)


def test_the_tensors_do_not_hang_on_the_file(path: Path) -> None:
    _, tensors = read_model_file(path)
    path.unlink()
    tensors["guide.mean"].add_(1.0)
    assert torch.equal(tensors["guide.mean"], TENSORS["guide.mean"] + 1.0)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no model file .*nowhere\.bayeshyper"):
        read_model_file(tmp_path / "nowhere.bayeshyper")


def test_any_truncation_is_a_model_file_error(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            read_model_file(path)


def test_a_flipped_bit_is_a_model_file_error_or_changes_nothing(path: Path) -> None:
    """The few that change nothing spell the same: 1e-300 as 1E-300, \\u00f6 as \\u00F6, True as 3."""
    whole = path.read_bytes()
    accepted = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            record, tensors = read_model_file(path)
        except ModelFileError:
            continue
        accepted += 1
        assert record == RECORD
        assert same(tensors, TENSORS)
    assert accepted <= 11


def test_every_bit_of_the_version_counts(path: Path) -> None:
    whole = path.read_bytes()
    place = whole.index(b'version\\": 1') + len(b'version\\": ')
    for bit in range(8):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            read_model_file(path)


@given(st.binary(max_size=300), st.booleans())
def test_junk_is_a_model_file_error(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, framed: bool
) -> None:
    path = tmp_path_factory.mktemp("junk") / "m"
    path.write_bytes(struct.pack("<Q", len(junk)) + junk if framed else junk)
    with pytest.raises(ModelFileError):
        read_model_file(path)


def test_more_bytes_than_were_written_are_a_model_file_error(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ModelFileError):
        read_model_file(path)


def test_a_folder_is_a_model_file_error(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        read_model_file(tmp_path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"bayeshyper": "not JSON"}])
def test_someone_elses_safetensors_file_is_not_ours(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors", metadata=metadata)
    with pytest.raises(ModelFileError, match="not a bayeshyper model"):
        read_model_file(tmp_path / "other.safetensors")


def header_of(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header: dict[str, Any] = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["bayeshyper"])
    return header


def with_header(path: Path, header: Any) -> None:
    path.write_bytes(save(TENSORS, metadata={"bayeshyper": json.dumps(header)}))


@pytest.mark.parametrize("version", [2, 1000])
def test_a_newer_version_says_to_update(path: Path, version: int) -> None:
    with_header(path, header_of(path) | {"version": version})
    with pytest.raises(ModelFileError, match=rf"format version {version}, .* update bayeshyper"):
        read_model_file(path)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1"},
        {"version": None},
        {"version": 1.5},
        {"version": 0},
        {"version": -1},
        {"format": "other"},
        {"checksum": "0" * 64},
        {"checksum": None},
        {"record": {}},
        {"record": None},
        {"record": [1]},
    ],
)
def test_a_header_that_was_tampered_with_is_a_model_file_error(path: Path, change: dict[str, Any]) -> None:
    with_header(path, header_of(path) | change)
    with pytest.raises(ModelFileError):
        read_model_file(path)


@pytest.mark.parametrize("gone", ["format", "version", "checksum", "record"])
def test_a_header_with_a_part_missing_is_a_model_file_error(path: Path, gone: str) -> None:
    header = header_of(path)
    del header[gone]
    with_header(path, header)
    with pytest.raises(ModelFileError):
        read_model_file(path)


@pytest.mark.parametrize("header", [None, [], "text", 7, {}])
def test_a_header_that_is_no_table_is_a_model_file_error(path: Path, header: Any) -> None:
    with_header(path, header)
    with pytest.raises(ModelFileError):
        read_model_file(path)


def test_a_renamed_tensor_is_damage(path: Path) -> None:
    header = header_of(path)
    renamed = {("guide.mode" if name == "guide.mean" else name): tensor for name, tensor in TENSORS.items()}
    path.write_bytes(save(renamed, metadata={"bayeshyper": json.dumps(header)}))
    with pytest.raises(ModelFileError, match="checksum"):
        read_model_file(path)


def test_a_reshaped_or_retyped_tensor_is_damage(path: Path) -> None:
    header = header_of(path)
    for changed in (TENSORS["guide.mean"].reshape(3, 2), TENSORS["guide.mean"].view(torch.int64)):
        path.write_bytes(save(TENSORS | {"guide.mean": changed}, metadata={"bayeshyper": json.dumps(header)}))
        with pytest.raises(ModelFileError, match="checksum"):
            read_model_file(path)


def test_a_record_that_is_no_json_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_model_file(path, {"what": object()}, TENSORS)
    assert path.read_bytes() == before


def test_nothing_in_it_is_executed(tmp_path: Path) -> None:
    """A pickle in a model's clothes is refused, not loaded."""
    torch.save({"weight": torch.zeros(3)}, tmp_path / "m.bayeshyper")
    with pytest.raises(ModelFileError):
        read_model_file(tmp_path / "m.bayeshyper")
