"""A process knows its rank under every launcher."""

import pytest

from maskadapter.system.processes import rank_and_world_size


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), (0, 1)),
        (("RANK", "WORLD_SIZE"), (1, 3)),
        (("PMI_RANK", "PMI_SIZE"), (1, 3)),
        (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), (1, 3)),
        (("RANK",), (0, 1)),
    ],
)
def test_rank_and_world_size_come_from_the_launcher(monkeypatch, names, expected):
    for name, value in zip(names, ("1", "3"), strict=False):
        monkeypatch.setenv(name, value)
    assert rank_and_world_size() == expected
