"""What the tests of the labeling tools' protocols share: a client, a photo, and an image with known halves."""

import base64
import io

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient
from many import Halves
from PIL import Image

from maskadapter.results import Classification, classified
from maskadapter.types import CompactMask

SIZE = (40, 60)


def client(router):
    app = FastAPI()
    app.include_router(router)
    return TestClient(app, raise_server_exceptions=False)


def halves(pixels, vocabulary):
    """Class 0 where it is bright, class 1 elsewhere."""
    return Halves().segment(pixels, vocabulary)


def with_an_empty_mask(pixels, vocabulary):
    """Class 0 where it is bright, and a mask without pixels, which has no class."""
    masks = np.stack([pixels.mean(axis=2) > pixels.mean(), np.zeros(pixels.shape[:2], bool)])
    probs = np.array([[0.9, *[0] * (len(vocabulary) - 1)], [np.nan] * len(vocabulary)], np.float32)
    found = classified([CompactMask.of(mask) for mask in masks], probs, vocabulary)
    return Classification(pixels, vocabulary, found, "image.png")


def bright_mask():
    """Two bright parts, the first with a hole."""
    mask = np.zeros(SIZE, bool)
    mask[5:25, 10:40], mask[10:18, 20:30], mask[30:38, 45:58] = True, False, True
    return mask


def image_bytes(mask=None, format="PNG"):
    mask = bright_mask() if mask is None else mask
    file = io.BytesIO()
    Image.fromarray(np.where(mask, 250, 20).astype(np.uint8)).convert("RGB").save(file, format)
    return file.getvalue()


def image_text():
    return base64.b64encode(image_bytes()).decode()


def filled(rings, size=SIZE):
    """The pixels inside rings [[x, y], ...], each filled on its own."""
    from skimage.draw import polygon2mask

    masks = [polygon2mask(size, np.array(ring)[:, ::-1] - 0.5) for ring in rings]
    return np.logical_or.reduce(masks)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def decode_brush(content):
    """Label Studio's bytes of a brush mask as values, read bit by bit."""
    bits = iter(np.unpackbits(np.array(content, np.uint8)).tolist())

    def number(count):
        return int("".join(str(next(bits)) for _ in range(count)), 2)

    total, word, sizes = number(32), number(5) + 1, [number(4) + 1 for _ in range(4)]
    values = []
    while len(values) < total:
        same = number(1)
        length = number(sizes[number(2)]) + 1
        values += [number(word)] * length if same else [number(word) for _ in range(length)]
    return np.array(values, np.uint8)
