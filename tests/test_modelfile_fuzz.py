"""Mutated model files, loaded in a process of few means: each is refused, or loads what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERSIONS = ["v1", "v2"]
Record = Callable[[str, object], None]


def outcomes(version: str, seed: int, count: int) -> Counter[str]:
    """How many files of each kind of mutation were refused and loaded."""
    command = [sys.executable, "-m", "tests.fuzz.child", f"tests/files/{version}", str(seed), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60 + count, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert not found["faults"], "\n".join(found["faults"][:5])
    return Counter(
        {f"{kind} {what}": n for kind, each in found["outcomes"].items() for what, n in each.items()}
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_mutated_file_is_refused_or_loads_what_it_says(version: str, record_property: Record) -> None:
    found = outcomes(version, seed=0, count=150)
    record_property("cases", found.total())
    assert found.total() == 150
    assert all(
        found[f"{kind} refused"]
        for kind in ("flip", "truncate", "tear", "splice", "record", "tensors", "numbers")
    )
    # So the checksums made anew are right.
    assert any(found[f"{kind} loaded"] for kind in ("digits", "table", "record", "numbers", "packed"))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 11000, 1000))
def test_ten_thousand_mutated_files_are_refused_or_load_what_they_say(
    seed: int, record_property: Record
) -> None:
    record_property("cases", 500 * len(VERSIONS))
    for version in VERSIONS:
        found = outcomes(version, seed + 100_000 * VERSIONS.index(version), count=500)
        # A file that only lost or changed bits is never read; the old checksum let other spellings pass.
        damaged = sum(found[f"{kind} loaded"] for kind in ("flip", "truncate", "tear", "splice"))
        assert damaged == 0 or version == "v1"
