"""The subpackages of the diagnostics know each other one way only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bayeshyper.diagnostics

FOLDER = Path(bayeshyper.diagnostics.__file__).parent
PACKAGE = "bayeshyper.diagnostics."

# What each may import, beside itself and the modules whose names begin with "_".
KNOWS: dict[str, set[str]] = {
    "scores": set(),
    "calibration": {"scores"},
    "predictives": {"scores", "calibration"},
    "decisions": {"scores", "calibration", "predictives"},
    "repair": {"scores", "calibration", "predictives", "decisions"},
    "evaluation": {"scores", "calibration", "predictives", "decisions", "repair"},
    "arviz": set(),
    "posterior": {"arviz", "calibration"},
}
JUDGES_ANY_MODEL = [name for name in KNOWS if name not in ("arviz", "posterior")]


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Each file of a folder with each module that it imports by its full name, wherever in the file."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                yield from ((str(path), f"{node.module}.{name.name}") for name in node.names)
            elif isinstance(node, ast.Import):
                yield from ((str(path), name.name) for name in node.names)


def test_every_subpackage_has_its_place() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/__init__.py")} == set(KNOWS)


@pytest.mark.parametrize("name", KNOWS)
def test_imports_run_one_way(name: str) -> None:
    for path, module in imported(FOLDER / name):
        if module.startswith(PACKAGE):
            part = module.removeprefix(PACKAGE).split(".")[0]
            assert part.startswith("_") or part in {name, *KNOWS[name]}, f"{path} imports {module}"


@pytest.mark.parametrize("name", JUDGES_ANY_MODEL)
def test_what_judges_any_model_needs_none_of_ours(name: str) -> None:
    for path, module in imported(FOLDER / name):
        if module.split(".")[0] in ("bayeshyper", "torch", "pyro"):
            allowed = (PACKAGE, "bayeshyper.errors.", "bayeshyper.memory.")
            assert module.startswith(allowed), f"{path} imports {module}"


@pytest.mark.parametrize("name", ["data", "hypernets", "inference", "models", "prediction"])
def test_nothing_that_is_judged_imports_its_judge(name: str) -> None:
    for path, module in imported(FOLDER.parent / name):
        assert not module.startswith(PACKAGE[:-1]), f"{path} imports {module}"
