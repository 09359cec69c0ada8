"""Read and transform the samples of a training, in this process or in workers: the same samples either way."""

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
    """source: the number of the data set that all samples are from. draws: which they are."""

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
    """The samples of every batch, transformed.

    transforms: one for each data set. batches: from ``TrainingOrder.batches``. seed: with a draw's number it decides
    what the transform draws. workers: processes that read ahead; they are started afresh (spawn), so that data sets
    and transforms have to be picklable; 0 reads in this process, when a batch is asked for.

    Raises what reading a sample raises, from a worker too.
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
    # Ctrl-C reaches every process of a terminal; the main one finishes its step and still needs the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Draws(TorchDataset[tuple[Draw, Sample | MaskAdapterError]]):
    """Samples by draw: what the workers share."""

    def __init__(self, datasets: Sequence[Dataset], transforms: Sequence[Transform], seed: int) -> None:
        self._parts = list(zip(datasets, transforms, strict=True))
        self._seed = seed

    def __getitem__(self, draw: Draw) -> tuple[Draw, Sample | MaskAdapterError]:
        dataset, transform = self._parts[draw.source]
        try:
            return draw, transform(dataset[draw.index], random_state(self._seed, draw.number))
        except MaskAdapterError as error:
            return draw, error  # raised in a worker it would arrive wrapped in that worker's traceback


def _batch(loaded: list[tuple[Draw, Sample | MaskAdapterError]]) -> LoadedBatch | MaskAdapterError:
    samples = []
    for _, sample in loaded:
        if isinstance(sample, MaskAdapterError):
            return sample
        samples.append(sample)
    draws = [draw for draw, _ in loaded]
    return LoadedBatch(draws[0].source, draws, samples)
