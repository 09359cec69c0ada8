import io
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from many import Halves, contents, make_images
from PIL import Image
from small_results import classification
from typer.main import get_command

import maskadapter
from maskadapter.cli import app, main
from maskadapter.cli.options import _device
from maskadapter.errors import MaskAdapterError
from maskadapter.hub.model_source import ModelSource
from maskadapter.io.masks import read_masks

COMPETING = "background: coco-stuff (171 classes)"


@dataclass
class Segmented:
    names: tuple
    pruning_text: str | None = None
    estimated: None = None

    @property
    def class_names(self):
        return self.names

    def semantic(self):
        labels = np.zeros((40, 60), np.int32)
        labels[:, 45:] = 1
        labels[:4] = -1
        return labels

    def save(self, folder, formats, stem, activation_maps=None):
        return [folder / f"{stem}-{name}.png" for name in formats]


class Model:
    """Stands in for a segmenter and remembers what it was given."""

    precision = "fp32"
    images_together = 1

    def __init__(self):
        self.given = []

    def load(self, source, device=None, prune_proposals=None):
        if source.name == "unknown":
            raise MaskAdapterError("no model 'unknown'")
        if source.name == "broken":
            raise RuntimeError("something\ninside")
        if source.name == "without":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        if source.name == "incomplete":
            raise ModuleNotFoundError("No module named 'maskadapter.models'", name="maskadapter.models")
        if source.name == "slow":
            raise KeyboardInterrupt
        self.given.append((source, device))
        self.prune_proposals = prune_proposals
        return self

    def encode_image(self, image, masks=None):
        self.masks = masks
        return image

    def encode_text(self, classes, things=None):
        return SimpleNamespace(vocabulary=classes)

    def segment(self, image, encoded, background):
        self.given.append((image, encoded.vocabulary, background))
        return Segmented(encoded.vocabulary.names)

    def classify(self, image, masks, classes):
        self.given.append((image, masks, classes))
        vocabulary = getattr(classes, "vocabulary", classes)
        return classification(vocabulary, [[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], read_masks(masks, (40, 60)))


@pytest.fixture
def any_name(monkeypatch):
    """Every model exists."""
    monkeypatch.setattr("maskadapter.hub.check_source", lambda source: None)


@pytest.fixture
def model(monkeypatch, any_name):
    model = Model()
    monkeypatch.setattr(maskadapter, "load", model.load, raising=False)
    return model


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (60, 40), "teal").save(path)
    return path


