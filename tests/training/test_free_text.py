"""Training on GranD: every batch has the classes of its own samples."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from accelerate import PartialState
from small_grand import SIZE, annotation, block, object_level, thing, write_grand
from small_sets import put, shrink_counts

import maskadapter
from maskadapter.cli import main
from maskadapter.data.dataset import Sample
from maskadapter.data.opening import open_dataset
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError, MaskAdapterError
from maskadapter.hub.checkpoints.checkpoint import read_checkpoint
from maskadapter.training.adapter import free_text
from maskadapter.training.adapter.free_text import FreeTextClasses, join_classes
from maskadapter.training.adapter.stages import AdapterStage
from maskadapter.training.recipe import as_yaml, read_recipe
from maskadapter.training.trainer import train
from maskadapter.types.target import Target
from maskadapter.vocabulary.vocabulary import Vocabulary

RECIPE = {
    "stage": "warmup",
    "model": {"architecture": "tiny", "weights": "tiny", "hidden_dim": 8, "num_blocks": 1, "num_maps": 2},
    "data": {"train": [{"name": "grand"}], "crop": 64, "scale": [1, 1], "flip": 0, "workers": 0},
    "masks": {"ground_truth": 8},
    "optimizer": {"lr": 1e-2},
    "run": {"iterations": 1, "batch_size": 2, "save_every": 1, "log_every": 1},
}
TABLE_7 = [{"name": "coco-panoptic"}, {"name": "lvis-v1"}, {"name": "grand"}]
# "dog" has another place in every image; the masks of an image have different widths, by which the tests know them.
NAMES = {"sa_1": ["cat", "dog", "wine_glass"], "sa_2": ["dog", "zebra"], "sa_3": ["zebra", "Dog"], "sa_4": ["cat"]}
WIDTHS = {"cat": 4, "dog": 8, "wine glass": 12, "zebra": 16}


def key(name):
    return name.lower().replace("_", " ")


def objects(names):
    return [thing([name, "animal"], block((0, 24), (0, WIDTHS[key(name)]))) for name in names]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of all data sets: the imitations of COCO panoptic, LVIS and GranD."""
    folder = tmp_path_factory.mktemp("datasets")
    files = {
        stem: (annotation if stem < "sa_3" else object_level)(stem, *objects(names)) for stem, names in NAMES.items()
    }
    write_grand(folder / "grand", files)
    with pytest.MonkeyPatch.context() as patch:
        shrink_counts(patch)
        for name in ("coco-panoptic", "lvis-v1"):
            put(folder, name)
            prepare(name, folder, offline=True)
    return folder


@pytest.fixture
def grand(root):
    return open_dataset("grand", root, "train")


@pytest.fixture
def recipe(tmp_path):
    def read(*changes, **parts):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**RECIPE, **parts}))
        return read_recipe(path, changes)

    return read


@pytest.fixture
def seen(monkeypatch):
    """What the adapter's stage is given: for each part of a step its batch."""
    batches, prepare_batch = [], AdapterStage.prepare

    def prepare(self, batch, rngs):
        batches.append(batch)
        return prepare_batch(self, batch, rngs)

    monkeypatch.setattr(AdapterStage, "prepare", prepare)
    return batches


def run(recipe, output, *datasets, **options):
    return train(recipe, datasets, output, device="cpu", **options)


def same(one, other):
    a, b = read_checkpoint(one).tensors, read_checkpoint(other).tensors
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def named_masks(batch):
    """Name and width, at the image's own scale, of every mask of a batch of square crops."""
    names = batch.vocabulary.vocabulary.names
    return [
        {(key(names[number]), round(mask.any(dim=0).sum().item() * SIZE[1] / 64)) for mask, number in each}
        for each in (zip(own.masks, own.classes, strict=True) for own in batch.targets)
    ]


