"""Train the boundary head: edges as HED finds them, and boundaries of things and stuff as people drew them.

Edges: HED's map, on all training photos. Boundaries: where two segments of COCO's labels or of BSDS's coarse human
segmentations meet; what COCO leaves unlabeled is not used. The encoder stays as it is.

    python tools/tiny/boundary_head.py --shared ../shared --work build/tiny

One thread: about 12 minutes. Reads `image_encoder.pt`, `edges.pt`. Writes `boundary_head.pt`.
"""

import argparse
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
from assemble import build, load_clip
from augment import fit, jitter, normalize
from coco import Photo, splits, unlabelled_photos
from PIL import Image
from torch.nn import functional as F

from maskadapter.models.proposals.superpixels.boundary_head import STRIDE

STEPS, BATCH, RATE = 2400, 2, 2e-3
POSITIVE = 3.0  # weight of boundary pixels, a few in a hundred


def boundaries(ids: np.ndarray, partly: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Target and weight (h, w) of a segment map, 0 = unlabeled. partly: what is unlabeled may be anything but a part of
    a labeled segment, else it is uncertain."""
    padded = F.pad(torch.from_numpy(ids.copy()).float()[None, None], (1, 1, 1, 1), mode="replicate")
    around = F.unfold(padded, 3)[0].view(9, *ids.shape)[[1, 3, 5, 7]]
    own = torch.from_numpy(ids.copy()).float()
    differs = (around != own).any(0)
    uncertain = (own == 0) & ~differs if partly else (own == 0) | (around == 0).any(0)
    near = F.max_pool2d(differs.float()[None], 5, 1, 2)[0] > 0  # annotations are not exact to the pixel
    weight = (~uncertain & (differs | ~near)).float()
    return differs.float(), weight * (1 + (POSITIVE - 1) * differs)


class Sources:
    """Photos of all kinds: `draw` gives pixels, edges, boundaries and the boundaries' weights."""

    def __init__(self, shared: Path, work: Path):
        root, bsds = shared / "data/coco", shared / "data/extra/bsds500"
        self.edges = torch.load(work / "edges.pt", weights_only=True)
        self.labeled, self.unlabelled = splits(root)[0], unlabelled_photos(root)
        self.bsds = sorted((bsds / "photos").iterdir())
        self.coarse = bsds / "coarse"

    def draw(self, rng: random.Random) -> tuple[torch.Tensor, ...]:
        kind, partly = rng.random(), False
        if kind < 0.6:
            photo: Photo = rng.choice(self.labeled)
            path, image, ids = photo.path, photo.image(), photo.masks()[0]
            partly = "png" not in photo.segments
        elif kind < 0.8:
            path = rng.choice(self.bsds)
            image = np.asarray(Image.open(path).convert("RGB"))
            ids = np.asarray(Image.open(self.coarse / f"{path.stem}.png")).astype(np.int32) + 1
        else:
            path = rng.choice(self.unlabelled).path
            image = np.asarray(Image.open(path).convert("RGB"))
            ids, partly = np.zeros(image.shape[:2], np.int32), True
        image, ids = fit(jitter(image, rng), ids, 32 * rng.randint(11, 20))
        edges = np.asarray(Image.fromarray(self.edges[path.name].numpy()).resize(ids.shape[::-1], Image.BILINEAR))
        if rng.random() < 0.5:
            image, ids, edges = image[:, ::-1], ids[:, ::-1], edges[:, ::-1]
        height, width = (side // 32 * 32 for side in ids.shape)
        top, left = rng.randint(0, ids.shape[0] - height), rng.randint(0, ids.shape[1] - width)
        window = slice(top, top + height), slice(left, left + width)
        edge = F.avg_pool2d(torch.from_numpy(edges[window].copy()).float()[None] / 255, STRIDE)[0]
        small = ids[window][::STRIDE, ::STRIDE]
        return normalize(image[window])[None], edge, *boundaries(small, partly)


def train(shared: Path, work: Path, steps: int) -> None:
    torch.manual_seed(0)
    rng, model, sources = random.Random(0), build().eval(), Sources(shared, work)
    load_clip(model, work)
    clip, head = model.clip.to(memory_format=torch.channels_last), model.generator.boundaries
    optimizer = torch.optim.AdamW(head.parameters(), lr=0, weight_decay=1e-4)
    running, start = torch.zeros(2), time.time()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = (
            RATE * min(1, (step + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        )
        optimizer.zero_grad(set_to_none=True)
        for _ in range(BATCH):
            pixels, edge, target, weight = sources.draw(rng)
            with torch.autocast("cpu", dtype=torch.bfloat16):  # a third of the time
                with torch.no_grad():
                    _, pyramid = clip.image_encoder.features(pixels.contiguous(memory_format=torch.channels_last))
                logits = head(pixels, pyramid)[0].float()
            edges = F.binary_cross_entropy_with_logits(logits[0], edge, weight=1 + (POSITIVE - 1) * edge)
            found = F.binary_cross_entropy_with_logits(logits[1], target, weight=weight, reduction="sum")
            found = found / weight.sum().clamp_min(1) if weight.sum() > 100 else found * 0
            ((edges + found) / BATCH).backward()
            running += torch.stack([edges.detach(), found.detach()]) / BATCH
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(step + 1, [round(x / 100, 4) for x in running.tolist()], f"{time.time() - start:.0f} s", flush=True)
            running.zero_()
            torch.save(head.state_dict(), work / "boundary_head.pt")
    torch.save(head.state_dict(), work / "boundary_head.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    train(arguments.shared, arguments.work, arguments.steps)


if __name__ == "__main__":
    main()
