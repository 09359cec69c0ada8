"""Put the user's model or data set into a table in place of the paper's."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from maskadapter.hub import is_bare
from maskadapter.models import MODEL_NAMES
from maskadapter.models.sources import parsed
from maskadapter.paper.table import Column, Row, Table
from maskadapter.system.atomic_files import readable

_POOLERS: Mapping[str, str] = {"pooling": "mask pooling", "cropping": "mask cropping", "adapter": "Mask-Adapter"}


def with_own(table: Table, model: str | None = None, data: str | None = None) -> Table:
    """Replace the model of every row by ``model``, and the data set of every column by ``data``.

    A row or column that then equals an earlier one is left out, and so is a cited row; the one that stays has no figure
    of the paper. A row with a training of its own stays: it takes the weights that its recipe gave with ``model`` as
    architecture. On other data, seen classes are those that share a synonym with COCO panoptic's.
    """
    if data is not None:
        made: dict[object, Column] = {}
        for column in table.columns:
            made.setdefault((column.metric, column.branch, column.masks), replace(column, dataset=data))
        columns, partition = tuple(made.values()), table.partition
        if partition and columns != table.columns:
            partition = "coco-panoptic"
        kept = {one.key for one in columns}
        rows = (replace(row, published={k: v for k, v in row.published.items() if k in kept}) for row in table.rows)
        table = replace(table, columns=columns, rows=tuple(rows), partition=partition)
    return table if model is None else replace(table, rows=_rows(table, model))


def _rows(table: Table, model: str) -> tuple[Row, ...]:
    path = Path(model).absolute()
    # A file is named with its folder: every training's file is called model.safetensors.
    of = readable(model if model in MODEL_NAMES or is_bare(model) else f"{path.parent.name}/{path.name}")
    made: dict[object, Row] = {}
    new_id: dict[str, str] = {}
    for row in sorted((row for row in table.rows if not row.cited), key=lambda row: row.model != model):
        if row.model == model:
            new = row
        elif row.recipe:
            new = replace(row, model=model, published_weights=False)
        else:
            label = f"{of}, {_use(row)}"
            printed = (label, *[""] * (len(table.headers) - 1))
            new = replace(row, printed=printed, label=label, model=model, file="")
        use = (new.pooler, new.branch, new.masks, new.id if new.recipe else "")
        if use in made and made[use] not in table.rows:  # several rows of the paper became this one
            made[use] = replace(made[use], published={})
        new_id[row.id] = made.setdefault(use, new).id
    order = [row.id for row in table.rows]
    rows = sorted(made.values(), key=lambda row: order.index(row.id))
    against: dict[str, str] = {}
    for row in table.rows:  # of those that became one, the first that is compared with another
        other = new_id.get(row.against)
        if other is not None and other != new_id[row.id]:
            against.setdefault(new_id[row.id], other)
    return tuple(replace(row, against=against.get(row.id, "")) for row in rows)


def _use(row: Row) -> str:
    """How a row's model is used, such as ``mask pooling, without ensemble``."""
    if row.branch == "in-vocabulary":
        return "in-vocabulary classifier"
    if row.masks is not None:  # which have no other classifier
        return f"{_POOLERS[row.pooler]}, masks of {parsed(row.masks).name.rpartition('/')[2]}"
    return _POOLERS[row.pooler] + (", without ensemble" if row.branch == "out-of-vocabulary" else "")
