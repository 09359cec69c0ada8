"""The function runs in the driver of CVAT's SDK, on a task that is simulated."""

from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
from PIL import Image

import maskadapter as ma
from maskadapter.integrations import cvat_function
from maskadapter.integrations.cvat import create

cvat = pytest.importorskip("cvat_sdk.auto_annotation")
models = pytest.importorskip("cvat_sdk.models")

PHOTO = Image.fromarray(skimage.data.chelsea())


@pytest.fixture(scope="module")
def model():
    return ma.load()


def label(number, name, kind="any", attribute="", input_type="text"):
    facts = {"mutable": True, "input_type": models.InputTypeEnum(input_type), "default_value": "", "values": []}
    attributes = [models.Attribute(id=70 + number, name=attribute, **facts)] if attribute else []
    return models.Label(id=number, name=name, type=kind, sublabels=[], attributes=attributes)


@pytest.fixture
def annotate(monkeypatch):
    """A function that runs the driver on a task with labels, and returns the shapes that it sends."""

    def run(function, labels, **options):
        media = SimpleNamespace(load_image=lambda: PHOTO)
        samples = [SimpleNamespace(frame_index=4, frame_name="cat.png", media=media)]
        monkeypatch.setattr(
            "cvat_sdk.auto_annotation.driver.TaskDataset",
            lambda client, task, **options: SimpleNamespace(labels=labels, samples=samples),
        )
        sent = []
        api = SimpleNamespace(
            partial_update_annotations=lambda action, task, patched_labeled_data_request: sent.append(
                patched_labeled_data_request
            )
        )
        logger = SimpleNamespace(info=lambda *words: None)
        cvat.annotate_task(SimpleNamespace(logger=logger, tasks=SimpleNamespace(api=api)), 7, function, **options)
        return sent[0].shapes

    return run


def test_masks_reach_the_labels_of_the_task(annotate, model):
    labels = [label(11, "wall"), label(12, "cat", "mask")]
    shapes = annotate(cvat_function(model, labels, background=None), labels)
    result = model.segment(PHOTO, "wall, cat", background=None)
    assert [shape.label_id for shape in shapes] == [11 + one.label for one in result]
    assert {(shape.type.value, shape.frame) for shape in shapes} == {("mask", 4)}
    for shape, one in zip(shapes, result, strict=True):
        *runs, left, top, right, bottom = map(int, shape.points)
        crop = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(bottom - top + 1, right - left + 1)
        assert (left, top, right + 1, bottom + 1) == one.box
        assert np.array_equal(crop, one.compact.crop)


def test_labels_get_the_shapes_that_they_take(annotate, model):
    labels = [label(1, "cat", "polygon"), label(2, "wall", "rectangle"), label(3, "nose", "points")]
    function = cvat_function(model, labels, background=None)
    assert [one.name for one in function.spec.labels] == ["cat", "wall"]
    shapes = annotate(function, labels)
    assert {(shape.label_id, shape.type.value) for shape in shapes} <= {(1, "polygon"), (2, "rectangle")}
    cat = next(one for one in model.segment(PHOTO, "cat, wall", background=None) if one.class_name == "cat")
    drawn = sum(_area(shape.points) for shape in shapes if shape.label_id == 1)
    assert drawn == pytest.approx(cat.area, rel=0.03)


def _area(points):
    x, y = np.array(points).reshape(-1, 2).T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_masks_are_polygons_where_the_driver_asks_for_them(annotate, model):
    labels = [label(1, "cat", "polygon")]
    function = cvat_function(model, ["cat"], background=None)
    assert {shape.type.value for shape in annotate(function, labels, conv_mask_to_poly=True)} == {"polygon"}


def test_the_five_best_classes_are_in_the_attribute_of_that_name(annotate, model):
    names = ["cat", "dog", "sofa", "wall", "grass", "car"]
    labels = [label(number, name, "any", "best_classes") for number, name in enumerate(names, start=1)]
    labels[1] = label(2, "dog", "any", "breed")  # another text is not touched
    shapes = annotate(cvat_function(model, labels), labels)
    cat = next(shape for shape in shapes if shape.label_id == 1)
    assert [value.spec_id for value in cat.attributes] == [71]
    best = cat.attributes[0].value.split(", ")
    assert len(best) == 5
    assert best[0].startswith("cat 0.")
    spec = cvat_function(model, labels).spec
    assert [len(one.attributes) for one in spec.labels] == [1, 0, 1, 1, 1, 1]
    for kind, count in (("text", 1), ("select", 0)):
        named = cvat_function(model, [label(1, "cat", "any", "guess", kind)], attribute="guess")
        assert len(named.spec.labels[0].attributes) == count


def test_the_threshold_of_the_driver_goes_before_that_of_the_function(annotate, model):
    labels = [label(1, "cat"), label(2, "wall")]
    result = model.segment(PHOTO, "cat, wall", background=None)
    best = max(one.score for one in result)
    function = cvat_function(model, labels, background=None, score=1.0)
    assert annotate(function, labels) == []
    assert len(annotate(function, labels, conf_threshold=best)) == 1
    assert len(annotate(function, labels, conf_threshold=0)) == len(result)


def test_masks_without_a_class_have_no_shape(annotate, model):
    labels = [label(1, "wall")]
    masks = np.zeros((2, PHOTO.height, PHOTO.width), bool)  # the background wins one, and one is empty
    masks[0, 60:280, 80:380] = True
    given = SimpleNamespace(
        encode_text=model.encode_text, segment=lambda *words, **options: model.segment(*words, **options, masks=masks)
    )
    assert annotate(cvat_function(given, labels, background="cat"), labels) == []
    assert len(annotate(cvat_function(given, labels, background=None), labels)) == 1


def test_names_of_labels_are_looked_for_as_words(annotate, model):
    labels = [label(1, "house_cat"), label(2, "Cat"), label(3, "cat"), label(4, "a|b")]
    function = cvat_function(model, labels)
    assert function.classes.names == ("house cat", "Cat", "a|b")
    assert [one.name for one in function.spec.labels] == ["house_cat", "Cat", "cat", "a|b"]
    assert cvat_function(model, ["obj_1|cat|kitten"]).spec.labels[0].name == "obj_1"


def test_the_command_line_of_cvat_creates_it(annotate):
    function = create("cat|kitten, wall", shape="rectangle", score=0.0, attribute="best_classes")
    assert [(one.name, str(one.type), len(one.attributes)) for one in function.spec.labels] == [
        ("cat", "rectangle", 1),
        ("wall", "rectangle", 1),
    ]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["cat"], {"shape": "ellipse"}, "no shape 'ellipse': choose from mask, polygon, rectangle"),
        (["cat"], {"score": 2}, "a number from 0 to 1 is needed"),
        (["cat"], {"score": -0.1}, "a number from 0 to 1 is needed"),
        ([label(1, "nose", "points")], {}, "no label for masks, polygons or rectangles"),
        ([], {}, "no classes"),
        ("", {}, "no classes"),
    ],
)
def test_mistakes_are_one_line(model, labels, options, message):
    with pytest.raises(ma.MaskAdapterError, match=message) as caught:
        cvat_function(model, labels, **options)
    assert "\n" not in str(caught.value)
