"""Compare rules for the class of a pixel that lies in several masks, or in none.

    python tools/overlaps.py --root COCO

Nested regions of superpixels take the place of SAM's masks; the embedded model's mask pooling classifies them with
COCO's 133 classes, on 60 training images. The second table uses a random sample of the regions below a fifth of the
image, so that half of it or more lies in none. Every third row and column is evaluated. Writes
``results/overlaps.json`` and ``.md``; some five minutes on one core.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

import maskadapter as ma
from maskadapter.evaluation.metrics.semantic import confusion, mean_iou, pixel_counts
from maskadapter.models.proposals.superpixels.regions import Merging
from maskadapter.models.sources.segment_anything import unmasked_regions
from maskadapter.results.upsampling import Upsampler
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.types import INSIDE

IMAGES = 60
SOME = (10, 25)  # regions in the sample
STEP = 3
RESULTS = Path(__file__).parents[1] / "results"

Rule = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(N, K) probabilities, (N, pixels) masks, (N,) areas -> (pixels,) classes."""


def votes(weight: Callable[[Tensor, Tensor], Tensor]) -> Rule:
    """The weighted sum of the probabilities of the masks that contain a pixel. weight: of probabilities and areas."""
    return lambda probs, masks, areas: ((probs * weight(probs, areas)[:, None]).T @ masks).argmax(dim=0)


def smallest(probs: Tensor, masks: Tensor, areas: Tensor) -> Tensor:
    order = areas.argsort()
    top = (masks[order] >= 0.5).int().argmax(dim=0)
    return probs.argmax(dim=1)[order][top]


def most_confident(probs: Tensor, masks: Tensor, areas: Tensor) -> Tensor:
    return probs.argmax(dim=1)[(probs.amax(dim=1)[:, None] * masks).argmax(dim=0)]


def product(probs: Tensor, masks: Tensor, areas: Tensor) -> Tensor:
    return (probs.clamp(min=1e-6).log().T @ masks).argmax(dim=0)


def entropy(probs: Tensor) -> Tensor:
    return -(probs * probs.clamp(min=1e-9).log()).sum(dim=1)


RULES: dict[str, Rule] = {
    "sum of the votes": votes(lambda probs, areas: torch.ones_like(areas)),
    "votes weighted by 1 / area^0.5": votes(lambda probs, areas: areas**-0.5),
    "votes weighted by 1 / area": votes(lambda probs, areas: 1 / areas),
    "votes weighted by their highest probability": votes(lambda probs, areas: probs.amax(dim=1)),
    "votes weighted by exp(-entropy)": votes(lambda probs, areas: (-entropy(probs)).exp()),
    "the smallest mask on top": smallest,
    "the most confident mask on top": most_confident,
    "product of the probabilities": product,
}


