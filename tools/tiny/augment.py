"""Augment images for the image encoder: crop, jitter, paste in segments of other images."""

import random
from typing import Protocol

import numpy as np
import torch
from lite2 import CLIP_MEAN, CLIP_STD
from PIL import Image
from torch.nn import functional as F

CROP = 512
STRIDE = 16


def normalize(image: np.ndarray) -> torch.Tensor:
    """(H, W, 3) 0..255 RGB -> (3, H, W) normalized as OpenAI CLIP's."""
    return (
        torch.from_numpy(np.ascontiguousarray(image)).float().permute(2, 0, 1) - CLIP_MEAN.view(3, 1, 1)
    ) / CLIP_STD.view(3, 1, 1)


def fit(image: np.ndarray, ids: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize an image and its segment map so that the longer side is `longest`."""
    scale = longest / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.BILINEAR)), np.asarray(
        Image.fromarray(ids).resize(size, Image.NEAREST)
    )


def crop(image: np.ndarray, ids: np.ndarray, rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """Cut out a random CROP x CROP window; missing pixels get the mean color."""
    height, width = ids.shape
    top, left = rng.randint(0, max(0, height - CROP)), rng.randint(0, max(0, width - CROP))
    image, ids = image[top : top + CROP, left : left + CROP], ids[top : top + CROP, left : left + CROP]
    canvas = np.broadcast_to(CLIP_MEAN.numpy().round().astype(np.uint8), (CROP, CROP, 3)).copy()
    canvas[: image.shape[0], : image.shape[1]] = image
    labels = np.zeros((CROP, CROP), ids.dtype)
    labels[: ids.shape[0], : ids.shape[1]] = ids
    return canvas, labels


def jitter(image: np.ndarray, rng: random.Random) -> np.ndarray:
    """Change brightness, contrast, saturation and channel balance within 25 %."""
    x = image.astype(np.float32)
    gray = x.mean(-1, keepdims=True)
    x = gray + (x - gray) * rng.uniform(0.6, 1.4)
    x = x.mean() + (x - x.mean()) * rng.uniform(0.75, 1.25)
    x = x * rng.uniform(0.75, 1.25) * np.array([rng.uniform(0.92, 1.08) for _ in range(3)], np.float32)
    return x.clip(0, 255).astype(np.uint8)


class Masks(Protocol):
    """An image and its labels: (H, W, 3) uint8, (H, W) int32 with i + 1 for segment i, a label for each segment."""

    def __call__(self) -> tuple[np.ndarray, np.ndarray, list[int]]: ...


def augmented(photo: Masks, donors: list[Masks], rng: random.Random) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Scale, flip, crop and recolor an image; every second one gets up to three segments of a donor pasted in."""

    def one(source: Masks, low: int, high: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
        image, ids, labels = source()
        image, ids = fit(image, ids, rng.randint(low, high))
        if rng.random() < 0.5:
            image, ids = image[:, ::-1], ids[:, ::-1]
        return *crop(image, ids, rng), labels

    image, ids, labels = one(photo, 448, 960)
    if rng.random() < 0.5:
        other, other_ids, other_labels = one(rng.choice(donors), 320, 720)
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


def location_weights(ids: np.ndarray, numbers: list[int]) -> torch.Tensor:
    """Share of each feature location (STRIDE pixels) that a segment covers: (R, h, w), sums to 1 over the locations."""
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
