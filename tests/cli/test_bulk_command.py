"""``maskadapter bulk`` prints what was done, and finds mistakes before anything is computed."""

import pytest
from many import make_images

from maskadapter.cli import main

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function that runs the command in a folder with two images and one that is none: exit code and output."""
    monkeypatch.chdir(make_images(tmp_path, ["photos/a.png", "photos/b.png"]))
    (tmp_path / "photos" / "c.png").write_bytes(b"no image")

    def command(*words):
        with pytest.raises(SystemExit) as stopped:
            main(["bulk", *words])
        written = capsys.readouterr()
        return stopped.value.code or 0, written.out + written.err

    return command


def test_plan_status_and_mistakes(run):
    code, text = run("plan", "photos", "-c", "cat, wall", "-o", "bulk", "--shard-size", "2")
    assert code == 0
    assert "3 images in 2 shards: bulk, settings " in text
    assert "background: coco-stuff (171 classes)" in text
    code, text = run("status", "bulk")
    assert code == 0
    assert "0 of 2 shards are done" in text
    assert "0 of 3 images, 0 of them failed" in text
    assert run("plan", "photos", "-c", "dog", "-o", "bulk")[0] == 2
    assert run("run", "bulk", "--shard", "2/2") == (
        2,
        "error: shard is 2/2: i/n is needed, with i from 0 to n - 1, such as 0/8\n",
    )
    code, text = run("export", "bulk", "-o", "coco")
    assert code == 2
    assert "2 of 2 shards are not done" in text


@pytest.mark.slow
def test_run_prints_an_estimate_and_the_failed_images(run):
    run("plan", "photos", "-c", "cat, wall", "-o", "bulk", "--shard-size", "2")
    code, text = run("run", "bulk", "--price", "2")
    assert code == 0
    estimate, done, speed = text.splitlines()
    assert "images/s, 0.00 hours left, cost 0.00" in estimate
    assert done == "2 of 2 shards are done: bulk"
    assert speed.endswith("images/s, 1 failed: 'maskadapter bulk status' lists them")
    code, text = run("status", "bulk")
    assert "3 of 3 images, 1 of them failed" in text
    assert "failed: not an image that can be read: " in text
    code, text = run("run", "bulk")
    assert (code, text) == (0, "2 of 2 shards are done, 2 of them before or elsewhere: bulk\n")
    code, text = run("export", "bulk", "-o", "coco")
    assert code == 0
    assert text.startswith("2 images with ")
