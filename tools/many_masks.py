"""Thousands of masks of one photograph: seconds and memory of naming them and of painting with them.

    python tools/many_masks.py

The embedded model with its adapter; masks are ellipses of every size, none twice, in a COCO JSON file.
Every measurement has a process of its own. Memory is beyond what the loaded model takes. Writes
``results/benchmarks/many-masks-cpu.json`` and ``.md``; some minutes on two cores.
"""

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data
from skimage.draw import ellipse

import maskadapter as ma
from maskadapter.benchmark.clock import peak_memory
from maskadapter.benchmark.machine import processor
from maskadapter.io.coco_format import encode_mask
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
COUNTS = (500, 1000, 2000, 4000)
SIZES = ((600, 800), (3000, 4000))


def masks_of(count: int, size: tuple[int, int]) -> list[dict[str, Any]]:
    """``count`` annotations with run lengths for an image of ``size`` (height, width)."""
    draw = np.random.default_rng(0)
    annotations = []
    for _ in range(count):
        center = draw.uniform(0, size)
        radii = np.exp(draw.uniform(np.log(0.01), np.log(0.3), 2)) * min(size)
        mask = np.zeros(size, bool)
        mask[ellipse(*center, *radii, shape=size, rotation=draw.uniform(-np.pi, np.pi))] = True
        annotations.append({"segmentation": encode_mask(mask)})
    return annotations


def measured(count: int, size: tuple[int, int], way: str) -> dict[str, Any]:
    """way: ``classify``, or ``segment`` with its class map."""
    image = np.asarray(Image.fromarray(data.coffee()).resize(size[::-1]))
    model = ma.load(pooler="adapter")
    words = model.encode_text("ade20k-150")
    with tempfile.TemporaryDirectory() as folder:
        file = write_json(Path(folder) / "masks.json", masks_of(count, size))
        with peak_memory(torch.device("cpu")) as most:
            start = time.perf_counter()
            if way == "classify":
                model.classify(image, file, words)
            else:
                model.segment(image, words, masks=file).semantic()
            seconds = time.perf_counter() - start
    return {"way": way, "image": f"{size[1]:,} x {size[0]:,}", "masks": count, "seconds": seconds, "GB": most[0]}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rows = []
    for way, size in [("classify", SIZES[0]), ("segment", SIZES[0]), ("classify", SIZES[1])]:
        for count in COUNTS if size == SIZES[0] else COUNTS[:2]:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                rows.append(pool.submit(measured, count, size, way).result())
            print(rows[-1], flush=True)
    facts = {
        "model": "tiny with adapter, 640 pixels, 150 words",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / "many-masks-cpu.json", {"measured": rows, **facts})
    lines = ["| | image | masks | seconds | a thousand | GB |", "|---|---:|---:|---:|---:|---:|"]
    for row in rows:
        thousand = row["seconds"] / row["masks"] * 1000
        numbers = f"{row['masks']:,} | {row['seconds']:.1f} | {thousand:.1f} | {row['GB']:.2f}"
        lines.append(f"| {row['way']} | {row['image']} | {numbers} |")
    lines += ["", "; ".join(f"{name}: {value}" for name, value in facts.items()) + "."]
    with write_atomically(RESULTS / "many-masks-cpu.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
