"""Folders of small images, and shards computed by a stand-in for a segmenter."""

import pytest
from many import Halves, make_images

NAMES = ("a/x.png", "b.jpg", "c.png", "d.png", "e.png")


@pytest.fixture
def photos(tmp_path):
    folder = make_images(tmp_path / "photos", NAMES)
    (folder / "bad.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def compute():
    """A function that computes all shards of a plan in this process, and returns its reports."""
    pytest.importorskip("pyarrow")
    from maskadapter.pipelines.bulk import ShardWorker

    def work(plan, model=None):
        worker = ShardWorker(plan.folder, load=lambda source, device, prune_proposals: model or Halves())
        return [worker.work(shard) for shard in range(plan.shards)]

    return work
