"""Workers as actors of Ray, on this computer or on a cluster whose nodes see the same folder. Ray's data sets are not
used: the parts say what is done, so that a run goes on after any failure."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.bulk.shard_report import ShardReport
from maskadapter.pipelines.bulk.worker import WorkerDied
from maskadapter.system.error_text import first_line
from maskadapter.system.extras import load_extra


def connect() -> None:
    """Join the cluster that ``RAY_ADDRESS`` names, else start one here. Raises MaskAdapterError without Ray."""
    ray = load_extra("ray", "ray")
    if not ray.is_initialized():
        ray.init(logging_level=logging.WARNING, log_to_driver=False, include_dashboard=False)


class RayWorker:
    """An actor with the model of a plan."""

    def __init__(self, folder: Path, device: str):
        self._ray = load_extra("ray", "ray")
        # Ray shows each actor a GPU of its own, as the first.
        options = {"num_cpus": 1, "num_gpus": 1 if device.startswith("cuda") else 0}
        self._actor: Any = self._ray.remote(**options)(_Actor).remote(str(folder), device)

    def work(self, shard: int) -> ShardReport:
        """As ``Worker.work``."""
        try:
            report: ShardReport = self._ray.get(self._actor.work.remote(shard))
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, MaskAdapterError):
                raise MaskAdapterError(str(error.cause)) from None
            raise
        except self._ray.exceptions.RayError as error:
            raise WorkerDied(f"its actor ended: {first_line(error)}") from None
        return report

    def close(self) -> None:
        """As ``Worker.close``."""
        self._ray.kill(self._actor)


class _Actor:
    def __init__(self, folder: str, device: str):
        self._given = folder, device

    def work(self, shard: int) -> ShardReport:
        return self._worker.work(shard)

    @cached_property
    def _worker(self) -> Any:  # not in the constructor: Ray would take a mistake there for the actor's death
        from maskadapter.pipelines.bulk.shard_worker import ShardWorker

        return ShardWorker(*self._given)
