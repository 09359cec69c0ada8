"""``data.yaml`` of a YOLO training set, and the list files of its splits, as ultralytics reads them."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import yaml

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.run_record import RunRecord
from maskadapter.system.json_files import MAX_BYTES
from maskadapter.system.text_files import read_text

INDEX = "data.yaml"
_SPLITS = ("train", "val")


def check_yolo(run: RunRecord, names: Sequence[str]) -> None:
    """Raise MaskAdapterError, one line, if ``data.yaml`` was edited such that its classes have other numbers now."""
    if not run.is_edited(INDEX):
        return
    path = run.output / INDEX
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))["names"]
        there = dict(given) if isinstance(given, Mapping) else dict(enumerate(given))
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise MaskAdapterError(f"{path} was edited and its names cannot be read ({reason}): mend it") from None
    for number, name in enumerate(names):
        if there.get(number) != name and (number not in there or name in there.values()):
            problem = f"{path} was edited and class {number} is not '{name}' any more"
            raise MaskAdapterError(f"{problem}: undo that, or label new images into another folder")


def write_yolo(run: RunRecord, names: Sequence[str], val: float) -> str:
    """Write ``data.yaml`` and, for a share ``val`` above 0, ``train.txt`` and ``val.txt``; return a remark.

    A file that was edited stays, but new images are added to an edited list. Images are ranked by the hash of their
    content, equal ones side by side, and those of an earlier run stay in their split.
    """
    places = {split: f"{split}.txt" if val else "images" for split in _SPLITS}
    text = data_yaml(names, places)
    run.write(INDEX, lambda path: path.write_text(text, encoding="utf-8"))
    if not val:
        return "data.yaml has the same images for train and val: --val 0.2 holds a fifth of them out"
    there = ((stem, entry, _image(entry)) for stem, entry in sorted(run.images.items()))
    images = {stem: entry for stem, entry, image in there if image and (run.output / image).is_file()}
    _assign(images, val)
    both = len({entry["split"] for entry in images.values()}) == 1  # one image, or equal ones: ultralytics needs both
    counts = []
    for split, name in places.items():
        chosen = [entry for entry in images.values() if both or entry["split"] == split]
        counts.append(len(chosen))
        _write_list(run, name, chosen)
    for entry in images.values():
        entry["listed"] = True
    return f"{counts[0]:,} images for train, {counts[1]:,} for val" + (", the same" if both else "")


def data_yaml(names: Sequence[str], places: Mapping[str, str]) -> str:
    """The content of ``data.yaml``. places: of the images of train and val, folders or lists.

    ``path`` is empty, which ultralytics reads as the folder of ``data.yaml``: the set can be moved.
    Source: ultralytics 8.4, data/utils.py ``check_det_dataset`` and data/base.py ``get_img_files``.
    """
    content = {"path": "", **places, "nc": len(names), "names": list(names)}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _assign(images: Mapping[str, dict[str, Any]], val: float) -> None:
    """Give the images without one a split, so that about the share ``val``, one image at least, is in val."""
    wanted = min(max(1, round(val * len(images))), len(images) - 1)
    held_out = sum(entry.get("split") == "val" for entry in images.values())
    ranked = sorted(images.values(), key=lambda entry: entry.get("sha256", ""))
    for _, equal in groupby(ranked, key=lambda entry: entry.get("sha256", "")):
        group = list(equal)
        before = next((entry["split"] for entry in group if "split" in entry), None)
        split = before or ("val" if held_out < wanted else "train")
        for entry in group:
            if "split" not in entry:
                entry["split"] = split
                held_out += split == "val"


def _write_list(run: RunRecord, name: str, images: Sequence[Mapping[str, Any]]) -> None:
    path = run.output / name
    if not run.is_edited(name):
        lines = "".join(f"./{_image(entry)}\n" for entry in images)
        run.write(name, lambda temporary: temporary.write_text(lines, encoding="utf-8"))
        return
    run.kept.add(name)
    new = [f"./{_image(entry)}" for entry in images if not entry.get("listed")]
    if new:
        before = read_text(path, MAX_BYTES, MaskAdapterError, "list of images").splitlines()
        new = [line for line in new if line not in before]
        run.replace(name, lambda temporary: temporary.write_text("\n".join([*before, *new]) + "\n", encoding="utf-8"))


def _image(entry: Mapping[str, Any]) -> str | None:
    return next((name for name in entry["files"] if name.startswith("images/")), None)
