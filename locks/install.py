"""Install bayeshyper and its tools into the environment that runs this, every file checked against the lock.

    python locks/install.py [--torch-index URL]

pip refuses a file whose hash is not in this Python's lock. Beside it stand `torch-cpu.txt`, torch's CPU build
for where pip finds it (PyPI has none), and `cuda.txt`, what the other builds need on Linux. Not checked, and
said to be so: a torch from `--torch-index`, whose hash nobody wrote down, and what a Python without a lock
gets, the versions of `constraints.txt`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

LOCKS = Path(__file__).parent
CONSTRAINTS = LOCKS.parent / "constraints.txt"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
# The lock is whole, so pip looks nothing up; a package built from source would fetch tools without a hash.
CHECKED = [*PIP, "--require-hashes", "--no-deps", "--only-binary", ":all:"]


def main() -> None:
    """Install; a step that fails ends it with pip's words."""
    parser = argparse.ArgumentParser(description="Install the locked dependencies, and bayeshyper itself.")
    parser.add_argument("--torch-index", metavar="URL", help="where to take torch from, unchecked")
    index = parser.parse_args().torch_index
    lock = LOCKS / f"python{sys.version_info.major}.{sys.version_info.minor}.txt"
    editable = ["-e", str(LOCKS.parent)]
    if index:
        print(f"torch comes from {index}: its file is not checked against a hash")
        subprocess.run([*PIP, "-c", CONSTRAINTS, "--no-deps", "--index-url", index, "torch"], check=True)
    if not lock.exists():
        print(f"There is no {lock.name}: what is installed has the tested versions, and is not checked")
        subprocess.run([*PIP, "-c", CONSTRAINTS, "-e", f"{LOCKS.parent}[dev]"], check=True)
        return
    if not index:
        take_cpu_build()
    subprocess.run([*CHECKED, "-r", lock], check=True)
    if index:  # its build may need libraries of its own
        subprocess.run([*PIP, "-c", CONSTRAINTS, "--no-build-isolation", *editable], check=True)
        return
    if any(name.startswith(("cuda-", "nvidia-")) for name in requires("torch") or ()):
        subprocess.run([*CHECKED, "-r", LOCKS / "cuda.txt"], check=True)
    subprocess.run([*PIP, "--no-deps", "--no-build-isolation", *editable], check=True)


def take_cpu_build() -> None:
    """Install torch's CPU build if pip finds it; any failure but its absence ends it all."""
    attempt = subprocess.run([*CHECKED, "-r", LOCKS / "torch-cpu.txt"], stderr=subprocess.PIPE, text=True)
    if attempt.returncode and "No matching distribution found" not in attempt.stderr:
        sys.exit(attempt.stderr)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