@pytest.fixture
def run(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return exit_.value.code or 0, written.out, written.err

    return run


def test_segment(run, model, photo):
    code, out, err = run("segment", photo, "--classes", "cat, sofa|couch, fly", "--output", "results")
    assert (code, err) == (0, "")
    assert model.given[0] == (ModelSource("tiny"), "cpu")
    assert not model.prune_proposals
    image, vocabulary, background = model.given[1]
    assert (image.name, background.name) == (photo.name, "coco-stuff")
    assert vocabulary.classes == (("cat",), ("sofa", "couch"), ("fly",))
    lines = [line.split() for line in out.splitlines()]
    # 45 of 60 columns and 15 of 60, both without the upper 4 of 40 rows; "fly" does not occur.
    assert lines[1][-2:] == ["cat", "67.5%"]
    assert lines[2][-2:] == ["sofa", "22.5%"]
    assert lines[3] == ["none", "of", "them", "10.0%"]
    names = ("overlay.png", "labels.png", "classes.json")
    assert out.splitlines()[4:] == [COMPETING, *(f"results/photo-{name}" for name in names)]


def test_segment_says_what_pruning_estimated(run, model, photo, monkeypatch):
    found = partial(Segmented, ("cat", "sofa", "fly"), "180 of 250 proposals were estimated")
    monkeypatch.setattr(model, "segment", lambda image, encoded, background: found())
    _, out, _ = run("segment", photo, "--classes", "cat, sofa, fly", "--fast")
    assert "pruning: 180 of 250 proposals were estimated" in out.splitlines()


def test_segment_passes_its_options_on(run, model, photo, monkeypatch):
    source = "maskadapter.models.sources.masks_from"
    monkeypatch.setattr(source, lambda text, device: ("source", text, device))
    monkeypatch.setattr("maskadapter.cli.options.version", lambda package: "2.13.0")  # it may have the device
    code, out, _ = run(
        "segment",
        photo,
        "-c",
        "cat, wall",
        "--save",
        "labels",
        "-m",
        "maftplus-base",
        "--pooler",
        "pooling",
        "--adapter",
        "warmup.pth",
        "--architecture",
        "maftplus-large",
        "--device",
        "mps",
        "--fast",
        "--masks",
        "sam:some/model",
    )
    assert code == 0
    assert model.prune_proposals
    assert model.masks == ("source", "sam:some/model", "mps")
    source = ModelSource("maftplus-base", "pooling", Path("warmup.pth"), "maftplus-large")
    assert model.given[0] == (source, "mps")
    assert out.splitlines()[-1] == "out/photo-classes.json"
    assert "overlay" not in out


@pytest.mark.parametrize("command", ["segment", "label"])
def test_results_of_another_precision_are_not_continued(run, halves, monkeypatch, tmp_path, command):
    asked = []

    def load(source, **options):
        asked.append(source.precision)
        model = Halves()
        model.precision = source.precision or "fp32"
        return model

    monkeypatch.setattr(maskadapter, "load", load, raising=False)
    arguments = (command, "photos", "-c", "cat, wall", "-o", "out")
    assert run(*arguments, "--precision", "bf16")[0] == 0
    assert json.loads((tmp_path / "out/run.json").read_text())["precision"] == "bf16"
    code, _, err = run(*arguments, "--resume")
    assert (code, asked) == (2, ["bf16", None])
    assert "made with other settings (precision)" in err


@pytest.fixture
def halves(monkeypatch, any_name, tmp_path):
    """A quick segmenter that writes real files, and two images in a folder."""
    monkeypatch.setattr(maskadapter, "load", lambda *given, **named: Halves(), raising=False)
    monkeypatch.chdir(tmp_path)
    return make_images(tmp_path / "photos", ["a/x.png", "y.jpg"])


def test_segment_many(run, halves, tmp_path):
    code, out, err = run("segment", "photos/", "photos/*.jpg", "-c", "cat, wall", "--save", "labels", "-m", "x/tiny")
    assert (code, out, err) == (0, f"2 of 2 images are done: out\n{COMPETING}\n", "")
    files = contents(tmp_path / "out")
    assert set(files) == {
        "run.json",
        *(f"{stem}-{end}" for stem in ("a/x", "y") for end in ("labels.png", "classes.json")),
    }
    record = json.loads(files["run.json"])
    assert (record["model"], record["precision"]) == ("tiny", "fp32")
    (tmp_path / "out/y-labels.png").unlink()
    code, out, _ = run("segment", "photos", "-c", "cat, wall", "--save", "labels", "-m", "tiny", "--resume")
    assert (code, out) == (0, f"2 of 2 images are done, 1 of them before: out\n{COMPETING}\n")
    assert contents(tmp_path / "out") == files
    code, out, err = run("segment", "photos", "-c", "cat, wall", "-m", "tiny", "--resume")
    assert (code, out) == (2, "")
    assert err.startswith("error: out was made with other settings (formats): repeat them")


@pytest.mark.parametrize("command", ["segment", "label"])
def test_bad_images_are_listed_at_the_end(run, halves, command):
    (halves / "bad\n.jpg").write_text("words")
    (halves / "bad.png").write_text("words")
    code, out, err = run(command, "photos", "-c", "cat, wall", "-o", "out")
    assert code == 2
    assert out.startswith("2 of 4 images are done: out\n")
    assert err.splitlines() == [
        "error: not an image that can be read: photos/bad .jpg",
        "error: not an image that can be read: photos/bad.png",
        "error: 2 of 4 images failed, the others are done",
    ]


@pytest.mark.parametrize("command", ["segment", "label"])
def test_a_single_bad_image_is_one_line(run, halves, command):
    (halves / "bad.png").write_text("words")
    code, out, err = run(command, "photos/bad.png", "-c", "cat, wall", "-o", "out")
    assert (code, out, err) == (2, "", "error: not an image that can be read: photos/bad.png\n")


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["segment", "label"])
def test_a_stop_says_how_far_it_came(run, halves, monkeypatch, command, number, exit_code):
    segment = Halves.segment

    def stop(self, source, *given, **named):
        if source.name == "y.jpg":
            signal.raise_signal(number)
        return segment(self, source, *given, **named)

    monkeypatch.setattr(Halves, "segment", stop)
    code, out, err = run(command, "photos", "-c", "cat, wall", "-o", "out")
    assert (code, out) == (exit_code, "")
    assert err == "stopped: 1 of 2 images are done, --resume goes on from there\n"


