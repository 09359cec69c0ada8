"""The training loop: it learns, stops, goes on to the same result, and reports mistakes in one line."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import maskadapter
from maskadapter.data.dataset import Sample
from maskadapter.data.loading.sampling import TrainingOrder
from maskadapter.data.scenes.scenes import Scenes
from maskadapter.errors import CheckpointError, MaskAdapterError, RecipeError
from maskadapter.hub.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from maskadapter.training.recipe import as_yaml, read_recipe
from maskadapter.training.run_folder import Checkpoints
from maskadapter.training.trainer import train
from maskadapter.training.validation import Validation
from maskadapter.types.target import Target

WARMUP = {
    "stage": "warmup",
    "model": {"architecture": "tiny", "weights": "tiny", "hidden_dim": 8, "num_blocks": 1, "num_maps": 2},
    "data": {"train": [{"name": "scenes"}], "crop": 64, "scale": [0.8, 1.2], "workers": 0},
    "masks": {"ground_truth": 4},
    "optimizer": {"lr": 1e-2, "clip_norm": 0},
    "run": {"iterations": 3, "batch_size": 2, "save_every": 1, "log_every": 1},
}
PAIRS = {"ground_truth": 2, "predicted": 3, "iou_threshold": 0.2}
RUNNER = Path(__file__).parents[1] / "support" / "train_scenes.py"


@pytest.fixture
def recipe(tmp_path):
    """Recipe file with changes."""

    def write(*changes, **parts):
        path = tmp_path / "recipe.yaml"
        content = {**WARMUP, **parts}
        if content["stage"] == "generator":
            del content["masks"]
        path.write_text(yaml.safe_dump(content))
        path.write_text(as_yaml(read_recipe(path, changes)))
        return path

    return write


def run(path, output, *datasets, **options):
    return train(read_recipe(path), datasets or [Scenes(12)], output, device="cpu", **options)


def tensors(path):
    return read_checkpoint(path).tensors


def same(one, other):
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def log(output):
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def test_a_run_writes_a_model_that_loads_and_everything_about_itself(recipe, tmp_path):
    output = tmp_path / "run"
    path = run(recipe(), output)
    model = maskadapter.load(path)
    assert model.pooler.adapter.config.num_maps == 2
    assert model.generator is not None  # the start's, so that the file segments
    assert read_recipe(output / "recipe.yaml") == read_recipe(tmp_path / "recipe.yaml")
    assert "torch" in json.loads((output / "versions.json").read_text())
    assert [entry["step"] for entry in log(output)] == [1, 2, 3]
    assert {"classification", "lr", "gradient", "masks", "seconds"} <= log(output)[0].keys()
    assert list((output / "tensorboard").iterdir())
    started, ended = maskadapter.load(), tensors(path)
    assert all(torch.equal(tensor, ended[name]) for name, tensor in started.clip.state_dict(prefix="clip.").items())


def test_the_adapter_learns_a_world_of_few_names(recipe, tmp_path):
    changes = (
        "run.iterations=40",
        "run.batch_size=4",
        "run.save_every=40",
        "data.crop=128",
        "data.scale=[1, 1]",
        "data.flip=0",
    )
    run(recipe(*changes, model={**WARMUP["model"], "num_maps": 4, "hidden_dim": 32}), tmp_path / "run", Scenes(4))
    losses = [entry["classification"] for entry in log(tmp_path / "run")]
    # 12.0 to 10.0 when this was written: where to pool is all that it can learn, and the model does not know the names.
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_the_mixed_stage_trains_on_pairs_and_its_first_stage(recipe, tmp_path):
    first = run(recipe(), tmp_path / "first")
    mixed = recipe(f"model.adapter={first}", stage="mixed", masks=PAIRS)
    second = run(mixed, tmp_path / "second")
    assert all(entry["consistency"] > 0 for entry in log(tmp_path / "second"))
    assert not same(first, second)
    assert log(tmp_path / "second")[0]["masks"] > 2 * 2 * 0.5


def test_a_generator_is_trained_and_the_model_segments_with_it(recipe, tmp_path):
    settings = {**WARMUP["model"], "architecture": "tiny-mask2former"}
    path = run(recipe("run.iterations=2", "data.crop=96", stage="generator", model=settings), tmp_path / "run")
    assert log(tmp_path / "run")[0].keys() >= {"class", "mask", "dice"}
    started = run(recipe("run.iterations=1", "data.crop=96", stage="generator", model=settings), tmp_path / "less")
    assert not same(path, started)
    model = maskadapter.load(path)
    assert model.inference.seen_in == Scenes(1).vocabulary.synonyms  # they are what the generator knows now
    labels = model.segment(Scenes(1)[0].image, "red ring, blue cross", background=None).semantic()
    assert labels.shape == Scenes(1)[0].image.shape[:2]


@pytest.mark.parametrize("stage", ["warmup", "mixed"])
def test_stopped_and_resumed_is_bit_for_bit_the_uninterrupted_run(recipe, tmp_path, stage):
    masks = PAIRS if stage == "mixed" else WARMUP["masks"]
    path = recipe("run.iterations=5", "run.save_every=100", stage=stage, masks=masks)
    whole = run(path, tmp_path / "whole")
    stopped = tmp_path / "stopped"

    class Signalling(Scenes):
        read = 0

        def __getitem__(self, index):
            self.read += 1
            if self.read == 6:  # after the look for a mask, the third step's first image
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__getitem__(index)

    with pytest.raises(KeyboardInterrupt, match="stopped after step 3 of 5"):
        run(path, stopped, Signalling(12))
    assert Checkpoints(stopped / "checkpoints", 2).last() == 3
    assert same(whole, run(path, stopped))
    assert [entry["step"] for entry in log(stopped) if "lr" in entry] == [1, 2, 3, 4, 5]


def test_a_run_of_another_image_encoder_is_not_continued(recipe, tmp_path):
    path, output = recipe("run.iterations=1"), tmp_path / "run"
    run(path, output)
    (newest,) = (output / "checkpoints").iterdir()
    state = torch.load(newest, weights_only=True)
    torch.save({**state, "image_encoder": "another"}, newest)
    with pytest.raises(RecipeError, match="was begun with other values of tiny: choose another folder"):
        run(path, output)
    torch.save({key: value for key, value in state.items() if key != "image_encoder"}, newest)
    with pytest.raises(CheckpointError, match=r"belongs to the embedded model of version 0\.2"):
        run(path, output)


@contextmanager
def one_thread():
    """Compute as ``launched`` processes do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def launched(path, output, launcher=()):
    command = [sys.executable, *launcher, str(RUNNER), str(path), str(output), "2" if launcher else "1"]
    # One thread each: the result must not depend on how many threads share a sum.
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)


