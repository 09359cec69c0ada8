"""Look up the figures that the paper reports for published models, by table and row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskadapter.data import Dataset, known_set
from maskadapter.evaluation import Partition
from maskadapter.evaluation.metrics import Convention

if TYPE_CHECKING:  # what the command line lists does not wait for PyTorch
    from maskadapter.pipelines import Branch

DATASETS: Mapping[str, str] = {
    "A-150": "ade20k-150",
    "A-847": "ade20k-847",
    "PC-459": "pascal-context-459",
    "PC-59": "pascal-context-59",
    "PAS-20": "pascal-voc-20",
}
"""The paper's data sets -> their names here."""

SEEN_AND_UNSEEN = (74, 76)
"""Seen and unseen classes of A-150 that table 2 implies. The partition was made by hand and is not published."""


@dataclass(frozen=True)
class PublishedRow:
    """One row of a table. model, pooler: as ``load`` takes them. branch: which classifier the row is of. percent:
    metric -> percent for each of the paper's data sets that the row has."""

    table: str
    row: str
    model: str
    pooler: str
    branch: "Branch"
    percent: Mapping[str, Mapping[str, float]]


def _table_1(row: str, model: str, pooler: str, *miou: float) -> PublishedRow:
    percent = {name: {"mIoU": value} for name, value in zip(DATASETS, miou, strict=True)}
    return PublishedRow("table 1", row, model, pooler, "ensemble", percent)


def _table_2(row: str, model: str, pooler: str, seen: float, unseen: float, miou: float) -> PublishedRow:
    percent = {"A-150": {"mIoU seen": seen, "mIoU unseen": unseen, "mIoU": miou}}
    return PublishedRow("table 2", row, model, pooler, "out-of-vocabulary", percent)


# Source: paper, table 1, and the same figures in the official README; paper, table 2. The order of the figures in table
# 1 is that of ``DATASETS``, in table 2 seen, unseen, all.
ROWS = (
    _table_1("FC-CLIP w/ Mask-Adapter", "fcclip-large", "adapter", 36.6, 14.1, 19.3, 59.7, 95.5),
    _table_1("FC-CLIP", "fcclip-large", "pooling", 34.1, 14.8, 18.2, 58.4, 95.4),
    _table_1("MAFTP w/ Mask-Adapter, base", "maftplus-base", "adapter", 35.6, 14.2, 17.9, 58.4, 95.1),
    _table_1("MAFTP, base", "maftplus-base", "pooling", 34.5, 13.8, 18.5, 57.5, 95.5),
    _table_1("MAFTP w/ Mask-Adapter, large", "maftplus-large", "adapter", 38.2, 16.2, 22.7, 60.4, 95.8),
    _table_1("MAFTP, large", "maftplus-large", "pooling", 36.3, 15.5, 21.2, 59.5, 96.4),
    _table_2("FC-CLIP", "fcclip-large", "pooling", 34.6, 18.6, 26.5),
    _table_2("FC-CLIP w/ Mask-Adapter", "fcclip-large", "adapter", 46.2, 24.8, 35.4),
)


def published_row(model: str, pooler: str, branch: "Branch" = "ensemble") -> PublishedRow | None:
    """Return the row of a model; None where the paper has none."""
    rows = (row for row in ROWS if (row.model, row.pooler, row.branch) == (model, pooler, branch))
    return next(rows, None)


def published_miou(model: str, pooler: str) -> Mapping[str, float]:
    """Return the mIoU with ensemble in percent, by the paper's data sets; empty where the paper has none."""
    row = published_row(model, pooler)
    return {} if row is None else {name: metrics["mIoU"] for name, metrics in row.percent.items()}


def reference_figures(
    model: str,
    pooler: str,
    dataset: Dataset,
    branch: "Branch" = "ensemble",
    partition: Partition | None = None,
    convention: Convention = "detectron2-main",
) -> dict[str, float]:
    """Return the paper's figures for a published model on a data set, in percent by metric, as ``evaluate`` takes them.

    Empty where the paper has none or where another question is asked: of a part of the data set, of labels that are not
    its semantic ones, by another convention. Figures for seen and unseen classes are left out unless the partition has
    as many of each as the paper's.
    """
    short = next((short for short, name in DATASETS.items() if name == dataset.name), None)
    row = published_row(model, pooler, branch)
    if short is None or row is None or dataset.task != "semantic" or convention != "detectron2-main":
        return {}
    if len(dataset) != known_set(dataset.name).splits["val"].count:
        return {}
    comparable = partition is not None and partition.counts == SEEN_AND_UNSEEN
    metrics = row.percent.get(short, {})
    return {name: value for name, value in metrics.items() if comparable or not name.endswith("seen")}
