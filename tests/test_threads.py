from __future__ import annotations

import contextlib
import copy
import pickle
import threading
from collections.abc import Callable

import pytest
import torch

from bayeshyper.threads import OwnLock, seeded


def test_the_block_gets_the_seed_and_the_rest_its_own_numbers() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = torch.rand(1)
    with seeded(0):
        inside = torch.rand(4)
    assert torch.equal(torch.cat([first, torch.rand(2)]), expected)
    with seeded(0):
        assert torch.equal(torch.rand(4), inside)
    with seeded(1):
        assert not torch.equal(torch.rand(4), inside)


def test_blocks_nest() -> None:
    with seeded(0):
        expected = torch.rand(2)
    with seeded(0):
        first = torch.rand(1)
        with seeded(7):
            torch.rand(3)
        assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_an_error_gives_the_state_back() -> None:
    state = torch.random.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded(0):
        torch.rand(1 // 0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_threads_get_the_numbers_of_their_own_seed() -> None:
    expected, results = {}, {}
    for seed in range(2):
        with seeded(seed):
            expected[seed] = torch.rand(2)
    both_inside = threading.Barrier(2)

    def meet() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):  # as it must: they take turns
            both_inside.wait(timeout=0.3)

    def work(seed: int) -> None:
        with seeded(seed):
            first = torch.rand(1)
            meet()
            results[seed] = torch.cat([first, torch.rand(1)])
            meet()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(results[seed], expected[seed]) for seed in range(2))


def held_elsewhere(lock: OwnLock, work: Callable[[], None]) -> bool:
    """Whether another thread has to wait for the lock to do its work."""

    def other() -> None:
        with lock:
            work()

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    thread.join(timeout=0.2)
    return thread.is_alive()


def test_a_lock_keeps_other_threads_out_and_lets_its_own_in_again() -> None:
    lock = OwnLock()
    with lock, lock:
        assert held_elsewhere(lock, lambda: None)
    assert not held_elsewhere(lock, lambda: None)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda lock: pickle.loads(pickle.dumps(lock))]
)
def test_a_copy_of_a_held_lock_is_free(duplicate: Callable[[OwnLock], OwnLock]) -> None:
    lock = OwnLock()
    with lock:
        assert not held_elsewhere(duplicate(lock), lambda: None)
