"""Count the processes that share a job, from what their launcher put into the environment."""

import os

# torchrun and accelerate launch; MPICH and Intel MPI; Open MPI. Source: their documentation.
_NAMES = (("RANK", "WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"))


def rank_and_world_size() -> tuple[int, int]:
    """The number of this process, from 0, and the number of processes; (0, 1) without a launcher."""
    for rank, world_size in _NAMES:
        if rank in os.environ and world_size in os.environ:
            return int(os.environ[rank]), int(os.environ[world_size])
    return 0, 1
