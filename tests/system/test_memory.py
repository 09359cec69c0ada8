"""The memory of this process."""

import sys

import numpy as np
import pytest

from maskadapter.system.memory import peak_bytes, resident_bytes


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not state it")
def test_memory_that_is_taken_shows():
    taken = np.ones(8_000_000)
    assert resident_bytes() > taken.nbytes
    assert peak_bytes() > taken.nbytes


def test_where_the_system_states_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_bytes() == 0
