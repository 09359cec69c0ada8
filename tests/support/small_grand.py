"""A small imitation of GranD: annotations as its repository writes them, and the archives that users download."""

import json

import numpy as np
from small_sets import image, tarred, write

from maskadapter.io.coco_format import encode_mask

SIZE = (24, 32)  # height, width


def block(rows, columns, size=SIZE):
    """The run lengths of a rectangle: the first row and column and those after the last."""
    mask = np.zeros(size, dtype=bool)
    mask[slice(*rows), slice(*columns)] = True
    return encode_mask(mask)


LEFT, RIGHT, TOP = block((0, 24), (0, 12)), block((0, 24), (20, 32)), block((0, 8), (0, 32))


def thing(labels, segmentation=None, **facts):
    """An object as GranD lists it; without a segmentation where none was found."""
    held = {} if segmentation is None else {"segmentation": segmentation, "segmentation_source": "SAM"}
    return {"bbox": [0.5, 0.0, 12.25, 24.0], "labels": labels, "score": 0.9, "attributes": None, **held, **facts}


def numbered(objects):
    return [{"id": number, **one} for number, one in enumerate(objects)]


def annotation(stem, *objects, floating=()):
    """The content of an annotation file: the objects beside the other levels."""
    levels = {"relationships": {}, "short_captions": [], "dense_caption": {"caption": "a table"}, "landmark": ""}
    held = {"objects": numbered(objects), "floating_objects": numbered(floating), **levels}
    return json.dumps({f"{stem}.jpg": held})


def object_level(stem, *objects):
    """The content of the file that GranD's own preparation of object-level data writes."""
    return json.dumps({f"{stem}.jpg": numbered(objects)})


# Names that both images share have other places in each.
FILES = {
    "sa_1": annotation(
        "sa_1",
        thing(["wine_glass", "cup", "wine_glass"], LEFT),
        thing(["person", "dress"], TOP, label="dress"),
        thing(["chair"], RIGHT),
    ),
    "sa_2": object_level("sa_2", thing(["chair", "table"], LEFT), thing(["Wine_Glass"], RIGHT)),
}


def write_grand(folder, files=None):
    """Write images and annotations as they lie when prepared, in the data set's own folder, which is returned."""
    for number, (stem, content) in enumerate((FILES if files is None else files).items()):
        write(folder / "images" / f"{stem}.jpg", image(number, SIZE))
        write(folder / "annotations" / f"{stem}.json", content)
    return folder


def archives():
    """SA-1B's images beside their own annotations, and an archive with the annotations of other images too."""
    photos = {f"sa_000000/sa_{number}.{kind}": data for number in (1, 2, 3) for kind, data in files_of(number)}
    labels = {f"./part_1_1/{stem}.json": content.encode() for stem, content in FILES.items()}
    labels["./part_1_1/sa_9.json"] = annotation("sa_9").encode()
    return {"sa_000000.tar": tarred(photos), "part_1_1.tar.gz": tarred(labels, "w:gz")}


def files_of(number):
    return ("jpg", image(number, SIZE)), ("json", b'{"image": {}, "annotations": []}')
