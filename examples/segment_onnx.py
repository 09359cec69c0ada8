"""Segment a photo with the files of ``maskadapter export``: NumPy, onnxruntime and Pillow, without PyTorch.

    python segment_onnx.py FOLDER photo.jpg "cat, sofa|couch, wall" [masks.npy]

Prints the share of every class and writes photo-labels.png: value = index of the class + 1, 0 = none. Of a model that
proposes masks the result is that of ``model.segment(photo, classes, background=None)``. masks.npy, (N, H, W) bool at
the photo's size, takes the place of proposals. The embedded model finds its regions by watershed and merging, which
cannot be exported: without masks.npy this script takes simpler ones, the areas between its boundaries, with SciPy.
"""

import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

MASKS_AT_A_TIME = 8  # the adapter needs memory for 4 x 768 numbers at each feature location of each mask
_PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTED]
# The sign of each byte in the vocabulary. Source: OpenAI's bytes_to_unicode
SIGNS = dict(zip([*_PRINTED, *_OTHERS], map(chr, [*_PRINTED, *range(256, 256 + len(_OTHERS))]), strict=True))


class OnnxModel:
    """The exported files in a folder."""

    def __init__(self, folder):
        self.folder, self.sessions = Path(folder), {}
        self.config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        bpe = json.loads((self.folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
        self.ids, self.ranks = bpe["vocab"], {tuple(pair.split()): rank for rank, pair in enumerate(bpe["merges"])}

    def run(self, name, **inputs):
        """Run a file; inputs that it does not have are left out."""
        if name not in self.sessions:
            path = self.folder / self.config["files"][name]
            self.sessions[name] = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        session = self.sessions[name]
        given = {one.name: inputs[one.name] for one in session.get_inputs()}
        return dict(zip([one.name for one in session.get_outputs()], session.run(None, given), strict=True))

    def tokens(self, text):
        """Token ids of a prompt: byte pair encoding of its pieces, between a start and an end."""
        ids = [self.ids["<start_of_text>"]]
        for piece in re.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", text.lower()):
            word = [SIGNS[byte] for byte in piece.encode()]
            word[-1] += "</w>"
            while pairs := [pair for pair in pairwise(word) if pair in self.ranks]:
                first, second = min(pairs, key=self.ranks.get)
                joined, place = [], 0
                while place < len(word):
                    found = word[place : place + 2] == [first, second]
                    joined.append(first + second if found else word[place])
                    place += 1 + found
                word = joined
            ids += [self.ids[part] for part in word]
        return [*ids[: self.config["context_length"] - 1], self.ids["<end_of_text>"]]

    def encode_text(self, names):
        """Unit vectors (S, D) of names: the mean of all prompts of a name."""
        templates = self.config["text"]["templates"]
        prompts = [self.tokens(template.format(name)) for name in names for template in templates]
        tokens = np.array([ids + [0] * (max(map(len, prompts)) - len(ids)) for ids in prompts])
        embeddings = self.run("text", tokens=tokens)["text_embeddings"]
        return unit(embeddings.reshape(len(names), len(templates), -1).mean(axis=1))

    def encode_image(self, image):
        """What image.onnx finds in an image (H, W, 3) uint8, and (padded, resized, image) of height and of width."""
        rule = self.config["image"]
        scale = rule["shortest"] / min(image.shape[:2])
        scale *= min(1.0, rule["longest"] / (max(image.shape[:2]) * scale))
        height, width = (max(1, int(side * scale + 0.5)) for side in image.shape[:2])
        resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR), np.float32)
        padded = [-(-side // rule["divisor"]) * rule["divisor"] for side in (height, width)]
        pixels = np.zeros((1, 3, *padded), np.float32)
        pixels[0, :, :height, :width] = ((resized - rule["mean"]) / rule["std"]).transpose(2, 0, 1)
        return self.run("image", pixels=pixels), list(zip(padded, (height, width), image.shape[:2], strict=True))

    def pool(self, found, mask_logits):
        """Mask embeddings (N, D) of mask logits (1, N, h, w)."""
        embeddings = []
        for start in range(0, mask_logits.shape[1], MASKS_AT_A_TIME):
            part = {**found, "mask_logits": mask_logits[:, start : start + MASKS_AT_A_TIME]}
            embeddings.append(self.run(self.config["pooler"], **part)["mask_embeddings"][0])
        return np.concatenate(embeddings)

    def probabilities(self, found, mask_logits, classes):
        """Class probabilities (N, K) of masks, times that of being anything. classes: K tuples of synonyms."""
        config, sizes = self.config, [len(synonyms) for synonyms in classes]
        names = [name for synonyms in classes for name in synonyms]
        text = np.concatenate([self.encode_text(names), np.float32([config["void_embedding"]])])
        of_clip = text
        if config["transfer"]:
            of_clip = self.run("transfer", text_embeddings=text, projected=found["projected"])["transferred"][0]
        starts = np.cumsum([0, *sizes])  # the best synonym of each class counts; void is the last
        logits = config["logit_scale"] * unit(self.pool(found, mask_logits)) @ of_clip.T
        out = np.maximum.reduceat(logits, starts, axis=1)[:, :-1]
        if "class_embeddings" not in found:  # given masks
            return np.exp(log_softmax(out))
        logits = config["proposal_logit_scale"] * unit(found["class_embeddings"][0]) @ text.T
        own = np.maximum.reduceat(logits, starts, axis=1)
        if "objectness" in found:  # of the embedded model: logits (N,) that a region is one thing
            own[:, -1] = np.logaddexp.reduce(own[:, :-1], axis=1) - found["objectness"]
        seen = [not set(config["seen"]).isdisjoint(synonyms) for synonyms in classes]
        weight = np.where(seen, config["alpha"], config["beta"])
        mixed = (1 - weight) * log_softmax(own[:, :-1]) + weight * log_softmax(out)
        return np.exp(log_softmax(mixed)) * (1 - np.exp(log_softmax(own)[:, -1:]))

    def segment(self, image, classes, masks=None):
        """The class of every pixel, (H, W), -1 for none. image, classes: as above. masks: (N, H, W) bool."""
        found, sides = self.encode_image(image)
        if masks is None and "mask_logits" in found:
            probs = self.probabilities(found, found["mask_logits"], classes)
            return self.semantic(found["mask_logits"][0], probs, sides)
        masks = regions(found["boundary_logits"][0], sides) if masks is None else masks
        given = {"dense": found["dense"], "projected": found["projected"]}
        probs = self.probabilities(given, at_stride_4(masks, sides)[None], classes)
        scores = np.tensordot(probs.T, masks, 1)  # every mask votes for its classes
        return np.where(masks.any(axis=0), scores.argmax(axis=0), -1)

    def semantic(self, mask_logits, probs, sides):
        """The class with the largest sum of class times mask probability: mask_logits (N, h, w), probs (N, K)."""
        masks_first = self.config["semantic_order"] == "masks-first"
        maps = mask_logits if masks_first else np.tensordot(probs.T, sigmoid(mask_logits), 1)
        rows, columns = (
            linear(image, resized) @ linear(padded, count)[:resized]
            for count, (padded, resized, image) in zip(maps.shape[1:], sides, strict=True)
        )
        labels = []
        for start in range(0, len(rows), 32):  # all masks at the size of the image would be large
            tile = rows[start : start + 32] @ maps @ columns.T
            labels.append((np.tensordot(probs.T, sigmoid(tile), 1) if masks_first else tile).argmax(axis=0))
        return np.concatenate(labels)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def log_softmax(x):
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))  # far below 0 not 0, where every mask may be


