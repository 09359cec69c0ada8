"""Time the label map and the panoptic map of large images, by blocks and by comparing everything at every pixel.

    python tools/label_map.py

The embedded model on scikit-image's coffee photo, resized, and on a one-bit PNG of rectangles; COCO-Stuff competes as
the background. Both ways run in one process, one after the other. Writes ``results/benchmarks/label-map-cpu.json`` and
``.md``; about five minutes and 6 GB on two cores.
"""

import argparse
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from skimage import data

import maskadapter as ma
from maskadapter.benchmark.machine import processor
from maskadapter.results.class_argmax import best_classes, best_proposals
from maskadapter.results.postprocessing import best_proposals_by_rows, semantic_scores
from maskadapter.results.upsampling import Upsampler
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def images() -> dict[str, Image.Image]:
    photo = Image.fromarray(data.coffee())
    rectangles = Image.new("1", (14_000, 14_000))
    draw = ImageDraw.Draw(rectangles)
    for start in range(0, 14_000, 1_000):
        draw.rectangle((start, start // 2, start + 500, start // 2 + 700), fill=1)
    return {"photo": photo, "photo, 48 megapixels": photo.resize((8_000, 6_000)), "one bit": rectangles}


def timed(compute: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    start = time.perf_counter()
    result = compute()
    return time.perf_counter() - start, result


@torch.inference_mode()
def measured(name: str, image: Image.Image, model: ma.OpenVocabularySegmenter) -> list[dict[str, Any]]:
    result = model.segment(np.asarray(image.convert("RGB")), "cup, saucer|plate, spoon, table", background="coco-stuff")
    masks, probs = Upsampler(result.mask_logits, result.sizes), result.probs
    scores = probs[:, :-1].amax(dim=1)

    def everything() -> torch.Tensor:
        return torch.cat([tile.argmax(dim=0).int() for _, tile in semantic_scores(masks, probs, "masks-first")])

    ways = {
        "label map": (everything, lambda: best_classes(masks, probs[:, :-1])),
        "panoptic map": (
            lambda: best_proposals_by_rows(masks, scores)[0],
            lambda: best_proposals(masks, scores)[0],
        ),
    }
    rows = []
    for what, (plain, blocks) in ways.items():
        (slow, expected), (fast, found) = timed(plain), timed(blocks)
        size = "{:,} x {:,}".format(*image.size)
        row = {"image": f"{name}, {size}", "map": what, "everywhere, s": slow, "blocks, s": fast, "times": slow / fast}
        rows.append(row | {"equal pixels": float((expected == found).double().mean())})
    return rows


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    model = ma.load()
    rows = [row for name, image in images().items() for row in measured(name, image, model)]
    facts = {"processor": processor(), "torch": version("torch"), "threads": torch.get_num_threads()}
    write_json(RESULTS / "label-map-cpu.json", {**facts, "rows": rows})
    cells = [[f"{value:.4g}" if isinstance(value, float) else value for value in row.values()] for row in rows]
    lines = [*markdown_table(list(rows[0]), cells, "llrrrr"), "", ", ".join(f"{key} {facts[key]}" for key in facts)]
    with write_atomically(RESULTS / "label-map-cpu.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
