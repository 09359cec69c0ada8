"""Run the shards of a plan by several workers."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.bulk.plan import Plan, check_model_files, read_plan
from maskadapter.pipelines.bulk.processes import ProcessWorker
from maskadapter.pipelines.bulk.ray_engine import RayWorker, connect
from maskadapter.pipelines.bulk.shard_report import ShardReport
from maskadapter.pipelines.bulk.worker import Worker, WorkerDied
from maskadapter.system.progress import bar

Engine = Literal["processes", "ray"]

_TRIES = 2  # of a shard whose worker died: whatever killed it once may have nothing to do with the shard
_PATIENCE = 0.5  # seconds until a shard of another run is looked at again


@dataclass(frozen=True)
class Estimate:
    """images_per_second: of all workers together. hours: until the rest is done. cost: of these hours, in the currency
    of the price."""

    images_per_second: float
    hours: float
    cost: float


@dataclass(frozen=True)
class BulkReport:
    """shards: of this run's share. done: now, and before: earlier, or by another run at the same time. images: done
    now. failed: those of them that are rows with an error. lost: shards whose workers died twice, with the reason.
    images_per_second: of all workers together."""

    shards: int
    done: int
    before: int
    images: int
    failed: int
    lost: tuple[tuple[int, str], ...]
    images_per_second: float


def run_shards(
    folder: str | Path,
    workers: int = 1,
    shards: Iterable[int] | None = None,
    device: str = "cpu",
    engine: Engine = "processes",
    price: float = 0.0,
    on_estimate: Callable[[Estimate], object] | None = None,
) -> BulkReport:
    """Compute the shards of a plan that are not done, and write a Parquet file for each; again after any interruption.

    folder: of the plan. workers: processes, each with a model of its own and one thread. shards: numbers of a share,
    from 0; None is all. device: ``"cuda"`` gives each process the next GPU of this computer. engine: ``"ray"`` makes
    the workers actors of Ray (``[ray]``). price: of an hour of all workers. on_estimate: called after the first shard.

    A shard whose worker is killed is given to a new one. A shard that another run is computing is waited for. Images
    that fail are rows with an error. Raises MaskAdapterError: no plan, other files of the model than planned, shards
    that do not exist, a folder that cannot be written, a device that is not there, a missing extra.
    """
    plan = read_plan(folder)
    if workers < 1:
        raise MaskAdapterError(f"workers is {workers}: at least 1 is needed")
    if engine not in get_args(Engine):
        raise MaskAdapterError(f"no engine '{engine}': choose from {', '.join(get_args(Engine))}")
    if engine == "ray":
        connect()
    chosen = sorted(set(range(plan.shards) if shards is None else shards))
    if chosen and not 0 <= chosen[0] <= chosen[-1] < plan.shards:
        raise MaskAdapterError(f"shards {chosen[0]} to {chosen[-1]} were given: the plan has 0 to {plan.shards - 1}")
    check_model_files(plan)
    todo = [shard for shard in chosen if not plan.part(shard).exists()]
    workers = min(workers, len(todo))

    def start(number: int) -> Worker:
        if engine == "ray":
            return RayWorker(plan.folder, device)
        return ProcessWorker(plan.folder, _device(device, number))

    reports: list[ShardReport] = []
    left = sum(map(plan.size_of, todo))
    with bar("shards", len(chosen), done=len(chosen) - len(todo)) as advance:

        def note(report: ShardReport) -> None:
            reports.append(report)
            advance(1)
            if on_estimate is not None and [one.state for one in reports].count("done") == 1 and report.state == "done":
                rest = left - sum(one.images for one in reports)
                on_estimate(_estimate(report.images / report.seconds * workers, rest, price))

        try:
            lost = _share_out(todo, start, workers, note) if todo else {}
        except KeyboardInterrupt:
            done = len(chosen) - len(todo) + len(reports)
            so_far = f"{done:,} of {len(chosen):,} shards are done, the same command goes on from there"
            raise KeyboardInterrupt(f"stopped: {so_far}") from None
    now = [report for report in reports if report.state == "done"]
    images, seconds = sum(one.images for one in now), sum(one.seconds for one in now)
    return BulkReport(
        len(chosen),
        len(now),
        len(chosen) - len(now) - len(lost),
        images,
        sum(one.failed for one in now),
        tuple(sorted(lost.items())),
        images / seconds * workers if now else 0.0,
    )


def share(plan: Plan, text: str | None) -> range:
    """Return the shards of the share ``i/n``, every n-th one from the i-th, from 0; all of them for None. Raises
    MaskAdapterError for another text."""
    if text is None:
        return range(plan.shards)
    first, _, step = text.partition("/")
    if not (first.isdecimal() and step.isdecimal() and int(first) < int(step)):
        raise MaskAdapterError(f"shard is {text}: i/n is needed, with i from 0 to n - 1, such as 0/8")
    return range(int(first), plan.shards, int(step))


def _device(device: str, number: int) -> str:
    if device != "cuda":
        return device
    import torch

    return f"cuda:{number % max(1, torch.cuda.device_count())}"


def _estimate(images_per_second: float, images: int, price: float) -> Estimate:
    hours = images / images_per_second / 3600
    return Estimate(images_per_second, hours, hours * price)


def _share_out(
    shards: Iterable[int], start: Callable[[int], Worker], workers: int, note: Callable[[ShardReport], object]
) -> dict[int, str]:
    """Give shards to workers, each driven by a thread; return those whose workers died too often, and why."""
    todo, tries, lost, lock = deque(shards), Counter[int](), dict[int, str](), threading.Lock()
    alive: dict[int, Worker] = {}
    stopped = threading.Event()

    def serve(number: int) -> None:
        try:
            while todo and not stopped.is_set():
                with lock:
                    if not todo:
                        return
                    shard = todo.popleft()
                if number not in alive:
                    alive[number] = start(number)
                    if stopped.is_set():  # after those that were alive were closed
                        return
                try:
                    report = alive[number].work(shard)
                except WorkerDied as error:
                    alive.pop(number).close()
                    tries[shard] += 1
                    with lock:
                        if tries[shard] < _TRIES:
                            todo.appendleft(shard)
                        else:
                            lost[shard] = str(error)
                    continue
                if report.state == "busy":
                    with lock:
                        todo.append(shard)
                    stopped.wait(_PATIENCE)
                    continue
                with lock:
                    note(report)
        finally:
            if number in alive:
                alive.pop(number).close()

    with ThreadPoolExecutor(workers, "shards") as pool:
        running = [pool.submit(serve, number) for number in range(workers)]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            if not all(one.done() and one.exception() is None for one in running):
                stopped.set()
                for worker in list(alive.values()):
                    worker.close()
    for one in running:
        one.result()
    return lost