def linear(outputs, inputs):
    """Weights (outputs, inputs) of resizing a side bilinearly."""
    place = np.clip((np.arange(outputs) + 0.5) * inputs / outputs - 0.5, 0, inputs - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(inputs))).astype(np.float32)


def at_stride_4(masks, sides):
    """Logits (N, h, w) of masks (N, H, W) bool: -10 to 10 with the share of a location that a mask covers."""
    (high, height, _), (wide, width, _) = sides
    logits = np.full((len(masks), high // 4, wide // 4), -10, np.float32)
    for row, mask in zip(logits, masks, strict=True):
        padded = np.zeros((high, wide), np.float32)
        resized = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        padded[:height, :width] = np.asarray(resized)
        share = padded.reshape(high // 4, 4, wide // 4, 4).mean(axis=(1, 3))
        row[:] = 20 * share / max(share.max(), 1e-9) - 10
    return logits


def regions(boundary_logits, sides):
    """Masks (N, H, W) bool of the embedded model: what hangs together below boundaries of several heights."""
    from scipy import ndimage

    (high, height, rows), (wide, width, columns) = sides
    _, have_rows, have_columns = boundary_logits.shape
    boundaries = sigmoid(boundary_logits).mean(axis=0)[: height * have_rows // high, : width * have_columns // wide]
    boundaries, masks = ndimage.gaussian_filter(boundaries, 1.3), [np.ones((rows, columns), bool)]
    for level in (0.05, 0.1, 0.2, 0.3):
        labels, _ = ndimage.label(boundaries < level)
        nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
        grown = Image.fromarray(labels[tuple(nearest)].astype(np.int32))
        full = np.asarray(grown.resize((columns, rows), Image.Resampling.NEAREST))
        masks += [full == one for one in np.flatnonzero(np.bincount(full.ravel()) > 0.002 * full.size)]
    return np.stack(masks)


if __name__ == "__main__":
    folder, photo, text = sys.argv[1:4]
    groups = [tuple(name.strip() for name in one.split("|")) for one in text.split(",")]
    given = np.load(sys.argv[4]) if len(sys.argv) > 4 else None
    labels = OnnxModel(folder).segment(np.asarray(Image.open(photo).convert("RGB")), groups, given)
    for number, names in enumerate(groups):
        print(f"{names[0]}: {(labels == number).mean():.0%}")
    Image.fromarray((labels + 1).astype(np.uint8)).save(f"{Path(photo).stem}-labels.png")
