"""How much faster a folder is segmented when reading and writing go on while an image is computed.

    python tools/many_images.py FOLDER [--count 60] [--turns 3]

FOLDER: photos, such as ``val2017`` of COCO, of which the first ``count`` are taken. The embedded model, the formats
``overlay`` and ``labels``, COCO's classes; in turns ``segment_images`` and, image by image, ``segment`` and ``save``.
Writes ``results/benchmarks/many-images-cpu.json`` and ``.md``; some five minutes on two cores.
"""

import argparse
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

import maskadapter as ma
from maskadapter.benchmark.machine import processor
from maskadapter.io import find_image_files
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
CLASSES = "coco-panoptic"


def one_by_one(model: Any, photos: list[Path], output: Path) -> None:
    """The loop that a user would write."""
    classes = model.encode_text(CLASSES)
    for photo in photos:
        model.segment(photo, classes).save(output)


def as_a_folder(model: Any, photos: list[Path], output: Path) -> None:
    ma.segment_images(model, photos, CLASSES, output)


def images_per_second(work: Callable[[Any, list[Path], Path], None], model: Any, photos: list[Path]) -> float:
    with TemporaryDirectory() as output:
        start = time.perf_counter()
        work(model, photos, Path(output))
        return len(photos) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    photos = [found.source for found in find_image_files(options.folder)[: options.count]]
    model = ma.load()
    works = {"one by one": one_by_one, "segment_images": as_a_folder}
    for work in works.values():  # what comes first in a process is slower
        images_per_second(work, model, photos[:2])
    turns = [
        {name: images_per_second(work, model, photos) for name, work in works.items()} for _ in range(options.turns)
    ]
    found: dict[str, Any] = {name: median(turn[name] for turn in turns) for name in works}
    found["times faster"] = median(turn["segment_images"] / turn["one by one"] for turn in turns)
    facts = {
        "images": f"{len(photos)} of {options.folder.name}",
        "classes": CLASSES,
        "turns": options.turns,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / "many-images-cpu.json", {"images a second": found, **facts, "every turn": turns})
    lines = markdown_table(["images a second", ""], [[name, f"{value:.3g}"] for name, value in found.items()], "lr")
    lines += ["", *markdown_table(["", ""], [[name, str(value)] for name, value in facts.items()], "ll")]
    with write_atomically(RESULTS / "many-images-cpu.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
