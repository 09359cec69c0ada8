import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

import maskadapter
from maskadapter.cli import main
from maskadapter.errors import MaskAdapterError


@dataclass
class Segmented:
    names: tuple

    @property
    def class_names(self):
        return self.names

    def semantic(self):
        labels = np.zeros((40, 60), np.int32)
        labels[:, 45:] = 1
        labels[:4] = -1
        return labels

    def save(self, folder, formats):
        return [folder / f"photo-{name}.png" for name in formats]


@dataclass
class Classified:
    class_names: tuple
    probs: np.ndarray


class Model:
    """Stands in for a segmenter and remembers what it was given."""

    def __init__(self):
        self.given = []

    def load(self, model=None, embedding=None, adapter=None, like=None, device=None):
        if model == "unknown":
            raise MaskAdapterError("no model 'unknown'")
        if model == "broken":
            raise RuntimeError("something\ninside")
        if model == "slow":
            raise KeyboardInterrupt
        self.given.append((model, embedding, device))
        return self

    def segment(self, image, classes):
        self.given.append((image, classes))
        return Segmented(classes.names)

    def classify(self, image, masks, classes):
        self.given.append((image, masks, classes))
        return Classified(classes.names, np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], np.float32))


@pytest.fixture
def model(monkeypatch):
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
    assert model.given[0] == (None, None, "cpu")
    image, vocabulary = model.given[1]
    assert image == photo
    assert vocabulary.classes == (("cat",), ("sofa", "couch"), ("fly",))
    lines = [line.split() for line in out.splitlines()]
    # 45 of 60 columns and 15 of 60, both without the upper 4 of 40 rows; "fly" does not occur.
    assert lines[1][-2:] == ["cat", "67.5%"]
    assert lines[2][-2:] == ["sofa", "22.5%"]
    assert lines[3] == ["none", "of", "them", "10.0%"]
    assert out.splitlines()[4:] == ["results/photo-overlay.png", "results/photo-labels.png"]


def test_segment_passes_its_options_on(run, model, photo):
    code, out, _ = run(
        "segment",
        photo,
        "-c",
        "cat, wall",
        "--save",
        "labels",
        "-m",
        "maftplus-base",
        "--embedding",
        "pooling",
        "--device",
        "mps",
    )
    assert code == 0
    assert model.given[0] == ("maftplus-base", "pooling", "mps")
    assert out.splitlines()[-1] == "out/photo-labels.png"
    assert "overlay" not in out


def test_classify(run, model, photo, tmp_path):
    labels = np.zeros((40, 60), np.uint8)
    labels[:10], labels[30:] = 9, 4
    Image.fromarray(labels).save(tmp_path / "masks.png")
    code, out, err = run("classify", photo, "--masks", tmp_path / "masks.png", "--classes", "cat, dog, cow", "--top", 2)
    assert (code, err) == (0, "")
    _, masks, vocabulary = model.given[1]
    assert masks.shape == (2, 40, 60)
    assert masks[0, 30:].all()
    assert masks[1, :10].all()
    assert vocabulary.names == ("cat", "dog", "cow")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[1:] == ["1 25.0% dog 70%, cow 20%", "2 25.0% cat 50%, cow 30%"]


def test_names_with_markup_are_printed_as_they_are(run, model, photo):
    code, out, _ = run("segment", photo, "-c", "[bold]cat[/], wall")
    assert code == 0
    assert "[bold]cat[/]" in out


def test_mistakes_are_one_line_and_exit_2(run, model, photo, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("words")
    np.save(tmp_path / "masks.npy", np.zeros((2, 5, 5), bool))
    for arguments, message in [
        (["segment", tmp_path / "gone.jpg", "-c", "cat"], "no such file: "),
        (["segment", text, "-c", "cat"], "not a picture that can be read"),
        (["segment", tmp_path, "-c", "cat"], "cannot read"),
        (["segment", photo], "Missing option '--classes'"),
        (["segment", photo, "-c", " , "], "no classes: name at least one"),
        (["segment", photo, "-c", "gone.txt"], "no such file of classes: gone.txt"),
        (["segment", photo, "-c", "ade20k-151"], 'did you mean "ade20k-150"'),
        (["segment", photo, "-c", "cat", "-m", "unknown"], "no model 'unknown'"),
        (["segment", photo, "-c", "cat", "--embedding", "crop"], "--embedding"),
        (["segment"], "Missing argument"),
        (["segmnt"], "No such command 'segmnt'"),
        (["segment", photo, "--clases", "cat"], "No such option"),
        (["classify", photo, "-c", "cat"], "Missing option '--masks'"),
        (["classify", photo, "-c", "cat", "--masks", tmp_path / "masks.npy"], "5 x 5 pixels for a picture of 60 x 40"),
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
    assert code == 130
    assert "Traceback" not in err


def test_version_and_help(run):
    assert run("--version") == (0, f"maskadapter {maskadapter.__version__}\n", "")
    for arguments in ([], ["--help"]):
        code, out, _ = run(*arguments)
        assert code == 0
        assert "segment" in out
        assert "classify" in out


def test_help_fits_80_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("segment", "classify"):
        code, out, _ = run(command, "--help")
        assert code == 0
        assert "--classes" in out
        assert max(map(len, out.splitlines())) <= 80


def test_help_is_quick():
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "maskadapter", "--help"], check=True, capture_output=True)
    # 0.5 s on an idle machine; two cores shared with a training took up to twice that.
    assert time.perf_counter() - started < 2
