"""``maskadapter benchmark``: real measurements of a small model."""

import json
import time

import numpy as np
import pytest
import torch
from PIL import Image

from maskadapter.benchmark.clock import Clock, peak_memory
from maskadapter.benchmark.pictures import photographs
from maskadapter.cli import main


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    picture = np.zeros((90, 120, 3), np.uint8)
    picture[20:70, 30:90] = (200, 40, 40)
    Image.fromarray(picture).save(tmp_path / "photos" / "box.png")
    return tmp_path


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", *map(str, words)])
    return stop.value.code or 0


def test_a_report_has_what_is_promised(folder, capsys):
    words = ("--size", 128, "--pictures", folder / "photos", "--proposals", 12, "--classes", "box, ground, sky")
    assert not run("tiny", *words, "--output", folder / "report.json")
    report = json.loads((folder / "report.json").read_text())
    for key in ("adapter_speedup_exact", "adapter_speedup_default", "segment_speedup_default"):
        assert report[key] > 0
    assert 0 <= report["agreement_default"] <= 1
    assert report["peak_memory_gb_default"] >= 0
    seconds = report["seconds"]
    for computation in ("direct", "exact", "default"):
        parts = [seconds[part][computation] for part in seconds if part != "all"]
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(seconds["all"][computation])
    assert report["adapter_speedup_exact"] == pytest.approx(seconds["adapter"]["direct"] / seconds["adapter"]["exact"])
    (picture,) = report["pictures"]
    assert picture["agreement, exact"] == 1
    assert picture["largest difference of weights, exact"] < 1e-6
    assert report["classes"] == 3
    told = capsys.readouterr().out
    assert (folder / "report.md").read_text() in told
    assert "| image tower | " in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tiny", "--size", 100), "size is 100; a multiple of 32"),
        (("nothing-like-it",), "nothing-like-it"),
        (("tiny", "--pictures", "no-such-folder"), "no-such-folder"),
        (("tiny", "--device", "nowhere"), "device 'nowhere' cannot be used here"),
        (("tiny", "--output", "report.md"), "a file that ends in .json is needed"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_pictures_that_need_no_folder():
    found = photographs()
    assert len(found) == 5
    for read in found.values():
        picture = read()
        assert picture.ndim == 3
        assert picture.dtype == np.uint8


def test_memory_that_a_block_takes_is_seen():
    with peak_memory(torch.device("cpu")) as most:
        taken = np.ones(40_000_000)  # 320 MB
        time.sleep(0.2)
        del taken
    assert 0.3 < most[0] < 0.4


def test_a_clock_adds_up():
    clock = Clock(torch.device("cpu"))
    for _ in range(2):
        with clock.part("one"):
            np.ones(1000)
    assert list(clock.seconds) == ["one"]
    assert clock.seconds["one"] > 0
