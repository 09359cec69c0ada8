"""``maskadapter train``, as a user types it."""

import json
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import maskadapter as ma
from maskadapter.cli import main
from maskadapter.data.scenes.scenes import Scenes
from maskadapter.models.preprocess import InputSize

RECIPE = {
    "stage": "warmup",
    "model": {"architecture": "tiny", "weights": "tiny", "hidden_dim": 8, "num_blocks": 1, "num_maps": 2},
    "data": {"train": [{"name": "mine.yaml"}], "crop": 64, "workers": 0},
    "masks": {"ground_truth": 4},
    "run": {"iterations": 2, "batch_size": 2, "log_every": 1},
    "evaluation": {"every": 2, "datasets": ["mine.yaml"], "images": 1},
}


@pytest.fixture
def mine(small_input, tmp_path, monkeypatch):
    """A folder with a custom data set of four images, and a recipe."""
    monkeypatch.chdir(tmp_path)
    scenes = Scenes(4, size=96)
    for index in range(4):
        sample = scenes[index]
        for folder, array in (("images", sample.image), ("labels", np.where(sample.target.labels() < 0, 255, index))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / folder / f"{index}.png")
    (tmp_path / "classes.txt").write_text("ring\ncross\ndisc\nstar\n")
    parts = {"images": "images", "labels": "labels"}
    description = {"task": "semantic", "classes": "classes.txt", "train": parts, "val": parts}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(description))
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(RECIPE))
    return tmp_path


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, arguments)))
    return stopped.value.code or 0


def test_train_on_ones_own_images_then_evaluate(mine, capsys):
    assert run("train", "own.yaml", "--cpu") == 0
    assert capsys.readouterr().out.split() == ["runs/own/model.safetensors"]
    entries = [json.loads(line) for line in (mine / "runs/own/log.jsonl").read_text().splitlines()]
    assert any(key.startswith("evaluation/") and key.endswith("mIoU") for key in entries[-1])
    assert list((mine / "runs/own/evaluation/step-00000002").rglob("report.md"))
    arguments = ("evaluate", "runs/own/model.safetensors", "mine.yaml", "--masks", "ground-truth", "--output", "true")
    assert run(*arguments) == 0
    assert (mine / "true" / "report.md").exists()


@pytest.mark.parametrize(
    ("splits", "held_out"), [(("train", "val"), "4 held-out images"), (("train",), "1 held-out images (20%)")]
)
def test_classes_of_ones_own_end_with_one_line(mine, capsys, splits, held_out):
    model = ma.load()
    model.inference = replace(model.inference, input_size=InputSize(96, 96))
    ma.save(model, mine / "small.safetensors", "tiny")
    parts = {key: {"images": "images", "labels": "labels"} for key in splits}
    (mine / "mine.yaml").write_text(yaml.safe_dump({"task": "semantic", "classes": "classes.txt", **parts}))
    recipe = {
        "stage": "classifier",
        "model": {"weights": "small.safetensors"},
        "data": {"train": [{"name": "mine.yaml"}]},
    }
    (mine / "classes.yaml").write_text(yaml.safe_dump(recipe))
    assert run("train", "classes.yaml", "--set", "run.penalties=[1, 0.1]", "--cpu") == 0
    path, line = capsys.readouterr().out.splitlines()
    assert path == "runs/classes/model.safetensors"
    assert line.endswith(f"% on {held_out}")
    assert line.count(" -> ") == 3
    # Each image shows a class of its own: one that was held out cannot be learned from the others.
    assert (ma.load(mine / path).own_classes is not None) == ("val" in splits)
    assert run("train", "classes.yaml", "--set", "optimizer.lr=1", "--cpu") == 2
    assert "unknown key 'optimizer'" in capsys.readouterr().err


def test_an_adapter_goes_on_from_the_embedded_one(mine):
    changes = (
        "model.adapter=tiny",
        "model.hidden_dim=96",
        "model.num_blocks=3",
        "model.num_maps=16",
        "optimizer.lr=1e-9",
    )
    assert run("train", "own.yaml", *(word for change in changes for word in ("--set", change)), "--cpu") == 0
    trained, start = ma.load("runs/own/model.safetensors"), ma.load("tiny", pooler="adapter")
    for one, other in zip(trained.pooler.adapter.parameters(), start.pooler.adapter.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_the_bar_shows_the_loss(mine, monkeypatch):
    shown = []

    @contextmanager
    def bar(what, total, done=0):
        yield lambda steps, what=None: shown.append(what)

    monkeypatch.setattr(sys.modules["maskadapter.cli.train"], "bar", bar)
    assert run("train", "own.yaml", "--set", "evaluation.every=0", "--cpu") == 0
    assert shown[0] is None
    assert all(text.startswith("training, loss ") for text in shown[1:])
    assert len(shown) == 3


def test_changes_and_another_folder(mine):
    changes = ("--set", "run.iterations=1", "--set", "evaluation.every=0", "--cpu", "--output", "there")
    assert run("train", "own.yaml", *changes) == 0
    assert yaml.safe_load((mine / "there" / "recipe.yaml").read_text())["run"]["iterations"] == 1
    assert not (mine / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.yaml",), "no such file: missing.yaml"),
        (("own.yaml", "--set", "optimzer.lr=1"), "did you mean 'optimizer'?"),
        (("own.yaml", "--set", "optimizer.lr=0"), "'optimizer.lr' is 0"),
        (("own.yaml", "--set", "data.colour=true"), "unknown key 'data.colour': it is now 'data.color'"),  # old word
        (("own.yaml", "--set", "data.train=[{name: coco-panoptic}]"), "coco-panoptic needs the folder that holds it"),
        (("own.yaml", "--set", "data.train=[{name: coco-panopti}]"), "did you mean"),
        (("own.yaml", "--set", "data.train=[{name: other.yaml}]"), "no such file: other.yaml"),
        (("own.yaml", "--set", "run.batch_size=5"), "4 images, fewer than a batch of 5"),
        (("own.yaml", "--set", "model.weights=nowhere.safetensors"), "nowhere.safetensors"),
        (("own.yaml", "--set", "model.adapter=nowhere.safetensors"), "nowhere.safetensors"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(mine, capsys, arguments, message):
    assert run("train", *arguments, "--cpu") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error:")
    assert error.count("\n") == 1
    assert not (mine / "runs").exists()


def test_a_label_without_a_class_is_named(mine, capsys):
    Image.fromarray(np.full((96, 96), 9, np.uint8)).save(mine / "labels" / "2.png")
    assert run("train", "own.yaml", "--set", "evaluation.every=0", "--set", "run.batch_size=4", "--cpu") == 2
    error = capsys.readouterr().err
    assert "2.png" in error
    assert "9" in error
