"""The memory of this process."""

import sys

import numpy as np
import pytest

from maskadapter.system.memory import peak_bytes, resident_bytes, return_free_memory


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not state it")
def test_memory_that_is_taken_shows():
    taken = np.ones(8_000_000)
    assert resident_bytes() > taken.nbytes
    assert peak_bytes() > taken.nbytes


def test_where_the_system_states_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_bytes() == 0


def test_free_memory_goes_back(monkeypatch):
    return_free_memory()
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())  # a C library without it
    return_free_memory()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone keeps it so")
def test_what_small_blocks_took_goes_back():
    at_first = resident_bytes()
    blocks = [b"1" * 100_000 for _ in range(2_000)]
    last = b"1" * 100_000  # stands behind them
    assert resident_bytes() - at_first > 150_000_000
    del blocks
    return_free_memory()
    assert resident_bytes() - at_first < 50_000_000
    assert last
