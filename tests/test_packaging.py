"""An installed bayeshyper carries its recipes and pages, and leaves the names of their folders to others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hatchling import build

ROOT = Path(__file__).parents[1]
RECIPES = sorted(
    path.relative_to(ROOT).as_posix()
    for kind in ("models", "inference")
    for path in ROOT.glob(f"{kind}/*.toml")
)
PAGES = sorted(path.name for path in (ROOT / "docs").iterdir())
PROBE = """
import importlib.util, pathlib, site, sys
site.addsitedir(sys.argv[1])
import bayeshyper
from bayeshyper.cli import docs
from bayeshyper.recipes import _folder, list_recipes
print(pathlib.Path(bayeshyper.__file__).parent)
print(*(_folder(kind) for kind in ("models", "inference")))
print(*(f"{kind}/{name}.toml" for kind in ("inference", "models") for name in list_recipes(kind)))
print(*sorted(path.name for path in docs._folder().iterdir()))
others = ("models", "inference", "docs", "tests", "examples")
print(*(name for name in others if importlib.util.find_spec(name)))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Path]:
    """A folder of site packages that holds bayeshyper alone, installed or installed as editable."""
    folders: dict[bool, Path] = {}

    def install(editable: bool) -> Path:
        if editable not in folders:
            wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
            before = Path.cwd()
            os.chdir(ROOT)
            try:
                name = (build.build_editable if editable else build.build_wheel)(str(wheels))
            finally:
                os.chdir(before)
            subprocess.run([sys.executable, "-m", "zipfile", "-e", wheels / name, site], check=True)
            folders[editable] = site
        return folders[editable]

    return install


@pytest.mark.parametrize("editable", [False, True], ids=["wheel", "editable"])
def test_recipes_come_along_and_no_folder_of_theirs_is_importable(
    installed: Callable[[bool], Path], tmp_path: Path, editable: bool
) -> None:
    site = installed(editable)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, site], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    package, folders, names, pages, importable = answer.stdout.split("\n")[:5]
    assert Path(package) == (ROOT if editable else site) / "bayeshyper"
    home = ROOT if editable else site / "bayeshyper" / "_recipes"
    assert folders.split() == [str(home / "models"), str(home / "inference")]
    assert names.split() == RECIPES
    assert pages.split() == PAGES
    assert importable == ""


def test_a_wheel_holds_the_package_and_nothing_else(installed: Callable[[bool], Path]) -> None:
    site = installed(False)
    assert {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")} == {"bayeshyper"}
    assert (site / "bayeshyper" / "py.typed").exists()
    [metadata] = site.glob("*.dist-info")
    assert "bayeshyper = bayeshyper.cli:main" in (metadata / "entry_points.txt").read_text(encoding="utf-8")


def test_each_version_is_exact_and_every_dependency_has_one() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; python_version (<|>=) \"3\.\d+\")?", pin) for pin in pins)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {pin.split("==")[0] for pin in pins}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[<>=]", requirement)[0] for requirement in wanted} <= pinned
    assert not any("<" in requirement for requirement in wanted)  # no upper bound holds a user back


def make(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run make on a venv that is not there yet."""
    environment = {**os.environ, **({"PATH": path} if path else {})}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


def fake_python(folder: Path, version: str, *, venv: bool) -> Path:
    """A stand-in for a Python of some version, with or without the module venv."""
    script = folder / "python-fake"
    script.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = --version ]; then echo "Python {version}"; exit 0; fi\n'
        f'case "$2" in *version_info*) exit {int(version < "3.11")};; *venv*) exit {int(not venv)};; esac\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("version", "venv", "words"),
    [
        ("3.10.9", True, ["needs Python 3.11 or newer", "is Python 3.10.9", "PYTHON="]),
        ("3.12.1", False, ["venv", "has none", "apt install python3-venv", "PYTHON="]),
    ],
)
def test_make_says_what_is_wrong_with_a_python(
    tmp_path: Path, version: str, venv: bool, words: list[str]
) -> None:
    python = fake_python(tmp_path, version, venv=venv)
    answer = make("demo", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    assert answer.returncode == 2
    assert all(word in answer.stderr for word in words), answer.stderr
    assert not (tmp_path / "venv").exists()


def test_make_says_where_it_looked_when_there_is_no_python(tmp_path: Path) -> None:
    answer = make("demo", "PYTHON=/nowhere/python", f"VENV={tmp_path / 'venv'}")
    assert answer.returncode == 2
    assert "none of these runs: /nowhere/python" in answer.stderr


def test_make_alone_says_what_there_is_to_make() -> None:
    assert {line.split()[1] for line in make().stdout.splitlines()} >= {
        "demo",
        "test",
        "lint",
        "types",
        "clean",
    }
