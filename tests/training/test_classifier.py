"""Learning classes of one's own: it helps on images that were held out, stops and goes on, and refuses in one line."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import maskadapter as ma
from maskadapter.data.dataset import Sample
from maskadapter.errors import MaskAdapterError, RecipeError
from maskadapter.models.preprocess import InputSize
from maskadapter.training.classifier.examples import Example
from maskadapter.training.classifier.fitting import Fit
from maskadapter.training.classifier.held_out import hold_out
from maskadapter.training.recipe import ClassifierRecipe, as_yaml, read_recipe
from maskadapter.training.trainer import train
from maskadapter.types.target import Target
from maskadapter.vocabulary.vocabulary import Vocabulary

CLASSES = ("ground", "frock", "jumper", "weskit")
MASKS = np.stack([np.tri(96, 96, dtype=bool), ~np.tri(96, 96, dtype=bool)])


class Clothes:
    """Gray ground with red, green and blue rectangles, whose names do not say so; the ground is a class."""

    name, task = "clothes", "semantic"
    vocabulary = Vocabulary.of(list(CLASSES))

    def __init__(self, count=10, colors=3):
        self.count, self.colors, self.read, self.fingerprint = count, colors, [], "as drawn"

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.read.append(index)
        rng = np.random.default_rng(index)
        image, labels = rng.integers(100, 140, (96, 96, 3), dtype=np.uint8), np.zeros((96, 96), int)
        for color in range(self.colors):
            top, left, height, width = rng.integers((32 * color, 0, 20, 30), (32 * color + 10, 50, 30, 60))
            image[top : top + height, left : left + width] = 220 * np.eye(3, dtype=int)[color]
            labels[top : top + height, left : left + width] = color + 1
        return Sample(image, Target.of_labels(labels), f"{index}.png")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The embedded model at a small input size."""
    model = ma.load()
    model.inference = replace(model.inference, input_size=InputSize(96, 96))
    return ma.save(model, tmp_path_factory.mktemp("weights") / "small.safetensors", "tiny")


@pytest.fixture
def recipe(weights):
    def make(**changes):
        model = {"weights": str(weights)} | changes.pop("model", {})
        data = {"train": [{"name": "clothes"}], "held_out": 0.3} | changes.pop("data", {})
        return ClassifierRecipe.model_validate({"stage": "classifier", "model": model, "data": data, **changes})

    return make


@pytest.fixture(scope="module")
def learned(weights, tmp_path_factory):
    """A finished run's folder."""
    output = tmp_path_factory.mktemp("runs") / "clothes"
    content = {"model": {"weights": str(weights)}, "data": {"train": [{"name": "clothes"}], "held_out": 0.3}}
    train(ClassifierRecipe(stage="classifier", **content), [Clothes()], output, device="cpu")
    return output


def tensors(output):
    return ma.load(output / "model.safetensors").state_dict()


def test_it_helps_on_held_out_images_and_says_so_in_one_line(learned):
    (line,) = (learned / "summary.txt").read_text().splitlines()
    assert line.endswith("on 3 held-out images (30%)")
    before, after = (float(number) for number in line.split("pixel accuracy ")[1].split(",")[0].split(" -> "))
    assert after > before + 5
    assert {path.parent.parent.name for path in learned.rglob("report.md")} == {"before", "after"}
    assert not (learned / "examples").exists()


def test_the_model_knows_its_classes_with_and_without_a_background(learned):
    model, sample = ma.load(learned / "model.safetensors"), Clothes()[0]
    assert set(model.inference.own_classes) == set(CLASSES)
    for background in (None, "auto"):
        labels = model.segment(sample.image, list(CLASSES), background=background).semantic()
        assert (labels == sample.target.labels()).mean() > 0.5


def test_every_other_class_is_segmented_as_before(learned, weights):
    image, classes = Clothes()[0].image, ["cat", "sky", "red ball"]
    before, after = ma.load(weights), ma.load(learned / "model.safetensors")
    assert torch.equal(before.segment(image, classes).probs, after.segment(image, classes).probs)
    assert (before.classify(image, MASKS, classes).probs == after.classify(image, MASKS, classes).probs).all()


def test_a_stopped_run_goes_on_to_the_same_model(recipe, learned, tmp_path, monkeypatch):
    stopped = Clothes()
    reads = Clothes.__getitem__

    def stop(self, index):
        if len(self.read) > 10:  # in the middle of encoding
            raise KeyboardInterrupt
        return reads(self, index)

    monkeypatch.setattr(Clothes, "__getitem__", stop)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        train(recipe(), [stopped], tmp_path, device="cpu")
    monkeypatch.undo()
    encoded = list((tmp_path / "examples" / "train").iterdir())
    assert 0 < len(encoded) < 7
    encoded[0].write_bytes(encoded[0].read_bytes()[:100])  # as after a power cut
    note = tmp_path / "weights.yaml"
    right = note.read_text()
    note.write_text("image_encoder: of another model\n")
    with pytest.raises(RecipeError, match='other settings \\(image_encoder was "of another model"'):
        train(recipe(), [Clothes()], tmp_path, device="cpu")
    note.write_text(right)
    train(recipe(), [Clothes()], tmp_path, device="cpu")
    one, other = tensors(tmp_path), tensors(learned)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert (tmp_path / "summary.txt").read_text() == (learned / "summary.txt").read_text()


