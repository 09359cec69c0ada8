"""Records come back as they were packed."""

import pickle

import pytest

from maskadapter.data.formats.coco_datasets import PackedRecords


def test_records():
    values = [[1, "a"], [], {"x": [1.5]}]
    records = PackedRecords(iter(values))
    assert [*records] == values
    assert records[-1] == values[-1]
    assert pickle.loads(pickle.dumps(records))[1] == []
    with pytest.raises(IndexError):
        records[3]
    assert len(PackedRecords([])) == 0
