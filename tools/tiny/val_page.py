"""Draw every second photo of COCO val2017 with the classes that occur in it, to be looked at.

    python tools/tiny/val_page.py --shared ../shared --output build/val-page

Reads the packed weights. Writes contact sheets of four photos, each beside its overlay with the words above, and prints
one line a photo. The words are the photo's own ground-truth classes, the eight largest at most. What was seen is in
`results/embedded-model/val-page.md`; nothing may be chosen on these photos.
"""

import argparse
from pathlib import Path

import numpy as np
from coco import Photo, panoptic_photos
from PIL import Image, ImageDraw

import maskadapter as ma

MOST_WORDS = 8
STRIDE = 2
A_SHEET = 4
WIDTH = 640


def words(photo: Photo, names: list[str]) -> list[str]:
    """Ground-truth classes by area, the largest first."""
    ids, labels = photo.masks()
    areas = np.zeros(len(names), np.int64)
    np.add.at(areas, labels, np.bincount(ids.ravel(), minlength=len(labels) + 1)[1:])
    return [names[index] for index in np.argsort(-areas, kind="stable")[:MOST_WORDS] if areas[index]]


def row(image: np.ndarray, overlay: Image.Image, text: str) -> Image.Image:
    """The image and its overlay side by side, under a line of text."""
    size = WIDTH, round(WIDTH * image.shape[0] / image.shape[1])
    sheet = Image.new("RGB", (2 * WIDTH, size[1] + 20), "white")
    sheet.paste(Image.fromarray(image).resize(size), (0, 20))
    sheet.paste(overlay.convert("RGB").resize(size), (WIDTH, 20))
    ImageDraw.Draw(sheet).text((4, 4), text, fill="black")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    vocabulary = ma.Vocabulary.builtin("coco-panoptic")
    model, rows = ma.load(), []
    for photo in panoptic_photos(options.shared / "data" / "coco", "val2017")[: 24 * STRIDE : STRIDE]:
        image = photo.image()
        chosen = words(photo, vocabulary.names)
        result = model.segment(image, [vocabulary.classes[vocabulary.names.index(name)] for name in chosen])
        labels = result.semantic()
        shares = ", ".join(f"{name} {(labels == index).mean():.0%}" for index, name in enumerate(chosen))
        print(f"{photo.path.name}: {shares}", flush=True)
        rows.append(row(image, result.overlay(), f"{photo.path.stem}: {shares}"))
    for first in range(0, len(rows), A_SHEET):
        part = rows[first : first + A_SHEET]
        sheet = Image.new("RGB", (2 * WIDTH, sum(one.height for one in part)))
        for index, one in enumerate(part):
            sheet.paste(one, (0, sum(other.height for other in part[:index])))
        sheet.save(options.output / f"{first:02}.png")


if __name__ == "__main__":
    main()
