"""Real COCO files, in the folder that MASKADAPTER_COCO names."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from maskadapter.data.opening import open_dataset
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError

COCO = Path(os.environ.get("MASKADAPTER_COCO", "none"))
needs_coco = pytest.mark.skipif(not COCO.is_dir(), reason="MASKADAPTER_COCO names no folder of COCO 2017")


@needs_coco
@pytest.mark.parametrize("split", ["train", "val"])
def test_real_coco_panoptic(split):
    dataset = open_dataset("coco-panoptic", COCO, split)
    assert len(dataset) >= 50
    listed = json.loads((COCO / f"annotations/panoptic_{split}2017.json").read_bytes())
    names = {row["id"]: row["name"] for row in listed["categories"]}
    by_id = {row["image_id"]: row for row in listed["annotations"]}
    crowds = 0
    for index in range(50):
        sample = dataset[index]
        segments = by_id[listed["images"][index]["id"]]["segments_info"]
        assert sample.name == listed["images"][index]["file_name"]
        # COCO states the area of every segment.
        assert sample.target.masks().sum(axis=(1, 2)).tolist() == [segment["area"] for segment in segments]
        assert sorted(set(sample.target.classes.tolist())) == dataset.classes_of(index)
        for number, segment in zip(sample.target.classes, segments, strict=True):
            first = names[segment["category_id"]].split("-")[0]
            assert any(first in name or name in first for name in dataset.vocabulary.classes[number]) or first in (
                "light",
                "remote",
                "rug",
            )
        crowds += int(sample.target.is_crowd.sum())
    assert split == "train" or crowds == 2


@needs_coco
def test_real_coco_instances(tmp_path):
    described = {
        "task": "instance",
        "train": {"images": str(COCO / "train2017"), "annotations": str(COCO / "annotations/instances_train2017.json")},
    }
    path = tmp_path / "coco.yaml"
    path.write_text(json.dumps(described))
    dataset = open_dataset(path, split="train")
    assert len(dataset.vocabulary) == 80
    listed = json.loads((COCO / "annotations/instances_train2017.json").read_bytes())
    areas = {}
    for row in listed["annotations"]:
        areas.setdefault(row["image_id"], []).append(row["area"])
    off = []
    for index in range(0, len(dataset), 5):
        target = dataset[index].target
        pixels = target.masks().sum(axis=(1, 2)).tolist()
        expected = areas.get(listed["images"][index]["id"], [])
        assert len(pixels) == len(expected)
        off += [abs(a - b) / b for a, b, crowd in zip(pixels, expected, target.is_crowd, strict=True) if b > 2_000]
    # The area of a polygon against its pixels.
    assert len(off) > 50
    assert np.median(off) < 0.01


@needs_coco
def test_real_coco_is_incomplete():
    with pytest.raises(DatasetError, match=r"coco-panoptic in .* is incomplete: val: .*has 50 of 5,000 images"):
        prepare("coco-panoptic", COCO, ("val",), offline=True)