@pytest.mark.parametrize("command", ["segment", "label"])
def test_what_cannot_be_searched_or_written_is_one_line(run, halves, tmp_path, monkeypatch, command):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for arguments, message in [
        (["empty"], "no images in empty: files that end in .jpg"),
        (["photos/*.gif"], "no images in photos/*.gif"),
        (["photos", "gone.jpg"], "no such file or folder: gone.jpg"),
        (["photos", "-o", "photos"], "the results would lie among the images in photos"),
        (["photos", "-o", "file"], "cannot write file"),
        (["photos", "-o", "file/deep"], "cannot write file/deep"),
        (["photos", "-o", "/proc/none"], "cannot write /proc/none"),
        (["photos", "photos/a", "other"], "no such file or folder: other"),
    ]:
        code, out, err = run(command, *arguments, "-c", "cat, wall")
        assert (code, out, err.count("\n")) == (2, "", 1), arguments
        assert err.startswith(f"error: {message}"), err


def test_segment_standard_input(run, halves, monkeypatch, tmp_path):
    data = (halves / "y.jpg").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
    code, out, _ = run("segment", "-", "-c", "cat, wall", "--save", "labels")
    assert code == 0
    assert out.splitlines()[-2:] == ["out/stdin-labels.png", "out/stdin-classes.json"]
    assert set(contents(tmp_path / "out")) == {"stdin-labels.png", "stdin-classes.json"}
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
    assert run("segment", "-", "-c", "cat, wall", "--save", "coco")[0] == 0
    assert json.loads((tmp_path / "out/stdin-instances.json").read_text())["images"][0]["file_name"] == "stdin.png"


def test_a_built_in_list_has_no_background(run, model, photo):
    code, out, err = run("segment", photo, "-c", "pascal-voc-20")
    assert (code, err) == (0, "")
    assert model.given[1][2] is None
    assert "background: none, pascal-voc-20 is a built-in list" in out.splitlines()
    assert run("segment", photo, "-c", "pascal-voc-20", "--background", "coco-stuff")[1].count(COMPETING) == 1
    assert "background: none\n" in run("segment", photo, "-c", "cat, dog", "--background", "none")[1]


@pytest.mark.parametrize("command", ["segment", "label"])
def test_the_background_that_applied_is_recorded(run, halves, tmp_path, command):
    assert run(command, "photos", "-c", "cityscapes", "-o", "a")[0] == 0
    assert json.loads((tmp_path / "a/run.json").read_text())["background"] is None
    assert run(command, "photos", "-c", "cat, dog", "-o", "b")[0] == 0
    assert json.loads((tmp_path / "b/run.json").read_text())["background"] == "coco-stuff"