def test_killed_at_any_step_and_resumed_is_bit_for_bit_the_uninterrupted_run(recipe, tmp_path):
    path = recipe("run.iterations=12", "run.save_every=2", stage="mixed", masks=PAIRS)
    killed, folder = launched(path, tmp_path / "killed"), tmp_path / "killed"
    wanted = int(np.random.default_rng().integers(3, 11))
    while not (folder / "log.jsonl").exists() or len((folder / "log.jsonl").read_text().splitlines()) < wanted:
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    reached = Checkpoints(folder / "checkpoints", 2).newest()[0]
    assert 2 <= reached < 12
    again = launched(path, folder)
    with one_thread():
        whole = run(path, tmp_path / "whole")
    assert again.wait() == 0, again.stderr.read()
    assert same(whole, folder / "model.safetensors"), f"killed after {reached}"
    assert [entry["step"] for entry in log(folder)] == list(range(1, 13))


def test_a_damaged_newest_checkpoint_is_passed_over(recipe, tmp_path):
    path = recipe("run.iterations=4")
    whole = run(path, tmp_path / "whole")
    run(recipe("run.iterations=4"), tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").unlink()
    newest = tmp_path / "cut" / "checkpoints" / "step-00000004.pt"
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    with pytest.warns(UserWarning, match="step-00000004.pt is damaged and passed over"):
        again = run(path, tmp_path / "cut")
    assert same(whole, again)


def test_what_a_good_state_follows_is_removed_even_when_it_is_newer(tmp_path):
    """Keeping one, the damaged newer state must not push out the good one that the run goes on from."""
    checkpoints = Checkpoints(tmp_path, keep=1)
    (tmp_path / "step-00000200.pt").write_bytes(b"cut")
    checkpoints.write(150, {"x": torch.tensor(1)})
    assert checkpoints.newest()[0] == 150
    assert checkpoints.last() == 150


def test_a_full_disk_is_one_line_and_the_good_states_stay(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write(1, {"x": torch.tensor(1)})

    def broken(state, path):
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc] unexpected pos\nmore")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(MaskAdapterError, match=r"cannot write .*unexpected pos"):
        checkpoints.write(2, {"x": torch.tensor(1)})
    monkeypatch.setattr(torch, "save", lambda state, path: path.write_bytes(b"half"))
    with pytest.raises(MaskAdapterError, match="is the disk full"):
        checkpoints.write(2, {"x": torch.tensor(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(recipe, tmp_path, monkeypatch):
    from maskadapter.training.adapter import stages

    sound = stages.classification_loss

    def infinite_slope(logits, labels):
        return sound(logits, labels) + (logits.sum() * 0).clamp(min=0).sqrt()  # 0, with a slope of infinity times 0

    monkeypatch.setattr(stages, "classification_loss", infinite_slope)
    with pytest.raises(MaskAdapterError, match=r"the gradient is not finite at step 1 .*no checkpoint was written yet"):
        run(recipe(), tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_an_evaluation_that_was_stopped_is_repeated(recipe, tmp_path):
    settings = {"every": 2, "datasets": ["scenes"]}
    path, asked = recipe(evaluation=settings), []

    def validate(segmenter, step):
        asked.append(step)
        if asked == [2]:
            raise KeyboardInterrupt("in the middle of it")
        return {"mIoU": 1.0}

    with pytest.raises(KeyboardInterrupt, match="in the middle"):
        run(path, tmp_path / "run", evaluate=validate)
    run(path, tmp_path / "run", evaluate=validate)
    assert asked == [2, 2, 3]
    assert [entry["step"] for entry in log(tmp_path / "run") if "evaluation/mIoU" in entry] == [2, 3]


def test_the_log_is_kept_up_to_a_damaged_line(recipe, tmp_path):
    path = recipe("run.iterations=1")
    run(path, tmp_path / "run")
    with (tmp_path / "run" / "log.jsonl").open("a") as file:
        file.write("{damaged\n")
    with pytest.warns(UserWarning, match=r"log.jsonl is damaged at byte \d+"):
        run(path, tmp_path / "run")
    assert [entry["step"] for entry in log(tmp_path / "run")] == [1]


def test_the_last_checkpoints_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.newest() is None
    for step in (5, 10, 100):
        checkpoints.write(step, {"x": torch.tensor(step)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010.pt", "step-00000100.pt"]
    step, state = checkpoints.newest()
    assert (step, int(state["x"])) == (100, 100)


def gradients(output):
    """Of the first step, as AdamW remembers them: its first moment is a tenth of the gradient."""
    state = torch.load(output / "checkpoints" / "step-00000001.pt", weights_only=True)["optimizer"]["state"]
    return [state[key]["exp_avg"] / 0.1 for key in sorted(state)]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        pytest.param(
            ["upstream_quirks.loss_normalization=global"], {"stage": "mixed", "masks": PAIRS}, id="global, mixed"
        ),
        pytest.param(
            # As many masks in every image: one.
            ["upstream_quirks.loss_normalization=process", "masks.ground_truth=1", "data.scale=[1, 1]"],
            {},
            marks=pytest.mark.slow,
            id="process, equal counts",
        ),
        pytest.param(
            ["upstream_quirks.loss_normalization=global", "run.accumulate=2"],
            {},
            marks=pytest.mark.slow,
            id="global, accumulated",
        ),
    ],
)
def test_two_processes_have_the_gradients_of_one(recipe, launcher, tmp_path, changes, parts):
    changes = ["run.batch_size=4", *changes]
    single = recipe("run.iterations=1", *[change for change in changes if "accumulate" not in change], **parts)
    run(single, tmp_path / "one", Scenes(12))
    path = recipe("run.iterations=1", *changes, **parts)
    two = launched(path, tmp_path / "two", launcher)
    assert two.wait() == 0, two.stderr.read()
    ours, theirs = gradients(tmp_path / "one"), gradients(tmp_path / "two")
    largest = max(float(gradient.abs().max()) for gradient in ours)
    assert largest > 1e-3
    assert max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)) < 1e-5 * max(largest, 1)


def test_a_launcher_that_starts_one_process_is_warned_about(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    run(recipe("run.iterations=1"), tmp_path / "asked for one")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.warns(UserWarning, match="accelerate launch started one process"):
        run(recipe("run.iterations=1"), tmp_path / "asked for two")


@pytest.mark.parametrize("changes", ["run.accumulate=2", "run.checkpoint_blocks=true"])
def test_what_saves_memory_changes_nothing(recipe, tmp_path, changes):
    run(recipe("run.iterations=1"), tmp_path / "one")
    run(recipe("run.iterations=1", changes), tmp_path / "other")
    ours, theirs = gradients(tmp_path / "one"), gradients(tmp_path / "other")
    largest = max(float(gradient.abs().max()) for gradient in ours)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6 * max(largest, 1))


def test_workers_change_nothing(recipe, tmp_path):
    one = run(recipe("run.iterations=2"), tmp_path / "one")
    assert same(one, run(recipe("run.iterations=2", "data.workers=2"), tmp_path / "other"))


class Empty(Scenes):
    """Images without any mask."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return Sample(sample.image, Target.of_labels(np.full(sample.target.size, -1)), sample.name)


class AlmostEmpty(Empty):
    """Images without any mask, but for some."""

    def __init__(self, length, *full):
        super().__init__(length)
        self.full = full

    def __getitem__(self, index):
        return Scenes.__getitem__(self, index) if index in self.full else super().__getitem__(index)


@pytest.mark.parametrize("stage", ["warmup", "mixed"])
def test_images_without_masks_do_no_harm(recipe, tmp_path, stage):
    masks = PAIRS if stage == "mixed" else WARMUP["masks"]
    changes = ("run.iterations=1", "run.batch_size=4")
    path = run(recipe(*changes, stage=stage, masks=masks), tmp_path / "run", AlmostEmpty(4, 3))
    assert all(bool(tensor.isfinite().all()) for tensor in tensors(path).values() if tensor.is_floating_point())


def test_a_data_set_without_masks_is_refused_before_it_starts(recipe, tmp_path):
    with pytest.raises(MaskAdapterError, match="scenes has no ground truth in its 4 images"):
        run(recipe(), tmp_path / "run", Scenes(12), Empty(4))
    assert not (tmp_path / "run").exists()
    with pytest.raises(MaskAdapterError, match="no ground truth in its 2 images"):
        Validation([AlmostEmpty(4, 3)], tmp_path / "run", "", images=2)


def test_steps_without_a_mask_write_no_model(recipe, tmp_path, monkeypatch):
    recipe = recipe("run.iterations=2", "run.save_every=1", 'data.train=[{"name": "scenes"}]')
    loaded = [index for index in range(12) if index not in drawn(recipe, steps=2)]
    with pytest.raises(MaskAdapterError, match="no image had a mask in the steps up to 2, so nothing was learned"):
        run(recipe, tmp_path / "end", AlmostEmpty(12, *loaded))
    assert not (tmp_path / "end" / "model.safetensors").exists()
    monkeypatch.setattr("maskadapter.training.trainer._STEPS_WITHOUT_MASKS", 1)
    with pytest.raises(MaskAdapterError, match="in the steps up to 1, so nothing"):
        run(recipe, tmp_path / "soon", AlmostEmpty(12, *loaded))


def drawn(recipe, steps):
    """The images of the first steps."""
    settings = read_recipe(recipe)
    batches = TrainingOrder([Scenes(12)], settings.run.batch_size, settings.run.seed).batches()
    return [draw.index for batch in islice(batches, steps) for draw in batch]


def test_a_loss_that_is_not_finite_stops_and_keeps_the_good_checkpoint(recipe, tmp_path, monkeypatch):
    from maskadapter.training.adapter import stages

    sound, calls = stages.classification_loss, []

    def broken(logits, labels):
        calls.append(1)
        return sound(logits, labels) * (float("nan") if len(calls) == 3 else 1)

    monkeypatch.setattr(stages, "classification_loss", broken)
    with pytest.raises(
        MaskAdapterError, match=r"the loss is not finite at step 3 .*: \d+.png.*checkpoint of step 2 is"
    ):
        run(recipe(), tmp_path / "run")
    step, state = Checkpoints(tmp_path / "run" / "checkpoints", 2).newest()
    assert step == 2
    assert all(bool(tensor.isfinite().all()) for tensor in state["trained"].values())


@pytest.mark.parametrize(
    ("changes", "parts", "message"),
    [
        (["run.batch_size=13"], {}, "12 images, fewer than a batch of 13"),
        (["model.architecture=tinny"], {}, "unknown model.architecture 'tinny': did you mean 'tiny"),
        (["model.weights=clip-convnext-large"], {"stage": "mixed", "masks": PAIRS}, "has no mask generator"),
        (["run.precision=fp16"], {}, "needs a GPU"),
        (["upstream_quirks.text_transfer_norm=sum"], {}, "has no text transfer"),
        ([], {"stage": "generator"}, "trains a Mask2Former mask generator"),
    ],
)
def test_an_impossible_recipe_is_refused_before_it_starts(recipe, tmp_path, changes, parts, message):
    with pytest.raises(RecipeError, match=message):
        run(recipe(*changes, **parts), tmp_path / "run")
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_a_start_that_holds_another_model_is_refused(recipe, tmp_path):
    file = run(recipe("run.iterations=1"), tmp_path / "run")
    with pytest.raises(CheckpointError, match="holds another adapter than the recipe's model"):
        run(recipe(f"model.adapter={file}", "model.num_maps=3"), tmp_path / "other")
    with pytest.raises(CheckpointError, match="does not hold maftplus-base"):
        run(recipe("model.architecture=maftplus-base"), tmp_path / "other")


def test_an_adapter_of_another_clip_is_refused(recipe, tmp_path):
    file = run(recipe("run.iterations=1"), tmp_path / "run")
    checkpoint = read_checkpoint(file)
    changed = {key: t.clone() for key, t in checkpoint.tensors.items()}
    changed["clip.model.logit_scale"] += 1
    write_checkpoint(tmp_path / "other.safetensors", changed, checkpoint.metadata)
    with pytest.raises(CheckpointError, match=r"different values of clip.model.logit_scale"):
        run(recipe(f"model.adapter={tmp_path / 'other.safetensors'}"), tmp_path / "second")


def test_the_second_stage_knows_the_classes_of_the_mask_generator(recipe, tmp_path):
    model = {**WARMUP["model"], "architecture": "tiny-mask2former"}
    first = run(recipe("run.iterations=1", "data.crop=96", stage="generator", model=model), tmp_path / "first")
    second = run(recipe(f"model.weights={first}", "run.iterations=1", model=model), tmp_path / "second")
    assert maskadapter.load(second).inference.seen_in == Scenes(1).vocabulary.synonyms


def test_a_folder_with_another_run_is_refused(recipe, tmp_path):
    run(recipe("run.iterations=1"), tmp_path / "run")
    with pytest.raises(RecipeError, match=r"made with other settings \(optimizer.lr was 0.01 and is 0.5\)"):
        run(recipe("run.iterations=1", "optimizer.lr=0.5"), tmp_path / "run")
    run(recipe("run.iterations=1", "run.keep=5"), tmp_path / "run")  # not another result
    (tmp_path / "run" / "recipe.yaml").unlink()
    with pytest.raises(RecipeError, match=r"has results and no recipe.yaml"):
        run(recipe("run.iterations=1"), tmp_path / "run")


def test_every_step_and_the_logged_numbers_are_log_records(recipe, tmp_path, caplog):
    with caplog.at_level("DEBUG", logger="maskadapter.training.trainer"):
        run(recipe("run.log_every=2"), tmp_path / "run")
    steps = [(record.step, record.iterations) for record in caplog.records if hasattr(record, "step")]
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    numbers = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert [text.partition(":")[0] for text in numbers] == ["step 2", "step 3"]
    assert all("classification" in text for text in numbers)


def test_without_accelerate_training_is_refused_in_one_line(recipe, tmp_path):
    script = (
        "import sys; sys.modules['accelerate'] = None\n"
        "import maskadapter as ma\n"
        "try: ma.train(ma.read_recipe(sys.argv[1]), [], 'nowhere')\n"
        "except ma.MaskAdapterError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, recipe()], capture_output=True, text=True, check=True)
    assert done.stdout == "training needs Accelerate: pip install 'maskadapter[train]'\n"
