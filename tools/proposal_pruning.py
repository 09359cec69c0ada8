"""Measure proposal pruning: how many proposals are computed, and how results change when the others are estimated.

    python tools/proposal_pruning.py --root COCO                         # training images, to choose the settings
    python tools/proposal_pruning.py --root COCO --classes ade20k-150    # the same with other classes
    python tools/proposal_pruning.py --root COCO --split val             # the chosen settings, on validation images
    python tools/proposal_pruning.py --root COCO --hard TEXT.npz         # random weights, estimates that are wrong

The embedded model with its adapter, 250 proposals. COCO: a folder of COCO panoptic. Writes
``results/proposal-pruning-<split>-<classes>.md``; some 15 s an image on one core.

The hard case: fcclip-large with random weights at 896 pixels (``--size`` for less), the embedded model's proposals, 150
classes with the text embeddings of a file, an array ``embeddings`` (n, D), mapped into the model's space without a
change of their cosines, so that masks differ in their classes (``aligned``); the out-of-vocabulary
classifier alone; the adapter's maps ``SHARPER`` times as steep, so that each looks at a few locations. Writes
``results/proposal-pruning-hard.md``; some four minutes for three images on two cores.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import log
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import maskadapter as ma
from maskadapter.benchmark.clock import Clock
from maskadapter.benchmark.models import LAYER_SCALE, SubstitutedProposals, benchmark_models
from maskadapter.benchmark.stages import run_stages
from maskadapter.evaluation.metrics.semantic import confusion, mean_iou, pixel_counts
from maskadapter.io.images import read_image
from maskadapter.models.classifier import EncodedVocabulary
from maskadapter.models.mask_adapter import pool_with_maps
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.proposal_pruning import (
    CHECKED,
    DOUBT,
    RIVAL,
    SMALLEST,
    TOLERANCE,
    Check,
    ComputedProposals,
    influential,
)
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.models.sparse_adapter import SparseAdapter
from maskadapter.results.postprocessing import PanopticMap, panoptic_map, semantic_map
from maskadapter.results.upsampling import Upsampler
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.markdown_table import markdown_table
from maskadapter.system.progress import bar
from maskadapter.vocabulary.vocabulary import Vocabulary

SHARPER = (1, 10, 100)
REACHES: tuple[tuple[int, ...], ...] = ((3,), (2, 0))  # locations around a mask that each block reads; 3 is exact
CHOSEN = (DOUBT, SMALLEST, RIVAL)
CHECKS = tuple(product((8, 16, 24), (0.002, 0.005, 0.01)))
TRIED = tuple(product((0.15, 0.25, 0.4, 0.6), (0.0, 0.0005, 0.002), (0.3, 0.5, 0.7)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", choices=["train", "val"], default="train")
    parser.add_argument("--images", type=int, help="of the training set, default 10, 3 of the hard case; val takes all")
    parser.add_argument("--classes", default="coco-panoptic")
    parser.add_argument("--proposals", type=int, default=250)
    parser.add_argument("--hard", type=Path, metavar="TEXT.npz", help="measure the hard case")
    parser.add_argument("--size", type=int, default=896, help="pixels of the hard case's input")
    options = parser.parse_args()
    if options.hard is not None:
        write("hard", hard_case(options.root, options.hard, options.size, options.proposals, options.images or 3))
        return
    model = ma.load("tiny", pooler="adapter")
    model.generator.merging = replace(model.generator.merging, num_proposals=options.proposals)  # type: ignore[union-attr]
    dataset = ma.open_dataset("coco-panoptic", options.root, split=options.split)
    classes = model.encode_text(options.classes)
    evaluated = options.classes == dataset.name
    count = len(dataset) if options.split == "val" else options.images or 10
    settings = [CHOSEN] if options.split == "val" else TRIED
    table = Table(classes.vocabulary.is_thing)
    with bar("images", count) as advance:
        for index in np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist():
            record = dataset[index]
            image = OneImage(model, classes, read_image(record.image))
            table.start(image, record.target.labels() if evaluated else None)
            for reach in REACHES:
                table.add(f"all computed, reach {reach}", options.proposals, image.probs(reach))
            table.add("all estimated", 0, image.estimate)
            for setting in settings:
                chosen = influential(image.mask_logits, image.estimate, *setting)
                name = "doubt {}, smallest {}, rival {}".format(*setting)
                table.add(name, int(chosen.sum()), image.probs(REACHES[1], chosen))
            for check in [(CHECKED, TOLERANCE)] if options.split == "val" else CHECKS:
                count, probs = image.checked(*check)
                table.add("chosen, checked with {}, tolerance {}".format(*check), count, probs)
            advance(1)
    text = (
        f"{options.proposals} proposals, {count} images of COCO {options.split}, classes {options.classes}. Pixels "
        "that keep their class in the semantic and in the panoptic result, in percent, in the mean and in the worst "
        f"image.\n\n{table}\n"
    )
    write(f"{options.split}-{options.classes}", text)


def write(name: str, text: str) -> None:
    with write_atomically(Path(__file__).parents[1] / "results" / f"proposal-pruning-{name}.md") as path:
        path.write_text(text, encoding="utf-8")
    print(text)


class OneImage:
    """One image and the class probabilities of its proposals, computed with every reach."""

    @torch.inference_mode()
    def __init__(self, model: OpenVocabularySegmenter, classes: EncodedVocabulary, image: np.ndarray) -> None:
        inputs, sizes = model.prepare(image)
        text = model.text_classifier(classes)
        features = model.clip.encode_image(inputs.pixels)
        assert model.generator is not None
        proposals = model.generator(inputs, features)
        class_logits = model.class_logits(proposals, text)
        pooler = model.pooler
        assert isinstance(pooler, AdapterPooler)
        masks = proposals.mask_logits[0].sigmoid() > pooler.mask_threshold

        def probs(maps_of: Callable[[Tensor], Tensor]) -> Tensor:
            maps = torch.cat([maps_of(part) for part in masks.split(8)])
            embeddings = pool_with_maps(maps, features.dense[0], model.clip.project)
            logits = text.logits(embeddings[None], model.clip.logit_scale)
            return model.combine(class_logits, logits, classes.vocabulary)[0]

        self.mask_logits = proposals.mask_logits[0]
        self.masks = Upsampler(self.mask_logits, sizes)
        self.settings, self.semantic_order = model.inference, model.semantic_order
        adapters = {reach: SparseAdapter(pooler.adapter, features.projected, reach) for reach in REACHES}
        self._probs = {reach: probs(adapter) for reach, adapter in adapters.items()}
        self.estimate = probs(adapters[REACHES[0]].estimate)

    def probs(self, reach: tuple[int, ...], chosen: Tensor | None = None) -> Tensor:
        """(N, K + 1): computed with that reach for the chosen, (N,) bool, or for all; estimated for the others."""
        return self._probs[reach] if chosen is None else torch.where(chosen[:, None], self._probs[reach], self.estimate)

    @torch.inference_mode()
    def checked(self, count: int, tolerance: float) -> tuple[int, Tensor]:
        """How many proposals are computed with the check, and the probabilities (N, K + 1) at its end."""
        chosen = influential(self.mask_logits, self.estimate)
        probs = self.probs(REACHES[1], chosen).clone()

        def compute(more: Tensor) -> Tensor:
            probs[more] = self._probs[REACHES[0]][more]
            return probs

        exact = Check(self.mask_logits, probs.clone(), count, tolerance).until_passed(compute)
        return int((chosen | exact).sum()), probs


class Table:
    """How many proposals each setting computed, and how its results differ."""

    def __init__(self, is_thing: tuple[bool, ...]) -> None:
        self._is_thing = is_thing
        self._kept: dict[str, list[int]] = defaultdict(list)
        self._same: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._confusions: dict[str, list[np.ndarray]] = defaultdict(list)

    @torch.inference_mode()
    def start(self, image: OneImage, ground_truth: np.ndarray | None) -> None:
        """Begin an image: later results are compared with its exact result, and with its ground truth."""
        self._image, self._ground_truth = image, ground_truth
        self._exact = self._results(image.probs(REACHES[0]))

    @torch.inference_mode()
    def add(self, name: str, kept: int, probs: Tensor) -> None:
        results = self._results(probs)
        semantic, panoptic = (float((one == other).mean()) for one, other in zip(results, self._exact, strict=True))
        self._kept[name].append(kept)
        self._same[name].append((semantic, panoptic))
        if self._ground_truth is not None:
            self._confusions[name].append(confusion(results[0], self._ground_truth, len(self._is_thing)))

    def _results(self, probs: Tensor) -> tuple[np.ndarray, np.ndarray]:
        masks, settings = self._image.masks, self._image.settings
        panoptic = panoptic_map(masks, probs, self._is_thing, settings.overlap_threshold)
        return semantic_map(masks, probs, self._image.semantic_order), classes_of(panoptic)

    def __str__(self) -> str:
        lines = ["| | computed | semantic | worst | panoptic | worst | mIoU |", "|---|---:|---:|---:|---:|---:|---:|"]
        for name, same in self._same.items():
            semantic, panoptic = 100 * np.array(same).T
            confusions = self._confusions.get(name)
            miou = f"{100 * mean_iou(pixel_counts(confusions, len(self._is_thing))):.3f}" if confusions else ""
            lines.append(
                f"| {name} | {np.mean(self._kept[name]):.1f} | {semantic.mean():.2f} | {semantic.min():.2f} | "
                f"{panoptic.mean():.2f} | {panoptic.min():.2f} | {miou} |"
            )
        return "\n".join(lines)


@torch.inference_mode()
def hard_case(root: Path, text_file: Path, size: int, proposals: int, images: int) -> str:
    """Compare the exact and the pruned computation where estimates are wrong. Returns a table in Markdown."""
    model, compared = benchmark_models("fcclip-large", proposals, "cpu")
    for name, weights in model.clip.named_parameters():
        if name.endswith("gamma"):
            weights.fill_(LAYER_SCALE)  # or the image encoder's blocks do nothing
    model.clip.logit_scale.fill_(log(100))  # as trained ones have
    model.inference = replace(model.inference, input_size=InputSize(size, size), alpha=1.0, beta=1.0)
    vocabulary = Vocabulary.of("ade20k-150")
    stored = torch.from_numpy(np.load(text_file)["embeddings"].astype(np.float32))
    rows = torch.linspace(0, len(stored) - 1, len(vocabulary.synonyms)).round().long()
    text = F.normalize(stored[rows], dim=-1)
    asked = compared.encode_text(vocabulary)
    assert isinstance(model.pooler, AdapterPooler)
    assert isinstance(model.generator, SubstitutedProposals)
    assert compared.generator is not None
    final = model.pooler.adapter.final
    parameters, cpu = [parameter.clone() for parameter in final.parameters()], torch.device("cpu")
    dataset, lines = ma.open_dataset("coco-panoptic", root, split="train"), []
    for index in np.linspace(0, len(dataset) - 1, images).round().astype(int).tolist():
        record = dataset[index]
        prepared, own = (one.prepare(read_image(record.image)) for one in (model, compared))
        features = compared.clip.encode_image(own[0].pixels)
        found = compared.generator(own[0], features)
        logits = compared.class_logits(found, compared.text_classifier(asked))
        model.generator.substitute(found, logits, own[1], prepared[1])
        encoding = model.clip.encode_image(prepared[0].pixels)
        for times in SHARPER:
            for parameter, before in zip(final.parameters(), parameters, strict=True):
                parameter.copy_(times * before)
            embeddings = model.mask_embeddings(prepared[0], encoding, model.generator(prepared[0], encoding))
            assert embeddings is not None
            encoded = EncodedVocabulary(vocabulary, aligned(text, F.normalize(embeddings[0], dim=-1)))
            exact = run_stages(model, prepared, encoded, "exact", Clock(cpu))
            pruned = run_stages(model, prepared, encoded, "pruned", Clock(cpu))
            computed = pruned.computed
            believed = ComputedProposals(computed.near, torch.zeros_like(computed.exact))
            unchecked = run_stages(model, prepared, encoded, "pruned", Clock(cpu), believed)
            off = [100 * float((one.labels != exact.labels).mean()) for one in (unchecked, pruned)]
            estimated = "none: fell back to exact" if computed.exact.all() else int(computed.estimated.sum())
            cells = [record.name, times, len(np.unique(exact.labels)), *(f"{share:.2f}" for share in off)]
            cells += [int(computed.near.sum()), estimated]
            lines.append([str(cell) for cell in cells])
            print(*lines[-1], flush=True)
    header = ["image", "sharper", "classes", "unchecked", "checked", "of influence", "estimated"]
    intro = f"fcclip-large, random weights, {size} pixels, {proposals} proposals, 150 classes. Pixels that change "
    intro += "their class by pruning, in percent, where all estimates are believed and where they are checked."
    return "\n".join([intro, "", *markdown_table(header, lines, "lrrrrrr"), ""])


def aligned(text: Tensor, embeddings: Tensor) -> Tensor:
    """Text embeddings (S, d) in the space of mask embeddings (N, D), D >= d, without a change of their cosines: the
    directions in which they differ most become those in which the masks do, and none is what all masks have in common.
    Random weights make all masks alike: one class would win everywhere, and no estimate could be wrong."""
    alike = F.normalize(embeddings.mean(dim=0), dim=0)
    rest = embeddings - (embeddings @ alike)[:, None] * alike
    own = torch.linalg.eigh(torch.cov(text.T))[1].flip(-1)
    theirs = torch.linalg.eigh(torch.cov(rest.T) - torch.outer(alike, alike))[1].flip(-1)
    return text @ own @ theirs[:, : text.shape[1]].T


def classes_of(panoptic: PanopticMap) -> np.ndarray:
    """Class of every pixel's segment, (H, W); -1 without one."""
    return np.array([-1, *(segment.label for segment in panoptic.segments)])[panoptic.ids]


if __name__ == "__main__":
    main()
