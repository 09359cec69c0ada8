"""Ctrl-C and SIGTERM: noted, put off, or raised."""

import signal
from threading import Thread

import pytest

from maskadapter.system.stop_signals import (
    StopSignals,
    Terminated,
    finished_first,
    is_termination,
    termination_raised,
)


def test_the_first_is_noted_and_the_second_has_its_effect():
    with StopSignals() as stop, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        assert stop.noted
        signal.raise_signal(signal.SIGINT)
        pytest.fail("not interrupted")
    assert type(stop.interruption("late")) is KeyboardInterrupt
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_and_ctrl_c_raise_different_exceptions():
    with StopSignals() as stop:
        signal.raise_signal(signal.SIGTERM)
    assert isinstance(stop.interruption("late"), Terminated)
    assert is_termination(stop.interruption("late"))


@pytest.mark.parametrize("times", [1, 2])
def test_a_block_is_finished_first(times):
    done = []
    with pytest.raises(KeyboardInterrupt), finished_first():  # noqa: PT012
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        done.append("all")
    assert done == ["all"]
    with finished_first():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_in_the_block_is_what_is_raised():
    with pytest.raises(ZeroDivisionError), finished_first():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        1 / 0  # noqa: B018


def test_sigterm_is_raised_and_known_from_what_is_raised_in_its_place():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as caught, termination_raised():  # noqa: PT012
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("3 of 5 images are done") from None
    assert is_termination(caught.value)
    assert not is_termination(KeyboardInterrupt())
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_than_the_first_leave_signals_alone():
    found = []

    def work():
        with termination_raised(), finished_first(), StopSignals():
            found.append(signal.getsignal(signal.SIGINT))

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