def test_one_training_on_coco_panoptic_lvis_and_grand(recipe, root, tmp_path, seen):
    datasets = [open_dataset(part["name"], root, "train") for part in TABLE_7]
    settings = recipe("run.iterations=12", data={**RECIPE["data"], "train": TABLE_7})
    path = run(settings, tmp_path / "run", *datasets)
    assert all(torch.isfinite(t).all() for t in read_checkpoint(path).tensors.values() if t.is_floating_point())
    sizes = {len(batch.vocabulary.vocabulary) for batch in seen}
    assert sizes >= {133, 1203}  # the lists of the data sets that have one
    free = [batch for batch in seen if batch.vocabulary.vocabulary.name is None]
    assert free
    for batch in free:
        assert all(mask in WIDTHS.items() for masks in named_masks(batch) for mask in masks)
    assert maskadapter.load(path).pooler.adapter.config.num_maps == 2


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_masks_keep_their_names_whatever_the_place_in_their_own_image(recipe, grand, tmp_path, seen, accumulate):
    run(recipe("run.batch_size=4", f"run.accumulate={accumulate}"), tmp_path / "run", grand)
    masks = [masks for batch in seen for masks in named_masks(batch)]
    wanted = [{(key(name), WIDTHS[key(name)]) for name in names} for names in NAMES.values()]
    assert sorted(map(sorted, masks)) == sorted(map(sorted, wanted))
    for batch in seen:  # of all images of the step: equal names are one class, and a shared synonym is none
        assert sorted(map(key, batch.vocabulary.vocabulary.synonyms)) == sorted(WIDTHS)


class Fixed:
    """The images of a data set of free text with one list of classes for all."""

    name, task = "fixed", "instance"

    def __init__(self, dataset, *names):
        self.dataset, self.vocabulary = dataset, Vocabulary(tuple((name,) for name in names), (True,) * len(names))

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        sample = self.dataset[index]
        names = [key(sample.vocabulary.names[number]) for number in sample.target.classes]
        classes = [self.vocabulary.names.index(name) for name in names]
        return Sample(sample.image, Target.of_masks(sample.target.masks(), classes), sample.name)


def first_moments(output):
    """Of AdamW after the first step: a tenth of the gradients."""
    state = torch.load(output / "checkpoints/step-00000001.pt", weights_only=True)["optimizer"]["state"]
    return [state[number]["exp_avg"] for number in sorted(state)]


