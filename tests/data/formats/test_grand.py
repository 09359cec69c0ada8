"""GranD's annotations, in both forms, and mistakes in them."""

import os

import numpy as np
import pytest
from small_grand import FILES, LEFT, RIGHT, SIZE, TOP, annotation, block, object_level, thing, write_grand
from small_sets import image, write

from maskadapter.data.dataset import FreeText, KnowsClasses
from maskadapter.data.formats.grand import GranD
from maskadapter.errors import DatasetError, MaskAdapterError
from maskadapter.io.coco_format import decode_segmentation, encode_mask
from maskadapter.vocabulary.vocabulary import Vocabulary


def read(folder):
    return GranD("grand", folder / "images", folder / "annotations")


def one(folder, content):
    """The only sample of a data set of one annotation."""
    return read(write_grand(folder, {"sa_7": content}))[0]


def named(sample):
    return [sample.vocabulary.classes[number] for number in sample.target.classes]


def test_objects_have_their_masks_and_names(tmp_path):
    dataset = read(write_grand(tmp_path))
    first, second = dataset
    assert (dataset.name, dataset.task, len(dataset)) == ("grand", "instance", 2)
    assert (first.name, first.image.shape) == ("sa_1.jpg", (*SIZE, 3))
    # The name that the pipeline chose comes first, repeated names count once.
    assert named(first) == [("wine glass", "cup"), ("dress", "person"), ("chair",)]
    assert named(second) == [("chair", "table"), ("Wine Glass",)]
    wanted = [decode_segmentation(runs, SIZE) for runs in (LEFT, TOP, RIGHT)]
    assert np.array_equal(first.target.masks(), wanted)
    assert (wanted[0] & wanted[1]).any()  # they overlap
    assert isinstance(dataset, FreeText)
    assert not isinstance(dataset, KnowsClasses)


def test_crowds_are_flagged_and_empty_masks_kept(tmp_path):
    empty = encode_mask(np.zeros(SIZE, dtype=bool))
    sample = one(tmp_path, annotation("sa_7", thing(["chair"], LEFT, iscrowd=1), thing(["cup"], empty)))
    assert sample.target.is_crowd.tolist() == [True, False]
    assert sample.target.masks().any(axis=(1, 2)).tolist() == [True, False]
    assert not sample.target.has_masks


def test_what_has_no_mask_or_no_name_is_left_out(tmp_path):
    objects = [thing(["sky"]), thing([], LEFT), thing(None, LEFT), thing(["_"], LEFT), thing(["cup"], None)]
    sample = one(tmp_path, annotation("sa_7", *objects, thing(["chair"], TOP), floating=[thing(["belt"], LEFT)]))
    assert named(sample) == [("chair",)]
    assert np.array_equal(sample.target.masks()[0], decode_segmentation(TOP, SIZE))


def test_an_image_without_objects_has_no_vocabulary(tmp_path):
    sample = one(tmp_path, object_level("sa_7", thing(["sky"])))
    assert sample.vocabulary is None
    assert sample.target.masks().shape == (0, *SIZE)


def test_names_are_those_of_the_lvis_list(tmp_path):
    labels = ["sandal_(type_of_shoe)", "glass_(drink_container)", "flute_glass"]
    sample = one(tmp_path, annotation("sa_7", thing(labels, LEFT)))
    assert set(sample.vocabulary.synonyms) <= set(Vocabulary.builtin("lvis-v1").synonyms)


def test_names_are_any_text(tmp_path):
    labels = ["wine\u00a0glass", "a\u200db", "\u202ecat", "\U0001f408 \u6f22", "new\nline"]
    sample = one(tmp_path, annotation("sa_7", thing(labels, LEFT)))
    assert sample.vocabulary.synonyms == ("wine glass", "a\u200db", "\u202ecat", "\U0001f408 \u6f22", "new line")


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    write_grand(tmp_path)
    (tmp_path / "images/sa_000000").mkdir()
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("sa_000000"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match=r"cannot read .*sa_000000: Permission denied"):
        read(tmp_path)


def test_a_part_of_the_files_is_a_data_set_and_subfolders_do_not_matter(tmp_path):
    write_grand(tmp_path)
    write(tmp_path / "images/sa_000000/sa_0.jpg", image(5, SIZE))
    write(tmp_path / "annotations/part_1_1/sa_0.json", annotation("sa_0", thing(["cup"], LEFT)))
    write(tmp_path / "images/sa_3.jpg", image(5, SIZE))  # no annotation
    write(tmp_path / "annotations/sa_4.json", "never read")  # no image
    write(tmp_path / "images/._sa_1.jpg", "of macOS")
    write(tmp_path / "annotations/._sa_1.json", "of macOS")
    assert [sample.name for sample in read(tmp_path)] == ["sa_000000/sa_0.jpg", "sa_1.jpg", "sa_2.jpg"]


def test_an_annotation_is_read_on_access_alone(tmp_path):
    dataset = read(write_grand(tmp_path, {**FILES, "sa_7": "{"}))
    assert dataset[0].name == "sa_1.jpg"
    with pytest.raises(DatasetError, match=r"cannot read .*sa_7\.json as JSON"):
        dataset[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"sa_7\.json is not an annotation of GranD: its only key .* sa_7\.jpg"),
        ('{"image": {}, "annotations": []}', "its only key has to be the image's file name"),  # SA-1B's own
        (annotation("sa_8"), "its only key has to be the image's file name"),
        ('{"sa_7.jpg": {"floating_objects": []}}', "it has no list of objects"),
        ('{"sa_7.jpg": ["chair"]}', "it has no list of objects"),
        (annotation("sa_7", thing("chair", LEFT)), r"sa_7\.json, object number 1: its labels are 'chair'; a list"),
        (annotation("sa_7", thing(["cup"], LEFT), thing([3], LEFT)), r"object number 2: its labels are \[3\]"),
        (annotation("sa_7", thing(["\ud800"], LEFT)), "a list of texts is needed"),
        (annotation("sa_7", thing(["sky"]), thing(["cup"], block((0, 1), (0, 1), (24, 31)))), "number 2: .* 31 x 24"),
        (annotation("sa_7", thing(["cup"], {"size": [24, 32], "counts": "#"})), "object number 1: "),
        (annotation("sa_7", thing(["cup"], "x")), "object number 1: not a COCO segmentation"),
        (annotation("sa_7", thing(["cup"], LEFT, iscrowd="maybe")), "number 1: iscrowd is .*; 0 or 1 is needed"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path, content, message):
    with pytest.raises(DatasetError, match=message) as refused:
        one(tmp_path, content)
    assert "sa_7.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_do_not_belong_together_are_named(tmp_path):
    write_grand(tmp_path)
    write(tmp_path / "annotations/part_1_1/sa_1.json", FILES["sa_1"])
    with pytest.raises(DatasetError, match=r"sa_1\.json and .*sa_1\.json, of the same image"):
        read(tmp_path)
    write(tmp_path / "other/images/sa_1.jpg", image(1, SIZE))
    with pytest.raises(DatasetError, match=r"1 images in .* and 0 annotations in .*other archives are needed"):
        read(tmp_path / "other")


def test_there_is_no_list_of_classes(tmp_path):
    dataset = read(write_grand(tmp_path))
    with pytest.raises(MaskAdapterError, match="grand has no list of classes, its names are free text: train"):
        _ = dataset.vocabulary
