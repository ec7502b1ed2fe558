"""What all tests share: no screen, the same examples on every run, real data, and no state handed on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import matplotlib as mpl
import pytest
import torch

mpl.use("Agg")
# The same examples everywhere and no deadline: a slow machine is not a broken law.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets beside the repository; the tests that need it skip without it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real data sets in {folder}")
    return folder


@pytest.fixture(autouse=True)
def _restored_torch_state() -> Iterator[None]:
    """No test sees another's seed, default type or number of threads, nor leaves its own behind."""
    dtype, threads, state = torch.get_default_dtype(), torch.get_num_threads(), torch.random.get_rng_state()
    yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    torch.random.set_rng_state(state)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """A job in the background ignores it, and so would the tests and the commands that they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
