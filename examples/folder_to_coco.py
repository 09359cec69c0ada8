"""Turn a folder of images into a COCO training set: ``python examples/folder_to_coco.py [FOLDER] [CLASSES]``.

Without arguments it writes three photos of scikit-image to ``photos/`` first. The set goes to ``dataset/``: the images
and ``annotations.json``. It needs ``pip install 'maskadapter[label]'``. Look at the labels before you train on them:
they contain the model's errors.
"""

import json
import sys
from pathlib import Path

import skimage.data
from PIL import Image

import maskadapter as ma

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "photos")
classes = sys.argv[2] if len(sys.argv) > 2 else "cat, cup, person"
if len(sys.argv) < 2:
    folder.mkdir(exist_ok=True)
    for name in ("astronaut", "chelsea", "coffee"):
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.png")

report = ma.label_images(ma.load(), folder, classes, "dataset", format="coco", score=0.2)
print(f"{report.done} images, {report.note}")
for name, line in report.failed:
    print(f"{name}: {line}")

coco = json.loads(Path("dataset/annotations.json").read_text(encoding="utf-8"))
names = {category["id"]: category["name"] for category in coco["categories"]}
for annotation in coco["annotations"]:
    print(annotation["image_id"], names[annotation["category_id"]], [round(side) for side in annotation["bbox"]])
