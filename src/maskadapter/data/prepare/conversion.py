"""Converting many published files in parallel."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from os import cpu_count
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.progress import bar

Job = TypeVar("Job")


def convert_each(jobs: Iterable[Job], convert: Callable[[Job], None], what: str) -> None:
    """Call ``convert`` with every job, several at a time, with a progress bar ``what``, until the first error.

    Threads are enough: decoding, NumPy and PyTorch release the interpreter.
    """
    pool = ThreadPoolExecutor(min(8, cpu_count() or 1))
    try:
        waiting = [pool.submit(convert, job) for job in jobs]
        with bar(what, len(waiting)) as step:
            for done in as_completed(waiting):
                done.result()
                step(1)
    finally:
        pool.shutdown(cancel_futures=True)


def write_label(labels: np.ndarray, path: Path) -> None:
    """Write a label map, (H, W) uint8 or uint16, whole or not at all: as PNG or lossless TIFF, by the suffix."""
    with write_atomically(path) as temporary:
        Image.fromarray(labels).save(temporary, compression="tiff_lzw" if path.suffix == ".tif" else None)
