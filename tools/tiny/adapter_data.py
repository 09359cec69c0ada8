"""Write the labeled photos as a COCO panoptic data set, for `maskadapter train`, and a copy without the unseen classes.

Photos with instance labels become panoptic ones: everything else in them is unlabeled. Every third class of COCO's 133
is unseen; in the copy their segments are unlabeled and their names are not in the list of classes.

    python tools/tiny/adapter_data.py --shared ../shared --out build/tiny/adapter_data

Seconds. Writes `coco/` (500 training photos; the 50 of val2017 as they are), `held-out.yaml` (40 photos for choosing
settings), `seen.yaml`, `seen.txt`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import yaml
from coco import Photo, splits
from PIL import Image

from maskadapter.vocabulary.vocabulary import Vocabulary

UNSEEN_EVERY = 3


def unseen(label: int) -> bool:
    """Whether one of the 133 classes is unseen by the adapter."""
    return label % UNSEEN_EVERY == UNSEEN_EVERY - 1


def write(photos: list[Photo], folder: Path, name: str, categories: list[dict], seen_alone: bool = False) -> None:
    """Write images (as links), `panoptic_<name>/` and `annotations/panoptic_<name>.json`."""
    images, annotations = [], []
    for part in (name, f"panoptic_{name}", "annotations"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(photos, start=1):
        ids, labels = photo.masks()
        kept = [i for i in range(1, len(labels) + 1) if (ids == i).any() and not (seen_alone and unseen(labels[i - 1]))]
        link, png = folder / name / photo.path.name, f"{photo.path.stem}.png"
        if not link.exists():
            link.symlink_to(photo.path.resolve())
        colors = np.where(np.isin(ids, kept), ids, 0)
        rgb = np.stack([colors % 256, colors // 256, np.zeros_like(colors)], -1).astype(np.uint8)
        Image.fromarray(rgb).save(folder / f"panoptic_{name}" / png)
        size = {"height": ids.shape[0], "width": ids.shape[1]}
        images.append({"id": number, "file_name": photo.path.name, **size})
        segments = [{"id": i, "category_id": categories[labels[i - 1]]["id"], "iscrowd": 0} for i in kept]
        annotations.append({"image_id": number, "file_name": png, "segments_info": segments})
    listed = [c for i, c in enumerate(categories) if not (seen_alone and unseen(i))]
    content = {"images": images, "annotations": annotations, "categories": listed}
    (folder / f"annotations/panoptic_{name}.json").write_text(json.dumps(content))


def custom(folder: Path, split: str, name: str, classes: list[str], things: list[str]) -> str:
    """A YAML file that describes what `write` wrote."""
    places = {"images": name, "annotations": f"annotations/panoptic_{name}.json", "labels": f"panoptic_{name}"}
    own = {key: f"{folder.name}/{place}" for key, place in places.items()}
    return yaml.safe_dump({"task": "panoptic", "classes": classes, "things": things, split: own}, sort_keys=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    root, out = arguments.shared / "data/coco", arguments.out
    training, held_out, _ = splits(root)
    categories = json.loads((root / "annotations/panoptic_val2017.json").read_text())["categories"]
    categories = sorted(categories, key=lambda category: category["id"])
    coco = out / "coco"
    write(training, coco, "train2017", categories)
    for part in ("val2017", "panoptic_val2017", "annotations/panoptic_val2017.json"):
        if not (coco / part).exists():
            (coco / part).symlink_to((root / part).resolve())
    vocabulary = Vocabulary.builtin("coco-panoptic")
    named = [{**c, "name": names[0]} for c, names in zip(categories, vocabulary.classes, strict=True)]
    write(training, out / "seen", "train", named, seen_alone=True)
    write(held_out, out / "held-out", "val", named)
    groups = ["|".join(names) for names in vocabulary.classes]
    first = [names[0] for names in vocabulary.classes]
    seen = [i for i in range(len(groups)) if not unseen(i)]
    things = [i for i in range(len(groups)) if vocabulary.is_thing[i]]
    seen_classes, seen_things = [groups[i] for i in seen], [first[i] for i in seen if i in things]
    (out / "seen.yaml").write_text(custom(out / "seen", "train", "train", seen_classes, seen_things))
    (out / "held-out.yaml").write_text(custom(out / "held-out", "val", "val", groups, [first[i] for i in things]))
    (out / "seen.txt").write_text("\n".join(first[i] for i in seen) + "\n")
    print(len(training), "training,", len(held_out), "held-out photos,", len(seen), "seen classes")


if __name__ == "__main__":
    main()
