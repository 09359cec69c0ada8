"""Which proposals have a say: how many, and how many pixels change, by the share that counts as one.

``python scripts/influence.py MODEL --root COCO``. MODEL: a file of ``tiny`` with an adapter, as
``recipes/own/tiny-mixed.yaml`` trains one. COCO: a folder of COCO panoptic, whose training pictures are taken.
Writes ``scripts/results/influence.md``.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

import maskadapter as ma
from maskadapter.files import write_atomically
from maskadapter.models import embedding as module
from maskadapter.models.influence import influential
from maskadapter.postprocess import PanopticMap
from maskadapter.progress import bar

SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--proposals", type=int, default=250)
    options = parser.parse_args()
    model = ma.load(options.model)
    model.generator.num_proposals = options.proposals  # type: ignore[union-attr]
    dataset = ma.open_dataset("coco-panoptic", options.root, split="train")
    words = model.encode(dataset.vocabulary)
    chosen = np.linspace(0, len(dataset) - 1, options.pictures).round().astype(int)
    exact = replace(model.inference, fast=False)
    rough = replace(model.inference, fast=True)
    found: dict[float, list[tuple[int, float, float]]] = {share: [] for share in SHARES}
    kept: list[int] = []
    with bar("pictures", len(chosen)) as advance:
        for index in chosen.tolist():
            image = dataset[index].image
            model.inference = exact
            true = model.segment(image, words, background=None)
            model.inference = rough
            for share in SHARES:
                module.influential = partial(_counted, share, kept)  # type: ignore[assignment]
                result = model.segment(image, words, background=None)
                same = float((result.semantic() == true.semantic()).mean())
                found[share].append((kept.pop(), same, _same_segments(result.panoptic(), true.panoptic())))
            advance(1)
    lines = [
        f"{options.proposals} proposals, {len(chosen)} training pictures of COCO. Pixels that keep their class, and "
        "their class in the panoptic result, in percent.",
        "",
        "| share | proposals with a say | semantic | worst picture | panoptic | worst picture |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for share, rows in found.items():
        counts, same, panoptic = (np.array(column) for column in zip(*rows, strict=True))
        figures = " | ".join(
            f"{100 * value:.2f}" for value in (same.mean(), same.min(), panoptic.mean(), panoptic.min())
        )
        lines.append(f"| {share} | {counts.mean():.1f} | {figures} |")
    with write_atomically(Path(__file__).parent / "results" / "influence.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _counted(share: float, kept: list[int], mask_logits: torch.Tensor, void_probs: torch.Tensor) -> torch.Tensor:
    which = influential(mask_logits, void_probs, share)
    kept.append(int(which.sum()))
    return which


def _same_segments(one: PanopticMap, other: PanopticMap) -> float:
    """Share of pixels that lie in segments of the same class, or in none."""
    labels = [np.array([-1, *(segment.label for segment in each.segments)])[each.ids] for each in (one, other)]
    return float((labels[0] == labels[1]).mean())


if __name__ == "__main__":
    main()
