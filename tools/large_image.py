"""Time every part of segmenting a photo of 8,000 x 6,000 pixels: reading, networks, label map, writing.

    python tools/large_image.py

The embedded model on scikit-image's coffee photo, resized and saved as JPEG; the parts follow one another as in
``maskadapter segment``. Medians of three turns. Writes ``results/benchmarks/large-image-cpu.json`` and ``.md``; about
a minute on two cores.
"""

import argparse
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from PIL import Image
from skimage import data

import maskadapter as ma
from maskadapter.benchmark.machine import processor
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
SIZE, TURNS = (8_000, 6_000), 3


def parts(model: ma.OpenVocabularySegmenter, photo: Path, output: Path) -> Iterator[tuple[str, float]]:
    start = perf_counter()
    pixels = ma.read_image(photo)
    yield "read the JPEG", perf_counter() - start
    start = perf_counter()
    encoded = model.encode_image(pixels)
    yield "resize, networks", perf_counter() - start
    start = perf_counter()
    result = model.segment(encoded, "cup, saucer|plate, spoon, table")
    yield "classes", perf_counter() - start
    start = perf_counter()
    result.semantic()
    yield "label map", perf_counter() - start
    for name in ("labels", "overlay"):
        start = perf_counter()
        result.save(output, [name])
        yield f"write {name}", perf_counter() - start


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    model = ma.load()
    model.segment(data.coffee(), "cup, saucer|plate, spoon, table")  # the first call takes longer
    with TemporaryDirectory() as folder:
        photo = Path(folder, "photo.jpg")
        Image.fromarray(data.coffee()).resize(SIZE).save(photo, quality=90)
        turns = [dict(parts(model, photo, Path(folder))) for _ in range(TURNS)]
    seconds = {name: median(turn[name] for turn in turns) for name in turns[0]}
    whole = sum(seconds.values())
    rows = [[name, f"{value:.2f}", f"{value / whole:.0%}"] for name, value in [*seconds.items(), ("together", whole)]]
    facts = {"processor": processor(), "torch": version("torch"), "threads": torch.get_num_threads()}
    table = markdown_table(["part", "s", "share"], rows, "lrr")
    write_json(RESULTS / "large-image-cpu.json", {**facts, "seconds": seconds})
    lines = [*table, "", ", ".join(f"{key} {facts[key]}" for key in facts)]
    print(*lines, sep="\n")
    with write_atomically(RESULTS / "large-image-cpu.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
