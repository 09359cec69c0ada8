"""The examples run as they are, and on a photo of one's own."""

import json
import runpy
import subprocess
import sys
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(small_input, tmp_path, monkeypatch, capsys):
    """A function that runs an example in an empty folder and returns what it printed, line by line."""
    monkeypatch.chdir(tmp_path)

    def run_example(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run_example


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(skimage.data.chelsea()[::2, ::2]).save(tmp_path / "cat.png")
    return "cat.png"


def test_every_example_is_run_here():
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == [
        "classify_masks.py",
        "folder_to_coco.py",
        "notebook.py",
        "sample_files.py",
        "segment_onnx.py",
        "segment_photo.py",
        "several_processes.py",
    ]


def test_photos_are_segmented_in_several_processes(photo, tmp_path):
    (tmp_path / "again.png").write_bytes((tmp_path / photo).read_bytes())
    command = [sys.executable, str(EXAMPLES / "several_processes.py"), photo, "again.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["cat.png", "again.png"], done.stderr[-2000:]


def test_a_photo_is_segmented(run, tmp_path):
    lines = run("segment_photo.py")
    assert [line.split(":")[0] for line in lines[:3]] == ["cup", "spoon", "table"]
    assert all((tmp_path / line).is_file() for line in lines[3:])
    assert len(lines) == 7


def test_your_own_photo_is_segmented_into_your_own_classes(run, photo, tmp_path):
    assert run("segment_photo.py", photo, "cat, wall")[:2][1].startswith("wall: ")
    assert (tmp_path / "out" / "cat-overlay.png").is_file()


def test_sample_files_have_masks_for_every_photo(run, tmp_path):
    photos = [tmp_path / line for line in run("sample_files.py") if line.endswith(".jpg")]
    masks = [tmp_path / "masks.png", tmp_path / "masks" / "cat.png", tmp_path / "masks" / "garden" / "cat.png"]
    assert len(photos) == 3
    for photo, mask in zip(photos, masks, strict=True):
        assert Image.open(photo).size == Image.open(mask).size
        assert np.unique(np.asarray(Image.open(mask))).tolist() == [0, 1]


def test_masks_are_classified(run):
    lines = run("classify_masks.py")
    assert len(lines) >= 2
    assert all(line.startswith(f"mask {number}: ") and line.count("%") == 3 for number, line in enumerate(lines))


def test_your_own_masks_are_classified(run, photo, tmp_path):
    masks = np.zeros((2, 150, 226), bool)
    masks[0, 20:120, 30:200] = masks[1, :40] = True
    np.save(tmp_path / "masks.npy", masks)
    lines = run("classify_masks.py", photo, "masks.npy", "cat, wall, sofa")
    assert [line.split(":")[0] for line in lines] == ["mask 0", "mask 1"]


def test_a_folder_becomes_a_coco_training_set(run, tmp_path):
    assert run("folder_to_coco.py")[0].startswith("3 images")
    coco = json.loads((tmp_path / "dataset" / "annotations.json").read_text(encoding="utf-8"))
    assert len(coco["images"]) == 3
    assert [category["name"] for category in coco["categories"]] == ["cat", "cup", "person"]


def test_your_own_folder_becomes_a_training_set(run, photo, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / photo).rename(tmp_path / "mine" / photo)
    assert run("folder_to_coco.py", "mine", "cat")[0].startswith("1 images")


def test_the_notebook_runs_cell_by_cell(run, tmp_path):
    cells = (EXAMPLES / "notebook.py").read_text(encoding="utf-8").split("# %%")
    assert len(cells) > 6
    lines = run("notebook.py")
    assert (tmp_path / "out" / "image-activations.png").is_file()
    assert lines[-1].startswith("True")


def test_results_show_themselves_in_a_notebook(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cells = (EXAMPLES / "notebook.py").read_text(encoding="utf-8").split("# %%")[1:]
    code = [cell.strip() for cell in cells if not cell.startswith(" [markdown]")]
    code.append("result.show()")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in code])
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    images = {}
    for cell in notebook.cells:
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert cell.source not in images  # once, not twice
                images[cell.source] = Image.open(BytesIO(b64decode(output.data["image/png"])))
    own, figure, shown = images.values()
    assert list(images)[::2] == ["result", "result.show()"]
    assert own.size == skimage.data.coffee().shape[1::-1]
    assert np.abs(np.asarray(own.convert("RGB"), int) - skimage.data.coffee()).mean() > 5
    assert (np.asarray(own) == np.asarray(shown)).all()
    assert figure.size[0] > 300
