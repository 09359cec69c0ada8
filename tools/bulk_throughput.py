"""How many images a second ``maskadapter bulk`` segments with one worker and with two.

    python tools/bulk_throughput.py FOLDER [--count 120] [--workers 1,2]

FOLDER: photos, such as ``val2017`` of COCO, of which the first ``count`` are taken. The embedded model, COCO's classes,
processes as workers, each with one thread. The time is that of the whole command, with the start of the workers, and of
the shards alone. Writes ``results/benchmarks/bulk-cpu.json`` and ``.md``; some three minutes on two cores.
"""

import argparse
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import maskadapter as ma
from maskadapter.benchmark.machine import processor
from maskadapter.io import find_image_files
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
CLASSES = "coco-panoptic"


def measured(photos: list[Path], workers: int) -> dict[str, float]:
    """Images a second of the shards alone and of the whole command, with shards that go into the workers evenly."""
    with TemporaryDirectory() as folder:
        ma.plan_shards(photos, CLASSES, folder, shard_size=max(1, len(photos) // (4 * workers)))
        start = time.perf_counter()
        report = ma.run_shards(folder, workers)
        seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in Path(folder, "parts").iterdir())
    return {
        "images/s": report.images_per_second,
        "images/s with the start of the workers": report.images / seconds,
        "kB of results an image": size / report.images / 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--workers", default="1,2")
    options = parser.parse_args()
    photos = [found.source for found in find_image_files(options.folder)[: options.count]]
    ma.load().encode_text(CLASSES)  # into the cache of text embeddings
    found: dict[str, Any] = {count: measured(photos, int(count)) for count in options.workers.split(",")}
    facts = {
        "images": f"{len(photos)} of {options.folder.name}",
        "classes": CLASSES,
        "processor": processor(),
        "torch": version("torch"),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / "bulk-cpu.json", {"workers": found, **facts})
    names = list(next(iter(found.values())))
    rows = [[count, *(f"{row[name]:.3g}" for name in names)] for count, row in found.items()]
    lines = markdown_table(["workers", *names], rows, "r" * (len(names) + 1))
    lines += ["", *markdown_table(["", ""], [[name, str(value)] for name, value in facts.items()], "ll")]
    with write_atomically(RESULTS / "bulk-cpu.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
