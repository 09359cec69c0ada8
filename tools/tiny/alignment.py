"""Align one frozen image encoder with text in two ways, to see what each leaves to an adapter.

The trunk is EfficientNet-Lite2 with its ImageNet weights. Only the projection is trained, on the 1,498 unlabelled
photos and the teachers' labels of them (`labels.py`). The photos that people labeled are left to the adapter. What
differs between the two levels is which features stand for a label, and nothing else:
  - image: the average over the whole photo or crop. Its labels are the names of what is in it, as a caption's. No
    region is ever pooled; this is how CLIP is trained.
  - region: the average over the region that has the label.
The projection is linear: on the image level an MLP learns whole photos by heart and says little about their parts.
Losses as in `image_encoder.py`, the label's classes and the original network's probabilities over ImageNet's names;
and, as in CLIP, the other direction: which features of the batch a class name belongs to. Rare classes are drawn more
often.

    python tools/tiny/alignment.py prepare --number 2 --shared ../shared --work build/tiny   # and 3
    python tools/tiny/alignment.py train --level image --seed 0 --shared ../shared --work build/tiny
    python tools/tiny/alignment.py pack --level image --seed 0 --rest tiny.safetensors --work build/tiny

One thread: 3 minutes for a pass of `prepare`, 2 for `train`. Reads `lite2.pt`, `pseudo_labels.pt`. Writes
`alignment_pass_<number>.pt`, `alignment-<level>-<seed>.pt`, and models that `maskadapter.load` takes:
`aligned-<level>-<seed>.safetensors`, with the proposal head of the model `--rest`.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from assemble import build, load_text, text_file
from augment import STRIDE, fit, jitter, location_weights, normalize
from coco import splits, unlabelled_photos
from image_encoder import DROPOUT
from image_losses import Accuracy, Losses, Names
from labels import Labels
from lite2 import FEATURES, imagenet_probs, load, lower, upper
from torch import nn
from torch.nn import functional as F

from maskadapter.hub.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from maskadapter.models.builder import TINY_CLIP

SIDE = 512  # largest side of an image that is encoded, pixels
LEAST = 100  # pixels of a label in an image
STEPS, BATCH = 1500, 512


class LinearProjection(nn.Module):
    """Linear map from features (..., 1400), set to mean 0 and deviation 1 first, to embeddings (..., 384)."""

    def __init__(self, samples: torch.Tensor):
        super().__init__()
        self.register_buffer("mean", samples.mean(0))
        self.register_buffer("deviation", samples.std(0).clamp_min(1e-3))
        self.linear = nn.Linear(FEATURES, 384)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear(F.dropout((features - self.mean) / self.deviation, DROPOUT, self.training))

    @torch.no_grad()
    def as_open_clip(self) -> dict[str, torch.Tensor]:
        """State of open_clip's `timm_proj: mlp` with the same result: GELU(x) - GELU(-x) = x."""
        weight = self.linear.weight / self.deviation
        bias, same = self.linear.bias - weight @ self.mean, torch.eye(384)
        both = {"mlp.fc1.weight": torch.cat([weight, -weight]), "mlp.fc1.bias": torch.cat([bias, -bias])}
        return both | {"mlp.fc2.weight": torch.cat([same, -same], 1)}


