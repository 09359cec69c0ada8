"""AP against pycocotools called directly on files that are written here."""

import io
import json
import math
from contextlib import redirect_stdout

import numpy as np
import pytest
from evaluated import VOCABULARY, InMemory, noisy, perfect_result, samples
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskadapter.evaluation.metrics.instance import (
    METRICS,
    average_precision,
    ground_truth_instances,
    predicted_instances,
)


def evaluated_ap(dataset, predict):
    images = [
        (
            number,
            sample.target.size,
            ground_truth_instances(sample.target, VOCABULARY.is_thing),
            predicted_instances(predict(sample.image).instances(100)),
        )
        for number, sample in enumerate(dataset.samples)
    ]
    return average_precision(images, VOCABULARY.is_thing)


def encoded(mask):
    counts = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": counts["size"], "counts": counts["counts"].decode()}


def by_pycocotools(dataset, predict, folder):
    """Ground truth and results as COCO's own files, from nothing but the targets."""
    images, annotations, results = [], [], []
    for number, sample in enumerate(dataset.samples, start=10):
        height, width = sample.target.size
        images.append({"id": number, "height": height, "width": width, "file_name": sample.name})
        for mask, label, crowd in zip(
            sample.target.masks(), sample.target.classes, sample.target.is_crowd, strict=True
        ):
            if label < 2 and mask.any():
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": int(label) + 5,
                        "segmentation": encoded(mask),
                        "area": int(mask.sum()),
                        "iscrowd": int(crowd),
                    }
                )
        found = predict(sample.image).instances(100)
        for mask, label, score in zip(found.masks, found.labels, found.scores, strict=True):
            results.append(
                {"image_id": number, "category_id": int(label) + 5, "segmentation": encoded(mask), "score": score}
            )
    categories = [{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}]
    (folder / "truth.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    (folder / "results.json").write_text(json.dumps(results))
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:6]


def test_the_numbers_are_pycocotools_own(tmp_path):
    dataset = InMemory([*samples(12, size=(60, 80), segments=9), *samples(3, seed=5, size=(60, 80), crowd=True)])
    for number, sample in enumerate(dataset.samples):
        sample.image[:] = number
    predict = noisy(dataset)
    numbers, per_class = evaluated_ap(dataset, predict)
    direct = by_pycocotools(dataset, predict, tmp_path)
    assert list(numbers) == list(METRICS)
    expected = [value if value > -1 else math.nan for value in direct]
    assert list(numbers.values()) == pytest.approx(expected, nan_ok=True, abs=0)
    assert 0.05 < numbers["AP"] < 0.95
    assert per_class[:2].mean() == pytest.approx(numbers["AP"])
    assert np.isnan(per_class[2:]).all()


def test_the_truth_itself_scores_100():
    dataset = InMemory(samples(5, size=(60, 80)))
    numbers, _ = evaluated_ap(dataset, lambda image: perfect_result(dataset[int(image[0, 0, 0])].target))
    assert [numbers[name] for name in ("AP", "AP50", "AP75")] == pytest.approx([1, 1, 1])


def test_nothing_found_and_nothing_to_find():
    true = [{"label": 0, "segmentation": encoded(np.ones((4, 4), bool)), "area": 16, "iscrowd": 0}]
    numbers, per_class = average_precision([(0, (4, 4), true, [])], VOCABULARY.is_thing)
    assert numbers["AP"] == 0
    assert per_class[0] == 0
    assert math.isnan(per_class[1])
    numbers, per_class = average_precision([(0, (4, 4), [], [])], VOCABULARY.is_thing)
    assert all(math.isnan(value) for value in numbers.values())


def test_a_first_image_and_instance_are_no_less_than_the_others():
    # pycocotools takes annotation 0 for no match.
    mask = encoded(np.ones((4, 4), bool))
    true = [{"label": 0, "segmentation": mask, "area": 16, "iscrowd": 0}]
    numbers, _ = average_precision(
        [(0, (4, 4), true, [{"label": 0, "segmentation": mask, "score": 0.1}])], VOCABULARY.is_thing
    )
    assert numbers["AP"] == pytest.approx(1)


def test_stuff_and_empty_masks_are_no_instances():
    sample = samples(1)[0]
    labels = [one["label"] for one in ground_truth_instances(sample.target, VOCABULARY.is_thing)]
    assert labels
    assert all(VOCABULARY.is_thing[label] for label in labels)