class TrainingImages:
    """The model, and the regions of one training image after another."""

    def __init__(self, root: Path) -> None:
        self.dataset = ma.open_dataset("coco-panoptic", root, split="train")
        self.model = ma.load(pooler="pooling", prune_proposals=False)
        self.encoded = self.model.encode_text(self.dataset.vocabulary)
        self.merging = Merging(stride=4)  # the stride of given masks

    def __iter__(self) -> Iterator[Tensor]:
        """Mask logits (N, h, w)."""
        self.text = self.model.text_classifier(self.encoded)
        for index in range(IMAGES):
            sample = self.dataset[index]
            self.ground_truth = sample.target.labels()[1::STEP, 1::STEP]
            self.inputs, self.sizes = self.model.prepare(sample.image)
            self.features = self.model.clip.encode_image(self.inputs.pixels)
            yield self.logits(self.merging.regions(self.inputs.images[0]).masks())

    def logits(self, masks: np.ndarray) -> Tensor:
        """Masks (N, h', w') bool over the resized image at stride 4 -> logits (N, h, w) over the padded input."""
        height, width = (side // 4 for side in self.sizes.padded)
        padded = F.pad(torch.from_numpy(masks), (0, width - masks.shape[2], 0, height - masks.shape[1]))
        return torch.where(padded, INSIDE, -INSIDE)

    def unmasked(self, masks: Tensor) -> Tensor:
        """The connected regions in no mask, as logits; masks: logits (N, h, w)."""
        height, width = (-(-side // 4) for side in self.sizes.resized)
        held = (masks > 0).numpy()[:, :height, :width]
        pieces = list(unmasked_regions(held, (height, width)))
        return self.logits(np.stack(pieces)) if pieces else masks[:0]

    def probs(self, masks: Tensor) -> Tensor:
        """Class probabilities of masks, (N, K)."""
        if not len(masks):
            return torch.zeros(0, len(self.dataset.vocabulary))
        embeddings = self.model.pooler(self.inputs.pixels, self.features, masks[None], self.model.clip.project)
        logits = self.model.out_of_vocabulary_logits(self.features, embeddings, self.text)
        return logits[0, :, :-1].softmax(dim=-1)

    def pixels(self, masks: Tensor) -> Tensor:
        """Masks at the evaluated pixels, (N, pixels), 0 to 1."""
        upsampled = Upsampler(masks, self.sizes).logits(slice(0, self.sizes.original[0]))
        return upsampled[:, 1::STEP, 1::STEP].sigmoid().flatten(1)

    def confusion(self, classes: Tensor) -> np.ndarray:
        """Confusion matrix of predicted classes (pixels,)."""
        labels = classes.view(self.ground_truth.shape).numpy().astype(np.int32)
        return confusion(labels, self.ground_truth, len(self.dataset.vocabulary))


def nearest(images: TrainingImages, masks: Tensor, classes: Tensor) -> Tensor:
    """Give pixels in no mask the class of the nearest pixel in one."""
    held = (images.pixels(masks) >= 0.5).any(dim=0).view(images.ground_truth.shape).numpy()
    y, x = ndimage.distance_transform_edt(~held, return_distances=False, return_indices=True)
    return classes.view(images.ground_truth.shape)[torch.from_numpy(y), torch.from_numpy(x)]


def with_gaps(images: TrainingImages, masks: Tensor) -> dict[str, Tensor]:
    """Classes by each rule for pixels in no mask; the first rule is the plain one."""
    plain_rule = RULES["sum of the votes"]

    def painted(extra: Tensor) -> Tensor:
        every = torch.cat([masks, extra])
        return plain_rule(images.probs(every), images.pixels(every), torch.ones(len(every)))

    pieces = images.unmasked(masks)
    one = pieces.amax(dim=0, keepdim=True) if len(pieces) else pieces
    plain = painted(masks[:0])
    whole = images.probs(torch.full_like(masks[:1], 10.0)).argmax()
    held = (images.pixels(masks) >= 0.5).any(dim=0)
    return {
        "plain rule": plain,
        "the rest as one mask": painted(one),
        "each piece of the rest a mask": painted(pieces),
        "the class of the nearest mask": nearest(images, masks, plain),
        "the class of the whole image": torch.where(held, plain, whole),
    }


@torch.inference_mode()
def measured(root: Path) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """mIoU and pixel accuracy of every rule, and the share of pixels in no mask, all in percent."""
    images, counts, gaps = TrainingImages(root), defaultdict(list), defaultdict(list)
    rng = np.random.default_rng(0)
    for number, masks in enumerate(images, start=1):
        probs, pixels = images.probs(masks), images.pixels(masks)
        areas = (masks > 0).float().mean(dim=(1, 2))
        for name, rule in RULES.items():
            counts[name].append(images.confusion(rule(probs, pixels, areas)))
        small = np.flatnonzero((areas < 0.2).numpy())
        for some in SOME:
            chosen = masks[np.sort(rng.choice(small, min(some, len(small)), replace=False))]
            gaps[f"{some} regions"].append(float((images.pixels(chosen) < 0.5).all(dim=0).float().mean()))
            for name, classes in with_gaps(images, chosen).items():
                counts[f"{some} regions: {name}"].append(images.confusion(classes))
        print(f"{number} of {IMAGES}", flush=True)
    found = {}
    for name, rows in counts.items():
        total = pixel_counts(rows, len(images.dataset.vocabulary))
        found[name] = (100 * mean_iou(total, "detectron2-main"), 100 * float(total[0].sum() / total[2].sum()))
    return found, {name: 100 * float(np.mean(shares)) for name, shares in gaps.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    found, gaps = measured(parser.parse_args().root)
    write_json(
        RESULTS / "overlaps.json", {"mIoU, pixel accuracy": found, "share of pixels in no mask": gaps, "images": IMAGES}
    )
    rows = [f"| {name} | {miou:.1f} | {right:.1f} |" for name, (miou, right) in found.items()]
    shares = [f"{name}: {share:.0f} % of the pixels in no mask." for name, share in gaps.items()]
    lines = ["| rule | mIoU | pixel accuracy |", "|---|---:|---:|", *rows, "", *shares]
    with write_atomically(RESULTS / "overlaps.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