def test_a_finished_run_is_not_repeated_and_other_labels_are_refused(recipe, learned):
    again = Clothes()
    assert train(recipe(), [again], learned, device="cpu") == learned / "model.safetensors"
    assert len(again.read) <= 2  # whether there are masks
    again.fingerprint = "corrected"
    with pytest.raises(RecipeError, match=r"labels was .* choose another folder"):
        train(recipe(), [again], learned, device="cpu")


def test_learning_goes_on_from_what_was_learned(recipe, learned, tmp_path):
    start = recipe(model={"weights": str(learned / "model.safetensors")}, run={"penalties": [1e6]})
    path = train(start, [Clothes(), Clothes(3)], tmp_path, device="cpu")
    model, before = ma.load(path), ma.load(learned / "model.safetensors")
    assert model.own_classes.names == before.own_classes.names
    torch.testing.assert_close(model.own_classes.in_weights.weight, before.own_classes.in_weights.weight)


def test_a_model_that_learns_nothing_useful_stays_as_it_was_and_says_so(recipe, weights, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(Example, "accuracy", lambda *_: (1, 10))
    monkeypatch.setattr(Fit, "path", lambda fit, *_: [(1.0, fit.loss().item())])
    path = train(recipe(), [Clothes(4)], tmp_path, device="cpu")
    assert ma.load(path).own_classes is None
    assert ma.load(path).inference == ma.load(weights).inference
    assert "the loss does not fall" in caplog.text
    assert "the model is as it was" in caplog.text


def test_classes_without_an_image_keep_their_text_embeddings(recipe, tmp_path):
    model = ma.load(train(recipe(run={"penalties": [0.1]}), [Clothes(colors=1)], tmp_path, device="cpu"))
    assert set(model.inference.own_classes) == {"ground", "frock"}


class Overlapping(Clothes):
    """The same images with masks that overlap, and without the ground."""

    task = "instance"

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        masks = np.stack([sample.target.labels() == label for label in (1, 2, 3)])
        return Sample(sample.image, Target.of_masks(np.concatenate([masks, masks[:1]]), [1, 2, 3, 1]), sample.name)


def test_instances_that_overlap(recipe, tmp_path):
    path = train(recipe(run={"penalties": [1, 0.1]}), [Overlapping(8)], tmp_path, device="cpu")
    line = (tmp_path / "summary.txt").read_text()
    assert line.startswith("AP ")
    before, after = (float(number) for number in line.split("ground-truth masks ")[1].split(" % ")[0].split(" -> "))
    assert after > before
    assert set(ma.load(path).inference.own_classes) == {"frock", "jumper", "weskit"}


def test_the_embedded_adapter_learns_too(recipe, tmp_path):
    settings = recipe(model={"adapter": "tiny"}, run={"penalties": [0.01]}, data={"held_out": 0.5})
    model = ma.load(train(settings, [Clothes(6)], tmp_path, device="cpu"))
    assert model.pooler.adapter.config.hidden_dim == 96
    assert model.own_classes is not None


def test_mistakes_are_one_line_and_write_no_model(recipe, weights, tmp_path, monkeypatch):
    other = Clothes(3)
    other.vocabulary = Vocabulary.of("ground, frock, jumper, hat")
    for datasets, message in (
        ([Clothes(1)], "clothes has one image"),
        ([Clothes(), other], "both splits need the same"),
    ):
        with pytest.raises(RecipeError, match=message):
            train(recipe(), datasets, tmp_path / "run", device="cpu")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="one process"):
        train(recipe(), [Clothes()], tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_model_whose_text_depends_on_the_image_is_refused(recipe, tmp_path, monkeypatch):
    from maskadapter.training.classifier import learning

    def model(*_):
        segmenter = ma.load()
        segmenter.text_transfer = torch.nn.Identity()
        return segmenter

    monkeypatch.setattr(learning, "assemble", model)
    with pytest.raises(RecipeError, match="use tiny or fcclip-large"):
        train(recipe(), [Clothes()], tmp_path, device="cpu")


@pytest.mark.parametrize(("count", "share", "held"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.2, 2), (60, 0.33, 20)])
def test_images_are_held_out_by_the_seed(count, share, held):
    (learned, kept), (same, _) = hold_out(Clothes(count), share, 0), hold_out(Clothes(count), share, 0)
    assert (len(kept), len(learned)) == (held, count - held)
    assert sorted([*learned.numbers, *kept.numbers]) == list(range(count))
    assert same.numbers == learned.numbers
    assert count < 10 or hold_out(Clothes(count), share, 1)[0].numbers != learned.numbers


def test_the_recipe_reads_back_and_refuses_keys_without_effect(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("stage: classifier\nmodel: {weights: tiny}\ndata: {train: [{name: my.yaml}]}\n")
    settings = read_recipe(path, ["data.held_out=0.5", "model.adapter=tiny"])
    path.write_text(as_yaml(settings))
    assert read_recipe(path) == settings
    for change in (
        "optimizer.lr=1",
        "data.crop=64",
        "data.train=[{name: a}, {name: b}]",
        "data.held_out=1",
        "run.penalties=[]",
    ):
        with pytest.raises(MaskAdapterError):
            read_recipe(path, [change])
