"""A user's own data set, described by a YAML file."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_sets import SIZE, change_json, encoded, halves, image, panoptic_label

from maskadapter.data.formats.custom import read_description
from maskadapter.data.opening import open_dataset
from maskadapter.errors import DatasetError, MaskAdapterError
from maskadapter.io.coco_format import encode_mask, panoptic_image


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def describe(folder, **content):
    return write(folder / "custom.yaml", yaml.safe_dump(content))


PARTS = {"train": {"images": "images", "labels": "labels"}}


@pytest.fixture
def labels(tmp_path):
    """An image whose left half is the second class and whose right half is unlabeled."""
    write(tmp_path / "images/a.jpg", image())
    write(tmp_path / "labels/a.png", encoded(halves(1, 255)))
    write(tmp_path / "classes.txt", "# of the garden\ncat\n\nsofa|couch\ngrass\n")
    return tmp_path


def test_label_images(labels, monkeypatch):
    path = describe(labels, task="semantic", classes="classes.txt", **PARTS)
    monkeypatch.chdir("/")  # paths are relative to the file
    dataset = open_dataset(path, split="train")
    assert (dataset.name, dataset.task, dataset.vocabulary.classes[1]) == ("custom", "semantic", ("sofa", "couch"))
    assert np.array_equal(dataset[0].target.labels(), halves(1, -1, dtype=np.int32))
    assert pickle.loads(pickle.dumps(dataset))[0].name == "a.jpg"


def test_values_with_an_offset_and_ignored_ones(labels):
    write(labels / "labels/a.png", encoded(halves(3, 0)))
    keys = {"classes": ["cat", "sofa|couch", "grass"], "first_value": 1, "ignore": [0, 255], "name": "garden"}
    dataset = open_dataset(describe(labels, task="semantic", **keys, **PARTS), split="train")
    assert (dataset.name, dataset[0].target.classes.tolist()) == ("garden", [2])
    dataset = open_dataset(describe(labels, task="semantic", **{**keys, "ignore": []}, **PARTS), split="train")
    with pytest.raises(
        DatasetError, match=r"a\.png has the value 0 at 24 pixels, which stands for none of the 3 classes"
    ):
        dataset[0]


@pytest.mark.parametrize(
    ("values", "keys", "message"),
    [
        (  # 0 is the background, and the list of classes does not say so
            (0, 3),
            {"classes": ["cat", "sofa", "grass"]},
            r"a\.png has the value 3 at 24 pixels, .* background, write first_value: 1 and ignore: \[0, 255\]",
        ),
        (
            (3, 1),
            {"classes": "classes.txt"},
            r"first_value: 1 and .* in .*custom\.yaml, or a line null",
        ),
        (
            (0, 3),
            {"classes": ["cat", "sofa", "grass"], "first_value": 1},
            r"a\.png has the value 0 at 24 pixels, .*: if 0 is the background, write ignore: \[0, 255\]",
        ),
        (
            (0, 77),
            {"classes": ["cat", "sofa", "grass"]},
            r"has the value 77 at 24 pixels.*values 0 to 2 are classes, and ignored are 255; correct the label map",
        ),
    ],
)
def test_the_advice_fits_the_values(labels, values, keys, message):
    write(labels / "labels/a.png", encoded(halves(*values)))
    with pytest.raises(DatasetError, match=message) as refused:
        open_dataset(describe(labels, task="semantic", **keys, **PARTS), split="train")[0]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("classes", ["null\ncat\n# sofas\nNULL\nsofa|couch\n", [None, "cat", None, "sofa|couch"]])
def test_a_line_null_has_a_value_and_no_class(labels, classes):
    write(labels / "labels/a.png", encoded(halves(0, 3)))
    if isinstance(classes, str):
        write(labels / "classes.txt", classes)
        classes = "classes.txt"
    dataset = open_dataset(describe(labels, task="semantic", classes=classes, **PARTS), split="train")
    assert dataset.vocabulary.names == ("cat", "sofa")
    assert np.array_equal(dataset[0].target.labels(), halves(-1, 1, dtype=np.int32))


@pytest.fixture
def three(labels):
    """Three images, one of them in a subfolder; the last has no label."""
    for name in ("sub/b", "c"):
        write(labels / f"images/{name}.jpg", image())
    write(labels / "labels/sub/b.png", encoded(halves(0, 2)))
    return labels


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("sub/b\na\n", ["sub/b.jpg", "a.jpg"]),
        ("# of 2024\n\na.jpg\n", ["a.jpg"]),
        ("sub\\b.jpg\r\na\r\n", ["sub/b.jpg", "a.jpg"]),
        ("./images/a.jpg\nimages/sub/b.jpg\n", ["a.jpg", "sub/b.jpg"]),
    ],
)
def test_a_list_file_chooses_the_images_of_a_split(three, lines, names):
    write(three / "some.txt", lines)
    files = {**PARTS["train"], "list": "some.txt"}
    dataset = open_dataset(describe(three, task="semantic", classes="classes.txt", train=files), split="train")
    assert [dataset[index].name for index in range(len(dataset))] == names


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a\nsub/bb\n", r"some\.txt names sub/bb, which is not one image in .*images: did you mean 'sub/b'"),
        ("a\na.jpg\n", r"some\.txt names one image twice, by a and a\.jpg"),
        ("# nothing\n", r"some\.txt names no images"),
        ("a 1\n", r"some\.txt names a 1, which is not one image"),
        ("a\nc\n", r"c\.jpg has no label in"),
        (None, r"train\.list is some\.txt, and .*some\.txt does not exist"),
    ],
)
def test_list_files_that_do_not_fit(three, lines, message):
    if lines is not None:
        write(three / "some.txt", lines)
    files = {**PARTS["train"], "list": "some.txt"}
    with pytest.raises(DatasetError, match=message):
        open_dataset(describe(three, task="semantic", classes="classes.txt", train=files), split="train")


def test_paths_in_the_home_folder_and_addresses(labels, monkeypatch):
    monkeypatch.setenv("HOME", str(labels))
    parts = {"images": "~/images", "labels": "~/labels"}
    path = describe(labels, task="semantic", classes="~/classes.txt", train=parts)
    assert len(open_dataset(path, split="train")) == len(open_dataset("~/custom.yaml", split="train")) == 1
    parts = {"images": "https://example.org/images", "labels": "labels"}
    with pytest.raises(DatasetError, match="is an address; a path on this computer is needed"):
        open_dataset(describe(labels, task="semantic", classes="classes.txt", train=parts), split="train")


def test_a_built_in_list_and_things(labels):
    path = describe(labels, task="semantic", classes="pascal-voc-20", things=["cat"], **PARTS)
    vocabulary = open_dataset(path, split="train").vocabulary
    assert (len(vocabulary), sum(vocabulary.is_thing)) == (20, 1)


@pytest.fixture
def coco(tmp_path):
    """One image in COCO's two formats; the categories' ids are not in the order of the list."""
    categories = [{"id": 9, "name": "rug", "isthing": 0}, {"id": 4, "name": "person", "isthing": 1}]
    entry = {"id": 1, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}
    shape = {"segmentation": encode_mask(halves(1, 0).astype(bool)), "iscrowd": 0}
    segments = [{"id": 260, "category_id": 4, "iscrowd": 0}, {"id": 70_000, "category_id": 9, "iscrowd": 0}]
    instances = [{"id": 1, "image_id": 1, "category_id": 9, **shape}]
    panoptic = [{"image_id": 1, "file_name": "a.png", "segments_info": segments}]
    write(tmp_path / "images/a.jpg", image())
    write(tmp_path / "labels/a.png", encoded(np.asarray(panoptic_image(panoptic_label()))))
    for name, annotations in (("instances", instances), ("panoptic", panoptic)):
        content = {"images": [entry], "annotations": annotations, "categories": categories}
        write(tmp_path / f"{name}.json", json.dumps(content))
    return tmp_path


def test_coco_instances_with_the_categories_of_the_file(coco):
    files = {"images": "images", "annotations": "instances.json"}
    dataset = open_dataset(describe(coco, task="instance", train=files), split="train")
    assert (dataset.vocabulary.names, dataset.vocabulary.is_thing) == (("person", "rug"), (True, False))
    assert dataset[0].target.classes.tolist() == [1]
    assert np.array_equal(dataset[0].target.masks()[0], halves(1, 0).astype(bool))


def test_coco_panoptic_with_classes_of_the_user(coco):
    files = {"images": "images", "annotations": "panoptic.json", "labels": "labels"}
    path = describe(coco, task="panoptic", classes=["sky", "carpet|rug", "person"], things=["person"], val=files)
    dataset = open_dataset(path)
    assert dataset[0].target.classes.tolist() == [2, 1]
    assert dataset.vocabulary.is_thing == (False, False, True)
    path = describe(coco, task="panoptic", classes=["rugs", "person"], val=files)
    with pytest.raises(
        DatasetError, match=r"has the category \"rug\", which is not among the classes of .* did you mean 'rugs'"
    ):
        open_dataset(path)


INSTANCES = {"images": "images", "annotations": "instances.json"}


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([{"id": 9, "name": "rug"}, {"id": "9", "name": "cat"}], "two categories with the same id 9"),
        ([{"id": 9, "name": "rug"}, {"id": 9.0, "name": "rug"}], "two categories with the same id 9"),
        ([{"id": 9, "name": None}], "a category without a name: 9"),
        ([{"id": 9, "name": "  "}], "a category without a name: 9"),
        ([{"id": 9, "name": ["rug"]}], "a category without a name: 9"),
        ([{"id": 9, "name": {}}], "a category without a name: 9"),
        ([{"id": None, "name": "rug"}], "id is null; a number or a text is needed"),
        ([None], 'entry 1 of "categories" is null'),
        ([{"id": 9, "name": "rug", "isthing": "maybe"}], 'isthing is "maybe"; 0 or 1 is needed'),
        ([{"id": 8, "name": "rug"}], r"category 9, which is not one of the 1 \(its id is 1\)"),
    ],
)
def test_categories_that_do_not_fit(coco, categories, message):
    change_json(coco / "instances.json", lambda c: c.update(categories=categories))
    with pytest.raises(DatasetError, match=message):
        open_dataset(describe(coco, task="instance", train=INSTANCES), split="train")


def test_categories_by_text_and_of_one_name(coco):
    def rewrite(content):
        content["categories"] = [{"id": "rug-2", "name": " rug "}, {"id": "9", "name": "rug", "isthing": "0"}]
        content["annotations"] += [{**content["annotations"][0], "id": 2, "category_id": "rug-2"}]

    change_json(coco / "instances.json", rewrite)
    dataset = open_dataset(describe(coco, task="instance", train=INSTANCES), split="train")
    assert (dataset.vocabulary.names, dataset.vocabulary.is_thing) == (("rug",), (False,))
    assert dataset[0].target.classes.tolist() == [0, 0]


def test_a_list_file_of_coco_images(coco):
    def add(content):
        content["images"].append({"id": 2, "file_name": "b.jpg", "height": SIZE[0], "width": SIZE[1]})
        content["annotations"].append({**content["annotations"][0], "image_id": 2, "id": 2})

    change_json(coco / "instances.json", add)
    write(coco / "first.txt", "a\n")
    dataset = open_dataset(describe(coco, task="instance", train={**INSTANCES, "list": "first.txt"}), split="train")
    assert (len(dataset), dataset[0].name) == (1, "a.jpg")


def test_both_splits_have_one_vocabulary(coco):
    content = json.loads((coco / "instances.json").read_bytes())
    content["categories"] = [{"id": 1, "name": "rug"}]
    content["annotations"][0]["category_id"] = 1
    write(coco / "few.json", json.dumps(content))
    files = {
        split: {"images": "images", "annotations": name}
        for split, name in (("train", "instances.json"), ("val", "few.json"))
    }
    path = describe(coco, task="instance", **files)
    first, second = open_dataset(path, split="train"), open_dataset(path, split="val")
    assert first.vocabulary == second.vocabulary
    assert second[0].target.classes.tolist() == [1]


def test_the_lists_decide_for_categories_without_flags(coco):
    content = json.loads((coco / "instances.json").read_bytes())
    for row in content["categories"]:
        del row["isthing"]
    write(coco / "instances.json", json.dumps(content))
    files = {"images": "images", "annotations": "instances.json"}
    dataset = open_dataset(describe(coco, task="instance", train=files), split="train")
    assert dataset.vocabulary.is_thing == (True, False)


SEMANTIC = {"task": "semantic", "classes": "classes.txt", **PARTS}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**SEMANTIC, "clases": "x"}, "unknown key 'clases'; did you mean 'classes'"),
        ({**SEMANTIC, "train": {"imges": "images", **PARTS["train"]}}, "key 'train.imges'; did you mean 'images'"),
        ({**SEMANTIC, "zzz": 1}, "unknown key 'zzz'; choose from classes, first_value, ignore"),
        ({**SEMANTIC, "task": "semantics"}, "task is 'semantics'; choose from semantic, instance, panoptic"),
        ({"classes": "classes.txt", **PARTS}, "task is 'None'"),
        ({**SEMANTIC, "task": ["semantic"]}, r"task is ..'semantic'"),
        ({**SEMANTIC, "train": {"images": "images"}}, "'train.labels' is missing"),
        ({"task": "semantic", **PARTS}, "'classes' is missing"),
        ({"task": "semantic", "classes": "classes.txt"}, "describes no data: add train"),
        ({**SEMANTIC, "first_value": -1}, "'first_value' is -1: .* greater than or equal to 0"),
        ({**SEMANTIC, "ignore": [1]}, "ignores the value 1, which is a class"),
        ({**SEMANTIC, "classes": ["cat", False]}, r"'classes.* is False: .* string"),
        ({**SEMANTIC, "classes": ["cat", "cat", "sofa"]}, "lists 3 classes, some of them twice"),
        ({**SEMANTIC, "classes": "names.txt"}, r"no such file of classes: .*names\.txt"),
        ({**SEMANTIC, "things": ["dog"]}, 'things names "dog"'),
        (
            {**SEMANTIC, "train": {"images": "images", "labels": "nowhere"}},
            r"train\.labels is nowhere, and .* not exist",
        ),
    ],
)
def test_descriptions_that_do_not_fit(labels, content, message):
    with pytest.raises(MaskAdapterError, match=message) as refused:
        open_dataset(describe(labels, **content), split="train")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["cat, dog\nsofa\n", "cat\nsofa\ncat\n", "cat,\ndog, sofa\n"])
def test_lines_that_would_shift_the_values(labels, text):
    write(labels / "classes.txt", text)
    with pytest.raises(DatasetError, match=r"classes\.txt has . lines and . classes: one class a line"):
        open_dataset(describe(labels, **SEMANTIC), split="train")


@pytest.mark.parametrize(
    "text", ["", "# none\n", "null\n", "names:\n  0: cat\n", "0 cat\n1 sofa\n", "1: cat\n", "[cat, dog]", "nc: 2\n"]
)
def test_files_without_class_names(labels, text):
    write(labels / "classes.txt", text)
    with pytest.raises(DatasetError, match=r"classes\.txt (has no classes|holds no class names): one class a line"):
        open_dataset(describe(labels, **SEMANTIC), split="train")
    write(labels / "classes.txt", "cat\n2 story building\n")  # a name that begins with a number
    assert len(open_dataset(describe(labels, **SEMANTIC), split="train").vocabulary) == 2
    write(labels / "data.yaml", "names: [cat, sofa]\n")
    with pytest.raises(DatasetError, match=r"data\.yaml holds no class names: .* or a list of names in"):
        open_dataset(describe(labels, **{**SEMANTIC, "classes": "data.yaml"}), split="train")


def test_the_descriptions_of_the_documentation_are_valid(tmp_path):
    text = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    for block in blocks:
        assert read_description(write(tmp_path / "x.yaml", block)).task in block


def test_files_that_are_not_a_description(labels):
    with pytest.raises(DatasetError, match=r"no such file: nothing\.yaml"):
        open_dataset("nothing.yaml")
    for text in ("just words", "a: [", "- 1"):
        with pytest.raises(DatasetError, match=r"custom\.yaml"):
            open_dataset(write(labels / "custom.yaml", text))
    write(labels / "custom.yaml", "a: !!python/object/apply:os.system ['touch ran']")
    with pytest.raises(DatasetError, match="is not YAML"):
        open_dataset(labels / "custom.yaml")
    write(labels / "custom.yaml", "a: 1\n" * 300_000)
    with pytest.raises(DatasetError, match="larger than 1,000,000"):
        open_dataset(labels / "custom.yaml")
    path = describe(labels, **SEMANTIC)
    with pytest.raises(DatasetError, match='describes no "val" split'):
        open_dataset(path)
    with pytest.raises(DatasetError, match='no split "test"'):
        open_dataset(path, split="test")
    with pytest.raises(DatasetError, match="has no panoptic ground truth; it has semantic"):
        open_dataset(path, split="train", task="panoptic")
