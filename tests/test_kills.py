from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

KILLS = 50


@pytest.mark.long
@pytest.mark.skipif(
    not hasattr(__import__("os"), "fork"), reason="needs fork, to kill many processes in little time"
)
def test_fits_that_are_killed_at_any_moment_come_to_the_same_bits(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("cases", KILLS)
    command = [sys.executable, "-m", "tests.killed_fits", str(tmp_path), str(KILLS), "0"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["kills"] == KILLS
    assert counts["equal"] == counts["fits"] > 0
    assert counts["in a write"] > 0
