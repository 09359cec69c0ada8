"""Loading training batches: reading and transforming samples, in this process or in worker processes."""

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from maskadapter.data.dataset import Dataset, Sample
from maskadapter.data.loading.sampling import Draw
from maskadapter.data.loading.transforms import random_state
from maskadapter.errors import MaskAdapterError

Transform = Callable[[Sample, np.random.RandomState], Sample]


class LoadedBatch(NamedTuple):
    """One training batch. source: index of the data set that all samples come from. draws: which samples they are."""

    source: int
    draws: list[Draw]
    samples: list[Sample]


def load_batches(
    datasets: Sequence[Dataset],
    transforms: Sequence[Transform],
    batches: Iterable[list[Draw]],
    seed: int = 0,
    workers: int = 0,
) -> Iterator[LoadedBatch]:
    """Read and transform the samples of every batch. The samples do not depend on the number of workers.

    transforms: one for each data set. batches: from ``TrainingOrder.batches``. seed: with the number of a draw, seeds
    the transform. workers: spawned processes that read ahead (data sets and transforms are pickled); 0 reads on demand.
    Raises the MaskAdapterError that reading a sample raises, also from a worker.
    """
    loader: DataLoader[Any] = DataLoader(
        _Draws(datasets, transforms, seed),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_batch,
        # A forked process inherits the locks of the threads of PyTorch, but not the threads.
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_leave_stopping_to_the_main_process,
    )
    for loaded in loader:
        if isinstance(loaded, MaskAdapterError):
            raise loaded
        yield loaded


def _leave_stopping_to_the_main_process(worker: int) -> None:
    # Ctrl-C reaches every process of a terminal; the main process finishes its step and still needs the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Draws(TorchDataset[tuple[Draw, Sample | MaskAdapterError]]):
    def __init__(self, datasets: Sequence[Dataset], transforms: Sequence[Transform], seed: int) -> None:
        self._parts, self._seed = list(zip(datasets, transforms, strict=True)), seed

    def __getitem__(self, draw: Draw) -> tuple[Draw, Sample | MaskAdapterError]:
        dataset, transform = self._parts[draw.source]
        try:
            return draw, transform(dataset[draw.index], random_state(self._seed, draw.number))
        except MaskAdapterError as error:
            return draw, error  # raised in a worker, it would arrive wrapped in the traceback of the worker


def _batch(loaded: list[tuple[Draw, Any]]) -> LoadedBatch | MaskAdapterError:
    draws, samples = [draw for draw, _ in loaded], [sample for _, sample in loaded]
    errors = [sample for sample in samples if isinstance(sample, MaskAdapterError)]
    return errors[0] if errors else LoadedBatch(draws[0].source, draws, samples)
