"""What runs in threads beside the computation."""

import threading
import warnings

import pytest

from maskadapter.system.ignored_warnings import ignored_warnings
from maskadapter.system.read_ahead import read_ahead


def test_the_next_item_is_read_before_it_is_asked_for():
    second = threading.Event()

    def read(number):
        if number == 2:
            second.set()
        return 10 * number

    ahead = read_ahead(read, [1, 2, 3])
    item, future = next(ahead)
    assert (item, future.result(), second.wait(10)) == (1, 10, True)
    assert [(item, future.result()) for item, future in ahead] == [(2, 20), (3, 30)]


def test_an_error_is_that_of_its_item():
    read = dict(read_ahead(lambda number: 1 / number, [1, 0, 2]))
    assert (read[1].result(), read[2].result()) == (1, 0.5)
    with pytest.raises(ZeroDivisionError):
        read[0].result()


def test_no_thread_is_left_and_no_more_is_read():
    read = []
    ahead = read_ahead(read.append, range(100))
    next(ahead)
    ahead.close()
    assert read in ([0], [0, 1])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_two_threads_leave_the_filters_of_warnings_as_they_were():
    before, first, second = list(warnings.filters), threading.Event(), threading.Event()

    def one():
        with ignored_warnings():
            first.set()
            second.wait(0.2)

    def other():
        first.wait()
        with ignored_warnings():
            second.set()

    threads = [threading.Thread(target=work) for work in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
