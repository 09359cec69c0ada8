"""The conversion of PASCAL-Context: files that do not fit are named."""

import json

import numpy as np
import pytest
import small_sets
from small_sets import put

from maskadapter.data.prepare.pascal import read_label_map
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError


def test_matlab_files_that_do_not_fit(tmp_path):
    path = tmp_path / "2008_000001.mat"
    path.write_bytes(small_sets.mat(np.array([[1, 459, 0]], np.uint16)))
    assert read_label_map(path).tolist() == [[0, 458, 65535]]
    path.write_bytes(small_sets.mat(np.array([[460]], np.uint16)))
    with pytest.raises(DatasetError, match=r"2008_000001.mat has the value 460"):
        read_label_map(path)
    path.write_bytes(small_sets.mat(np.array([[1.0]])))
    with pytest.raises(DatasetError, match="uint16 is needed"):
        read_label_map(path)
    path.write_bytes(b"MATLAB 5.0 MAT-file nonsense")
    with pytest.raises(DatasetError, match="cannot read LabelMap from"):
        read_label_map(path)


def test_a_category_outside_of_the_59(root):
    put(root, "pascal-context-59")
    content = json.loads((root / "trainval_merged.json").read_bytes())
    content["annos_segmentation"][0]["category_id"] = 7
    (root / "trainval_merged.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"trainval_merged.json has an annotation of category 7"):
        prepare("pascal-context-59", root, offline=True)
