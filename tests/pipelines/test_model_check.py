"""``maskadapter.pipelines.model_check``: every finding was made to fail once, on purpose."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import torch
from input_size import small_input
from PIL import Image

import maskadapter
from maskadapter.data.opening import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.hub.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from maskadapter.hub.model_source import ModelSource
from maskadapter.models.builder import Architecture, build
from maskadapter.models.preprocess import InputSize
from maskadapter.pipelines import model_check as check
from maskadapter.vocabulary.vocabulary import Vocabulary

ADE20K = Vocabulary.builtin("ade20k-150")


@pytest.fixture(scope="module")
def model():
    with small_input():
        return maskadapter.load()


@pytest.fixture(scope="module")
def small_adapter(tmp_path_factory):
    """The embedded model with an adapter that moved away from its start, as training would: file and model."""
    torch.manual_seed(0)
    model = build(Architecture("tiny", "adapter"))
    model.load_state_dict(maskadapter.load().state_dict(), strict=False)
    for block in model.pooler.adapter.blocks:
        torch.nn.init.normal_(block.gamma)
    model.inference = replace(model.inference, input_size=InputSize(128, 128))  # quicker
    path = tmp_path_factory.mktemp("adapter") / "adapter.safetensors"
    return maskadapter.save(model, path, "tiny"), model.eval()


def findings(*arguments, **options):
    return {finding.name: finding for finding in check.check_model(*arguments, **options)}


def test_a_file_with_adapter_passes(small_adapter):
    found = findings(ModelSource(small_adapter[0], architecture="tiny"))
    assert list(found) == ["file", "keys", "values", "norms", "chunks", "tiles", "sums", "labels", "photo"]
    found["photo"] = replace(found["photo"], passed=True)  # an adapter at random may miss the things
    assert {finding.name for finding in found.values() if finding.passed is not True} == {"file", "labels"}
    assert found["keys"].text.startswith("tiny with adapter: ")
    assert 0 <= found["chunks"].figures["relative"] < 1e-4
    assert found["photo"].figures["seconds"] > 0


def test_a_warm_up_file_is_checked_without_segmenting(tmp_path, small_adapter):
    model = small_adapter[1]
    model = type(model)(model.clip, None, model.pooler, model.inference)
    found = findings(maskadapter.save(model, tmp_path / "warmup.safetensors", "tiny"))
    assert found["keys"].text.startswith("tiny with adapter, without a mask generator")
    assert found["sums"].passed
    assert found["photo"].passed is None


def test_the_sha256_is_held_against_the_record(small_adapter, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(small_adapter[0].read_bytes())
    record = {"place": "a server", "sha256": "0" * 64, "stated": True, "size": 1}
    note = tmp_path / "m.safetensors.json"

    def first():
        return next(check.check_model(path))

    assert first().passed is None
    note.write_text(json.dumps(record))
    assert first().passed is False
    assert f"not {'0' * 64}, as a server states it" in first().text
    note.write_text(json.dumps({**record, "sha256": first().figures["sha256"], "stated": False}))
    assert first().passed
    assert first().text.endswith("as at its first download from a server")


def test_keys_that_fit_no_model_end_the_report(small_adapter, tmp_path):
    tensors = dict(read_checkpoint(small_adapter[0]).tensors)
    tensors.pop("void_embedding.weight")
    write_checkpoint(tmp_path / "m.safetensors", tensors, {"model": "tiny"})
    found = findings(tmp_path / "m.safetensors")
    assert list(found) == ["file", "keys"]
    assert found["keys"].passed is False
    assert "missing: void_embedding.weight" in found["keys"].text


def test_an_adapter_that_was_never_trained_fails(tmp_path):
    path = maskadapter.save(build(Architecture("tiny", "adapter")), tmp_path / "m.safetensors", "tiny")
    found = findings(path)
    assert list(found)[-1] == "values"
    assert found["values"].passed is False
    assert "never trained" in found["values"].text


def test_norms(model):
    assert check._norms(model).passed
    scale = model.clip.logit_scale
    right = scale.item()
    for wrong in (-1.0, 9.0):
        scale.fill_(wrong)
        assert check._norms(model).passed is False
    scale.fill_(right)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "encode_text", lambda self, classes: EncodedRows(torch.ones(3, 4) / 2))
        assert check._norms(model).passed is False  # all words are one
        patch.setattr(type(model), "encode_text", lambda self, classes: EncodedRows(2 * torch.eye(3)))
        assert check._norms(model).passed is False  # not of length 1


class EncodedRows:
    def __init__(self, rows):
        self.text_embeddings = rows


def test_chunks_see_an_embedding_that_depends_on_its_neighbors(small_adapter, monkeypatch):
    model = small_adapter[1]
    assert check._chunks(model).passed
    forward = type(model.pooler).forward

    def mixing(self, images, features, masks, project):
        return forward(self, images, features, masks, project) + 0.1 * masks.shape[1]

    monkeypatch.setattr(type(model.pooler), "forward", mixing)
    assert check._chunks(model).passed is False


def test_tiles_see_a_row_at_the_wrong_place(model, monkeypatch):
    assert check._tiles(model).passed
    logits = check.Upsampler.logits
    monkeypatch.setattr(check.Upsampler, "logits", lambda self, rows: logits(self, rows).roll(1, dims=-2))
    assert check._tiles(model).passed is False


@pytest.mark.parametrize("change", [lambda p, n: p * 1.01, lambda p, n: p * float("nan"), lambda p, n: p.roll(n, -1)])
def test_sums_see_probabilities_that_are_none_or_not_the_same_twice(model, monkeypatch, change):
    assert check._sums(model).passed
    combine, calls = type(model).combine, []

    def wrong(self, *arguments):
        calls.append(1)
        return change(combine(self, *arguments), len(calls))

    monkeypatch.setattr(type(model), "combine", wrong)
    assert check._sums(model).passed is False


def test_three_of_four_photographs_decide(model, monkeypatch):
    names = Vocabulary.of(check.CLASSES).names
    answers = list(check.PHOTOS.values())

    class Classified:
        def __init__(self, word):
            self.class_names, self.labels, self.scores = names, [names.index(word)], [0.9]

    def run(words):
        given = iter(words)
        monkeypatch.setattr(type(model), "classify", lambda self, image, masks, words: Classified(next(given)))
        return check._labels(model, decides=True)

    assert run(answers).passed
    assert run(["clock", *answers[1:]]).passed
    finding = run(["clock", "dog", *answers[2:]])
    assert finding.passed is False
    assert finding.text == "2 of 4 photographs classified correctly: clock for cat, dog for cup, rocket 90%, person 90%"
    given = iter(["clock"] * 4)
    monkeypatch.setattr(type(model), "classify", lambda self, image, masks, words: Classified(next(given)))
    assert check._labels(model, decides=False).passed is None


class Painter:
    """Stands in for a segmenter; ``paint(photo's size, number of the expected class, its place) -> labels``."""

    def __init__(self, paint):
        self.paint, self.clip = paint, SimpleNamespace(logit_scale=torch.zeros(()))
        self.photos = iter(check.OUTLINES.values())

    def encode_text(self, words):
        self.names = Vocabulary.of(words).names
        return SimpleNamespace(vocabulary=Vocabulary.of(words))

    def segment(self, image, vocabulary, background):
        thing, outline = next(self.photos)
        size = image.shape[:2]
        labels = self.paint(size, self.names.index(thing), check._inside(outline, size))
        return SimpleNamespace(semantic=lambda: labels)


TABLE = Vocabulary.of(check.WORDS).names.index("table")


@pytest.mark.parametrize(
    ("paint", "passed"),
    [
        (lambda size, thing, place: np.where(place, thing, TABLE), True),
        (lambda size, thing, place: np.where(place, thing, -1), True),
        (lambda size, thing, place: np.where(place | (np.arange(size[1]) < 180), thing, TABLE), True),
        (lambda size, thing, place: np.full(size, thing), False),  # one mask covers everything
        (lambda size, thing, place: np.zeros(size, int), False),  # always the first class
        (lambda size, thing, place: np.full(size, -1), False),  # nothing at all
        (lambda size, thing, place: np.full(size, TABLE), False),
        (lambda size, thing, place: np.where(place, TABLE, thing), False),  # everywhere but there
        (lambda size, thing, place: np.where(np.indices(size).sum(0) % 2, thing, TABLE), False),
        (lambda size, thing, place: np.where(place, 0, TABLE), False),  # the cat in every photo
    ],
)
def test_things_have_to_be_found_where_they_are(paint, passed):
    finding = check._photo(Painter(paint))
    assert finding.passed is passed
    assert finding.text.startswith("not where the things are: cat on ") is not passed
    assert finding.figures["cup"].keys() == {"inside", "outside"}


def test_a_model_that_covers_everything_gets_one_line():
    finding = check._photo(Painter(lambda size, thing, place: np.full(size, thing)))
    assert "cat on 100% of its place and 100% of the rest, cup on 100%" in finding.text


def test_mean_iou_by_hand():
    # Class 0: 2 of 2 + 4 - 2. Class 1: none of 3. Class 2 is predicted and not in the ground truth: not counted.
    counts = np.array([[2, 0, 0], [4, 0, 2], [2, 3, 0]])
    assert check.mean_iou(counts) == pytest.approx((2 / 4 + 0) / 2)


def test_unlabeled_pixels_count_for_nothing():
    labels = np.array([[0, 1, -1, 1]])
    predicted = np.array([[0, 0, 1, -1]])
    assert check.pixel_counts([check.confusion(predicted, labels, 2)], 2).tolist() == [[1, 0], [2, 0], [1, 2]]


@pytest.fixture
def ade20k(tmp_path):
    """Three images laid out as ADE20K's, labels all one class each, the upper half unlabeled."""
    root = tmp_path / "datasets" / "ADEChallengeData2016"
    for kind in ("images", "annotations"):
        (root / kind / "validation").mkdir(parents=True)
    for number, name in enumerate(("chelsea", "coffee", "rocket")):
        image = Image.fromarray(getattr(skimage.data, name)()).resize((90, 60))
        image.save(root / "images" / "validation" / f"ADE_val_{number:08}.jpg")
        labels = np.full((60, 90), number + 1, np.uint8)
        labels[:30] = 0
        Image.fromarray(labels).save(root / "annotations" / "validation" / f"ADE_val_{number:08}.png")
    return root


class Oracle:
    """Stands in for a segmenter; predicts the given classes, one an image."""

    def __init__(self, classes):
        self.classes = iter(classes)

    def encode_text(self, classes):
        assert classes == "ade20k-150"

    def segment(self, image, encoded, background):
        assert background is None  # every pixel counts, as data sets are evaluated
        labels = np.full(image.shape[:2], next(self.classes), np.int32)
        return type("Result", (), {"semantic": lambda self: labels})()


def test_miou_beside_the_expected(ade20k):
    dataset = open_dataset("ade20k-150", ade20k.parent)
    right = check._ade20k(Oracle([0, 1, 2]), 36.6, dataset, 20)
    assert right.passed
    assert right.figures["miou"] == 1
    assert "36.6% is expected on all 2,000" in right.text
    wrong = check._ade20k(Oracle([5, 6, 7]), 36.6, dataset, 20)
    assert (wrong.passed, wrong.figures["miou"]) == (False, 0)
    half = check._ade20k(Oracle([0, 1, 7]), 36.6, dataset, 20)
    assert half.figures["miou"] == pytest.approx(2 / 3)
    assert half.figures["low"] < 2 / 3 < half.figures["high"]
    assert check._ade20k(Oracle([5, 6, 7]), None, dataset, 20).passed is None
    assert check._ade20k(Oracle([0, 1]), 36.6, dataset, 2).figures["images"] == 2


def test_a_model_on_images_of_ade20k(ade20k, small_adapter):
    finding = check._ade20k(small_adapter[1], None, open_dataset("ade20k-150", ade20k), 1)
    assert finding.passed is None
    assert 0 <= finding.figures["miou"] <= 1
    assert finding.figures["images"] == 1


def test_a_folder_that_is_not_ade20k(ade20k, tmp_path):
    next((ade20k / "annotations" / "validation").iterdir()).unlink()
    for root in (ade20k, tmp_path):
        with pytest.raises(MaskAdapterError, match=r"ade20k-150 .*run: maskadapter prepare"):
            next(check.check_model("tiny", root=root))
