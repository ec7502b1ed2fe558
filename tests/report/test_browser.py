"""A real browser opens the page: no error, nothing loaded from outside, the plots drawn."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bayeshyper.report import write_report
from tests.report.examples import ABOUT, audit, history, three_models

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    first, others = three_models()
    page = write_report(
        tmp_path / "report", first, about=ABOUT, audit=audit(), history=history(), comparisons=others
    )
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [
            str(CHROMIUM),
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            "--window-size=1100,3200",
            f"--screenshot={picture}",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr
    # A page without plots or with the bare style is a quarter of this.
    assert picture.stat().st_size > 150_000
