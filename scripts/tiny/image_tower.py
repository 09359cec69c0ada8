"""Train the image tower: a MobileNetV2 whose features, pooled under a mask, point at the text of what the mask shows.

It starts from the ImageNet teacher. The layers up to stride 16 with 64 channels stay as they are, so that their
output can be computed once per augmented picture; all later layers (85 % of the trunk) and the projection are
trained. Losses, all of them cross entropies between an embedding and the text embeddings of a list of names:
  - masks: the COCO class of the mask, one of its synonyms drawn at random, against the other classes;
  - masks and boxes: the ImageNet teacher's probabilities over its 1,000 names (keeps the breadth that unseen words
  need);
  - cells: the ADE20K and PASCAL VOC teachers' probabilities over their 31 and 20 names.

    python scripts/tiny/image_tower.py prepare --shared ../shared --work build/tiny
    python scripts/tiny/image_tower.py project --shared ../shared --work build/tiny
    python scripts/tiny/image_tower.py finetune --shared ../shared --work build/tiny

One thread: about 15 minutes for `prepare`, 2 for `project`, `--minutes` for `finetune`. Reads `teachers.pt`,
`text_targets.pt`. Writes `image_cache.pt`, `image_projection.pt`, `image_tower.pt`.
"""

import argparse
import math
import random
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from coco import Photo, splits
from nouns import imagenet_names, read_vocabulary
from open_clip_import import open_clip  # noqa: F401  (makes timm importable)
from PIL import Image
from teachers import ADE20K, CLIP_MEAN, CLIP_STD, PASCAL, build_trunk, load_teachers
from text_tower import build_student
from torch import nn
from torch.nn import functional as F

CROP = 512
STRIDE = 16
PROJECTION_STEPS = 400
VARIANTS = 4
DROPOUT = 0.5  # on the pooled features: 10,000 masks from 322 photographs are soon learnt by heart


def normalise(image: np.ndarray) -> torch.Tensor:
    """(H, W, 3) 0..255 RGB -> (3, H, W) normalised as OpenAI CLIP's."""
    return (
        torch.from_numpy(np.ascontiguousarray(image)).float().permute(2, 0, 1) - CLIP_MEAN.view(3, 1, 1)
    ) / CLIP_STD.view(3, 1, 1)


