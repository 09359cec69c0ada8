"""Known data sets are found from any of their folders, and missing files are named."""

import pickle

import numpy as np
import pytest
from small_sets import PUBLISHED, shrink_counts, write

from maskadapter.data.catalog import KNOWN
from maskadapter.data.opening import open_dataset
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError


@pytest.fixture
def prepared(tmp_path, monkeypatch, request):
    """A folder of data sets with one known set in it."""
    shrink_counts(monkeypatch)
    for file, content in PUBLISHED[request.param]().items():
        write(tmp_path / file, content)
    prepare(request.param, tmp_path, offline=True)
    return request.param, tmp_path


@pytest.mark.parametrize("prepared", sorted(PUBLISHED), indirect=True)
def test_known_sets_are_found_from_any_of_their_folders_and_travel_to_workers(prepared):
    name, root = prepared
    own = root / KNOWN[name].folder
    renamed = own.rename(own.with_name("another name"))
    assert len(open_dataset(name, renamed, "train")) == 2
    renamed.rename(own)
    for place in (root, own.parent, own):
        dataset = open_dataset(name, place, "train")
        assert len(dataset) == 2
    copy = pickle.loads(pickle.dumps(dataset))
    for index in range(2):
        first, second = dataset[index], copy[index]
        assert first.name == second.name
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.target.masks(), second.target.masks())
        assert first.target.classes.tolist() == second.target.classes.tolist()
    assert len({sample.name for sample in dataset}) == 2


@pytest.mark.parametrize("prepared", ["pascal-voc-20"], indirect=True)
def test_a_missing_label_is_named_when_the_set_is_opened(prepared):
    name, root = prepared
    (root / "VOCdevkit/VOC2012/SegmentationClass/2008_000139.png").unlink()
    with pytest.raises(
        DatasetError, match=r"2008_000139\.jpg has no label in .*run: maskadapter prepare pascal-voc-20"
    ):
        open_dataset(name, root)


def test_missing_sets_and_unknown_names(tmp_path):
    line = rf"no coco-stuff \(val\) in .*coco: val2017 is missing; .*maskadapter prepare coco-stuff --root {tmp_path}"
    with pytest.raises(DatasetError, match=line):
        open_dataset("coco-stuff", tmp_path)
    with pytest.raises(DatasetError, match="did you mean 'coco-stuff'"):
        open_dataset("coco-stuf", tmp_path)
    with pytest.raises(DatasetError, match='has no split "test"; there are train, val'):
        open_dataset("coco-stuff", tmp_path, "test")
    with pytest.raises(DatasetError, match="coco-stuff has no panoptic ground truth; it has semantic"):
        open_dataset("coco-stuff", tmp_path, task="panoptic")
    with pytest.raises(DatasetError, match="give it as root"):
        open_dataset("coco-stuff")
