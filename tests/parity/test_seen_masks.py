"""Which classes of the test sets count as seen, as the official code computed it: needs ``seen_masks.json`` beside the
folder that MASKADAPTER_FIXTURES names. The ordinary tests compare the counts (tests/test_vocabulary.py)."""

import json
import os
from pathlib import Path

import pytest

from maskadapter.vocabulary.vocabulary import Vocabulary

FILE = Path(os.environ.get("MASKADAPTER_FIXTURES", "/nonexistent")).parent / "seen_masks.json"
TESTED = {
    "openvocab_ade20k_panoptic_val": "ade20k-150",
    "openvocab_ade20k_full_sem_seg_val": "ade20k-847",
    "openvocab_pascal_ctx59_sem_seg_val": "pascal-context-59",
    "openvocab_pascal_ctx459_sem_seg_val": "pascal-context-459",
    "openvocab_pascal20_sem_seg_val": "pascal-voc-20",
    "openvocab_coco_2017_val_panoptic_with_sem_seg": "coco-panoptic",
}
TRAINED = {"coco_panoptic133": "coco-panoptic", "coco_stuff171": "coco-stuff"}


@pytest.mark.skipif(not FILE.exists(), reason="MASKADAPTER_FIXTURES is not set, or has no seen_masks.json beside it")
def test_every_class_of_every_test_set():
    recorded = json.loads(FILE.read_text())
    assert len(recorded) == len(TESTED) * len(TRAINED)
    for key, facts in recorded.items():
        tested, trained = key.split("|")
        seen = Vocabulary.builtin(TESTED[tested]).seen(Vocabulary.builtin(TRAINED[trained]))
        assert list(map(int, seen)) == facts["seen_mask"], key
