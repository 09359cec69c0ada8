"""Images a second on a GPU: the large model's shapes, 896 pixels, one image at a time and several at once.

    python tools/gpu_throughput.py [--turns 3] [--output results/benchmarks]

Random weights of fcclip-large with the proposals of the embedded model, see ``maskadapter.benchmark``; photos of
scikit-image at 640 x 480. ``arrays``: from decoded pixels to the label map in the computer's memory. ``folder``: from
JPEG files to written label maps, by ``segment_images``. In each turn all precisions and batch sizes, medians. The
agreement of bf16 is that of the label maps with those of fp32. Writes ``gpu-throughput.json`` and ``.md``.
"""

import argparse
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

import maskadapter as ma
from maskadapter.benchmark.clock import Clock, peak_memory
from maskadapter.benchmark.models import SubstitutedProposals, benchmark_models, encode_classes
from maskadapter.benchmark.request import photo_readers
from maskadapter.models import EncodedVocabulary, InputSize, OpenVocabularySegmenter
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
MODEL, CLASSES, SIDE, SIZE, PROPOSALS = "fcclip-large", "ade20k-150", 896, (640, 480), 250
PRECISIONS, BATCHES, COUNT = ("fp32", "bf16"), (1, 8), 48
CUDA = torch.device("cuda")


def photos() -> list[np.ndarray]:
    """``COUNT`` photos, of which those of one batch differ."""
    read = [np.asarray(Image.fromarray(read()).resize(SIZE)) for read in photo_readers().values()]
    return [read[number % len(read)] for number in range(COUNT)]


def model_of(precision: Any, photo: np.ndarray) -> tuple[OpenVocabularySegmenter, EncodedVocabulary]:
    """The large model, which takes the embedded one's proposals on a photo for those of all."""
    model, compared = benchmark_models(MODEL, PROPOSALS, "cuda", precision)
    for each in (model, compared):
        each.inference = replace(each.inference, input_size=InputSize(SIDE, SIDE))
    asked, prepared = compared.prepare(photo), model.prepare(photo)
    with torch.inference_mode():
        assert compared.generator is not None
        found = compared.generator(asked[0], compared.clip.encode_image(asked[0].pixels))
        classifier = compared.text_classifier(encode_classes(compared, CLASSES))
        assert isinstance(model.generator, SubstitutedProposals)
        logits = compared.generator.class_logits(found, classifier)
        model.generator.substitute(found, logits, asked[1], prepared[1])
    return model, encode_classes(model, CLASSES)


def label_maps(model: OpenVocabularySegmenter, classes: Any, images: list[np.ndarray], batch: int) -> list[np.ndarray]:
    maps = []
    for start in range(0, len(images), batch):
        for encoded in model.encode_images(images[start : start + batch]):
            maps.append(model.segment(encoded, classes, background=None).semantic())
    return maps


def written(model: OpenVocabularySegmenter, classes: Any, folder: Path, batch: int) -> None:
    type(model).images_together = batch  # type: ignore[method-assign, assignment]
    with TemporaryDirectory() as output:
        report = ma.segment_images(model, folder, classes, output, "labels", background=None)
        assert report.done == COUNT, report.failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    images, start = photos(), time.perf_counter()
    models = {precision: model_of(precision, images[0]) for precision in PRECISIONS}
    rates: dict[tuple[str, int, str], list[float]] = {}
    gigabytes: dict[tuple[str, int], float] = {}
    maps: dict[str, list[np.ndarray]] = {}
    with TemporaryDirectory() as place:
        for number, image in enumerate(images):
            Image.fromarray(image).save(Path(place) / f"{number:02}.jpg", quality=90)
        for turn in range(options.turns + 1):  # the first is slower, and not counted
            for precision, (model, classes) in models.items():
                for batch in BATCHES:
                    clock = Clock(CUDA)
                    with peak_memory(CUDA) as most, clock.part("arrays"):
                        maps[precision] = label_maps(model, classes, images, batch)
                    with clock.part("folder"):
                        written(model, classes, Path(place), batch)
                    gigabytes[precision, batch] = most[0]
                    for kind, seconds in clock.seconds.items() if turn else ():
                        rates.setdefault((precision, batch, kind), []).append(COUNT / seconds)
                    print(f"{time.perf_counter() - start:4.0f} s, {precision}, {batch} at once", flush=True)
    same = [float((one == other).mean()) for one, other in zip(*(maps[each] for each in PRECISIONS), strict=True)]
    rows = [
        {
            "precision": precision,
            "batch": batch,
            "images a second, arrays": median(rates[precision, batch, "arrays"]),
            "images a second, folder": median(rates[precision, batch, "folder"]),
            "GB beyond the weights": gigabytes[precision, batch],
        }
        for precision in PRECISIONS
        for batch in BATCHES
    ]
    facts = {
        "device": torch.cuda.get_device_name(),
        "model": f"{MODEL}, random weights, {SIDE} pixels, {CLASSES}, {PROPOSALS} proposals of the embedded model",
        "photos, turns": f"{COUNT} of {SIZE[0]} x {SIZE[1]}, {options.turns}",
        "pixels with the class of fp32 in bf16, %": 100 * min(same),
        "torch": version("torch"),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(options.output / "gpu-throughput.json", {"rates": rows, **facts})
    names = list(rows[0])
    cells = [[value if isinstance(value, str) else f"{value:.3g}" for value in row.values()] for row in rows]
    lines = markdown_table(names, cells, "l" + "r" * (len(names) - 1))
    lines += ["", *markdown_table(["", ""], [[name, str(value)] for name, value in facts.items()], "ll")]
    with write_atomically(options.output / "gpu-throughput.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
