"""A table with a model or a data set of one's own in place of the paper's."""

from dataclasses import replace
from pathlib import Path

from maskadapter.hub.bare_clip import is_bare
from maskadapter.models.build import MODELS
from maskadapter.paper.tables.table import Column, Row, Table
from maskadapter.system.atomic_files import readable


def with_own(table: Table, model: str | None = None, data: str | None = None) -> Table:
    """``model`` takes the place of every row's model, ``data`` of every column's data set; how a mask becomes an
    embedding, whose opinion counts and where masks come from stay. A row or column that is then the same as one before
    it is left out, and so is a row that nobody can run here. A row that takes a training of its own cannot be made with
    another model; it stays, and says so.
    """
    if data is not None:
        table = replace(table, columns=_columns(table.columns, data))
    if model is not None:
        table = replace(table, rows=_rows(table.rows, model))
    return table


def _columns(columns: tuple[Column, ...], data: str) -> tuple[Column, ...]:
    made: dict[object, Column] = {}
    for column in columns:
        made.setdefault((column.metric, column.branch, column.proposals), replace(column, dataset=data))
    return tuple(made.values())


def _rows(rows: tuple[Row, ...], model: str) -> tuple[Row, ...]:
    of = readable(model if model in MODELS or is_bare(model) else _file(model))
    made: dict[object, Row] = {}
    now_called: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row.model != model):
        way: object = (row.pooler, row.branch, row.proposals)
        new = replace(row, of=of, model=model, file="", note="", against=now_called.get(row.against, ""))
        if row.model == model and not row.recipe:
            new = row
        if row.cited:
            continue
        if row.recipe:
            way, new = (
                row.label,
                replace(row, against="", cited=f"takes the training of recipes/{row.recipe}.yaml, not {of}"),
            )
        now_called[row.label] = made.setdefault(way, new).label
    return tuple(made.values())


def _file(model: str) -> str:
    """Its folder's name too: every training's file is called ``model.safetensors``."""
    path = Path(model).absolute()
    return f"{path.parent.name}/{path.name}"
