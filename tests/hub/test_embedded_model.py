"""The model in the package: it is there, small, loads without a network, and names what training never saw."""

import copy
import json
import pickle
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from PIL import Image
from safetensors import safe_open

import maskadapter
from maskadapter.cli import main
from maskadapter.errors import MaskAdapterError
from maskadapter.io.coco_format import encode_mask, panoptic_image
from maskadapter.io.images import read_image
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import MaskPooling
from maskadapter.models.preprocess import InputSize

supervision = pytest.importorskip("supervision")

WEIGHTS = files("maskadapter") / "hub" / "weights"
PHOTOS = Path(skimage.__file__).parent / "data"


@pytest.fixture(scope="module")
def model() -> maskadapter.OpenVocabularySegmenter:
    return maskadapter.load()


def test_the_file_is_small_and_carries_its_facts() -> None:
    path = Path(str(WEIGHTS / "tiny.safetensors"))
    assert path.stat().st_size <= 25_000_000
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    assert "Apache-2.0" in facts.values()
    assert "COCO" in facts["data"]
    assert "MiniLM" in facts["teachers"]
    assert (WEIGHTS / "tiny.md").is_file()


def test_the_text_encoder_is_open_clips_own_and_knows_related_words(model: maskadapter.OpenVocabularySegmenter) -> None:
    assert type(model.clip.model).__module__ == "open_clip.model"
    assert model.clip.model.token_embedding.weight.shape == (49408, 192)
    near = {"puppy": "dog", "kitten": "cat", "automobile": "car", "lawn": "grass", "couch": "sofa"}
    words = model.encode_text(list(near.values())).text_embeddings
    for word, (i, expected) in zip(near, enumerate(near.values()), strict=True):
        similarity = (model.encode_text([word]).text_embeddings @ words.T)[0]
        assert int(similarity.argmax()) == i, f"{word} is nearer to another word than to {expected}"


def test_a_real_photo_of_a_cat_is_mostly_cat(model: maskadapter.OpenVocabularySegmenter) -> None:
    result = model.segment(PHOTOS / "chelsea.png", ["cat", "dog", "car", "sky", "grass", "pizza"])
    labels = result.semantic()
    assert labels.shape == (300, 451)
    assert 0.5 < (labels == 0).mean() < 0.98  # three quarters are


def test_the_same_image_gives_the_same_result(model: maskadapter.OpenVocabularySegmenter) -> None:
    words = ["cup|mug", "spoon", "table"]
    first, second = (model.segment(PHOTOS / "coffee.png", words) for _ in range(2))
    assert (first.semantic() == second.semantic()).all()


def test_the_command_line_names_results_after_the_image(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
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
def test_images_without_content_are_no_trouble(
    model: maskadapter.OpenVocabularySegmenter, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "inference", replace(model.inference, input_size=InputSize(320, 320)))  # quicker
    for value in (0, 117, 255):
        result = model.segment(np.full((*size, 3), value, np.uint8), ["cat", "wall"])
        assert result.semantic().shape == size
        assert result.panoptic().ids.shape == size


def test_its_adapter_is_there_for_who_asks(model: maskadapter.OpenVocabularySegmenter, tmp_path: Path) -> None:
    with_adapter = maskadapter.load(pooler="adapter")
    assert isinstance(with_adapter.pooler, AdapterPooler)
    assert isinstance(model.pooler, MaskPooling)
    image = read_image(PHOTOS / "coffee.png")
    words = ["cup", "table", "spoon"]
    same = (with_adapter.segment(image, words).semantic() == model.segment(image, words).semantic()).mean()
    assert 0.5 < same < 1

    # A file that was trained holds its CLIP too, and an adapter of a size of its own.
    maskadapter.save(with_adapter, tmp_path / "trained.safetensors", "tiny")
    joined = maskadapter.load("tiny", adapter=tmp_path / "trained.safetensors")
    assert joined.pooler.adapter.config == with_adapter.pooler.adapter.config
    for key, tensor in joined.state_dict().items():
        assert torch.equal(tensor, with_adapter.state_dict()[key]), key


def test_the_same_masks_get_the_same_names_in_any_format(
    model: maskadapter.OpenVocabularySegmenter, tmp_path: Path
) -> None:
    image = read_image(PHOTOS / "coffee.png")
    ids = np.zeros(image.shape[:2], np.int32)
    for index, (top, left, bottom, right) in enumerate(
        [(20, 190, 250, 390), (60, 60, 380, 180), (290, 300, 380, 360), (0, 420, 110, 600)], start=1
    ):
        ids[top:bottom, left:right] = index  # rectangles: polygons can say them exactly
    masks = ids == np.arange(1, 5)[:, None, None]
    np.save(tmp_path / "masks.npy", masks)
    Image.fromarray(ids.astype(np.uint8)).save(tmp_path / "labels.png")
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "labels16.png")
    panoptic_image(ids * 1000).save(tmp_path / "panoptic.png")
    corners = [np.argwhere(mask)[[0, -1]] + [[0, 0], [1, 1]] for mask in masks]
    polygons = [[[x0, y0, x1, y0, x1, y1, x0, y1]] for (y0, x0), (y1, x1) in (c.tolist() for c in corners)]
    run_lengths = [encode_mask(mask) for mask in masks]
    (tmp_path / "list.json").write_text(json.dumps([{"segmentation": one} for one in run_lengths]))
    annotations = [{"image_id": 9, "segmentation": polygon} for polygon in polygons]
    images = [{"id": 9, "file_name": "coffee.png"}, {"id": 10, "file_name": "tea.png"}]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    boxes = np.array([[c[0][1], c[0][0], c[1][1], c[1][0]] for c in corners], float)
    sources = [
        masks,
        torch.from_numpy(masks),
        list(masks),
        *sorted(tmp_path.iterdir()),
        supervision.Detections(xyxy=boxes, mask=masks),
        [{"segmentation": mask, "area": int(mask.sum())} for mask in masks],
        [{"segmentation": one} for one in run_lengths],
    ]
    words = ["cup", "saucer", "spoon", "table"]
    expected = model.classify(PHOTOS / "coffee.png", masks, words).probs
    assert expected.std() > 0.05
    for source in sources:
        np.testing.assert_array_equal(model.classify(PHOTOS / "coffee.png", source, words).probs, expected)


