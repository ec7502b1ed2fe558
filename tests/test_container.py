from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bayeshyper.container import KEY, read_container, write_container
from bayeshyper.errors import ModelFileError
from bayeshyper.tensorfile import read_tensor_file, write_tensor_file

RECORD: dict[str, Any] = {
    "numbers": [1, 2.5, -1e-300, None, True, float("inf")],
    "nested": {"name": "größe", "empty": {}},
}
TENSORS = {"mean": torch.arange(6, dtype=torch.float64).reshape(2, 3) / 7, "nothing": torch.empty(0, 4)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "c"
    write_container(path, "model", 2, RECORD, TENSORS)
    return path


@pytest.mark.parametrize("kind", ["model", "ensemble", "checkpoint"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_was_written_is_read(tmp_path: Path, kind: str, version: int) -> None:
    write_container(tmp_path / "c", kind, version, RECORD, TENSORS)
    again, record, tensors = read_container(tmp_path / "c", kind, newest=3)
    assert (again, record) == (version, RECORD)
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS | tensors)


def test_every_flipped_bit_is_a_model_file_error(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            read_container(path, "model", newest=2)


def test_any_truncation_is_a_model_file_error(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="truncated or damaged"):
            read_container(path, "model", newest=2)


@pytest.mark.parametrize("version", [3, 1000, 2**63])
def test_a_newer_version_says_to_update(tmp_path: Path, version: int) -> None:
    write_container(tmp_path / "c", "model", version, RECORD, TENSORS)
    with pytest.raises(ModelFileError, match=rf"format version {version}, .* update bayeshyper"):
        read_container(tmp_path / "c", "model", newest=2)


def test_another_kind_is_named(path: Path) -> None:
    with pytest.raises(ModelFileError, match="'bayeshyper-model', expected a bayeshyper ensemble"):
        read_container(path, "ensemble", newest=2)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no model file .*nowhere"):
        read_container(tmp_path / "nowhere", "model", newest=2)


TOLD = {"format": "bayeshyper-model", "version": 2, "record": {}}


def test_the_header_of_the_cases_below_is_right(tmp_path: Path) -> None:
    write_tensor_file(tmp_path / "c", {KEY: json.dumps(TOLD)}, {})
    assert read_container(tmp_path / "c", "model", newest=2) == (2, {}, {})


@pytest.mark.parametrize(
    "told",
    [
        *(TOLD | {"version": version} for version in ("2", None, 1.5, 2.0, 0, -1, True, [2])),
        *(TOLD | {"format": name} for name in ("other", "bayeshyper-", None, ["bayeshyper-model"])),
        *(TOLD | {"record": record} for record in (None, [1], "text", 7)),
        *({key: value for key, value in TOLD.items() if key != gone} for gone in TOLD),
        TOLD | {"more": 1},
        *(None, [], "text", 7, {}),
    ],
)
def test_a_header_that_says_something_else_is_a_model_file_error(tmp_path: Path, told: Any) -> None:
    write_tensor_file(tmp_path / "c", {KEY: json.dumps(told)}, {})
    with pytest.raises(ModelFileError):
        read_container(tmp_path / "c", "model", newest=2)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {KEY: "not JSON"}, {KEY: json.dumps(TOLD)}])
def test_a_file_without_our_checksum_is_not_ours(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors", metadata=metadata)
    with pytest.raises(ModelFileError, match="not a bayeshyper model"):
        read_container(tmp_path / "other.safetensors", "model", newest=2)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": TENSORS["mean"].reshape(3, 2)},
        {"mean": TENSORS["mean"].view(torch.int64)},
        {"mode": TENSORS["mean"]},
        {"mean": TENSORS["mean"] + 1e-16},
    ],
)
def test_another_tensor_under_the_old_checksum_is_damage(path: Path, change: dict[str, Tensor]) -> None:
    """Each of them is another file, whose own checksum is another."""
    old = read_tensor_file(path).metadata
    write_tensor_file(path, {KEY: old[KEY]}, change)
    new = read_tensor_file(path).metadata["sha256"]
    path.write_bytes(path.read_bytes().replace(new.encode(), old["sha256"].encode()))
    with pytest.raises(ModelFileError, match="checksum"):
        read_container(path, "model", newest=2)


@pytest.mark.parametrize(
    ("record", "error"), [({"what": object()}, TypeError), ({"n": 2**70}, ValueError), ({3: 1}, TypeError)]
)
def test_a_record_that_no_file_can_hold_leaves_the_old_file(
    path: Path, record: dict[str, Any], error: type[Exception]
) -> None:
    before = path.read_bytes()
    with pytest.raises(error):
        write_container(path, "model", 2, record, TENSORS)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_pickle_in_our_clothes_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "c")
    with pytest.raises(ModelFileError):
        read_container(tmp_path / "c", "model", newest=2)
