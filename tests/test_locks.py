"""The lock files agree with what they were made from, and what is not in them is not installed."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from locks.audit import judge

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked(name: str) -> dict[str, tuple[Requirement, list[str]]]:
    """The requirement and the hashes of each package in a lock."""
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    blocks = re.findall(r"^[a-z].*\n(?:^ +.*\n)*", text, re.MULTILINE)
    found = [
        (Requirement(re.split(r" \\\n", block)[0]), re.findall(r"--hash=(\S+)", block)) for block in blocks
    ]
    assert len(found) == sum(line[:1] not in "# " for line in text.splitlines())
    assert len({requirement.name for requirement, _ in found}) == len(found)
    return {requirement.name: (requirement, hashes) for requirement, hashes in found}


@pytest.mark.parametrize("name", [*(f"python{python}" for python in PYTHONS), "cuda", "tools", "torch-cpu"])
def test_every_locked_version_is_the_tested_one_and_has_its_hashes(name: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = {line.split(" ;")[0] for line in lines if "==" in line}
    for requirement, hashes in locked(name).values():
        assert f"{requirement.name}{requirement.specifier}".removesuffix("+cpu") in tested
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_locked_for_every_python_and_within_its_bounds(python: str) -> None:
    project = PROJECT["project"]
    lock = locked(f"python{python}")
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(line)
        requirement, _ = lock[canonicalize_name(wanted.name)]
        [pin] = requirement.specifier
        assert wanted.specifier.contains(pin.version)
        assert requirement.marker is None or requirement.marker.evaluate(
            {"python_version": python, "python_full_version": f"{python}.0"}
        )
    assert not any(name.startswith(("nvidia-", "cuda-")) for name in lock)
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]


def wheel(folder: Path, name: str, version: str, requires: str = "") -> str:
    """Write a wheel of one module that is called as the package, and give its hash."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{info}/METADATA", metadata + (f"Requires-Dist: {requires}\n" if requires else ""))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


BACKEND = """
import shutil

def build_editable(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("project-1.0-py3-none-any.whl", folder).rsplit("/", 1)[-1]
"""
BUILD = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def install(folder: Path, *, cpu_build: bool = False, tampered: str = "") -> tuple[str, set[str]]:
    """Install a project whose torch needs CUDA, without a network: what is said, and what is there."""
    project, shelf = folder / "project", folder / "shelf"
    (project / "locks").mkdir(parents=True)
    shelf.mkdir()
    wheel(project, "project", "1.0")
    (project / "backend.py").write_text(BACKEND, encoding="utf-8")
    (project / "pyproject.toml").write_text(BUILD, encoding="utf-8")
    (project / "constraints.txt").touch()
    installer = project / "locks" / "install.py"
    installer.write_bytes((ROOT / "locks" / "install.py").read_bytes())
    shelved = {
        f"python{sys.version_info.major}.{sys.version_info.minor}": (
            "torch==2.0",
            wheel(shelf, "torch", "2.0", "nvidia-cublas"),
        ),
        "cuda": ("nvidia_cublas==1.0", wheel(shelf, "nvidia_cublas", "1.0")),
        "torch-cpu": ("torch==2.0+cpu", wheel(shelf, "torch", "2.0+cpu")),
    }
    if not cpu_build:
        (shelf / "torch-2.0+cpu-py3-none-any.whl").unlink()
    for name, (pin, digest) in shelved.items():
        line = f"{pin} --hash=sha256:{'0' * 64 if name.startswith(tampered or '-') else digest}\n"
        (project / "locks" / f"{name}.txt").write_text(line, encoding="utf-8")
    builder = venv.EnvBuilder(with_pip=True, symlinks=True)
    builder.create(folder / "venv")
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    environment = {**quiet, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shelf), "PIP_CONFIG_FILE": os.devnull}
    answer = subprocess.run(
        [folder / "venv" / "bin" / "python", installer], env=environment, capture_output=True, text=True
    )
    [site] = (folder / "venv" / "lib").glob("python*/site-packages")
    there = {path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info")}
    there = {name for name in there if name.split("-")[0] in ("torch", "nvidia_cublas", "project")}
    assert (answer.returncode == 0) == ("project-1.0" in there)
    return answer.stderr, there


@pytest.mark.long  # it makes an environment
@pytest.mark.parametrize("tampered", ["python", "torch-cpu", "cuda"])
def test_a_file_that_is_not_the_locked_one_is_refused(tmp_path: Path, tampered: str) -> None:
    said, there = install(tmp_path, cpu_build=tampered == "torch-cpu", tampered=tampered)
    assert "DO NOT MATCH THE HASHES" in said
    assert there == ({"torch-2.0"} if tampered == "cuda" else set())


@pytest.mark.long
@pytest.mark.parametrize("cpu_build", [False, True])
def test_cuda_comes_with_the_build_that_needs_it_and_no_other(tmp_path: Path, cpu_build: bool) -> None:
    _, there = install(tmp_path, cpu_build=cpu_build)
    assert there == {"project-1.0", *({"torch-2.0+cpu"} if cpu_build else {"torch-2.0", "nvidia_cublas-1.0"})}


def fault(name: str) -> dict[str, Any]:
    return {"id": name, "aliases": [f"ALIAS-{name}"], "fix_versions": ["2.0"]}


def test_an_audit_fails_for_what_nobody_accepted_and_never_passes_for_want_of_an_answer() -> None:
    clean = {"name": "good", "version": "1.0", "vulns": []}
    faulty = {"name": "bad", "version": "1.0", "vulns": [fault("X")]}
    unknown = {"name": "new", "skip_reason": "not found"}
    assert judge([clean], {}) == (["Audited 1 packages."], False)
    lines, vulnerable = judge([clean, faulty, unknown], {})
    assert vulnerable
    assert lines == [
        "Audited 2 packages.",
        "NOT AUDITED, since nothing is known of them: new.",
        "bad 1.0: X, fixed in 2.0; NOT ACCEPTED.",
    ]
    assert judge([faulty], {"ALIAS-X": "no such input"})[1] is False
    assert (
        judge([clean], {"X": "no such input"})[0][-1]
        == "X is accepted and no longer found: take it off the list."
    )
    lines, vulnerable = judge([unknown], {})
    assert not vulnerable
    assert lines[0].startswith("NOT AUDITED")