def test_the_step_is_that_of_the_same_classes_as_a_list(recipe, grand, tmp_path):
    settings = recipe("run.batch_size=4")
    run(settings, tmp_path / "free", grand)
    run(settings, tmp_path / "list", Fixed(grand, *WIDTHS))
    run(settings, tmp_path / "more", Fixed(grand, *WIDTHS, "sky"))
    free, fixed, more = (first_moments(tmp_path / name) for name in ("free", "list", "more"))
    for one, other in zip(free, fixed, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert any((one - other).abs().max() > 1e-5 for one, other in zip(free, more, strict=True))


@pytest.mark.parametrize("stage", ["warmup", "mixed"])
def test_a_resumed_run_is_the_uninterrupted_one(recipe, grand, tmp_path, stage):
    masks = {"ground_truth": 8} if stage == "warmup" else {"ground_truth": 4, "predicted": 3, "iou_threshold": 0.1}
    settings = recipe("run.iterations=4", stage=stage, masks=masks)
    whole = run(settings, tmp_path / "whole", grand)

    class Broken:
        name, task, free_text = "grand", "instance", True
        reads = 0

        def __len__(self):
            return len(grand)

        def __getitem__(self, index):
            self.reads += 1
            if self.reads == 7:  # of the third step, after the look for a mask
                raise DatasetError("stop here")
            return grand[index]

    with pytest.raises(MaskAdapterError, match="stop here"):
        run(settings, tmp_path / "stopped", Broken())
    assert len(list((tmp_path / "stopped" / "checkpoints").iterdir())) == 2
    assert same(whole, run(settings, tmp_path / "stopped", grand))


@pytest.mark.slow
def test_two_processes_have_the_classes_of_one(recipe, grand, root, tmp_path):
    settings = recipe("run.batch_size=4")
    run(settings, tmp_path / "one", grand)
    path = tmp_path / "as one.yaml"
    path.write_text(as_yaml(settings))
    train = ["-m", "maskadapter", "train", path, "--root", root, "--output", tmp_path / "two", "--cpu"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(list(map(str, [*launcher, *train])), check=True, env=environment, capture_output=True)
    for one, other in zip(first_moments(tmp_path / "one"), first_moments(tmp_path / "two"), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_workers_change_nothing(recipe, grand, tmp_path):
    assert same(run(recipe(), tmp_path / "one", grand), run(recipe("data.workers=1"), tmp_path / "other", grand))


def test_images_without_an_object_do_no_harm():
    empty = Sample(np.zeros((4, 4, 3), np.uint8), Target.of_masks(np.zeros((0, 4, 4), bool), []), "empty")
    full = Sample(empty.image, Target.of_masks(np.ones((2, 4, 4), bool), [1, 0]), "full", Vocabulary.of("cat, dog"))
    vocabulary, samples = join_classes([empty, full, empty])
    assert vocabulary.names == ("cat", "dog")
    assert [sample.target.classes.tolist() for sample in samples] == [[], [1, 0], []]
    alone, samples = join_classes([empty])
    assert len(alone) == 1
    assert samples[0].target.classes.tolist() == []


def test_every_name_is_encoded_once_and_the_oldest_are_given_up(monkeypatch):
    monkeypatch.setattr(free_text, "_MOST_NAMES", 3)
    segmenter, asked = maskadapter.load(), []
    encode = segmenter.clip.encode_text
    monkeypatch.setattr(segmenter.clip, "encode_text", lambda names: (asked.extend(names), encode(names))[1])
    classes = FreeTextClasses(segmenter, PartialState(cpu=True))

    def encoded(names):
        vocabulary = Vocabulary.of(names)
        masks = np.ones((1, 4, 4), bool)
        return classes.of([Sample(np.zeros((4, 4, 3), np.uint8), Target.of_masks(masks, [0]), "a", vocabulary)])[0]

    first = encoded("cat, dog")
    wanted = segmenter.encode_text("cat, dog").text_embeddings
    asked.clear()
    torch.testing.assert_close(first.text_embeddings, wanted)
    assert not first.text_embeddings.is_inference()
    again = encoded("dog, zebra")
    assert asked == ["zebra"]
    assert torch.equal(again.text_embeddings[0], first.text_embeddings[1])
    encoded("cow")  # "cat" is the oldest
    asked.clear()
    encoded("dog, zebra, cow, cat")
    assert asked == ["cat"]
    assert len(classes._embeddings) == 3


def test_what_needs_a_list_of_classes_is_refused_in_one_line(recipe, grand, root, tmp_path):
    line = "grand has no list of classes, its names are free text: train an adapter on it, by the stage warmup or mixed"
    model = {**RECIPE["model"], "architecture": "tiny-mask2former"}
    content = {name: part for name, part in RECIPE.items() if name != "masks"}
    path = tmp_path / "generator.yaml"
    path.write_text(yaml.safe_dump({**content, "stage": "generator", "model": model}))
    with pytest.raises(DatasetError, match=line):
        run(read_recipe(path), tmp_path / "run", grand)
    content = {"stage": "classifier", "model": {"weights": "tiny"}, "data": {"train": [{"name": "grand"}]}}
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(DatasetError, match=line):
        run(read_recipe(path), tmp_path / "run", grand)
    with pytest.raises(DatasetError, match=r"'grand' does not know which classes .*leave repeat_threshold out"):
        run(recipe(data={**RECIPE["data"], "train": [{"name": "grand", "repeat_threshold": 0.1}]}), tmp_path, grand)
    with pytest.raises(DatasetError, match='grand has no split "val"'):
        open_dataset("grand", root)
    assert not (tmp_path / "run").exists()


def test_an_evaluation_on_it_is_refused_in_one_line(root, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "tiny", "grand", "--root", str(root), "--split", "train", "--output", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: grand has no list of classes, its names are free text")
    assert not (tmp_path / "out").exists()
