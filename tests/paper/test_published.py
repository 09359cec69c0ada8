"""The paper's figures are compared only with an evaluation of the same model on the same images and labels."""

from dataclasses import replace

import pytest
from evaluated import InMemory

from maskadapter.data.catalog import KNOWN
from maskadapter.evaluation.partition import Partition
from maskadapter.hub.zoo.model_zoo import WEIGHTS
from maskadapter.paper.published import DATASETS, published_miou, reference_figures
from maskadapter.vocabulary.vocabulary import Vocabulary

A150 = InMemory([None] * 2000, Vocabulary.builtin("ade20k-150"), "semantic", "ade20k-150")
FCCLIP = ("fcclip-large", "adapter")


def partition(seen):
    return Partition("by hand", tuple(label < seen for label in range(150)))


def test_every_published_file_has_its_row_of_table_1():
    assert set(DATASETS.values()) <= KNOWN.keys()
    for weights in WEIGHTS:
        assert published_miou(weights.model, weights.pooler).keys() == DATASETS.keys()
    assert published_miou("tiny", "pooling") == {}


def test_figures_with_ensemble_are_for_the_whole_data_set():
    assert reference_figures(*FCCLIP, A150) == {"mIoU": 36.6}
    assert reference_figures("maftplus-base", "pooling", A150) == {"mIoU": 34.5}
    voc = InMemory([None] * 1449, Vocabulary.builtin("pascal-voc-20"), "semantic", "pascal-voc-20")
    assert reference_figures(*FCCLIP, voc) == {"mIoU": 95.5}
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
    assert reference_figures(*FCCLIP, A150, "in-vocabulary") == {}
    assert reference_figures("maftplus-large", "adapter", A150, branch) == {}
    voc = InMemory([None] * 1449, Vocabulary.builtin("pascal-voc-20"), "semantic", "pascal-voc-20")
    assert reference_figures(*FCCLIP, voc, branch) == {}


@pytest.mark.parametrize("seen", [None, 64, 75])
def test_seen_and_unseen_need_as_many_classes_as_the_papers(seen):
    groups = None if seen is None else partition(seen)
    assert reference_figures(*FCCLIP, A150, "out-of-vocabulary", groups) == {"mIoU": 35.4}
