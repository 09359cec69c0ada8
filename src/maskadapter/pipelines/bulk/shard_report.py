"""What became of one shard."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ShardReport:
    """state: done now, done before, or busy: another process computes it. images: of the shard. failed: how many of
    them are rows with an error. seconds: that it took, where it was done now."""

    shard: int
    state: Literal["done", "before", "busy"]
    images: int = 0
    failed: int = 0
    seconds: float = 0.0
