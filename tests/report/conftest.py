"""One report of each kind, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.examples import write_all


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of each example, by name."""
    return write_all(tmp_path_factory.mktemp("reports"))
