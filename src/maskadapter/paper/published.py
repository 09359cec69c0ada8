"""Look up the figures that the paper reports for published models."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from maskadapter.data import Dataset, known_set
from maskadapter.evaluation import Partition
from maskadapter.evaluation.metrics import Convention
from maskadapter.paper.table import TABLES, Row

if TYPE_CHECKING:  # what the command line lists does not wait for it
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

# Table 1 is of the ensemble, table 2 of the other classifier. Rows with another network's masks are of no model alone.
_ROWS: Mapping[tuple[str, str, str], tuple[str, Row]] = {
    (row.model, row.pooler, row.branch): (name, row)
    for name in ("table1", "table2")
    for row in TABLES[name].rows
    if row.published and row.masks is None
}


def published_miou(model: str, pooler: str) -> Mapping[str, float]:
    """Return the mIoU with ensemble in percent, by the paper's data sets; empty where the paper has none."""
    _, row = _ROWS.get((model, pooler, "ensemble"), ("", None))
    return {} if row is None else {name: figure.percent for name, figure in row.published.items()}


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
    table, row = _ROWS.get((model, pooler, branch), ("", None))
    if row is None or dataset.name not in DATASETS.values() or dataset.task != "semantic":
        return {}
    if convention != "detectron2-main" or len(dataset) != known_set(dataset.name).splits["val"].count:
        return {}
    comparable = partition is not None and partition.counts == SEEN_AND_UNSEEN
    return {
        column.metric: row.published[column.key].percent
        for column in TABLES[table].columns
        if column.dataset == dataset.name and (comparable or not column.metric.endswith("seen"))
    }
