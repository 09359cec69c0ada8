"""Measure exported files against PyTorch: pixels that keep their class, what 8 bits lose, seconds and sizes.

    python tools/export_agreement.py tiny --images COCO/val2017 --output tiny.json
    python tools/export_agreement.py fcclip-large --images COCO/val2017 --limit 2 --output large.json

Names other than tiny are random weights of the published shapes, with the layer scale of trained blocks.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from runpy import run_path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from torch import nn

import maskadapter as ma
from maskadapter.benchmark.machine import machine_facts
from maskadapter.benchmark.models import LAYER_SCALE
from maskadapter.models import Architecture, InputSize, build
from maskadapter.models.poolers import AdapterPooler
from maskadapter.models.proposals.superpixels import RegionHead
from maskadapter.system.json_files import write_json

OnnxModel = run_path(str(Path(__file__).parents[1] / "examples" / "segment_onnx.py"))["OnnxModel"]
LISTS = [
    "person, sky, grass, tree, building|house, car, dog, road",
    "cat, table, chair|stool, water|sea|river, wall, floor, food",
]


class FromOnnx(nn.Module):
    """Stands in for the boundary head: boundaries that a file computed."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.from_numpy(logits)

    def forward(self, pixels, pyramid):
        return self.logits


def label_map(model, onnx_model, image, classes):
    """The semantic result of the files; regions by the package's code on what the files compute."""
    groups = ma.Vocabulary.of(classes).classes
    if not isinstance(model.generator, RegionHead):
        return onnx_model.segment(image, groups)
    found, sides = onnx_model.encode_image(image)
    head, own = model.generator, model.generator.boundaries
    head.boundaries = FromOnnx(found["boundary_logits"])
    features = ma.ClipFeatures({}, *(torch.from_numpy(found[name]) for name in ("dense", "projected")))
    inputs, _ = model.prepare(image)
    with torch.inference_mode():
        proposals = head(inputs, features)
        ((_, pooled, shapes),) = head.proposed(inputs, features)
        cut = (proposals.objectness[0] - head.objectness(shapes)[:, 0]).numpy()
    head.boundaries = own
    computed = onnx_model.run("regions", pooled=pooled.numpy(), shapes=shapes.numpy())
    found |= {"class_embeddings": computed["class_embeddings"][None], "objectness": computed["objectness"] + cut}
    logits = proposals.mask_logits.numpy()
    return onnx_model.semantic(logits[0], onnx_model.probabilities(found, logits, groups), sides)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--pooler", default=None)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=5)
    parser.add_argument("--size", type=int, default=None, help="the longer side; without it the model's")
    parser.add_argument("--opset", type=int, default=20)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    if given.model == "tiny":
        model = ma.load("tiny", pooler=given.pooler)
    else:
        torch.manual_seed(0)
        model = build(Architecture(given.model, given.pooler or "adapter")).eval().requires_grad_(False)
        if isinstance(model.pooler, AdapterPooler):
            for block in model.pooler.adapter.blocks:
                nn.init.constant_(block.gamma, LAYER_SCALE)
    if given.size:
        model.inference = replace(model.inference, input_size=InputSize(given.size, given.size))
    photos = sorted(given.images.glob("*.jpg"))[: given.limit]
    with TemporaryDirectory() as temporary:
        folder, start = Path(temporary) / "onnx", time.perf_counter()
        files = ma.export_onnx(model, folder, opset=given.opset, int8=True, check=True)
        report = {
            "model": given.model,
            "pooler": type(model.pooler).__name__,
            "weights": "embedded" if given.model == "tiny" else "random",
            "opset": given.opset,
            "machine": machine_facts("cpu"),
            "onnxruntime": onnxruntime.__version__,
            "export_and_check_seconds": round(time.perf_counter() - start, 1),
            "files": [
                {"name": file.path.name, "megabytes": round(file.path.stat().st_size / 1e6, 1)}
                | ({"difference": file.difference} if file.loss is None else {"loss": file.loss})
                for file in files
            ],
        }
        whole, eight = OnnxModel(folder), {"none": ()}
        for kind in whole.config["int8"]:
            eight[kind] = (kind,)
        eight["all"] = tuple(whole.config["int8"])
        expected, equal, seconds = {}, {name: [] for name in eight}, {"pytorch": []}
        for number, path in enumerate(photos):
            image = ma.read_image(path)
            for name, kinds in eight.items():
                onnx_model = OnnxModel(folder)
                onnx_model.config["files"] |= {kind: whole.config["int8"][kind]["file"] for kind in kinds}
                for classes in LISTS[: 2 if name == "none" else 1]:
                    if (number, classes) not in expected:
                        start = time.perf_counter()
                        result = model.segment(image, classes, background=None).semantic()
                        seconds["pytorch"].append(time.perf_counter() - start)
                        expected[number, classes] = result
                    start = time.perf_counter()
                    found = label_map(model, onnx_model, image, classes)
                    seconds.setdefault(f"8 bits: {name}", []).append(time.perf_counter() - start)
                    equal[name].append(float((found == expected[number, classes]).mean()))
                print(path.name, name, equal[name][-1], len(np.unique(expected[number, LISTS[0]])), flush=True)
    report["photos"] = len(photos)
    report["pixels_that_keep_their_class"] = {
        f"8 bits: {name}": {"mean": sum(shares) / len(shares), "worst": min(shares)} for name, shares in equal.items()
    }
    report["seconds_loading_and_text_included"] = {name: round(median(some), 2) for name, some in seconds.items()}
    write_json(given.output, report)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
