"""``maskadapter prepare`` prints the folder, logs what it found, and names what is missing."""

import pytest
from small_sets import put, shrink_counts

from maskadapter.cli import main


@pytest.fixture
def root(tmp_path, monkeypatch):
    shrink_counts(monkeypatch)
    return tmp_path / "datasets"


def run(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    return stopped.value.code, capsys.readouterr()


def test_the_folder_is_printed_and_the_rest_logged(root, capsys):
    put(root, "pascal-voc-20")
    code, written = run(capsys, "prepare", "pascal-voc-20", "--root", str(root), "--offline")
    assert not code
    assert written.out == f"{root / 'VOCdevkit/VOC2012'}\n"
    assert written.err.splitlines() == ["train: 2 images, complete", "val: 2 images, complete"]


def test_missing_archives_are_named(root, capsys):
    code, written = run(capsys, "prepare", "coco-stuff", "--root", str(root), "--split", "val", "--offline")
    assert code == 2
    assert written.err.startswith("error: coco-stuff in ")
    assert "stuffthingmaps_trainval2017.zip is needed, from http" in written.err
    assert "train2017.zip is needed" not in written.err.replace("trainval2017", "")
