"""Files made of published files, many at once."""

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
    """Call ``convert`` with every job, several at a time; the first error stops, and what is done stays.

    Threads are enough: decoding, NumPy and PyTorch let others run meanwhile.
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
    """Write labels (H, W) uint8 or uint16 whole or not at all: PNG, or TIFF without loss, as the suffix says."""
    with write_atomically(path) as temporary:
        Image.fromarray(labels).save(temporary, compression="tiff_lzw" if path.suffix == ".tif" else None)
