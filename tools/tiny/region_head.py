"""Train the region head, which classifies the superpixel tree's proposals.

The target of a proposal inside one labeled class is that class, the more so the better it covers a segment; the target
of one that covers several classes is void. So nested proposals do not compete at inference.

    python tools/tiny/region_head.py prepare --number 0 --shared ../shared --work build/tiny
    python tools/tiny/region_head.py prepare --number 1 --shared ../shared --work build/tiny
    python tools/tiny/region_head.py train --shared ../shared --work build/tiny

One thread: about 5 minutes for each pass of `prepare`, 2 for `train`. Reads `text_encoder.pt`, `image_encoder.pt`.
Writes `proposals_<number>.pt`, `region_head.pt`.
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from assemble import LONGEST, build, load_clip
from augment import fit, jitter
from coco import Photo, splits
from nouns import read_vocabulary
from torch.nn import functional as F

from maskadapter.models.preprocess import to_batch

LABELED = 0.5  # least labeled share of a proposal on photographs whose background is not labeled


def overlaps(
    masks: torch.Tensor, ids: torch.Tensor, labels: list[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Class, purity, IoU with its best segment or class, and labeled share of each proposal.

    masks: (N, h, w) bool. ids: (h, w), segment numbers. labels: class of each segment.
    """
    numbers = torch.arange(1, len(labels) + 1)
    segments = (ids.flatten()[None] == numbers[:, None]).float()
    flat = masks.flatten(1).float()
    area = flat.sum(1).clamp_min(1)
    shared = flat @ segments.T
    class_of = F.one_hot(torch.tensor(labels), 133).float()
    by_class = shared @ class_of
    purity, best = (by_class / area[:, None]).max(1)
    iou = shared / (area[:, None] + segments.sum(1) - shared)
    same = torch.tensor(labels)[None] == best[:, None]
    class_area = segments.sum(1) @ class_of
    class_iou = by_class / (area[:, None] + class_area - by_class)
    best_iou = torch.maximum((iou * same).amax(1), class_iou.gather(1, best[:, None])[:, 0])
    return best, purity, best_iou, shared.sum(1) / area


