"""Which of several processes this one is, by what the program that started them put into the environment."""

import os

# torchrun and accelerate launch; MPICH and Intel MPI; Open MPI. Source: their documentation.
_NAMES = (
    ("RANK", "WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
)


def place() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) where no launcher started this one."""
    for rank, world in _NAMES:
        if rank in os.environ and world in os.environ:
            return int(os.environ[rank]), int(os.environ[world])
    return 0, 1
