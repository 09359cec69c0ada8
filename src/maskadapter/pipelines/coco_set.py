"""``annotations.json`` of a COCO training set: joined from the parts, one an image, or extended where it was edited."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.io import categories, coco_info
from maskadapter.pipelines.run_record import RunRecord
from maskadapter.system.json_files import read_json

INDEX = "annotations.json"


def check_coco(run: RunRecord, names: Sequence[str]) -> None:
    """Raise MaskAdapterError, one line, if the set's file was edited such that new images cannot be added to it."""
    if run.is_edited(INDEX):
        _read_edited(run.output / INDEX, names)


def write_coco(run: RunRecord, names: Sequence[str], is_thing: Sequence[bool]) -> None:
    """Write ``annotations.json`` from the parts; where it was edited, add the images that are new to it."""
    parts = {stem: run.output / "annotations" / f"{stem}.json" for stem in sorted(run.images)}
    parts = {stem: path for stem, path in parts.items() if path.is_file() and not _is_removed(run, stem)}
    if run.is_edited(INDEX):
        run.kept.add(INDEX)
        new = [path for stem, path in parts.items() if not run.images[stem].get("listed")]
        if new:
            content = _extended(run.output / INDEX, map(_read_part, new), names)
            run.replace(INDEX, lambda path: path.write_text(json.dumps(content, ensure_ascii=False) + "\n", "utf-8"))
    else:
        run.write(INDEX, partial(join_coco, parts=map(_read_part, parts.values()), names=names, is_thing=is_thing))
    for stem in parts:
        run.images[stem]["listed"] = True


def _is_removed(run: RunRecord, stem: str) -> bool:
    """Whether somebody removed the image from the set."""
    return not all((run.output / n).is_file() for n in run.images[stem]["files"] if n.startswith("images/"))


def join_coco(path: Path, parts: Iterable[Mapping[str, Any]], names: Sequence[str], is_thing: Sequence[bool]) -> None:
    """Write a COCO file of many images from their parts, each an ``image`` and its ``annotations``; one of them is in
    memory at a time."""
    annotation_id = 0
    # The file ends with the images: until then they are in another.
    with path.open("w", encoding="utf-8") as file, TemporaryFile("w+", encoding="utf-8") as images:
        file.write(json.dumps(coco_info())[:-1] + ', "annotations": [')
        for image_id, part in enumerate(parts, start=1):
            images.write((", " if image_id > 1 else "") + json.dumps({**part["image"], "id": image_id}))
            for annotation in part["annotations"]:
                file.write(",\n" if annotation_id else "\n")
                annotation_id += 1
                file.write(json.dumps({**annotation, "id": annotation_id, "image_id": image_id}))
        file.write('\n], "images": [')
        images.seek(0)
        shutil.copyfileobj(images, file)
        file.write(f'], "categories": {json.dumps(categories(names, is_thing), ensure_ascii=False)}}}\n')


def _extended(path: Path, parts: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """The edited file's content with further images and annotations, of new ids; all else stays."""
    content, category_ids = _read_edited(path, names)
    there = {image["file_name"] for image in content["images"]}
    image_id, annotation_id = (max((one["id"] for one in content[key]), default=0) for key in ("images", "annotations"))
    for part in parts:
        if part["image"]["file_name"] in there:
            continue
        image_id += 1
        content["images"].append({**part["image"], "id": image_id})
        for annotation in part["annotations"]:
            annotation_id += 1
            category_id = category_ids[annotation["category_id"]]
            ids = {"id": annotation_id, "image_id": image_id, "category_id": category_id}
            content["annotations"].append({**annotation, **ids})
    return content


def _read_edited(path: Path, names: Sequence[str]) -> tuple[dict[str, Any], dict[int, int]]:
    """Content of the edited file, and its category id for each of ours: by name, or by id where it was renamed."""
    advice = "undo that, or label new images into another folder"
    content = read_json(path, MaskAdapterError)
    try:
        there = {category["name"]: category["id"] for category in content["categories"]}
        renamed = {category_id for name, category_id in there.items() if name not in names}
        ids = {i: there.get(name, i if i in renamed else None) for i, name in enumerate(names, start=1)}
        numbers = [one["id"] for key in ("images", "annotations") for one in content[key]]
        named = [image["file_name"] for image in content["images"]]
        if not all(type(number) is int for number in [*numbers, *there.values()]) or not all(map(str, named)):
            raise TypeError("ids that are not whole numbers")
    except (KeyError, TypeError, AttributeError) as error:
        raise MaskAdapterError(f"{path} was edited and is not a COCO file any more ({error}): {advice}") from None
    if lost := [names[i - 1] for i, category_id in ids.items() if category_id is None]:
        raise MaskAdapterError(f"{path} was edited and has no category '{lost[0]}' any more: {advice}")
    return content, {i: category_id for i, category_id in ids.items() if category_id is not None}


def _read_part(path: Path) -> dict[str, Any]:
    part = read_json(path, MaskAdapterError)
    try:
        return {"image": dict(part["image"]), "annotations": list(part["annotations"])}
    except (KeyError, TypeError, ValueError):
        problem = f"{path} was edited and has no image and annotations any more"
        raise MaskAdapterError(f"{problem}: remove it, and --resume makes it anew") from None
