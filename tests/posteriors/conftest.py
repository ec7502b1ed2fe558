from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder(shared: Path) -> Path:
    """posteriordb's data and reference draws."""
    folder = shared / "posteriordb"
    if not folder.is_dir():
        pytest.skip(f"needs posteriordb's data and reference draws in {folder}")
    return folder
