"""Write the lock files from pyproject.toml and constraints.txt; `make lock` and `make audit` run it, with uv.

    python locks/make.py [--check]

uv resolves once, for every platform and all Pythons; each lock is what its Python can need on some platform.
What only Linux needs are torch's CUDA libraries: a file of their own, since the CPU build does without them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

LOCKS = Path(__file__).parent
ROOT = LOCKS.parent
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
HEADER = "# {what}, each file by its hash: made by `make lock` from pyproject.toml and constraints.txt.\n"


def main() -> None:
    """Write the locks; with ``--check`` only say whether they are what would be written."""
    parser = argparse.ArgumentParser(description="Write the lock files.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a lock would change")
    check = parser.parse_args().check
    try:
        written = locks()
    except subprocess.CalledProcessError as error:
        if not (check and re.search(r"error sending request|dns error|Failed to fetch", error.stderr)):
            sys.exit(error.stderr)
        print("The locks are not compared with a fresh resolution: the package index does not answer.")
        return
    if not check:
        for name, text in written.items():
            (LOCKS / name).write_text(text, encoding="utf-8")
        return
    stale = [name for name, text in written.items() if not holds((LOCKS / name).read_text("utf-8"), text)]
    if stale:
        sys.exit(f"Out of date: {', '.join(stale)}. Run `make lock` and commit what it writes.")
    print(f"{len(written)} locks are what `make lock` would write.")


def locks() -> dict[str, str]:
    """The text of every lock by its file's name."""
    everything = blocks("pyproject.toml", "--extra", "dev")
    cuda = [block for block in everything if needed(block, PYTHONS, only="linux")]
    rest = [block for block in everything if block not in cuda]
    texts = {
        f"python{python}.txt": (f"For Python {python}", [block for block in rest if needed(block, (python,))])
        for python in PYTHONS
    }
    texts["cuda.txt"] = ("What torch needs beside it on Linux, unless it is a CPU build", cuda)
    texts["tools.txt"] = ("The tools of `make lock` and `make audit`", blocks("--group", "tools"))
    return {name: HEADER.format(what=what) + "".join(chosen) for name, (what, chosen) in texts.items()}


def blocks(*source: str) -> list[str]:
    """What uv resolves, package by package: a requirement, its hashes and who wants it."""
    uv = shutil.which("uv", path=Path(sys.executable).parent) or "uv"
    command = [
        uv,
        "pip",
        "compile",
        "--no-config",
        "--quiet",
        "--no-header",
        "--generate-hashes",
        "--universal",
    ]
    command += ["--python-version", PYTHONS[0], "--constraints", "constraints.txt", *source]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return re.findall(r"^\S.*\n(?:^\s+.*\n)*", answer.stdout, re.MULTILINE)


def needed(block: str, pythons: tuple[str, ...], only: str | None = None) -> bool:
    """Whether one of the Pythons needs a package on some platform, or on that of ``only`` and no other."""
    marker = Requirement(block.split(" \\\n")[0]).marker
    platforms = {
        platform
        for platform, system in PLATFORMS.items()
        for python in pythons
        if marker is None
        or marker.evaluate(
            {
                "python_version": python,
                "python_full_version": f"{python}.0",
                "sys_platform": platform,
                "platform_system": system,
                "platform_machine": "x86_64",
            }
        )
    }
    return platforms == {only} if only else bool(platforms)


def holds(lock: str, fresh: str) -> bool:
    """Whether a lock is the fresh one, but for files that have been added to a release since."""
    pinned, wanted = (re.sub(r" \\\n +--hash=\S+", "", text) for text in (lock, fresh))
    old, new = (set(re.findall(r"--hash=\S+", text)) for text in (lock, fresh))
    return pinned == wanted and old <= new


if __name__ == "__main__":
    main()
