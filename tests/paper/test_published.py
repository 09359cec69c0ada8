"""The paper's figures: all of them, as printed; compared only with an evaluation of the same model on the same data."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from evaluated import InMemory

from maskadapter.data.catalog import KNOWN
from maskadapter.evaluation.partition import Partition
from maskadapter.hub.zoo.model_zoo import WEIGHTS
from maskadapter.paper.published import DATASETS, published_miou, reference_figures
from maskadapter.paper.table import TABLES
from maskadapter.vocabulary.vocabulary import Vocabulary

GOLDEN = json.loads(Path(__file__).with_name("published_figures.json").read_text())
PAPER = os.environ.get("MASKADAPTER_PAPER")
A150 = InMemory([None] * 2000, Vocabulary.builtin("ade20k-150"), "semantic", "ade20k-150")
VOC = InMemory([None] * 1449, Vocabulary.builtin("pascal-voc-20"), "semantic", "pascal-voc-20")
FCCLIP = ("fcclip-large", "adapter")


def partition(seen):
    return Partition("by hand", tuple(label < seen for label in range(150)))


def figures(row, columns):
    """A row's figures in the order of the columns, None where none is printed."""
    return [row.published.get(key) for key in columns]


def test_every_figure_is_the_printed_one():
    assert list(GOLDEN) == list(TABLES)
    for name, golden in GOLDEN.items():
        assert [column.key for column in TABLES[name].columns] == golden["columns"]
        assert {row.id: figures(row, golden["columns"]) for row in TABLES[name].rows} == golden["rows"]
        assert [row.id for row in TABLES[name].rows] == list(golden["rows"])
    assert sum(len(table["rows"]) * len(table["columns"]) for table in GOLDEN.values()) == 222


@pytest.mark.skipif(PAPER is None, reason="MASKADAPTER_PAPER does not name the JSON file of the paper's tables")
@pytest.mark.parametrize("name", TABLES)
def test_figures_and_rows_of_the_paper_s_json(name):
    table, theirs = TABLES[name], json.loads(Path(PAPER).read_text())[name]
    assert [figures(row, [c.key for c in table.columns]) for row in table.rows] == [r["values"] for r in theirs["rows"]]
    words = {"MAFTP": "MAFT+", "Mask Pooling": "mask pooling", "Mask Cropping": "mask cropping", "2 x": "two"}
    for row, printed in zip(table.rows, theirs["rows"], strict=True):
        ours = " ".join(row.printed)
        keys = {"method", "vlm", "training", "model", "choice", "matcher", "embedding"} & printed.keys()
        for cell in (printed[key] for key in keys if name != "table4"):  # whose rows are check marks
            for old, new in words.items():
                cell = cell.replace(old, new)
            assert all(word in ours for word in cell.split())
        for mark, key in enumerate(("gt", "pred", "warmup", "consistency"), start=1):
            assert key not in printed or printed[key] == (row.printed[mark] == "yes")
        assert printed.get("re_evaluated", False) == ("*" in ours)
        for key in ("threshold", "weight", "maps"):
            assert printed.get(key) is None or float(row.printed[-1]) == printed[key]


def test_every_published_file_has_its_row_of_table_1():
    assert set(DATASETS.values()) <= KNOWN.keys()
    for weights in WEIGHTS:
        assert published_miou(weights.model, weights.pooler).keys() == DATASETS.keys()
    assert published_miou("tiny", "pooling") == {}


def test_figures_with_ensemble_are_for_the_whole_data_set():
    assert reference_figures(*FCCLIP, A150) == {"mIoU": 36.6}
    assert reference_figures("maftplus-base", "pooling", A150) == {"mIoU": 34.5}
    assert reference_figures(*FCCLIP, VOC) == {"mIoU": 95.5}
    assert reference_figures("tiny", "pooling", A150) == {}
    assert reference_figures(*FCCLIP, replace(A150, samples=[None] * 50)) == {}
    assert reference_figures(*FCCLIP, replace(A150, name="own")) == {}


def test_figures_are_for_semantic_labels_and_one_convention():
    assert reference_figures(*FCCLIP, replace(A150, task="panoptic")) == {}
    assert reference_figures(*FCCLIP, A150, convention="detectron2-0.6") == {}


def test_figures_without_ensemble():
    branch = "out-of-vocabulary"
    every = {"mIoU": 35.4, "mIoU seen": 46.2, "mIoU unseen": 24.8}
    assert reference_figures(*FCCLIP, A150, branch, partition(74)) == every
    assert reference_figures("fcclip-large", "pooling", A150, branch) == {"mIoU": 26.5}
    assert reference_figures("maftplus-large", "adapter", A150, branch) == {"mIoU": 37.7}
    assert reference_figures("maftplus-base", "adapter", A150, branch) == {}
    assert reference_figures(*FCCLIP, A150, "in-vocabulary") == {}
    assert reference_figures(*FCCLIP, VOC, branch) == {"mIoU": 95.4}
    assert reference_figures("fcclip-large", "pooling", VOC, "in-vocabulary") == {"mIoU": 94.6}


@pytest.mark.parametrize("seen", [None, 64, 75])
def test_seen_and_unseen_need_as_many_classes_as_the_papers(seen):
    groups = None if seen is None else partition(seen)
    assert reference_figures(*FCCLIP, A150, "out-of-vocabulary", groups) == {"mIoU": 35.4}
