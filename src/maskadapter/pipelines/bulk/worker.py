"""What a process computes shards with: an engine starts it, gives it shards, and hears when it has died."""

from typing import Protocol

from maskadapter.pipelines.bulk.shard_report import ShardReport


class Worker(Protocol):
    """A process that holds the model."""

    def work(self, shard: int) -> ShardReport:
        """Compute a shard. Raises WorkerDied, and MaskAdapterError for what would meet every shard."""

    def close(self) -> None:
        """End the process, at once; ``work`` of another thread raises WorkerDied then."""


class WorkerDied(Exception):
    """The process ended without an answer: killed, out of memory, or by a fault of a library."""
