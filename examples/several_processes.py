"""Segment photos in two processes, each with its own model: python several_processes.py PHOTO PHOTO ..."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import torch

import maskadapter as ma

CLASSES = "cat, cup, plate, table"


def start() -> None:
    global model, classes
    torch.set_num_threads(1)  # the processes share the cores
    model = ma.load()
    classes = model.encode_text(CLASSES)


def segment(photo: str) -> ma.Segmentation:
    return model.segment(photo, classes)


if __name__ == "__main__":
    # "spawn" starts clean processes, on every system; a fork would copy threads and GPU state that do not survive it.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), initializer=start) as pool:
        for result in pool.map(segment, sys.argv[1:]):
            print(result.file_name, result)
