"""Files of earlier versions: the numbers of the version that wrote them, and no more trust than in new."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

import bayeshyper
from bayeshyper import WeightEnsemble
from bayeshyper.errors import ModelFileError
from bayeshyper.migration.encoders import LARGEST, encoder_1
from bayeshyper.migration.models import _checksum
from bayeshyper.tensorfile import read_tensor_file
from tests.files.cases import CASES, predictions

FILES = Path(__file__).parents[1] / "files"
VERSIONS = sorted(folder.name for folder in FILES.glob("v?"))


def model(path: Path, name: str) -> Any:
    return bayeshyper.load(path, network=CASES[name].network and CASES[name].network())


# Columns and categories of the fresh rows are new on purpose.
@pytest.mark.filterwarnings("ignore::bayeshyper.DataWarning")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_a_kept_file_predicts_what_it_did(tmp_path: Path, version: str, name: str) -> None:
    folder = FILES / version
    loaded, rows = model(folder / f"{name}.bayeshyper", name), CASES[name].fresh()
    found, kept = predictions(loaded, rows), np.load(folder / f"{name}.npz")
    assert (
        found["encoded"].tobytes() == kept["encoded"].tobytes()
    )  # sums and quotients: the same on any machine
    for key in kept:
        np.testing.assert_allclose(found[key], kept[key], rtol=1e-10)  # products of matrices: not quite
    loaded.save(tmp_path / "again")
    again = predictions(model(tmp_path / "again", name), rows)
    assert all(again[key].tobytes() == found[key].tobytes() for key in kept)


@pytest.mark.parametrize("name", CASES)
def test_the_two_versions_of_a_model_are_one(name: str) -> None:
    one, two = (model(FILES / version / f"{name}.bayeshyper", name) for version in ("v1", "v2"))
    assert one.get_params().keys() == two.get_params().keys()
    assert one.encoder_.feature_names_out == two.encoder_.feature_names_out
    assert one._draws.shape == two._draws.shape
    assert (one._audit is None) == (two._audit is None)
    for attribute in ("n_features_in_", "n_encoded_", "n_rows_", "target_name_", "inference_", "recipe_"):
        assert getattr(one, attribute) == getattr(two, attribute)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_kept_ensemble_is_read(tmp_path: Path, version: str) -> None:
    path = FILES / version / "ensemble.safetensors"
    ensemble = WeightEnsemble.load(path)
    assert len(ensemble) == 3
    assert ensemble.names[:2] == ("first.weight", "first.bias")
    assert all(torch.equal(ensemble[name], tensor) for name, tensor in load(path.read_bytes()).items())
    ensemble.save(tmp_path / "again")
    assert torch.equal(WeightEnsemble.load(tmp_path / "again").weights, ensemble.weights)


# -- the zip file inside a file of version 1 ---------------------------------------------------------------


TEXT = FILES / "v1" / "text.bayeshyper"
PACKED = read_tensor_file(TEXT).tensors["encoder"].numpy().tobytes()


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(PACKED)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return content.getvalue()


def test_the_encoder_of_the_cases_below_is_right() -> None:
    record, arrays = encoder_1(packed(members()))
    assert len(record["names"]) == 11
    assert arrays["rare"].sum() > 1


def test_a_part_that_unpacks_to_very_much_is_not_unpacked() -> None:
    bomb = packed(members() | {"schema.json": b"[" + b" " * (LARGEST + 1)})
    assert len(bomb) < LARGEST // 500
    with pytest.raises(ValueError, match="unpacks to more"):
        encoder_1(bomb)


def test_a_part_that_says_it_is_small_is_read_so_far_only() -> None:
    """The size in the zip file's list is the file's own word: 100 bytes, of 64 MB."""
    bomb = bytearray(packed(members() | {"schema.json": b"[" + b" " * LARGEST}))
    place = bomb.rindex(b"PK\x01\x02", 0, bomb.rindex(b"schema.json"))
    bomb[place + 24 : place + 28] = (100).to_bytes(4, "little")
    before = time.process_time()
    with pytest.raises(ValueError, match=r"\S"):
        encoder_1(bytes(bomb))
    assert time.process_time() - before < 0.1


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_refused(method: int) -> None:
    with pytest.raises(ValueError, match="in another way"):
        encoder_1(packed(members(), method))


def npy(shape: tuple[int, ...], kind: str = "<f8", content: bytes = b"") -> bytes:
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    "array",
    [
        npy((10**12,)),
        npy((-1,)),
        npy((2, 2), content=bytes(32)),
        npy((1,), "|O", content=bytes(8)),
        npy((1,), "V1000000000"),
        b"\x93NUMPY\x09\x00",
        b"cos\nsystem\n(S'x'\ntR.",
        b"",
    ],
)
def test_an_array_that_is_no_vector_of_numbers_is_refused(array: bytes) -> None:
    parts = {name: part if name == "schema.json" else array for name, part in members().items()}
    with pytest.raises(ValueError, match=r"\S"):
        encoder_1(packed(parts))


def test_what_a_node_names_is_neither_imported_nor_made() -> None:
    """Each class in it may be any other: names are passed over."""
    schema = members()["schema.json"].replace(b'"sklearn.', b'"antigravity.').replace(b'"numpy"', b'"this"')
    record, arrays = encoder_1(packed(members() | {"schema.json": schema}))
    assert not {"this", "antigravity"} & set(sys.modules)
    expected, same = encoder_1(PACKED)
    assert record == expected
    assert all(np.array_equal(arrays[name], same[name]) for name in same)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": "1"},
        {"version": True},
        {"version": 1.5},
        {"checksum": None},
        {"checksum": "0" * 64},
        {"record": []},
        {"record": {}},
    ],
)
def test_another_header_of_version_1_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = read_tensor_file(TEXT)
    header = json.loads(file.metadata["bayeshyper"])
    (tmp_path / "m").write_bytes(save(dict(file.tensors), {"bayeshyper": json.dumps(header)}))
    bayeshyper.load(tmp_path / "m")
    header |= change
    if header["checksum"] and "checksum" not in change:
        header["checksum"] = _checksum(header["record"], file.tensors)
    (tmp_path / "m").write_bytes(save(dict(file.tensors), {"bayeshyper": json.dumps(header)}))
    with pytest.raises(ModelFileError):
        bayeshyper.load(tmp_path / "m")


def test_a_flipped_bit_of_version_1_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    """The few that change nothing spell the same: 1e-05 as 1E-05, true as 1."""
    path = FILES / "v1" / "mean-field.bayeshyper"
    whole, original = path.read_bytes(), path.with_suffix(".npz")
    kept = np.load(original)["mean"]
    for place in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "m").write_bytes(damaged)
        try:
            loaded = bayeshyper.load(tmp_path / "m")
        except ModelFileError:
            continue
        np.testing.assert_allclose(loaded.predict(CASES["mean-field"].fresh()), kept, rtol=1e-10)