def found_by_name(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Minus the log probability, over the N features, of those that belong to a class's name: mean over the classes.

    logits: (N, 133). classes: (N, 133), 0 or 1.
    """
    found = classes.any(0)
    shares = (classes / classes.sum(0).clamp_min(1))[:, found]
    return -(logits[:, found].log_softmax(0) * shares).sum(0).mean()


def view(image: np.ndarray, ids: np.ndarray, number: int, rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """The whole photo in pass 0; else a scaled, mirrored, recolored window of it. Sides are multiples of STRIDE."""
    image, ids = fit(image, ids, SIDE if number == 0 else rng.randint(SIDE, 960))
    if number:
        if rng.random() < 0.5:
            image, ids = image[:, ::-1], ids[:, ::-1]
        top, left = (rng.randint(0, max(0, side - SIDE)) for side in ids.shape)
        image, ids = (part[top : top + SIDE, left : left + SIDE] for part in (image, ids))
        image = jitter(image, rng)
    height, width = (side // STRIDE * STRIDE for side in ids.shape)
    return image[:height, :width], ids[:height, :width]


@torch.no_grad()
def prepare(shared: Path, work: Path, number: int) -> None:
    """Encode every photo once: `pooled` (1 + R, 1400), of the whole and of R regions, and `labels` (R,)."""
    trunk = load(work)[0].to(memory_format=torch.channels_last)
    labels, rng, items = Labels(work), random.Random(number), []
    for photo in unlabelled_photos(shared / "data/coco"):
        image, ids, names = labels.of(photo)
        image, ids = view(image, ids, number, rng)
        numbers = [i + 1 for i in range(len(names)) if (ids == i + 1).sum() >= LEAST]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pixels = normalize(image)[None].contiguous(memory_format=torch.channels_last)
            dense = upper(trunk, lower(trunk, pixels))[0].float()
        whole = torch.full((1, *dense.shape[1:]), 1 / dense[0].numel())
        weights = torch.cat([whole, location_weights(ids, numbers)]) if numbers else whole
        items.append(
            {
                "pooled": torch.einsum("rhw,chw->rc", weights, dense).half(),
                "labels": torch.tensor([names[i - 1] for i in numbers], dtype=torch.long),
            }
        )
    torch.save(items, work / f"alignment_pass_{number}.pt")


def pairs(items: list[dict], level: str, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features (N, 1400), a label of each (N,), and every class that the features show (N, 133).

    classes: what each label can be. On the image level a label counts once for an image, as a name does.
    """
    features, labels, shown = [], [], []
    for item in items:
        own, pooled = item["labels"], item["pooled"][1:]
        names = classes[own]
        if level == "image" and len(own):
            own = own.unique()
            pooled, names = item["pooled"][:1].expand(len(own), -1), names.amax(0, keepdim=True).expand(len(own), -1)
        features.append(pooled)
        labels.append(own)
        shown.append(names)
    return torch.cat(features), torch.cat(labels), torch.cat(shown)


def train(shared: Path, work: Path, level: str, seed: int) -> None:
    torch.manual_seed(seed)
    items = [item for path in sorted(work.glob("alignment_pass_*.pt")) for item in torch.load(path, weights_only=True)]
    meanings, names = Labels(work), Names(shared, work)
    trunk, classifier = load(work)
    features, labels, shown = pairs(items, level, meanings.classes)
    possible = meanings.classes[labels] / meanings.classes[labels].sum(1, keepdim=True)
    share = possible @ possible.sum(0).clamp_min(1) ** -0.5  # of the draws
    losses = Losses(names, torch.ones(133))
    projection = LinearProjection(features[:: len(features) // 20000 + 1].float())
    accuracy = Accuracy(splits(shared / "data/coco")[1], trunk, names.coco)
    print(level, len(items), "images,", len(features), "pairs")
    optimizer = torch.optim.AdamW([*projection.parameters(), *losses.parameters()], lr=0, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=STEPS)
    for step in range(1, STEPS + 1):
        chosen = torch.multinomial(share, BATCH, replacement=True)
        pooled, label = features[chosen].float(), labels[chosen]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            embeddings = projection.train()(pooled).float()
        named = losses.masks(embeddings, meanings.classes[label], meanings.trust[label])
        found = found_by_name(losses.logits("coco", embeddings, names.draw_coco()), shown[chosen])
        loss = named + found + 0.5 * losses.teacher(embeddings, imagenet_probs(classifier, pooled))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            right = accuracy(trunk, projection.eval())
            print(step, f"{float(loss.detach()):.3f}", json.dumps(right), flush=True)
    scale = losses.scales["coco"].detach().clone()
    state = {"head": projection.as_open_clip(), "logit_scale": scale, "held_out": right}
    torch.save(state, work / f"alignment-{level}-{seed}.pt")


def pack(work: Path, level: str, seed: int, rest: Path) -> None:
    """Write the aligned encoders with everything else of the model in the file `rest`."""
    trained = torch.load(work / f"alignment-{level}-{seed}.pt", weights_only=True)
    clip = load_text(build().clip, text_file(work))
    clip.model.visual.trunk.load_state_dict(load(work)[0].state_dict())
    clip.model.visual.head.load_state_dict(trained["head"])
    clip.model.logit_scale.data = trained["logit_scale"]
    other = read_checkpoint(rest)
    tensors = {name: value for name, value in other.tensors.items() if not name.startswith("clip.")}
    tensors |= {f"clip.{name}": value for name, value in clip.state_dict().items()}
    tensors = {name: t.half() if t.is_floating_point() and t.ndim else t for name, t in tensors.items()}
    facts = {**other.metadata, "clip_config": TINY_CLIP, "alignment": f"{level} level, seed {seed}"}
    write_checkpoint(work / f"aligned-{level}-{seed}.safetensors", tensors, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "train", "pack"])
    parser.add_argument("--shared", type=Path, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    parser.add_argument("--number", type=int, default=0, help="of the pass of `prepare`: 0 whole, others cropped")
    parser.add_argument("--level", choices=["image", "region"], default="image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rest", type=Path, help="a model file whose proposal head `pack` takes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if arguments.step == "prepare":
        prepare(arguments.shared, arguments.work, arguments.number)
    elif arguments.step == "train":
        train(arguments.shared, arguments.work, arguments.level, arguments.seed)
    else:
        pack(arguments.work, arguments.level, arguments.seed, arguments.rest)


if __name__ == "__main__":
    main()
