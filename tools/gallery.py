"""Make the images of `docs/gallery.md`: photos of scikit-image and Matplotlib, segmented by the embedded model.

    python tools/gallery.py

Two threads, half a minute; needs `pip install '.[plot]'` for Matplotlib's photo. Writes `docs/images/gallery-*.jpg` and
prints the share of every class.
"""

import argparse
from pathlib import Path

import matplotlib
import skimage
from PIL import Image

import maskadapter as ma

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SCIKIT_IMAGE = Path(skimage.__file__).parent / "data"
MATPLOTLIB = Path(matplotlib.get_data_path()) / "sample_data"
LONGER_SIDE = 480
# Name of the image, photo, classes.
GALLERY = [
    ("coffee", SCIKIT_IMAGE / "coffee.png", "cup, spoon, table|dining table"),
    ("cat", SCIKIT_IMAGE / "chelsea.png", "cat, wall"),
    ("camera", SCIKIT_IMAGE / "camera.png", "person, camera, sky, building, ground|grass|pavement"),
    ("astronaut", SCIKIT_IMAGE / "astronaut.png", "person, rocket, helmet, wall"),
    ("hopper", MATPLOTLIB / "grace_hopper.jpg", "person, uniform, flag, sky"),
    ("saucer", SCIKIT_IMAGE / "coffee.png", "cup, saucer|plate, table, spoon"),
    ("rocket", SCIKIT_IMAGE / "rocket.jpg", "rocket, sky"),
]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    model = ma.load()
    for name, photo, classes in GALLERY:
        result = model.segment(photo, classes)
        overlay = result.overlay().convert("RGB")
        overlay.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
        overlay.save(IMAGES / f"gallery-{name}.jpg", quality=85, optimize=True)
        shares = [f"{one['name']} {one['share']:.0%}" for one in result.summary()["classes"]]
        print(f"{name}: {', '.join(shares)}")


if __name__ == "__main__":
    main()
