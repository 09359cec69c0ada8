"""Training transforms against what the official training mappers make of one image.

With MASKADAPTER_FIXTURES the recordings in its folder ``mappers`` are compared whole, without it the golden files are,
of which ``make_golden_mappers`` kept some pixels. No pixel may differ.
"""

import json
import os
from pathlib import Path
from random import Random

import numpy as np
import pytest

from maskadapter.data.dataset import Sample
from maskadapter.data.loading.color_jitter import jitter_color
from maskadapter.data.loading.transforms import TrainingTransform
from maskadapter.io.images import read_image, read_labels
from maskadapter.types.target import UNLABELED, Target

GOLDEN = Path(__file__).parent / "golden_mappers"
RECORDED = os.environ.get("MASKADAPTER_FIXTURES")
FOLDER = Path(RECORDED) / "mappers" if RECORDED else GOLDEN
NO_LABEL = 255  # in the official label maps
SIZE = 128


def _cases():
    """(file, mapper, seed) of everything recorded."""
    found = set()
    for path in sorted(FOLDER.glob("*.npz")):
        with np.load(path) as recorded:
            found |= {(path.stem, *key.split(".")[:2]) for key in recorded if key != "every"}
    return sorted(found)


def _panoptic() -> Target:
    """What the panoptic mapper reads: its ids are spread over red, green and blue."""
    ids = read_labels(FOLDER / "pan.png").astype(np.int32) @ [1, 256, 256**2]
    segments = json.loads((FOLDER / "segments_info.json").read_text())
    numbers = np.full(ids.shape, UNLABELED, np.int32)
    for number, segment in enumerate(segments):
        numbers[ids == segment["id"]] = number
    classes = np.array([segment["category_id"] for segment in segments])
    return Target(classes, np.array([segment["iscrowd"] == 1 for segment in segments]), numbers)


def _semantic() -> Target:
    labels = read_labels(FOLDER / "sem.png").astype(np.int32)
    return Target.of_labels(np.where(labels == NO_LABEL, UNLABELED, labels))


def test_there_is_something_to_compare_with():
    assert {mapper for _, mapper, _ in _cases()} >= {"panoptic", "semantic", "combine_pan"}
    if RECORDED:
        assert {file for file, _, _ in _cases()} == {"fcclip", "maft", "mask_adapter"}


@pytest.mark.parametrize(("file", "mapper", "seed"), _cases())
def test_every_pixel_is_the_official_mappers(file, mapper, seed):
    with np.load(FOLDER / f"{file}.npz") as archive:
        recorded = {key.split(".")[-1]: archive[key] for key in archive if key.startswith(f"{mapper}.{seed}.")}
        every = int(archive["every"]) if "every" in archive else 1
    semantic = mapper.endswith("semantic")
    sample = Sample(read_image(FOLDER / "img.png"), _semantic() if semantic else _panoptic(), "img.png")
    transform = TrainingTransform(SIZE, rounding="corner" if semantic else "center")
    number = int(seed.removeprefix("s"))
    made = transform(sample, np.random.RandomState(number))
    # The one mapper that varies colors draws from Python's generator.
    image = jitter_color(made.image, Random(number)) if mapper == "combine_pan" else made.image

    masks, labels = made.target.masks(), made.target.labels()
    # The official mappers leave out crowds; the semantic ones leave out classes that no pixel shows any more.
    kept = masks.any(axis=(1, 2)) if semantic else ~made.target.is_crowd
    ours = {
        "image": image.transpose(2, 0, 1)[..., ::every, ::every],
        "gt_masks": masks[kept][..., ::every, ::every],
        "gt_classes": made.target.classes[kept],
        "sem_seg": np.where(labels == UNLABELED, NO_LABEL, labels)[::every, ::every],
    }
    assert recorded
    for name, expected in recorded.items():
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)