@torch.no_grad()
def proposals_of(
    model, image: np.ndarray, ids: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Masks (N, h, w) and segment numbers (h, w) at the region head's stride, pooled features, shape features."""
    batch = to_batch([image], model.clip.size_divisor)
    features = model.clip.encode_image(batch)
    padded = (batch.shape[-2], batch.shape[-1])
    masks, pooled, shape = model.generator.propose(image, padded, features.dense[0], features.projected[0])
    stride = model.generator.merging.stride
    small = torch.from_numpy(np.ascontiguousarray(ids[::stride, ::stride]))
    return torch.from_numpy(masks)[:, : small.shape[0], : small.shape[1]], small, pooled, shape


def prepare(model, photos: list[Photo], work: Path, number: int) -> None:
    rng, found, start = random.Random(number), [], time.time()
    for index, photo in enumerate(photos):
        ids, labels = photo.masks()
        image = photo.image()
        longest = LONGEST
        if number:
            longest = rng.randint(448, 832)
            image = jitter(image, rng)
            if number % 2:
                image, ids = image[:, ::-1], ids[:, ::-1]
        image, ids = fit(np.ascontiguousarray(image), np.ascontiguousarray(ids), longest)
        if not labels:
            continue
        masks, small, pooled, shape = proposals_of(model, image, ids)
        best, purity, iou, labeled = overlaps(masks, small, labels)
        kept = torch.ones(len(best), dtype=torch.bool) if "png" in photo.segments else labeled >= LABELED
        area = masks.flatten(1).float().mean(1)
        found.append(
            {
                "pooled": pooled[kept].half(),
                "shape": shape[kept],
                "label": best[kept],
                "purity": purity[kept],
                "iou": iou[kept],
                "area": area[kept],
            }
        )
        if index % 50 == 0:
            print(number, index, f"{time.time() - start:.0f} s", flush=True)
    torch.save({key: torch.cat([one[key] for one in found]) for key in found[0]}, work / f"proposals_{number}.pt")


def confidence(purity: torch.Tensor, iou: torch.Tensor) -> torch.Tensor:
    """Target probability of a proposal's class, 0 to 1; the rest is void. Low for parts, 0 for mixtures."""
    return ((purity - 0.4) / 0.45).clamp(0, 1) * (0.3 + 0.7 * iou)


def train(model, shared: Path, work: Path, steps: int) -> None:
    torch.manual_seed(0)
    passes = [torch.load(path, weights_only=True) for path in sorted(work.glob("proposals_*.pt"))]
    data = {key: torch.cat([one[key] for one in passes]) for key in passes[0]}
    classes = read_vocabulary(shared / "vocabularies/coco_panoptic_with_prompt_eng.txt")
    with torch.no_grad():
        groups = [model.clip.encode_text(names) for names in classes]
    generator = model.generator.train()
    void = torch.nn.Parameter(torch.randn(1, groups[0].shape[1]) * 0.05)
    target_share = confidence(data["purity"], data["iou"])
    counts = torch.bincount(data["label"], weights=target_share * data["area"].sqrt(), minlength=133)
    balance = counts.clamp_min(counts[counts > 0].min()) ** -0.35
    balance = balance / balance[data["label"]].mean()
    weight = balance[data["label"]] * data["area"].sqrt()
    weight = weight / weight.mean()
    optimizer = torch.optim.AdamW([{"params": [*generator.parameters(), void]}], lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.5e-3, total_steps=steps)
    running = 0.0
    for step in range(steps):
        chosen = torch.randint(len(weight), (1024,))
        label, share = data["label"][chosen], target_share[chosen]
        # Small vocabularies too: void has to compete with 5 classes as well as with 133.
        keep = torch.ones(133, dtype=torch.bool)
        if torch.rand(()) < 0.5:
            keep = torch.rand(133) < torch.rand(()) * 0.5 + 0.03
        text_embeddings = torch.stack(
            [group[int(torch.randint(len(group), ())) if torch.rand(()) < 0.5 else 0] for group in groups]
        )
        pooled = F.dropout(data["pooled"][chosen].float(), 0.2)
        shape = data["shape"][chosen] + torch.randn(len(chosen), data["shape"].shape[1]) * 0.03
        embeddings = F.normalize(F.dropout(generator.embed(pooled, shape), 0.1), dim=-1)
        logits = (
            generator.logit_scale.exp().clamp(max=100)
            * embeddings
            @ torch.cat([text_embeddings, F.normalize(void, dim=-1)]).T
        )
        # Each proposal is compared with its own class and the drawn ones.
        visible = keep[None] | (F.one_hot(label, 133) > 0)
        logits = logits.masked_fill(~F.pad(visible, (0, 1), value=True), -1e4)
        log_probs = logits.log_softmax(-1)
        loss = -(share * log_probs.gather(1, label[:, None])[:, 0] + (1 - share) * log_probs[:, -1])
        loss = (loss * weight[chosen]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        running += float(loss.detach())
        if (step + 1) % 100 == 0:
            print(step + 1, f"loss {running / 100:.3f} scale {float(generator.logit_scale.exp()):.1f}", flush=True)
            running = 0.0
    torch.save({"generator": generator.state_dict(), "void": void.detach()}, work / "region_head.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "train"])
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    parser.add_argument(
        "--number",
        type=int,
        default=0,
        help="of the pass of `prepare`: 0 plain, others scaled and recolored, odd ones flipped",
    )
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = build().eval()
    load_clip(model, arguments.work)
    if arguments.step == "prepare":
        prepare(model, splits(arguments.shared / "data/coco")[0], arguments.work, arguments.number)
    else:
        train(model, arguments.shared, arguments.work, arguments.steps)


if __name__ == "__main__":
    main()
