"""Put the user's model or data set into a table in place of the paper's."""

from dataclasses import replace
from pathlib import Path

from maskadapter.hub import is_bare
from maskadapter.models import MODEL_NAMES
from maskadapter.paper.table import Column, Row, Table
from maskadapter.system.atomic_files import readable


def with_own(table: Table, model: str | None = None, data: str | None = None) -> Table:
    """Replace the model of every row by ``model``, and the data set of every column by ``data``.

    A row or column that then equals an earlier one is left out, and so is a row that nobody can run. A row with a
    training of its own cannot be made with another model: it stays, with that reason.
    """
    if data is not None:
        made: dict[object, Column] = {}
        for column in table.columns:
            made.setdefault((column.metric, column.branch, column.masks), replace(column, dataset=data))
        table = replace(table, columns=tuple(made.values()))
    return table if model is None else replace(table, rows=_rows(table.rows, model))


def _rows(rows: tuple[Row, ...], model: str) -> tuple[Row, ...]:
    path = Path(model).absolute()
    # A file is named with its folder: every training's file is called model.safetensors.
    of = readable(model if model in MODEL_NAMES or is_bare(model) else f"{path.parent.name}/{path.name}")
    made: dict[object, Row] = {}
    new_label: dict[str, str] = {}
    for row in sorted((row for row in rows if not row.cited), key=lambda row: row.model != model):
        use: object = (row.pooler, row.branch, row.masks)
        if row.recipe:
            reason = f"needs the training of recipes/{row.recipe}.yaml and cannot use {of}"
            use, new = row.label, replace(row, against="", cited=reason)
        elif row.model == model:
            new = row
        else:
            new = replace(row, of=of, model=model, file="", note="", against=new_label.get(row.against, ""))
        new_label[row.label] = made.setdefault(use, new).label
    return tuple(made.values())
