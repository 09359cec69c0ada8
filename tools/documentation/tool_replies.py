"""Draw what CVAT, a client of Roboflow and the pipeline get, over the photo: ``docs/images/tool-cvat.jpg`` and others.

    python tools/documentation/tool_replies.py

Needs ``pip install cvat-sdk`` beside the extra ``serve``. Each image is made of the reply alone: the points or pixels
and the texts in it.
"""

import argparse
import base64
import textwrap
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import skimage.data
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw, ImageFont
from skimage.draw import polygon2mask

import maskadapter as ma
from maskadapter.integrations import cvat_function
from maskadapter.integrations.labeling_servers import roboflow_routes
from maskadapter.results import colors_of

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PHOTO = Path(skimage.data.__file__).parent / "camera.png"
CLASSES = ["person", "camera", "sky", "building", "ground|grass|pavement"]
NAMES = [one.partition("|")[0] for one in CLASSES]
COLORS = dict(zip(NAMES, colors_of(NAMES), strict=True))
SCALE = 1.5  # pixels drawn for one of the photo, so that points are seen
LINE = 24  # pixels from one line of the list to the next
WIDTH = 400  # pixels of the list
LETTERS = 42  # of one line of the list

Ring = list[list[float]]


def polygons(shapes: Iterable[tuple[str, str, list[Ring]]]) -> Image.Image:
    """The photo with rings of points, and beside it the texts that came with them. shapes: class, text, rings."""
    shapes, photo = list(shapes), np.array(Image.open(PHOTO).convert("RGB"))
    for name, _, rings in shapes:
        for ring in rings:
            inside = polygon2mask(photo.shape[:2], np.array(ring)[:, ::-1] - 0.5)
            photo[inside] = 0.6 * photo[inside] + 0.4 * np.array(COLORS[name])
    image = Image.fromarray(photo).resize((round(photo.shape[1] * SCALE), round(photo.shape[0] * SCALE)))
    draw = ImageDraw.Draw(image)
    for name, _, rings in shapes:
        for ring in rings:
            points = [(x * SCALE, y * SCALE) for x, y in ring]
            draw.line([*points, points[0]], COLORS[name], 2)
            for x, y in points:
                draw.rectangle((x - 2, y - 2, x + 2, y + 2), "white", COLORS[name])
    return beside(image, [(name, text) for name, text, _ in shapes])


def beside(image: Image.Image, texts: list[tuple[str, str]]) -> Image.Image:
    """An image with a list of texts at its right, each in the color of its class."""
    sheet = Image.new("RGB", (image.width + WIDTH, image.height), "white")
    sheet.paste(image)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    top = 14
    for name, text in texts:
        draw.rectangle((image.width + 12, top + 4, image.width + 24, top + 16), COLORS[name])
        for line in textwrap.wrap(text, LETTERS):
            draw.text((image.width + 34, top), line, "black", font)
            top += LINE
    return sheet


def cvat(model: ma.OpenVocabularySegmenter) -> Image.Image:
    """Polygons as CVAT's driver gets them, with the attribute of the best classes."""
    function = cvat_function(model, CLASSES, shape="polygon", attribute="best_classes")
    context = SimpleNamespace(conf_threshold=0.2, conv_mask_to_poly=False)
    shapes = function.detect(context, Image.open(PHOTO).convert("RGB"))
    names = {label.id: label.name for label in function.spec.labels}
    return polygons(
        (names[one.label_id], one.attributes[0].value, [np.array(one.points).reshape(-1, 2).tolist()]) for one in shapes
    )


def roboflow(model: ma.OpenVocabularySegmenter) -> Image.Image:
    """Polygons as Roboflow's client gets them, with their confidences."""
    app = FastAPI()
    app.include_router(roboflow_routes(model.segment))
    asked = {
        "image": {"type": "base64", "value": base64.b64encode(PHOTO.read_bytes()).decode()},
        "prompts": [{"type": "text", "text": one} for one in CLASSES],
        "output_prob_thresh": 0.2,
    }
    reply = TestClient(app).post("/roboflow/sam3/concept_segment", json=asked).json()
    return polygons(
        (
            result["echo"]["text"].partition("|")[0],
            f"{result['echo']['text']}  {found['confidence']:.2f}",
            found["masks"],
        )
        for result in reply["prompt_results"]
        for found in result["predictions"]
    )


def hugging_face(model: ma.OpenVocabularySegmenter) -> Image.Image:
    """The dictionaries of the pipeline: each mask with its label and score."""
    photo, found = Image.open(PHOTO).convert("RGB"), ma.ImageSegmentation(model, CLASSES)(str(PHOTO), threshold=0.2)
    side, font = 240, ImageFont.load_default(17)
    sheet = Image.new("RGB", (side * (len(found) + 1), side + LINE + 6), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (image, text) in enumerate(
        [(photo, "photo"), *((one["mask"], f"{one['label']}  {one['score']:.2f}") for one in found)]
    ):
        sheet.paste(image.convert("RGB").resize((side - 6, side - 6)), (number * side + 3, 3))
        draw.text((number * side + 6, side + 2), text, "black", font)
    return sheet


def main() -> None:
    """Write the files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    model = ma.load()
    for name, draw in (("cvat", cvat), ("roboflow", roboflow), ("hugging-face", hugging_face)):
        file = IMAGES / f"tool-{name}.jpg"
        draw(model).save(file, quality=85, optimize=True)
        print(file.name, file.stat().st_size)


if __name__ == "__main__":
    main()
