"""Measure the seconds and multiplications of named parts, and the most memory that a block takes."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

from maskadapter.system.memory import resident_bytes

_EVERY = 0.002  # seconds between two readings of the memory


class Clock:
    """Add up the seconds of named parts. device: its work is waited for before the time is read."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device = device

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to those of ``name``."""
        start = self._now()
        yield
        self.seconds[name] += self._now() - start

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()


class Counter(Clock):
    """Count the multiplications, each with its addition, of matrix products and convolutions, by name of the part."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.multiplications: dict[str, int] = defaultdict(int)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the multiplications of the block to those of ``name``."""
        with FlopCounterMode(display=False) as counted:
            yield
        self.multiplications[name] += counted.get_total_flops() // 2


@contextmanager
def peak_memory(device: torch.device, before: int | None = None) -> Iterator[list[float]]:
    """Yield a list that after the block holds the most memory that it took, in 10^9 bytes; on a GPU PyTorch's alone.

    before: what ``memory_taken`` returned where the memory beyond that is asked for; None for that at the beginning.
    """
    most: list[float] = []
    before = memory_taken(device) if before is None else before
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield most
        most.append((torch.cuda.max_memory_allocated(device) - before) / 1e9)
        return
    over, highest = threading.Event(), resident_bytes()

    def watch() -> None:
        nonlocal highest
        while not over.wait(_EVERY):
            highest = max(highest, resident_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()
    most.append((highest - before) / 1e9)


def memory_taken(device: torch.device) -> int:
    """Return the bytes of memory in use: on a GPU those of PyTorch's tensors, else the process's."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else resident_bytes()
