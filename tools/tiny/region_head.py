"""Train the region head: what is in a proposal of the superpixel tree, and whether it is one thing.

A proposal's class is that of most of its labeled pixels; it counts the more the better it covers a segment. Objectness
is learned apart, from shapes and boundaries alone: trained with the classes it knew the training photos by heart.

    python tools/tiny/region_head.py prepare --number 0 --shared ../shared --work build/tiny   # and 1
    python tools/tiny/region_head.py prepare-held-out --shared ../shared --work build/tiny
    python tools/tiny/region_head.py train --shared ../shared --work build/tiny

One thread: 3 minutes for each pass of `prepare`, 2 for `train`. Reads `image_encoder.pt`, `boundary_head.pt`. Writes
`proposals_<number>.pt`, `region_head.pt`.
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from assemble import LONGEST, build, load_boundaries
from augment import fit, jitter
from coco import Photo, splits
from nouns import read_vocabulary
from torch.nn import functional as F

from maskadapter.models.preprocess import to_batch
from maskadapter.types import ImageBatch

RATE, DROPOUT, BALANCE, OBJECTNESS_STEPS = 1e-4, 0.3, 0.35, 1500
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
    pixels = to_batch([image], model.clip.size_divisor)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # a third of the time
        features = model.clip.encode_image(pixels.contiguous(memory_format=torch.channels_last))
        ((found, pooled, shape),) = model.generator.proposed(ImageBatch(pixels, [image]), features)
    masks, stride = found.masks(), model.generator.merging.stride
    small = torch.from_numpy(np.ascontiguousarray(ids[::stride, ::stride]))[: masks.shape[1], : masks.shape[2]]
    return torch.from_numpy(masks), small, pooled.float(), shape.float()


def prepare(model, photos: list[Photo], path: Path, number: int) -> None:
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
        masks, small = masks[:, ::2, ::2], small[::2, ::2]  # exact enough
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
                "photo": torch.full((int(kept.sum()),), index),
            }
        )
        if index % 50 == 0:
            print(number, index, f"{time.time() - start:.0f} s", flush=True)
    torch.save({key: torch.cat([one[key] for one in found]) for key in found[0]}, path)


def confidence(purity: torch.Tensor, iou: torch.Tensor) -> torch.Tensor:
    """Target probability of a proposal's class, 0 to 1; the rest is void. Low for parts, 0 for mixtures."""
    return ((purity - 0.4) / 0.45).clamp(0, 1) * (0.3 + 0.7 * iou)


def start_from_projection(model) -> None:
    """Begin as CLIP's projection, which knows more names than the 133."""
    generator, projection = model.generator, model.clip.model.visual.head.mlp
    with torch.no_grad():
        generator.hidden.load_state_dict(projection.fc1.state_dict())
        generator.output.weight.copy_(projection.fc2.weight)
        generator.output.bias.zero_()
        generator.logit_scale.copy_(model.clip.logit_scale)


def train_objectness(network: torch.nn.Module, data: dict, held_out: dict) -> None:
    target, weight = confidence(data["purity"], data["iou"]), data["area"].sqrt()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=OBJECTNESS_STEPS)
    for _ in range(OBJECTNESS_STEPS):
        chosen = torch.randint(len(target), (2048,))
        shape = data["shape"][chosen] + torch.randn(len(chosen), data["shape"].shape[1]) * 0.03
        loss = F.binary_cross_entropy_with_logits(network(shape)[:, 0], target[chosen], weight[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        logits, target = network(held_out["shape"])[:, 0], confidence(held_out["purity"], held_out["iou"])
    positive, ranks = target > 0.5, logits.argsort().argsort().float() + 1
    wins = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    area = wins / (positive.sum() * (~positive).sum())
    print(f"objectness: area under ROC {area:.3f} held out, {positive.float().mean():.3f} are one thing", flush=True)


def train_classes(model, data: dict, held_out: dict, shared: Path, steps: int) -> None:
    generator = model.generator
    classes = read_vocabulary(shared / "vocabularies/coco_panoptic_with_prompt_eng.txt")
    with torch.no_grad():
        groups = [model.clip.encode_text(names) for names in classes]
    start_from_projection(model)
    share = confidence(data["purity"], data["iou"])
    counts = torch.bincount(data["label"], weights=share * data["area"].sqrt(), minlength=133)
    balance = counts.clamp_min(counts[counts > 0].min()) ** -BALANCE
    weight = share * (balance / balance[data["label"]].mean())[data["label"]] * data["area"].sqrt()
    weight = weight / weight.mean()
    parts = [*generator.hidden.parameters(), *generator.output.parameters(), generator.logit_scale]
    optimizer = torch.optim.AdamW(parts, lr=0, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)

    def logits(pooled: torch.Tensor, text_embeddings: torch.Tensor) -> torch.Tensor:
        return (
            generator.logit_scale.exp().clamp(max=100)
            * F.normalize(generator.embed(pooled), dim=-1)
            @ text_embeddings.T
        )

    mean = data["pooled"].float().mean(0)
    first, running = torch.stack([group[0] for group in groups]), 0.0
    for step in range(steps + 1):
        if step % 100 == 0:
            with torch.no_grad():
                found = logits(held_out["pooled"].float(), first)
            good = held_out["iou"] >= 0.5
            right = (found.argmax(-1) == held_out["label"])[good].float().mean()
            weights = confidence(held_out["purity"], held_out["iou"]) * held_out["area"].sqrt()
            losses = F.cross_entropy(found, held_out["label"], reduction="none") * weights
            words = f"held out: loss {losses.sum() / weights.sum():.3f}, accuracy at IoU 0.5 {right:.3f}"
            print(f"{step} loss {running / 100:.3f} {words}", flush=True)
            running = 0.0
        chosen = torch.randint(len(weight), (1024,))
        text_embeddings = torch.stack(
            [group[int(torch.randint(len(group), ())) if torch.rand(()) < 0.5 else 0] for group in groups]
        )
        pooled = mean + F.dropout(data["pooled"][chosen].float() - mean, DROPOUT)
        losses = F.cross_entropy(
            logits(pooled, text_embeddings), data["label"][chosen], reduction="none", label_smoothing=0.05
        )
        loss = (losses * weight[chosen]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step() if step < steps else None
        running += float(loss.detach())


def train(model, shared: Path, work: Path, steps: int) -> None:
    torch.manual_seed(0)
    passes = [torch.load(path, weights_only=True) for path in sorted(work.glob("proposals_[0-9].pt"))]
    data = {key: torch.cat([one[key] for one in passes]) for key in passes[0]}
    held_out = torch.load(work / "proposals_held_out.pt", weights_only=True)
    train_objectness(model.generator.objectness, data, held_out)
    train_classes(model, data, held_out, shared, steps)
    torch.save(model.generator.state_dict(), work / "region_head.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "prepare-held-out", "train"])
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    parser.add_argument(
        "--number",
        type=int,
        default=0,
        help="of the pass of `prepare`: 0 plain, others scaled and recolored, odd ones flipped",
    )
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = load_boundaries(build(), arguments.work)
    training, held_out, _ = splits(arguments.shared / "data/coco")
    if arguments.step == "prepare":
        prepare(model, training, arguments.work / f"proposals_{arguments.number}.pt", arguments.number)
    elif arguments.step == "prepare-held-out":
        prepare(model, held_out, arguments.work / "proposals_held_out.pt", 0)
    else:
        train(model, arguments.shared, arguments.work, arguments.steps)


if __name__ == "__main__":
    main()