def test_a_changed_or_copied_model_has_text_of_its_own(model: maskadapter.OpenVocabularySegmenter) -> None:
    before = model.encode_text(["kestrel"]).text_embeddings
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.clip.model.text_projection.add_(torch.randn(192, 384, generator=torch.Generator().manual_seed(0)))
    assert not torch.allclose(changed.encode_text(["kestrel"]).text_embeddings, before, atol=1e-3)
    first = changed.encode_text(["sandpiper"]).text_embeddings
    assert not torch.allclose(maskadapter.load().encode_text(["sandpiper"]).text_embeddings, first, atol=1e-3)
    assert torch.equal(maskadapter.load().encode_text(["kestrel"]).text_embeddings, before)
    model.clip.templates, kept = ("a drawing of a {}",), model.clip.templates
    try:
        assert not torch.allclose(model.encode_text(["kestrel"]).text_embeddings, before, atol=1e-3)
    finally:
        model.clip.templates = kept


def test_models_and_results_can_be_pickled(model: maskadapter.OpenVocabularySegmenter) -> None:
    result = model.segment(np.zeros((32, 40, 3), np.uint8), "cat, wall")
    again = pickle.loads(pickle.dumps(result))
    assert (again.semantic() == result.semantic()).all()
    other = pickle.loads(pickle.dumps(model))
    assert torch.equal(other.encode_text(["cat"]).text_embeddings, model.encode_text(["cat"]).text_embeddings)


def test_words_encoded_in_another_precision_meet_the_background(model: maskadapter.OpenVocabularySegmenter) -> None:
    encoded = model.encode_text(["cat", "wall"])
    halved = type(encoded)(encoded.vocabulary, encoded.text_embeddings.half())
    image = np.zeros((32, 40, 3), np.uint8)
    assert model.segment(image, halved).semantic().shape == (32, 40)


def test_a_home_without_a_cache_folder_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MASKADAPTER_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert maskadapter.load().encode_text(["cat"]).text_embeddings.shape == (1, 384)
    with pytest.raises(MaskAdapterError, match="set MASKADAPTER_CACHE"):
        maskadapter.load("fcclip-large")


def test_broken_weights_are_reported(model: maskadapter.OpenVocabularySegmenter) -> None:
    broken = copy.deepcopy(model)
    with torch.no_grad():
        next(broken.clip.model.visual.trunk.parameters()).fill_(float("nan"))
    image = np.zeros((32, 40, 3), np.uint8)
    with pytest.raises(MaskAdapterError, match="computes no numbers"):
        broken.segment(image, "cat")
    with pytest.raises(MaskAdapterError, match="computes no numbers"):
        broken.classify(image, np.ones((1, 32, 40), bool), "cat")


def test_an_unknown_pooler_is_refused():
    with pytest.raises(MaskAdapterError, match="no pooler 'poolin': did you mean 'pooling'"):
        maskadapter.load(pooler="poolin")