def test_segment_without_standard_input(run, halves, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = run("segment", "-", "-c", "cat")
    assert (code, err.count("\n")) == (2, 1)


def test_a_fault_in_one_of_many_images_is_exit_1_after_the_others(run, halves, monkeypatch):
    segment = Halves.segment

    def trip(self, source, encoded, background):
        if source.name == "y.jpg":
            raise RuntimeError("out of\nmemory")
        return segment(self, source, encoded, background)

    monkeypatch.setattr(Halves, "segment", trip)
    code, out, err = run("segment", "photos", "-c", "cat")
    assert (code, out) == (1, f"1 of 2 images are done: out\n{COMPETING}\n")
    assert err.splitlines()[0].endswith("y.jpg: RuntimeError: out of memory")
    assert "1 of 2 images failed" in err.splitlines()[1]
    assert "in trip" in run("segment", "photos", "-c", "cat", "--debug")[2]


def test_label(run, halves, tmp_path):
    code, out, err = run("label", "photos", "-c", "cat, sky", "--format", "yolo", "--things", "sky", "--min-area", 0.1)
    done, background, note, split = out.splitlines()
    assert (code, done, background, err) == (0, "2 of 2 images are done: dataset", COMPETING, "")
    assert note == "4 segments labeled, 0 left out by score or area"
    assert split == "data.yaml has the same images for train and val: --val 0.2 holds a fifth of them out"
    record = json.loads((tmp_path / "dataset/run.json").read_text())
    assert (record["format"], record["score"], record["min_area"]) == ("yolo", 0.5, 0.1)
    assert record["is_thing"] == [False, True]
    assert {line.split()[0] for line in (tmp_path / "dataset/labels/y.txt").read_text().splitlines()} == {"0", "1"}
    code, out, _ = run(
        "label", "photos", "-c", "cat, sky", "--format", "yolo", "--things", "sky", "--min-area", 0.1, "--resume"
    )
    assert (code, out) == (0, f"2 of 2 images are done, 2 of them before: dataset\n{COMPETING}\n")
    code, _, err = run("label", "photos", "-c", "cat")
    assert code == 2
    assert err.startswith("error: dataset is not empty")


def test_edited_files_are_named(run, halves, tmp_path):
    given = ["label", "photos", "-c", "cat, sky", "--format", "yolo", "--val", 0.5]
    code, out, _ = run(*given)
    assert (code, out.splitlines()[-1]) == (0, "1 images for train, 1 for val")
    for name in ("labels/y.txt", "data.yaml"):
        path = tmp_path / "dataset" / name
        path.write_text(path.read_text() + "\n")
    code, out, _ = run(*given, "--resume")
    assert code == 0
    assert "2 edited by hand, kept as they are: data.yaml, labels/y.txt\n" in out
    code, _, err = run("label", "photos", "-c", "cat", "--val", 0.5, "-o", "new")
    assert (code, err) == (2, "error: val is for the format yolo, and coco was given: its files name no split\n")


def test_a_home_folder_as_output(run, halves, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for command in ("segment", "label"):
        assert run(command, "photos", "-c", "cat", f"--output=~/{command}")[0] == 0
        assert (tmp_path / command / "run.json").is_file()
    assert not (tmp_path / "~").exists()
    code, _, err = run("segment", "photos", "-c", "cat", "-o", "https://example.org/out")
    assert (code, "is an address" in err) == (2, True)


@pytest.mark.parametrize("images", ["photos", "photos/y.jpg"])
def test_what_cannot_be_printed_is_not_a_failure(halves, monkeypatch, tmp_path, images):
    class Console(io.TextIOWrapper):
        def write(self, text):
            if self.broken:
                raise BrokenPipeError(32, "Broken pipe")
            return super().write(text)

    for broken in (False, True):
        out, err = (Console(io.BytesIO(), encoding="cp1252", errors="strict") for _ in range(2))
        out.broken = err.broken = broken
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as stop:
                main(["segment", images, "-c", "cat, \u65e5\u672c", "-m", "tiny", "-o", f"out-{broken}"])
        assert stop.value.code in (0, None)
        assert (tmp_path / f"out-{broken}/y-overlay.png").is_file()
        assert err.buffer.getvalue() == b""
        assert bool(out.buffer.getvalue()) == (not broken)


def test_classify(run, model, photo, tmp_path):
    labels = np.zeros((40, 60), np.uint8)
    labels[:10], labels[30:] = 9, 4
    Image.fromarray(labels).save(tmp_path / "masks.png")
    code, out, err = run("classify", photo, "--masks", tmp_path / "masks.png", "--classes", "cat, dog, cow", "--top", 2)
    assert (code, err) == (0, "")
    image, masks, vocabulary = model.given[1]
    assert (image, masks) == (photo, tmp_path / "masks.png")
    assert vocabulary.names == ("cat", "dog", "cow")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[1:] == ["1 25.0% dog 70%, cow 20%", "2 25.0% cat 50%, cow 30%"]


def test_classify_of_a_single_image_into_files(run, model, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 5:15] = True
    np.save("masks.npy", masks)
    given = ("classify", photo, "--masks", "masks.npy", "-c", "cat, dog, cow", "--top", 1)
    code, out, _ = run(*given)
    assert code == 0
    assert [" ".join(line.split()) for line in out.splitlines()[1:]] == [
        "1 25.0% dog 70%",
        "2 0.0% no class: the mask is empty",
    ]
    assert not (tmp_path / "out").exists()
    for more, paths in [
        (["--save", "csv,coco"], ["out/photo-instances.json", "out/photo-masks.csv"]),
        (["--output", "there"], ["there/photo-overlay.png", "there/photo-masks.csv"]),
    ]:
        code, out, err = run(*given, *more)
        assert (code, err) == (0, "")
        assert out.splitlines()[3:] == paths
        assert all((tmp_path / path).is_file() for path in paths)


def test_classify_a_folder_with_one_of_masks(run, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "photos", ("a/x.png", "y.png", "z.png"), (60, 40))
    for name in ("a/x", "y"):
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "masks" / f"{name}.npy", np.ones((2, 40, 60), bool))
    code, out, err = run("classify", "photos", "--masks", "masks", "-c", "cat, dog, cow")
    assert (code, out) == (2, "2 of 3 images are done: out\n")
    assert err == (
        "error: photos/z.png: no masks in masks: z.png, .npy, .npz, .json is needed\n"
        "error: 1 of 3 images failed, the others are done\n"
    )
    files = {f"{stem}-{end}" for stem in ("a/x", "y") for end in ("overlay.png", "masks.csv")}
    assert set(contents(tmp_path / "out")) == files | {"masks.csv", "run.json"}
    np.save(tmp_path / "masks" / "z.npy", np.ones((2, 40, 60), bool))
    code, out, err = run("classify", "photos", "--masks", "masks", "-c", "cat, dog, cow", "--resume")
    assert (code, out, err) == (0, "3 of 3 images are done, 2 of them before: out\n", "")
    code, _, err = run("classify", "photos", "--masks", "masks", "-c", "cat", "--save", "panoptic")
    assert (code, err) == (2, "error: unknown format 'panoptic': choose from overlay, labels, coco, csv, json\n")


def test_names_with_markup_are_printed_as_they_are(run, model, photo):
    code, out, _ = run("segment", photo, "-c", "[bold]cat[/], wall")
    assert code == 0
    assert "[bold]cat[/]" in out


def test_mistakes_are_one_line_and_exit_2(run, model, photo, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("words")
    np.save(tmp_path / "masks.npy", np.zeros((2, 5, 5), bool))
    for arguments, message in [
        (["segment", tmp_path / "gone.jpg", "-c", "cat"], "no such file or folder: "),
        (["segment", text, "-c", "cat"], "not an image that can be read"),
        (["segment", tmp_path / "none", "-c", "cat"], "no such file or folder: "),
        (["segment", photo], "Missing option '--classes'"),
        (["segment", photo, "-c", " , "], "no classes: name at least one"),
        (["segment", photo, "-c", "gone.txt"], "no such file of classes: gone.txt"),
        (["segment", photo, "-c", "ade20k-151"], "did you mean 'ade20k-150'"),
        (["segment", photo, "-c", "cat", "-m", "unknown"], "no model 'unknown'"),
        (["segment", photo, "-c", "cat", "--pooler", "crop"], "--pooler"),
        (["segment"], "Missing argument"),
        (["segmnt"], "no command 'segmnt': did you mean 'segment'?"),
        (["segment", photo, "--clases", "cat"], "No such option"),
        (["classify", photo, "-c", "cat"], "Missing option '--masks'"),
        (["classify", photo, "-c", "cat", "--masks", tmp_path / "masks.npy"], "5 x 5 pixels for an image of 60 x 40"),
        (["classify", photo, "-c", "cat", "--masks", tmp_path / "gone.png"], "no such file: "),
    ]:
        code, out, err = run(*arguments)
        assert (code, out) == (2, ""), arguments
        assert err.startswith("error: "), arguments
        assert message in err, arguments
        assert err.count("\n") == 1, arguments


def test_a_fault_of_the_program_is_one_line_and_exit_1(run, model, photo):
    code, _, err = run("segment", photo, "-c", "cat", "-m", "broken")
    assert code == 1
    assert err == "error: RuntimeError: something inside; run with --debug for the traceback\n"


def test_a_missing_library_is_named_and_a_missing_part_of_ours_is_a_fault(run, model, photo):
    code, _, err = run("segment", photo, "-c", "cat", "-m", "without")
    assert (code, err.partition(":")[2].partition(":")[0]) == (2, " the library torch is missing")
    assert run("segment", photo, "-c", "cat", "-m", "incomplete")[0] == 1


@pytest.mark.parametrize("where", [0, 2, 6])
def test_debug_shows_the_traceback_wherever_it_stands(run, model, photo, where):
    arguments = ["segment", photo, "-c", "cat", "-m", "broken"]
    arguments.insert(where, "--debug")
    code, _, err = run(*arguments)
    assert code == 1
    assert "Traceback" in err
    assert "in load" in err


def test_ctrl_c_exits_130(run, model, photo):
    code, _, err = run("segment", photo, "-c", "cat", "-m", "slow")
    assert (code, err) == (130, "stopped\n")


def test_a_command_that_a_group_lacks_is_answered_with_those_that_it_has(run):
    code, out, err = run("plot", "figure3")
    figures = "figure1, figure4, figure5, figure6, figure7, figure9, figure10, figure11, gallery"
    assert (code, out, err) == (2, "", f"error: plot has no 'figure3': choose from {figures}\n")
    assert run("models", "chekc")[2] == "error: models has no 'chekc': choose from list, download, convert, check\n"


def test_version_and_help(run):
    assert run("--version") == (0, f"maskadapter {maskadapter.__version__}\n", "")
    for arguments in ([], ["--help"]):
        code, out, _ = run(*arguments)
        assert code == 0
        assert "segment" in out
        assert "classify" in out
        assert "label" in out


def names(group):
    """Every command and group of commands, as they are typed."""
    for name, command in group.commands.items():
        yield name
        yield from (f"{name} {inside}" for inside in names(command)) if hasattr(command, "commands") else ()


COMMANDS = ["", *names(get_command(app))]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_and_breaks_no_word(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(*command.split(), "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    inside = [line.strip("│╭╮╰╯─ ") for line in out.splitlines()]
    # A type that did not fit into its column ends in the next line: "<adapter|pooling|croppi" and "ng>".
    assert not [line for line in inside if re.search(r"<[a-z|-]*(  |$)", line)]
    assert not [line for line in inside if re.match(r"[a-z0-9.|-]*>", line) and "<" not in line]


def test_help_groups_options_and_names_choices(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = run("segment", "--help")[1]
    groups = {part.split(" ─")[0].strip(): part for part in out.split("╭─")[1:]}
    for group, option in {
        "Classes": "--classes",
        "Results": "--output",
        "Model": "--pooler",
        "Masks": "--masks",
    }.items():
        assert option in groups[group]
    assert "One of adapter, pooling, cropping" in " ".join(out.replace("│", " ").split())
    out = " ".join(run("evaluate", "--help")[1].replace("│", " ").split())
    assert "it stopped; under torchrun or accelerate launch the processes share the images." in out


def test_help_is_quick():
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "maskadapter", "--help"], check=True, capture_output=True)
    # 0.5 s on an idle machine; two cores shared with a training took up to twice that.
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_pytorch_for_the_cpu_alone_is_known_without_its_import(device, monkeypatch):
    monkeypatch.setattr("maskadapter.cli.options.version", lambda package: "2.13.0+cpu")
    with pytest.raises(MaskAdapterError, match=f"device '{device}' cannot be used here: PyTorch 2.13.0.cpu is for the"):
        _device(device)
    assert _device("cpu") == "cpu"
    monkeypatch.setattr("maskadapter.cli.options.version", lambda package: "2.13.0")
    assert _device(device) == device
