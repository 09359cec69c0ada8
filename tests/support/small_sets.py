"""Small imitations of the published data sets: the same archives, folders and formats, with two images a split."""

import io
import json
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
from file_server import Served
from PIL import Image
from scipy.io import savemat

from maskadapter.data.catalog import KNOWN
from maskadapter.io.coco_format import encode_mask, panoptic_image
from maskadapter.vocabulary.vocabulary import Vocabulary

SIZE = (6, 8)  # height, width
CLASSES = Vocabulary.of("cat, dog, grass", things="cat, dog")
NUMBERS = {"train": (9, 25), "val": (139, 285)}
PARTS = {"train": "training", "val": "validation"}


def encoded(array, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


def image(seed=0, size=SIZE):
    return encoded(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8), "JPEG")


def halves(left, right, size=SIZE, dtype=np.uint8):
    """A label of two values, side by side."""
    label = np.full(size, left, dtype=dtype)
    label[:, size[1] // 2 :] = right
    return label


def write(path, content):
    """Write text or bytes to a file in a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def change_json(path, edit):
    """Rewrite a JSON file after ``edit(content)`` changed its content in place."""
    content = json.loads(path.read_bytes())
    edit(content)
    path.write_text(json.dumps(content))


def zipped(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(files, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def mat(label):
    file = io.BytesIO()
    savemat(file, {"LabelMap": label})
    return file.getvalue()


def as_json(content):
    return json.dumps(content).encode()


def ade20k_150():
    files, instances = {}, {}
    for split, part in PARTS.items():
        for number in (1, 2):
            name = f"ADE_{split}_{number:08}"
            files[f"ADEChallengeData2016/images/{part}/{name}.jpg"] = image(number)
            # 1 is wall (stuff), 8 is bed (a thing), 0 is unlabeled.
            label = halves(1, 8)
            label[0] = 0
            files[f"ADEChallengeData2016/annotations/{part}/{name}.png"] = encoded(label)
            # Two beds: the first thing of the list.
            things = np.zeros((*SIZE, 3), np.uint8)
            things[1:, 4:6] = (1, 1, 0)
            things[1:, 6:] = (1, 2, 0)
            instances[f"annotations_instance/{part}/{name}.png"] = encoded(things)
    return {"ADEChallengeData2016.zip": zipped(files), "annotations_instance.tar": tarred(instances)}


def ade20k_847(size=SIZE):
    files = {"ADE20K_2021_17_01/index_ade20k.pkl": b"\x80\x04never read"}
    for split, part in PARTS.items():
        for number, scene in ((1, "urban/street"), (2, "home_or_hotel/bedroom")):
            stem = f"ADE20K_2021_17_01/images/ADE/{part}/{scene}/ADE_{split}_{number:08}"
            files[f"{stem}.jpg"] = image(number, size)
            # 2978 = 11 * 256 + 162 is wall, class 0; 4 is none of the 847.
            label = np.zeros((*size, 3), np.uint8)
            label[:, : size[1] // 2] = (110 + number, 162, 7)
            label[:, size[1] // 2 :] = (0, 4, 7)
            files[f"{stem}_seg.png"] = encoded(label)
            files[f"{stem}_parts_1.png"] = encoded(label)
            files[f"{stem}/instance_000_ADE_{split}.png"] = encoded(label)
    return {"name_and_hash.zip": zipped(files)}


def voc(year, labels):
    files = {}
    for split in NUMBERS:
        names = [f"2008_{number:06}" for number in NUMBERS[split]]
        files |= {f"VOCdevkit/VOC{year}/JPEGImages/{name}.jpg": image(3) for name in names}
        kind = "Segmentation" if labels else "Main"
        files[f"VOCdevkit/VOC{year}/ImageSets/{kind}/{split}.txt"] = ("\n".join(names) + "\n").encode()
        if labels:
            # 15 is person, 0 the background, 255 an outline.
            label = halves(15, 0)
            label[:, 3] = 255
            files |= {f"VOCdevkit/VOC{year}/SegmentationClass/{name}.png": encoded(label) for name in names}
    files[f"VOCdevkit/VOC{year}/Annotations/2008_000009.xml"] = b"<annotation/>"
    return files


def pascal_voc_20():
    return {"VOCtrainval_11-May-2012.tar": tarred(voc(2012, labels=True))}


def pascal_context_459():
    labels = {
        f"trainval/2008_{number:06}.mat": mat(halves(459, 0, dtype=np.uint16))
        for numbers in NUMBERS.values()
        for number in numbers
    }
    return {"VOCtrainval_03-May-2010.tar": tarred(voc(2010, labels=False)), "trainval.tar.gz": tarred(labels, "w:gz")}


def pascal_context_59():
    images, annotations = [], []
    for split, numbers in NUMBERS.items():
        for number in numbers:
            size = {"height": SIZE[0], "width": SIZE[1]}
            images.append({"image_id": number, "file_name": f"2008_{number:06}.jpg", "phase": split, **size})
            # 458 is the last of the 59, 2 the first; the second covers the first.
            for category, columns in ((458, 6), (2, 3)):
                mask = np.zeros(SIZE, bool)
                mask[:, :columns] = True
                row = {"image_id": number, "category_id": category, "segmentation": encode_mask(mask)}
                annotations.append({"id": len(annotations), **row})
    return {
        "VOCtrainval_03-May-2010.tar": tarred(voc(2010, labels=False)),
        "trainval_merged.json": as_json({"images": images, "annos_segmentation": annotations}),
    }


def coco_images():
    return {
        f"{split}2017.zip": zipped({f"{split}2017/{number:012}.jpg": image(number) for number in NUMBERS[split]})
        for split in NUMBERS
    }


def panoptic_json(numbers):
    """Person (1) at the left, rug (200) at the right as a crowd; a column without a segment between."""
    segments = [{"id": 260, "category_id": 1, "iscrowd": 0}, {"id": 70_000, "category_id": 200, "iscrowd": 1}]
    return {
        "images": [{"id": number, "file_name": f"{number:012}.jpg"} for number in numbers],
        "annotations": [
            {"image_id": number, "file_name": f"{number:012}.png", "segments_info": segments}
            for number in reversed(numbers)
        ],
    }


def panoptic_label():
    ids = halves(260, 70_000, dtype=np.int32)
    ids[:, 4] = 0
    return ids


def coco_panoptic():
    files = {}
    for split, numbers in NUMBERS.items():
        label = encoded(np.asarray(panoptic_image(panoptic_label())))
        labels = {f"panoptic_{split}2017/{number:012}.png": label for number in numbers}
        files[f"annotations/panoptic_{split}2017.json"] = as_json(panoptic_json(numbers))
        files[f"annotations/panoptic_{split}2017.zip"] = zipped({**labels, "__MACOSX/._panoptic": b""})
    return {**coco_images(), "panoptic_annotations_trainval2017.zip": zipped(files)}


def coco_stuff():
    # 0 is person, 181 the last stuff, 11 a category that COCO never used.
    label = halves(0, 181)
    label[0, :3] = (11, 255, 91)
    files = {
        f"{split}2017/{number:012}.png": encoded(label) for split, numbers in NUMBERS.items() for number in numbers
    }
    return {**coco_images(), "stuffthingmaps_trainval2017.zip": zipped(files)}


def lvis_v1():
    archives = coco_images()
    for split, numbers in NUMBERS.items():
        square = {"segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]]}
        content = {
            "images": [
                {
                    "id": number,
                    "coco_url": f"http://images.cocodataset.org/{split}2017/{number:012}.jpg",
                    "height": SIZE[0],
                    "width": SIZE[1],
                }
                for number in numbers
            ],
            "annotations": [
                {"id": 1, "image_id": numbers[0], "category_id": 1203, **square},
                {"id": 2, "image_id": numbers[0], "category_id": 1, **square},
            ],
            "categories": [{"id": 1, "name": "aerosol_can"}, {"id": 1203, "name": "zucchini"}],
        }
        archives[f"lvis_v1_{split}.json.zip"] = zipped({f"lvis_v1_{split}.json": as_json(content)})
    return archives


PUBLISHED = {
    "ade20k-150": ade20k_150,
    "ade20k-847": ade20k_847,
    "pascal-context-59": pascal_context_59,
    "pascal-context-459": pascal_context_459,
    "pascal-voc-20": pascal_voc_20,
    "coco-panoptic": coco_panoptic,
    "coco-stuff": coco_stuff,
    "lvis-v1": lvis_v1,
}


def shrink_counts(monkeypatch, count=2):
    """Let the known sets have so many images a split."""
    for name, known in list(KNOWN.items()):
        splits = {split: replace(layout, count=count) for split, layout in known.splits.items()}
        monkeypatch.setitem(KNOWN, name, replace(known, splits=splits))


def publish(monkeypatch, server, name):
    """Serve the archives of a set where it says they are."""
    archives = PUBLISHED[name]()
    known = KNOWN[name]
    moved = []
    for archive in known.archives:
        if archive.address:
            server.files[f"/{archive.file}"] = Served(archives[archive.file])
            archive = replace(archive, address=f"{server.address}/{archive.file}")
        moved.append(archive)
    monkeypatch.setitem(KNOWN, name, replace(known, archives=tuple(moved)))


def put(root, name):
    """Put the archives of a set into a folder, as a user downloads them."""
    root.mkdir(parents=True, exist_ok=True)
    for file, content in PUBLISHED[name]().items():
        (root / file).write_bytes(content)
