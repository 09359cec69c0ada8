"""The tables of the known data sets."""

from maskadapter.data.catalog import KNOWN, category_ids, label_values
from maskadapter.vocabulary.vocabulary import Vocabulary


def test_tables_have_the_official_numbers():
    assert {name: len(category_ids(name)) for name in ("ade20k-847", "coco-panoptic", "coco-stuff", "lvis-v1")} == {
        "ade20k-847": 847,
        "coco-panoptic": 133,
        "coco-stuff": 171,
        "lvis-v1": 1203,
    }
    for name in (name for name, known in KNOWN.items() if not known.free_text):
        vocabulary = Vocabulary.builtin(name)
        if name in ("coco-panoptic", "lvis-v1"):
            assert list(category_ids(name).values()) == list(range(len(vocabulary)))
        else:
            classes = set(label_values(name).values())
            assert classes == {-1, *range(len(vocabulary))}
    assert {id: category_ids("coco-panoptic")[id] for id in (1, 90, 92, 200)} == {1: 0, 90: 79, 92: 80, 200: 132}
    stuff = label_values("coco-stuff")
    assert [stuff[value] for value in (0, 10, 11, 12, 90, 91, 181, 255)] == [0, 10, -1, 11, -1, 80, 170, -1]
    assert 182 not in stuff
    assert [category_ids("ade20k-847")[id] for id in (2978, 312, 3148)] == [0, 1, 846]
    # Source: the splits' sizes in the data sets' documentation.
    assert {name: tuple(split.count for split in known.splits.values()) for name, known in KNOWN.items()} == {
        "ade20k-150": (20_210, 2_000),
        "ade20k-847": (25_574, 2_000),
        "pascal-context-59": (4_998, 5_105),
        "pascal-context-459": (4_998, 5_105),
        "pascal-voc-20": (1_464, 1_449),
        "coco-panoptic": (118_287, 5_000),
        "coco-stuff": (118_287, 5_000),
        "lvis-v1": (100_170, 19_809),
        "grand": (223_707,),  # 2 % of SA-1B's 11,185,362
    }
