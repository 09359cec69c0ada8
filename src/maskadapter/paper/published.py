"""Look up the figures that the paper reports for published models."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from maskadapter.data import Dataset, known_set
from maskadapter.evaluation import Partition
from maskadapter.evaluation.metrics import Convention
from maskadapter.paper.table import TABLES, Column, Row

if TYPE_CHECKING:  # what the command line lists does not wait for it
    from maskadapter.pipelines import Branch

DATASETS: Mapping[str, str] = {column.key: column.dataset for column in TABLES["table1"].columns}
"""The paper's data sets -> their names here."""

SEEN_AND_UNSEEN = (74, 76)
"""Seen and unseen classes of A-150 that table 2 implies. The authors' own list is not published."""


def published_miou(model: str, pooler: str) -> Mapping[str, float]:
    """Return the mIoU with ensemble in percent, by the paper's data sets; empty where the paper has none."""
    return next((row.published for row in TABLES["table1"].rows if (row.model, row.pooler) == (model, pooler)), {})


def reference_figures(
    model: str,
    pooler: str,
    dataset: Dataset,
    branch: "Branch" = "ensemble",
    partition: Partition | None = None,
    convention: Convention = "detectron2-main",
) -> dict[str, float]:
    """Return the paper's figures for a published model on a data set, in percent by metric, as ``evaluate`` takes them.

    Empty where the paper has none for this: for a part of the data set, other labels than its semantic ones, another
    convention. Those for seen and unseen classes are left out unless the partition has as many of each as the paper's.
    """
    known = dataset.name in DATASETS.values() and dataset.task == "semantic" and convention == "detectron2-main"
    if not known or len(dataset) != known_set(dataset.name).splits["val"].count:
        return {}
    comparable = partition is not None and partition.counts == SEEN_AND_UNSEEN
    return {
        column.metric: row.published[column.key]
        for row, column in _figures_of_models()
        if (row.model, row.pooler, row.branch, column.dataset) == (model, pooler, branch, dataset.name)
        and (comparable or not column.metric.endswith("seen"))
    }


def _figures_of_models() -> Iterator[tuple[Row, Column]]:
    """Figures of a model and its own masks: with ensemble (table 1), without (2), and of each branch (11)."""
    for name in ("table1", "table2", "table11"):
        for row in TABLES[name].rows:
            if row.masks is None:
                yield from ((row, column) for column in TABLES[name].columns if column.key in row.published)