def fit(image: np.ndarray, ids: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize a picture and its segment map so that the longer side is `longest`."""
    scale = longest / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.BILINEAR)), np.asarray(
        Image.fromarray(ids).resize(size, Image.NEAREST)
    )


def crop(image: np.ndarray, ids: np.ndarray, rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """A random CROP x CROP window; missing pixels get the mean colour."""
    height, width = ids.shape
    top, left = rng.randint(0, max(0, height - CROP)), rng.randint(0, max(0, width - CROP))
    image, ids = image[top : top + CROP, left : left + CROP], ids[top : top + CROP, left : left + CROP]
    canvas = np.broadcast_to(CLIP_MEAN.numpy().round().astype(np.uint8), (CROP, CROP, 3)).copy()
    canvas[: image.shape[0], : image.shape[1]] = image
    labels = np.zeros((CROP, CROP), ids.dtype)
    labels[: ids.shape[0], : ids.shape[1]] = ids
    return canvas, labels


def jitter(image: np.ndarray, rng: random.Random) -> np.ndarray:
    """Brightness, contrast, saturation, channel balance within 25 %."""
    x = image.astype(np.float32)
    grey = x.mean(-1, keepdims=True)
    x = grey + (x - grey) * rng.uniform(0.6, 1.4)
    x = x.mean() + (x - x.mean()) * rng.uniform(0.75, 1.25)
    x = x * rng.uniform(0.75, 1.25) * np.array([rng.uniform(0.92, 1.08) for _ in range(3)], np.float32)
    return x.clip(0, 255).astype(np.uint8)


def augmented(photos: list[Photo], index: int, rng: random.Random) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Scaled, flipped, cropped, recoloured; every second picture gets up to three segments of another one pasted in."""

    def one(i: int, low: int, high: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
        ids, labels = photos[i].masks()
        image, ids = fit(photos[i].image(), ids, rng.randint(low, high))
        if rng.random() < 0.5:
            image, ids = image[:, ::-1], ids[:, ::-1]
        return *crop(image, ids, rng), labels

    image, ids, labels = one(index, 448, 960)
    if rng.random() < 0.5:
        other, other_ids, other_labels = one(rng.randrange(len(photos)), 320, 720)
        present = [
            i for i in np.unique(other_ids).tolist() if i > 0 and 600 < (other_ids == i).sum() < 0.35 * CROP * CROP
        ]
        image, labels = image.copy(), list(labels)
        for i in rng.sample(present, min(3, len(present))):
            mask = other_ids == i
            shift = (rng.randint(-150, 150), rng.randint(-150, 150))
            mask, pasted = np.roll(mask, shift, (0, 1)), np.roll(other, shift, (0, 1))
            image[mask] = pasted[mask]
            labels.append(other_labels[i - 1])
            ids[mask] = len(labels)
    return jitter(image, rng), ids, labels


def lower(trunk: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The frozen part: (B, 3, H, W) -> (B, 64, H / 16, W / 16)."""
    x = trunk.bn1(trunk.conv_stem(images))
    for stage in trunk.blocks[:4]:
        x = stage(x)
    return x


def upper(trunk: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The trained part: (B, 64, h, w) -> dense features (B, 1280, h, w)."""
    for stage in trunk.blocks[4:]:
        x = stage(x)
    return trunk.bn2(trunk.conv_head(x))


def without_norms(trunk: nn.Module) -> nn.Module:
    """The same network with its identity norms turned into the convolutions' biases: faster in training."""
    for module in list(trunk.modules()):
        children = list(module.named_children())
        for (_, convolution), (name, norm) in pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                convolution.bias = nn.Parameter(norm.bias.detach().clone())
                setattr(module, name, norm.act)
    return trunk


def with_norms(trunk: nn.Module) -> dict[str, torch.Tensor]:
    """State of a trunk from `without_norms` in timm's own keys."""
    result = build_trunk()
    for module in result.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(1 - module.eps)
    state = result.state_dict()
    names = [name for name, module in result.named_modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))]
    modules = dict(trunk.named_modules())
    for conv, norm in zip(names[0::2], names[1::2], strict=True):
        state[f"{conv}.weight"], state[f"{norm}.bias"] = (
            modules[conv].weight.detach().clone(),
            modules[conv].bias.detach().clone(),
        )
    return state


def cell_weights(ids: np.ndarray, numbers: list[int]) -> torch.Tensor:
    """Share of each cell of STRIDE pixels that a segment covers: (R, h, w), sums to 1 over the cells."""
    ids = torch.from_numpy(np.ascontiguousarray(ids))
    masks = torch.stack([(ids == number).float() for number in numbers])
    weights = F.avg_pool2d(masks[:, None], STRIDE)[:, 0]
    return weights / weights.sum((1, 2), keepdim=True).clamp_min(1e-6)


def boxes(rng: random.Random, count: int) -> torch.Tensor:
    """Pooling weights of random boxes, (count, h, w)."""
    side = CROP // STRIDE
    weights = torch.zeros(count, side, side)
    for weight in weights:
        height, width = rng.randint(6, side), rng.randint(6, side)
        top, left = rng.randint(0, side - height), rng.randint(0, side - width)
        weight[top : top + height, left : left + width] = 1
    return weights / weights.sum((1, 2), keepdim=True)


@torch.no_grad()
def prepare(photos: list[Photo], work: Path) -> None:
    teachers = load_teachers(work)
    trunk = teachers["imagenet"].trunk
    rng, items, start = random.Random(0), [], time.time()
    for variant in range(VARIANTS):
        for index, photo in enumerate(photos):
            if variant == 0:
                ids, labels = photo.masks()
                image, ids = crop(*fit(photo.image(), ids, CROP), rng)
            else:
                image, ids, labels = augmented(photos, index, rng)
            numbers = [i + 1 for i in range(len(labels)) if (ids == i + 1).sum() >= 100]
            x = normalise(image)[None]
            early = lower(trunk, x)
            weights = torch.cat([cell_weights(ids, numbers), boxes(rng, 4)]) if numbers else boxes(rng, 4)
            pooled = torch.einsum("rhw,chw->rc", weights, upper(trunk, early)[0])
            item = {
                "early": early[0].half(),
                "weights": weights.half(),
                "labels": [labels[i - 1] for i in numbers],
                "teacher": pooled.half(),
            }
            if variant == 0:
                item["ade20k"] = F.adaptive_avg_pool2d(teachers["ade20k"](x), CROP // STRIDE)[0].half()
                item["pascal"] = teachers["pascal"](x)[0].half()
            items.append(item)
            if len(items) % 50 == 0:
                print(len(items), f"{time.time() - start:.0f} s", flush=True)
        torch.save(items, work / "image_cache.tmp")
        (work / "image_cache.tmp").rename(work / "image_cache.pt")


class Names:
    """Text embeddings of the lists that the losses classify over, each (K, 384) or, for COCO, synonyms per class."""

    def __init__(self, shared: Path, work: Path):
        data = torch.load(work / "text_targets.pt", weights_only=False)
        every = data["names"] + data["held_out"] + data["phrases"]
        row = {name: i for i, name in enumerate(every)}
        embeddings = data["targets"].float()

        def mean(names: list[str]) -> torch.Tensor:
            return F.normalize(embeddings[[row[name] for name in names if name in row]].mean(0), dim=-1)

        self.coco = [
            embeddings[[row[name] for name in names]]
            for names in read_vocabulary(shared / "vocabularies/coco_panoptic_with_prompt_eng.txt")
        ]
        self.imagenet = torch.stack(
            [mean(names[:2]) for names in imagenet_names(shared / "data/teachers/imagenet_labels.txt")]
        )
        self.ade20k = torch.stack([mean([name]) for name in ADE20K[1:]])
        self.pascal = torch.stack([mean([name.replace("tv monitor", "tv")]) for name in PASCAL[1:]])

    def draw_coco(self) -> torch.Tensor:
        """(133, 384): one synonym of each class at random, the first one half of the time."""
        return torch.stack(
            [group[0 if torch.rand(()) < 0.5 else int(torch.randint(len(group), ()))] for group in self.coco]
        )


def best_synonym(embeddings: torch.Tensor, groups: list[torch.Tensor]) -> torch.Tensor:
    """(N, D) unit rows -> (N, K) largest cosine over each class's synonyms."""
    return torch.stack([(embeddings @ group.T).amax(-1) for group in groups], -1)


class Losses(nn.Module):
    """The module's three losses on unit embeddings; one learned scale each."""

    def __init__(self, names: Names, imagenet_head: list[torch.Tensor], class_weights: torch.Tensor):
        super().__init__()
        self.names, self.imagenet_head, self.class_weights = names, imagenet_head, class_weights
        self.scales = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(math.log(20.0))) for name in ("coco", "imagenet", "ade20k", "pascal")}
        )

    def logits(self, name: str, embeddings: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return self.scales[name].exp().clamp(max=100) * F.normalize(embeddings, dim=-1) @ rows.T

    def masks(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(
            self.logits("coco", embeddings, self.names.draw_coco()),
            labels,
            weight=self.class_weights,
            label_smoothing=0.05,
        )

    def teacher(self, embeddings: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        weight, bias = self.imagenet_head
        target = F.linear(pooled, weight[1:, :, 0, 0], bias[1:]).softmax(-1)
        return F.cross_entropy(self.logits("imagenet", embeddings, self.names.imagenet), target)

    def cells(self, name: str, embeddings: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
        """embeddings (N, D), probs (N, 1 + K): the first entry is `other`, which has no words; its share does not
        count.
        """
        known = 1 - probs[:, 0]
        target = probs[:, 1:] / known[:, None].clamp_min(1e-4)
        return (
            F.cross_entropy(self.logits(name, embeddings, getattr(self.names, name)), target, reduction="none") * known
        ).mean()


class Measure:
    """Accuracy on the true masks of photographs, with the frozen part computed once."""

    def __init__(self, photos: list[Photo], trunk: nn.Module, groups: list[torch.Tensor], longest: int = 640):
        self.groups, self.entries = groups, []
        for photo in photos:
            ids, labels = photo.masks()
            image, ids = fit(photo.image(), ids, longest)
            height, width = (side // STRIDE * STRIDE for side in ids.shape)
            image, ids = image[:height, :width], ids[:height, :width]
            numbers = [i + 1 for i in range(len(labels)) if (ids == i + 1).any()]
            with torch.no_grad():
                early = lower(trunk, normalise(image)[None])
            self.entries.append((early, cell_weights(ids, numbers), torch.tensor([labels[i - 1] for i in numbers])))

    @torch.no_grad()
    def __call__(self, trunk: nn.Module, head: nn.Module) -> float:
        right = total = 0
        for early, weights, labels in self.entries:
            embeddings = F.normalize(head(torch.einsum("rhw,chw->rc", weights, upper(trunk, early)[0])), dim=-1)
            right += int((best_synonym(embeddings, self.groups).argmax(-1) == labels).sum())
            total += len(labels)
        return right / total


def save(trunk: dict, head: nn.Module, losses: Losses, path: Path) -> None:
    torch.save(
        {
            "trunk": trunk,
            "head": head.state_dict(),
            "logit_scale": losses.scales["coco"].detach(),
            "scales": losses.scales.state_dict(),
        },
        path,
    )


def prepare_losses(shared: Path, work: Path) -> tuple[list[dict], nn.Module, Losses, Measure]:
    """-> cached pictures, the ImageNet teacher, the losses, the measure on held-out photographs."""
    items = torch.load(work / "image_cache.pt", weights_only=True)
    teacher = load_teachers(work)["imagenet"]
    names = Names(shared, work)
    counts = torch.bincount(torch.tensor([label for item in items for label in item["labels"]]), minlength=133).float()
    losses = Losses(names, teacher.head[0], counts.clamp_min(1) ** -0.15 / (counts[counts > 0] ** -0.15).mean())
    print(len(items), "pictures,", int(counts.sum()), "masks", flush=True)
    return items, teacher, losses, Measure(splits(shared / "data/coco")[1], teacher.trunk, names.coco)


def project(shared: Path, work: Path) -> None:
    """The projection alone, on the teacher's own pooled features: fast, and the trunk is not torn by a random head
    later.
    """
    torch.manual_seed(0)
    items, teacher, losses, measure = prepare_losses(shared, work)
    head = build_student().visual.head
    pooled = torch.cat([item["teacher"] for item in items]).float()
    labels = torch.cat(
        [torch.tensor(item["labels"] + [-1] * (len(item["teacher"]) - len(item["labels"]))) for item in items]
    )
    cells = []
    with torch.no_grad():
        for item in items:
            if "ade20k" in item:
                dense = upper(teacher.trunk, item["early"][None].float())[0].flatten(1)
                chosen = torch.randperm(dense.shape[1])[:64]
                cells.append(
                    [
                        x[:, chosen].T
                        for x in (dense, item["ade20k"].float().flatten(1), item["pascal"].float().flatten(1))
                    ]
                )
    cell_features, ade20k, pascal = (torch.cat(parts) for parts in zip(*cells, strict=True))
    optimizer = torch.optim.AdamW([*head.parameters(), *losses.parameters()], lr=1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=PROJECTION_STEPS)
    for _ in range(PROJECTION_STEPS):
        chosen, places = torch.randint(len(pooled), (384,)), torch.randint(len(ade20k), (192,))
        embeddings, known = head(F.dropout(pooled[chosen], DROPOUT)), labels[chosen] >= 0
        vectors = head(F.dropout(cell_features[places], DROPOUT))
        dense_loss = losses.cells("ade20k", vectors, ade20k[places]) + losses.cells("pascal", vectors, pascal[places])
        loss = (
            losses.masks(embeddings[known], labels[chosen][known])
            + 0.5 * losses.teacher(embeddings, pooled[chosen])
            + 0.6 * dense_loss
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    print(f"projection alone: held out {measure(teacher.trunk, head):.3f}", flush=True)
    save(teacher.trunk.state_dict(), head, losses, work / "image_projection.pt")


def finetune(shared: Path, work: Path, minutes: float) -> None:
    """Trunk and projection together, from `image_projection.pt`."""
    torch.manual_seed(0)
    rng = random.Random(0)
    items, _, losses, measure = prepare_losses(shared, work)
    start_state = torch.load(work / "image_projection.pt", weights_only=True)
    losses.scales.load_state_dict(start_state["scales"])
    head = build_student().visual.head
    head.load_state_dict(start_state["head"])
    trunk = build_trunk()
    trunk.load_state_dict(start_state["trunk"])
    trunk = without_norms(trunk)
    trainable = [p for module in (*trunk.blocks[4:], trunk.conv_head) for p in module.parameters()]
    groups = [
        {"params": trainable, "peak": 4e-5, "weight_decay": 0.01},
        {"params": [*head.parameters(), *losses.parameters()], "peak": 2e-4, "weight_decay": 0.02},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0)
    order, start, step, running = [], time.time(), 0, torch.zeros(3)
    while (time.time() - start) / 60 < minutes:
        done = (time.time() - start) / 60 / minutes
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * min(1, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * done))
        if len(order) < 8:
            order = rng.sample(range(len(items)), len(items))
        batch = [items[order.pop()] for _ in range(8)]
        dense = upper(trunk, torch.stack([item["early"] for item in batch]).float())
        embeddings = head(
            F.dropout(
                torch.cat(
                    [torch.einsum("rhw,chw->rc", item["weights"].float(), dense[i]) for i, item in enumerate(batch)]
                ),
                DROPOUT,
            )
        )
        known = torch.cat(
            [torch.tensor(item["labels"] + [-1] * (len(item["teacher"]) - len(item["labels"]))) for item in batch]
        )
        parts = [
            losses.masks(embeddings[known >= 0], known[known >= 0]),
            losses.teacher(embeddings, torch.cat([item["teacher"] for item in batch]).float()),
        ]
        cells = []
        for i, item in enumerate(batch):
            if "ade20k" in item:
                chosen = torch.randperm(dense[i, 0].numel())[:96]
                vectors = head(dense[i].flatten(1)[:, chosen].T)
                cells += [
                    losses.cells(name, vectors, item[name].float().flatten(1)[:, chosen].T)
                    for name in ("ade20k", "pascal")
                ]
        parts.append(sum(cells) / len(cells) * 2 if cells else torch.zeros(()))
        loss = parts[0] + 0.5 * parts[1] + 0.3 * parts[2]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 5.0)
        optimizer.step()
        step += 1
        running += torch.stack([part.detach() for part in parts])
        if step % 20 == 0:
            score = f"held out {measure(trunk, head):.3f}" if step % 100 == 0 else ""
            minute, means = (time.time() - start) / 60, [round(float(x), 3) for x in running / 20]
            print(f"step {step} minute {minute:.1f} masks, teacher, cells {means} {score}", flush=True)
            running.zero_()
    print(f"end to end: held out {measure(trunk, head):.3f}, steps {step}", flush=True)
    save(with_norms(trunk), head, losses, work / "image_tower.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "project", "finetune"])
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    parser.add_argument("--minutes", type=float, default=14)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    training, _, _ = splits(arguments.shared / "data/coco")
    if arguments.step == "prepare":
        prepare(training, arguments.work)
    elif arguments.step == "project":
        project(arguments.shared, arguments.work)
    else:
        finetune(arguments.shared, arguments.work, arguments.minutes)


if __name__ == "__main__":
    main()
