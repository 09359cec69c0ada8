"""A stand-in for a segmenter, quick and sure of itself, and folders of images for it."""

from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from maskadapter.io import read_input
from maskadapter.results.activation_maps import ActivationMaps
from maskadapter.results.segmentation import Segmentation
from maskadapter.types.encoded_image import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary


class Halves:
    """Finds two segments in every image: where it is brighter than its mean, and the rest."""

    precision = "fp32"
    images_together = 1

    def __init__(self):
        self.given = []

    def encode_text(self, classes, things=None):
        if isinstance(classes, SimpleNamespace):
            return classes
        return SimpleNamespace(vocabulary=Vocabulary.of(classes, things))

    def encode_image(self, source, masks=None):
        return source

    def activation_maps(self, source, result):
        return ActivationMaps(np.full((len(result.largest_segments()), 1, 2, 2), 0.25, np.float32), result.sizes)

    def segment(self, source, encoded, background="coco-stuff", masks=None):
        if isinstance(encoded, Vocabulary):
            encoded = self.encode_text(encoded)
        image = read_input(source).pixels
        self.given.append(source)  # one that cannot be read is not
        height, width = image.shape[:2]
        gray = image.mean(axis=2)
        bright = torch.from_numpy(np.where(gray > gray.mean(), 9.0, -9.0)).float()
        probs = torch.zeros(2, len(encoded.vocabulary) + 1)
        probs[0, 0], probs[1, min(1, len(encoded.vocabulary) - 1)] = 0.9, 0.6
        sizes = ImageSizes(padded=(height, width), resized=(height, width), original=(height, width))
        name = getattr(source, "name", None) or "image.png"
        return Segmentation(image, encoded.vocabulary, torch.stack([bright, -bright]), probs, sizes, file_name=name)


def make_images(folder, names, size=(48, 32), **options):
    """Images with blobs, each with its own."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        small = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path, **options)
    return folder


def contents(folder):
    """Relative name -> bytes of every file below a folder, hidden ones as well."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
