"""The known data sets: names, folders, archives and label values of the data sets that the paper uses.

Source: the documentation of FC-CLIP (datasets/README.md) for addresses and folders; the data sets' own pages for the
counts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from maskadapter.data.archive import Archive
from maskadapter.data.dataset import Task
from maskadapter.data.formats.semantic_folder import values_from
from maskadapter.data.layout import Split
from maskadapter.errors import DatasetError
from maskadapter.system.error_text import did_you_mean
from maskadapter.types import UNLABELED


@dataclass(frozen=True)
class KnownSet:
    """Facts about one published data set.

    name: also the name of its built-in vocabulary. folder: its own folder below the folder of all data sets. splits:
    "train" and "val". archives: the published files; registration: the page where a user has to register first, if any.
    instances: folder of instance labels, from which panoptic and instance ground truth is made. shared: folders that it
    shares with other data sets.
    """

    name: str
    title: str
    task: Task
    folder: str
    splits: Mapping[str, Split]
    archives: tuple[Archive, ...]
    registration: str = ""
    instances: str = ""
    shared: tuple[str, ...] = ()


_COCO = "http://images.cocodataset.org"
_VOC = "http://host.robots.ox.ac.uk/pascal/VOC"
_LVIS = "https://s3.amazonaws.com/dl.fbaipublicfiles.com/LVIS"

_COCO_IMAGES = tuple(
    Archive(f"{split}2017.zip", f"{_COCO}/zips/{split}2017.zip", {f"{split}2017/": f"{split}2017"})
    for split in ("train", "val")
)
_VOC2010 = Archive(
    "VOCtrainval_03-May-2010.tar",
    f"{_VOC}/voc2010/VOCtrainval_03-May-2010.tar",
    {
        "VOCdevkit/VOC2010/JPEGImages/": "JPEGImages",
        "VOCdevkit/VOC2010/ImageSets/Main/train.txt": "ImageSets/Main/train.txt",
        "VOCdevkit/VOC2010/ImageSets/Main/val.txt": "ImageSets/Main/val.txt",
    },
)

_SETS = (
    KnownSet(
        "ade20k-150",
        "ADE20K, 150 classes (SceneParsing 2016)",
        "semantic",
        "ADEChallengeData2016",
        {
            "train": Split(20_210, "images/training", "annotations/training", "images/training"),
            "val": Split(2_000, "images/validation", "annotations/validation", "images/validation"),
        },
        (
            Archive(
                "ADEChallengeData2016.zip",
                "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
                {
                    "ADEChallengeData2016/images/": "images",
                    "ADEChallengeData2016/annotations/": "annotations",
                },
            ),
            Archive(
                "annotations_instance.tar",
                "http://sceneparsing.csail.mit.edu/data/ChallengeData2017/annotations_instance.tar",
                {"annotations_instance/": "annotations_instance"},
            ),
        ),
        instances="annotations_instance",
    ),
    KnownSet(
        "ade20k-847",
        "ADE20K, 847 classes (full release of 17 January 2021)",
        "semantic",
        "ADE20K_2021_17_01",
        {
            split: Split(
                count,
                f"images_detectron2/{part}",
                f"annotations_detectron2/{part}",
                f"images_detectron2/{part}",
                ".tif",
            )
            for split, part, count in (("train", "training", 25_574), ("val", "validation", 2_000))
        },
        (
            Archive(
                "ADE20K_2021_17_01.zip",
                "",
                {"ADE20K_2021_17_01/images/": "images"},
                endings=(".jpg", "_seg.png"),  # not the masks of single parts, 700,000 files
            ),
        ),
        registration="https://groups.csail.mit.edu/vision/datasets/ADE20K",
    ),
    KnownSet(
        "pascal-context-59",
        "PASCAL-Context, 59 classes",
        "semantic",
        "VOCdevkit/VOC2010",
        {
            split: Split(count, "JPEGImages", f"annotations_ctx59/{part}", f"annotations_ctx59/{part}")
            for split, part, count in (("train", "training", 4_998), ("val", "validation", 5_105))
        },
        (
            _VOC2010,
            Archive(
                "trainval_merged.json", "https://codalabuser.blob.core.windows.net/public/trainval_merged.json", {}
            ),
        ),
    ),
    KnownSet(
        "pascal-context-459",
        "PASCAL-Context, 459 classes",
        "semantic",
        "VOCdevkit/VOC2010",
        {
            split: Split(count, "JPEGImages", f"annotations_ctx459/{part}", f"annotations_ctx459/{part}", ".tif")
            for split, part, count in (("train", "training", 4_998), ("val", "validation", 5_105))
        },
        (
            _VOC2010,
            Archive(
                "trainval.tar.gz",
                "https://www.cs.stanford.edu/~roozbeh/pascal-context/trainval.tar.gz",
                {"trainval/": "trainval"},
            ),
        ),
    ),
    KnownSet(
        "pascal-voc-20",
        "PASCAL VOC 2012, 20 classes without background",
        "semantic",
        "VOCdevkit/VOC2012",
        {
            split: Split(count, "JPEGImages", "SegmentationClass", f"ImageSets/Segmentation/{split}.txt")
            for split, count in (("train", 1_464), ("val", 1_449))
        },
        (
            Archive(
                "VOCtrainval_11-May-2012.tar",
                f"{_VOC}/voc2012/VOCtrainval_11-May-2012.tar",
                {
                    f"VOCdevkit/VOC2012/{part}/": part
                    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")
                },
            ),
        ),
    ),
    KnownSet(
        "coco-panoptic",
        "COCO 2017 panoptic, 133 classes",
        "panoptic",
        "coco",
        {
            split: Split(count, f"{split}2017", f"panoptic_{split}2017", f"annotations/panoptic_{split}2017.json")
            for split, count in (("train", 118_287), ("val", 5_000))
        },
        (
            *_COCO_IMAGES,
            Archive(
                "panoptic_annotations_trainval2017.zip",
                f"{_COCO}/annotations/panoptic_annotations_trainval2017.zip",
                {
                    "annotations/panoptic_train2017.json": "annotations/panoptic_train2017.json",
                    "annotations/panoptic_val2017.json": "annotations/panoptic_val2017.json",
                },
                inner={
                    "annotations/panoptic_train2017.zip": {"panoptic_train2017/": "panoptic_train2017"},
                    "annotations/panoptic_val2017.zip": {"panoptic_val2017/": "panoptic_val2017"},
                },
            ),
        ),
    ),
    KnownSet(
        "coco-stuff",
        "COCO-Stuff 164k, 171 classes",
        "semantic",
        "coco",
        {
            split: Split(count, f"{split}2017", f"stuffthingmaps/{split}2017", f"{split}2017")
            for split, count in (("train", 118_287), ("val", 5_000))
        },
        (
            *_COCO_IMAGES,
            Archive(
                "stuffthingmaps_trainval2017.zip",
                "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip",
                {"train2017/": "stuffthingmaps/train2017", "val2017/": "stuffthingmaps/val2017"},
            ),
        ),
    ),
    KnownSet(
        "lvis-v1",
        "LVIS v1, 1,203 classes",
        "instance",
        "coco",
        {
            split: Split(count, ".", "", f"annotations/lvis_v1_{split}.json")
            for split, count in (("train", 100_170), ("val", 19_809))
        },
        (
            *_COCO_IMAGES,
            *(
                Archive(
                    f"lvis_v1_{split}.json.zip",
                    f"{_LVIS}/lvis_v1_{split}.json.zip",
                    {f"lvis_v1_{split}.json": f"annotations/lvis_v1_{split}.json"},
                )
                for split in ("train", "val")
            ),
        ),
        shared=("train2017", "val2017"),
    ),
)

KNOWN: Mapping[str, KnownSet] = {known.name: known for known in _SETS}
"""All known data sets by name."""


def known_set(name: str) -> KnownSet:
    """Return the known data set of that name. Raises DatasetError for an unknown name."""
    if name not in KNOWN:
        hint = did_you_mean(name, KNOWN, otherwise=f"choose from {', '.join(KNOWN)}, or give a file that ends in .yaml")
        raise DatasetError(f'unknown data set "{name}"; {hint}')
    return KNOWN[name]


@cache
def category_ids(name: str) -> dict[int, int]:
    """Map a data set's own category ids to class indices.

    name: ade20k-847, coco-panoptic, coco-stuff, lvis-v1 or pascal-context-59.
    """
    if name == "lvis-v1":  # numbered without gaps, in the order of the vocabulary
        return {number + 1: number for number in range(1203)}
    table = json.loads((files("maskadapter.data") / "category_ids.json").read_text(encoding="utf-8"))
    return {number: index for index, number in enumerate(table[name])}


def label_values(name: str) -> dict[int, int]:
    """Map the pixel values of a semantic data set's label files to class indices or UNLABELED."""
    match name:
        case "ade20k-150":
            return values_from(1, 150, ignored=[0])
        case "ade20k-847":
            return values_from(0, 847, ignored=[65535])
        case "pascal-context-59":
            return values_from(0, 59, ignored=[255])
        case "pascal-context-459":
            return values_from(0, 459, ignored=[65535])
        case "pascal-voc-20":  # 0 is the background, 255 the outlines of objects
            return values_from(1, 20, ignored=[0, 255])
        case "coco-stuff":
            # A value is the category id minus 1; ids that COCO reserved and never used are unlabeled, like 255.
            classes = category_ids(name)
            planned = dict.fromkeys(range(max(classes)), UNLABELED)
            return planned | {number - 1: index for number, index in classes.items()} | {255: UNLABELED}
    raise DatasetError(f"{name} has no semantic label maps")
