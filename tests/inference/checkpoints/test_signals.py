from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from bayeshyper.inference.checkpoints.signals import PostponedSignals


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_one_is_noted_and_the_second_one_acts(number: signal.Signals) -> None:
    heard: list[int] = []
    signal.signal(number, lambda received, frame: heard.append(received))
    with PostponedSignals() as signals:
        assert signals.received is None
        signal.raise_signal(number)
        assert (signals.received, heard) == (number, [])
        signal.raise_signal(number)
        assert heard == [number]


def test_a_second_ctrl_c_ends_the_block() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with PostponedSignals():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_given_back() -> None:
    def handler(number: int, frame: object) -> None:
        raise AssertionError

    signal.signal(signal.SIGTERM, handler)
    with PostponedSignals():
        assert signal.getsignal(signal.SIGTERM) is not handler
    assert signal.getsignal(signal.SIGTERM) is handler


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with PostponedSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received is None
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_do_without() -> None:
    found: list[object] = []

    def work() -> None:
        before = signal.getsignal(signal.SIGTERM)
        with PostponedSignals() as signals:
            found.extend([signals.received, signal.getsignal(signal.SIGTERM) is before])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None, True]
