"""The model in the package: it is there, small, loads without a network, and names what training never saw."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import skimage
from safetensors import safe_open

import maskadapter
from maskadapter.cli import main
from maskadapter.errors import CheckpointError

WEIGHTS = files("maskadapter") / "weights"
PHOTOS = Path(skimage.__file__).parent / "data"


@pytest.fixture(scope="module")
def model() -> maskadapter.OpenVocabularySegmenter:
    return maskadapter.load()


def test_the_file_is_small_and_carries_its_facts() -> None:
    path = Path(str(WEIGHTS / "tiny.safetensors"))
    assert path.stat().st_size <= 25_000_000
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    assert facts["licence"] == "Apache-2.0"
    assert "COCO" in facts["data"]
    assert "MiniLM" in facts["teachers"]
    assert (WEIGHTS / "tiny.md").is_file()


def test_the_text_tower_is_open_clips_own_and_knows_related_words(model: maskadapter.OpenVocabularySegmenter) -> None:
    assert type(model.clip.model).__module__ == "open_clip.model"
    assert model.clip.model.token_embedding.weight.shape == (49408, 192)
    near = {"puppy": "dog", "kitten": "cat", "automobile": "car", "lawn": "grass", "couch": "sofa"}
    words = model.encode(list(near.values())).rows
    for word, (i, expected) in zip(near, enumerate(near.values()), strict=True):
        similarity = (model.encode([word]).rows @ words.T)[0]
        assert int(similarity.argmax()) == i, f"{word} is nearer to another word than to {expected}"


def test_a_real_photo_of_a_cat_is_mostly_cat(model: maskadapter.OpenVocabularySegmenter) -> None:
    result = model.segment(PHOTOS / "chelsea.png", ["cat", "dog", "car", "sky", "grass", "pizza"])
    labels = result.semantic()
    assert labels.shape == (300, 451)
    assert (labels == 0).mean() > 0.5


def test_the_same_picture_gives_the_same_result(model: maskadapter.OpenVocabularySegmenter) -> None:
    words = ["cup|mug", "spoon", "table"]
    first, second = (model.segment(PHOTOS / "coffee.png", words) for _ in range(2))
    assert (first.semantic() == second.semantic()).all()


def test_the_command_line_names_results_after_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(
            ["segment", str(PHOTOS / "coffee.png"), "-c", "cup, table", "-o", str(tmp_path), "--save", "panoptic,coco"]
        )
    assert not stopped.value.code
    assert {p.name for p in tmp_path.iterdir()} == {
        "coffee-panoptic.png",
        "coffee-panoptic.json",
        "coffee-instances.json",
    }
    for name in ("coffee-panoptic.json", "coffee-instances.json"):
        (image,) = json.loads((tmp_path / name).read_text())["images"]
        assert (image["file_name"], image["height"], image["width"]) == ("coffee.png", 400, 600)


@pytest.mark.parametrize("size", [(1, 1), (2, 400), (64, 64)])
def test_pictures_without_content_are_no_trouble(
    model: maskadapter.OpenVocabularySegmenter, size: tuple[int, int]
) -> None:
    for value in (0, 117, 255):
        result = model.segment(np.full((*size, 3), value, np.uint8), ["cat", "wall"])
        assert result.semantic().shape == size
        assert result.panoptic().ids.shape == size


def test_it_has_no_adapter_yet() -> None:
    with pytest.raises(CheckpointError, match="holds no adapter"):
        maskadapter.load(embedding="adapter")
