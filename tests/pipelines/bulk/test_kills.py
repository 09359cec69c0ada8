"""Whatever is killed, every image is in the parts exactly once, and the parts are the same bytes.

``MASKADAPTER_BULK_IMAGES=300`` takes more images. The model is the embedded one for small images, which is quick."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from many import contents, make_images

import maskadapter as ma

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")

import pyarrow.parquet as pq

from maskadapter.io import decode_segmentation
from maskadapter.models.preprocess import InputSize

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc"),
]

IMAGES = int(os.environ.get("MASKADAPTER_BULK_IMAGES", "36"))
SHARD_SIZE = IMAGES // 12
CLASSES = "cat, sky, wall"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = ma.load()
    model.inference = replace(model.inference, input_size=InputSize(96, 160))
    return ma.save(model, tmp_path_factory.mktemp("weights") / "small.safetensors", "tiny")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    names = [f"{number:03d}.png" for number in range(IMAGES)]
    folder = make_images(tmp_path_factory.mktemp("kills") / "photos", names)
    (folder / names[IMAGES // 2]).write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def expected(photos, weights, tmp_path_factory):
    """The parts of a run that nobody disturbed, by one process."""
    folder = plan(photos, weights, tmp_path_factory.mktemp("kills") / "undisturbed")
    report = ma.run_shards(folder)
    assert (report.images, report.failed, report.lost) == (IMAGES, 1, ())
    return contents(folder / "parts")


def plan(photos, weights, folder):
    return ma.plan_shards(photos, CLASSES, folder, SHARD_SIZE, background="none", model=weights).folder


@pytest.fixture
def folder(photos, weights, tmp_path):
    """A plan of which nothing is done."""
    return plan(photos, weights, tmp_path / "bulk")


def start(folder, *options):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "maskadapter", "bulk", "run", str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def children(process):
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def wait_for(condition):
    end = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def in_the_making(folder):
    """Whether a shard after the first is being computed: its temporary file is there."""
    parts = folder / "parts"
    return parts.exists() and any(parts.glob("0*.parquet")) and any(parts.glob(".0*.parquet"))


def check(folder, photos, expected):
    assert contents(folder / "parts") == expected
    rows = [row["path"] for path in sorted((folder / "parts").iterdir()) for row in pq.read_table(path).to_pylist()]
    assert Counter(rows) == Counter(str(path) for path in photos.iterdir())


def test_the_masks_are_those_of_the_plain_loop(photos, weights, expected):
    rows = [row for content in expected.values() for row in pq.read_table(BytesIO(content)).to_pylist()]
    found = {row["path"]: row for row in rows if row["error"] is None}
    assert len(found) == len(rows) - 1 == IMAGES - 1
    loop = ma.segment_each(ma.load(weights), photos, CLASSES, background="none", on_error=lambda *error: None)
    for image, result in loop:
        row = found.pop(str(image.source))
        assert len(row["segments"]) == len(result)
        for kept, segment in zip(row["segments"], result, strict=True):
            mask = decode_segmentation({"size": result.size, "counts": kept["counts"]}, result.size)
            assert np.array_equal(mask, segment.mask)
            assert (kept["class"], kept["score"]) == (segment.class_name, segment.score)
    assert found == {}


def test_a_killed_worker_is_replaced(folder, photos, expected):
    run = start(folder, "--workers", "2")
    wait_for(lambda: in_the_making(folder))
    os.kill(children(run.pid)[0], signal.SIGKILL)
    printed, _ = run.communicate(timeout=600)
    assert run.returncode == 0, printed
    shards = -(-IMAGES // SHARD_SIZE)
    assert f"{shards} of {shards} shards are done" in printed
    assert "images/s" in printed
    check(folder, photos, expected)


def test_a_killed_driver_takes_its_workers_along_and_the_next_run_goes_on(folder, photos, expected):
    run = start(folder, "--workers", "2")
    wait_for(lambda: in_the_making(folder))
    workers = children(run.pid)
    assert len(workers) == 2
    run.kill()
    run.communicate()
    wait_for(lambda: not any(Path(f"/proc/{worker}/exe").exists() for worker in workers))
    before = contents(folder / "parts").keys() & expected.keys()
    assert 0 < len(before) < len(expected)
    report = ma.run_shards(folder)
    assert (report.before, report.done, report.lost) == (len(before), len(expected) - len(before), ())
    check(folder, photos, expected)


def test_two_runs_at_once_share_the_work(folder, photos, expected):
    runs = [start(folder) for _ in range(2)]
    printed = [run.communicate(timeout=600)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], printed
    check(folder, photos, expected)


def test_shares_give_the_same_bytes(folder, photos, expected):
    for share in ("1/2", "0/2"):
        run = start(folder, "--shard", share)
        printed, _ = run.communicate(timeout=600)
        assert run.returncode == 0, printed
    check(folder, photos, expected)


def test_ray_gives_the_same_bytes_and_replaces_a_killed_actor(folder, photos, expected):
    pytest.importorskip("ray")
    run = start(folder, "--engine", "ray", "--workers", "2")
    wait_for(lambda: in_the_making(folder))
    os.kill(actors()[0], signal.SIGKILL)
    printed, _ = run.communicate(timeout=600)
    assert run.returncode == 0, printed
    check(folder, photos, expected)


def test_a_killed_ray_driver_and_the_next_run(folder, photos, expected):
    pytest.importorskip("ray")
    run = start(folder, "--engine", "ray", "--workers", "1")
    wait_for(lambda: in_the_making(folder))
    run.kill()
    run.communicate()
    again = start(folder, "--engine", "ray", "--workers", "2")
    printed, _ = again.communicate(timeout=600)
    assert again.returncode == 0, printed
    check(folder, photos, expected)


def actors():
    """The processes of Ray's actors of this test: they have their own name in place of a command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::_Actor"):
            found.append(int(path.parent.name))
    return found
