"""Predictions of another program: what is right in the data set is right in its files."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluated import VOCABULARY, InMemory, samples
from PIL import Image

from maskadapter.errors import MaskAdapterError, MaskError
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.evaluation.predictions import read_predictions
from maskadapter.io.coco_format import encode_mask, panoptic_image

CATEGORIES = [{"id": id, "name": name} for id, name in ((90, "grass"), (3, "cat"), (7, "dog"), (40, "sky"))]
ID_OF = (3, 7, 40, 90)  # in their order, whatever the order of the list


@pytest.fixture
def dataset():
    return InMemory(samples(4))


def label_files(folder, dataset, none, dtype, end=""):
    folder.mkdir(parents=True)
    for sample in dataset.samples:
        labels = sample.target.labels()
        values = labels + 1 if end else np.where(labels < 0, none, labels)
        Image.fromarray(values.astype(dtype)).save(folder / sample.name.replace(".png", f"{end}.png"))
    return folder


@pytest.mark.parametrize(("none", "dtype", "end"), [(255, "uint8", ""), (65535, "uint16", ""), (0, "uint8", "-labels")])
def test_label_images(tmp_path, dataset, none, dtype, end):
    folder = label_files(tmp_path / "predictions", dataset, none, dtype, end)
    predictions = read_predictions(folder, VOCABULARY)
    for sample in dataset.samples:
        assert (predictions.of(sample).semantic() == sample.target.labels()).all()
    report = evaluate(predictions, dataset, tmp_path / "out")
    assert report.numbers["mIoU"] == 100
    assert "PQ" not in report.numbers  # label maps have no segments


def test_255_is_a_class_where_there_are_so_many(tmp_path, dataset):
    folder = label_files(tmp_path / "predictions", dataset, 255, "uint8")
    assert read_predictions(folder, [None] * 300).of(dataset[0]).semantic().max() == 255


def panoptic_files(folder, dataset, **more):
    (folder / "predictions").mkdir()
    annotations = []
    for number, sample in enumerate(dataset.samples):
        # Ids that need all three channels.
        ids = np.where(sample.target.segment_ids < 0, 0, (sample.target.segment_ids + 1) * 70001)
        panoptic_image(ids).save(folder / "predictions" / sample.name)
        segments = [
            {"id": (n + 1) * 70001, "category_id": ID_OF[label]} for n, label in enumerate(sample.target.classes)
        ]
        annotations.append({"image_id": number, "file_name": sample.name, "segments_info": segments})
    (folder / "predictions.json").write_text(json.dumps({"annotations": annotations, **more}))
    return folder / "predictions.json"


def test_coco_panoptic(tmp_path, dataset):
    predictions = read_predictions(panoptic_files(tmp_path, dataset, categories=CATEGORIES), VOCABULARY)
    report = evaluate(predictions, dataset, tmp_path / "out")
    assert (report.numbers["mIoU"], report.numbers["PQ"]) == (100, 100)
    assert "AP" not in report.numbers


def test_categories_from_the_ground_truth(tmp_path, dataset):
    path = panoptic_files(tmp_path, dataset)
    with pytest.raises(
        MaskAdapterError, match=r"predictions\.json does not list its categories: give a JSON that does"
    ):
        read_predictions(path, VOCABULARY)
    categories = tmp_path / "truth.json"
    categories.write_text(json.dumps({"categories": CATEGORIES[:3]}))
    with pytest.raises(MaskAdapterError, match="has 3 categories and the data set 4 classes"):
        read_predictions(path, VOCABULARY, categories)
    # The images by number, whatever their labels are called.
    images = [{"id": number, "file_name": f"folder/{number:03}.jpg"} for number in range(4)]
    categories.write_text(json.dumps({"categories": CATEGORIES, "images": images}))
    assert evaluate(read_predictions(path, VOCABULARY, categories), dataset, tmp_path / "out").numbers["PQ"] == 100


@pytest.mark.parametrize("whole", [False, True])
def test_coco_instances(tmp_path, dataset, whole):
    results = []
    for number, sample in enumerate(dataset.samples):
        for mask, label in zip(sample.target.masks(), sample.target.classes, strict=True):
            if VOCABULARY.is_thing[label] and mask.any():
                results.append(
                    {"image_id": number, "category_id": ID_OF[label], "segmentation": encode_mask(mask), "score": 0.5}
                )
    path, categories = tmp_path / "results.json", tmp_path / "truth.json"
    categories.write_text(json.dumps({"categories": CATEGORIES}))
    # Without a list of images, 002.png is number 2.
    path.write_text(json.dumps({"annotations": results, "categories": CATEGORIES} if whole else results))
    predictions = read_predictions(path, VOCABULARY, None if whole else categories)
    report = evaluate(predictions, dataset, tmp_path / "out")
    assert report.numbers["AP"] == pytest.approx(100)
    assert "mIoU" not in report.numbers
    path.write_text("[]")
    assert evaluate(read_predictions(path, VOCABULARY, categories), dataset, tmp_path / "none").numbers["AP"] == 0


@pytest.mark.parametrize("form", [str, float, lambda number: f" {number}.0"])
@pytest.mark.parametrize("listed", [True, False])
def test_ids_of_predictions_are_compared_in_one_form(tmp_path, dataset, form, listed):
    ids = [{**category, "id": form(category["id"])} for category in CATEGORIES]
    more = {"images": [{"id": n, "file_name": f"a\\b\\{n:03}.png"} for n in range(4)]} if listed else {}
    path = panoptic_files(tmp_path, dataset, categories=ids, **more)
    content = json.loads(path.read_text())
    for one in content["annotations"]:
        one["image_id"] = form(one["image_id"])
        for segment in one["segments_info"]:
            segment["id"] = str(segment["id"])
    path.write_text(json.dumps(content))
    assert evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / "panoptic").numbers["PQ"] == 100
    results = [
        {"image_id": form(n), "category_id": form(ID_OF[label]), "segmentation": encode_mask(mask), "score": 0.5}
        for n, sample in enumerate(dataset.samples)
        for mask, label in zip(sample.target.masks(), sample.target.classes, strict=True)
        if VOCABULARY.is_thing[label] and mask.any()
    ]
    path.write_text(json.dumps({"annotations": results, "categories": CATEGORIES, **more}))
    report = evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / "instances")
    assert report.numbers["AP"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": None}, "has a prediction without image: an id is a number or a text"),
        ({"score": float("nan")}, "has a result whose score is not finite"),
        ({"category_id": None}, "an id is a number or a text"),
        ({"segmentation": [[1, 1], [2, 2], [3, 3]]}, r"001\.png: "),
    ],
)
def test_results_that_do_not_fit(tmp_path, dataset, change, message):
    result = {"image_id": 1, "category_id": 3, "segmentation": [[1, 1, 9, 1, 9, 9]], "score": 0.5, **change}
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"annotations": [result], "categories": CATEGORIES}))
    with pytest.raises(MaskAdapterError, match=message):
        evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / "out")
    twice = [*CATEGORIES[:3], {**CATEGORIES[3], "id": str(CATEGORIES[0]["id"])}]
    path.write_text(json.dumps({"annotations": [], "categories": twice}))
    with pytest.raises(MaskAdapterError, match="two categories with the same id"):
        read_predictions(path, VOCABULARY)


def test_the_best_instances_of_an_image_count(tmp_path, dataset):
    mask = encode_mask(np.ones((24, 32), bool))
    path = tmp_path / "results.json"
    results = [{"image_id": 1, "category_id": 3, "segmentation": mask, "score": n / 200} for n in range(150)]
    path.write_text(json.dumps({"annotations": results, "categories": CATEGORIES}))
    found = read_predictions(path, VOCABULARY).of(dataset[1]).instances(100)
    assert found.masks.shape == (100, 24, 32)
    assert found.scores.tolist() == [n / 200 for n in range(149, 49, -1)]


def test_what_does_not_fit(tmp_path, dataset):
    folder = label_files(tmp_path / "predictions", dataset, 255, "uint8")
    (folder / "001.png").unlink()
    with pytest.raises(MaskError, match=r"001\.png: no prediction in .*: 001\.png or 001-labels\.png is needed"):
        evaluate(read_predictions(folder, VOCABULARY), dataset, tmp_path / "a")
    Image.new("RGB", (32, 24)).save(folder / "001.png")
    with pytest.raises(MaskError, match="has three channels"):
        evaluate(read_predictions(folder, VOCABULARY), dataset, tmp_path / "channels")
    path = panoptic_files(tmp_path / "predictions", dataset, categories=CATEGORIES)
    content = json.loads(path.read_text())
    content["annotations"][2]["segments_info"][0]["category_id"] = 5
    path.write_text(json.dumps(content))
    with pytest.raises(MaskError, match=r"002\.png: .* has a segment of unknown id or category \(5\)"):
        evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / "b")
    del content["annotations"][1]
    path.write_text(json.dumps(content))
    with pytest.raises(MaskError, match=r"001\.png: .* has no prediction for this image"):
        evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / "c")
    path.write_text(
        json.dumps({"annotations": [{"image_id": 0, "category_id": 3, "segmentation": []}], "categories": CATEGORIES})
    )
    with pytest.raises(MaskError, match="has a result without score or of unknown category"):
        evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / "d")
    path.write_text("{}")
    with pytest.raises(MaskAdapterError, match="is not COCO predictions"):
        read_predictions(path, VOCABULARY)
    with pytest.raises(MaskAdapterError, match="no such file"):
        read_predictions(tmp_path / "nothing.json", VOCABULARY)
    semantic = InMemory(dataset.samples, task="instance")
    with pytest.raises(MaskAdapterError, match="labeled for the task 'instance', and the predictions are of semantic"):
        evaluate(read_predictions(folder, VOCABULARY), semantic, tmp_path / "e")


def same_stems():
    """Two images of one stem in two folders."""
    one, other = samples(2)
    return InMemory([replace(one, name="a/1.jpg"), replace(other, name="b/1.jpg")])


def test_images_of_one_stem_in_two_folders(tmp_path):
    dataset = same_stems()
    for folder in ("a", "b"):
        (tmp_path / "predictions" / folder).mkdir(parents=True)
    for sample in dataset.samples:
        labels = np.where(sample.target.labels() < 0, 255, sample.target.labels()).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / "predictions" / sample.name.replace(".jpg", ".png"))
        Image.fromarray(labels).save(tmp_path / "1.png")
    assert (
        evaluate(read_predictions(tmp_path / "predictions", VOCABULARY), dataset, tmp_path / "out").numbers["mIoU"]
        == 100
    )
    with pytest.raises(
        MaskError, match=r"^a/1\.jpg and b/1\.jpg would share the prediction .*1\.png: name predictions after the im"
    ):
        evaluate(read_predictions(tmp_path, VOCABULARY), dataset, tmp_path / "shared")
    assert not (tmp_path / "shared" / "report.json").exists()


def test_coco_predictions_of_one_stem_in_two_folders(tmp_path):
    dataset = same_stems()
    (tmp_path / "predictions" / "a").mkdir(parents=True)
    (tmp_path / "predictions" / "b").mkdir()
    panoptic, instances = [], []
    for number, sample in enumerate(dataset.samples):
        target, name = sample.target, sample.name.replace(".jpg", ".png")
        panoptic_image(target.segment_ids + 1).save(tmp_path / "predictions" / name)
        segments = [{"id": n, "category_id": ID_OF[label]} for n, label in enumerate(target.classes, start=1)]
        panoptic.append({"image_id": number, "file_name": name, "segments_info": segments})
        instances += [
            {"image_id": number, "category_id": ID_OF[label], "segmentation": encode_mask(mask), "score": 0.5}
            for mask, label in zip(target.masks(), target.classes, strict=True)
            if VOCABULARY.is_thing[label] and mask.any()
        ]
    images = [{"id": number, "file_name": sample.name} for number, sample in enumerate(dataset.samples)]
    for name, found, metric in (("predictions", panoptic, "PQ"), ("instances", instances, "AP")):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"annotations": found, "categories": CATEGORIES, "images": images}))
        report = evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / metric)
        assert report.numbers[metric] == pytest.approx(100)
        flat = InMemory([replace(dataset[0], name="1.jpg")])
        with pytest.raises(MaskError, match=r"has both a/1 and b/1 for 1\.jpg"):
            evaluate(read_predictions(path, VOCABULARY), flat, tmp_path / f"flat {metric}")


def test_a_png_outside_of_the_predictions_is_not_read(tmp_path, dataset):
    (tmp_path / "in").mkdir()
    path = panoptic_files(tmp_path / "in", dataset, categories=CATEGORIES)
    content = json.loads(path.read_text())
    content["annotations"][0]["file_name"] = "../../000.png"
    path.write_text(json.dumps(content))
    Image.new("RGB", (5, 5)).save(tmp_path / "000.png")
    assert read_predictions(path, VOCABULARY).of(dataset[0]).panoptic().ids.shape == dataset[0].target.size


def test_results_of_other_images(tmp_path, dataset):
    found = {"category_id": 3, "segmentation": encode_mask(np.ones((24, 32), bool)), "score": 0.5}
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"annotations": [{"image_id": 77, **found}], "categories": CATEGORIES}))
    with pytest.raises(MaskError, match=r"results\.json has results of 1 images \(77, \.\.\.\), none of which is in"):
        evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / "out")
    assert not (tmp_path / "out" / "report.json").exists()
    # A part of the data set may well be without any.
    path.write_text(json.dumps({"annotations": [{"image_id": 3, **found}], "categories": CATEGORIES}))
    assert evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / "part", limit=2).numbers["AP"] == 0


def test_panoptic_predictions_without_segments(tmp_path, dataset):
    path = panoptic_files(tmp_path, dataset, categories=CATEGORIES)
    content = json.loads(path.read_text())
    del content["annotations"][2]["segments_info"]
    path.write_text(json.dumps(content))
    with pytest.raises(MaskError, match=r"^002\.png: .*predictions\.json has a prediction without segments_info"):
        evaluate(read_predictions(path, VOCABULARY), dataset, tmp_path / "out")
