"""Where the evaluations of a table lie: one folder for each row, and in it one for each different evaluation."""

import os
import re
from hashlib import sha256
from pathlib import Path

from maskadapter.paper.tables.table import Column, Row
from maskadapter.pipelines import GROUND_TRUTH


def evaluation_folder(row: Row, column: Column) -> Path:
    """Return the folder of a row's evaluation for a column, relative to the table's."""
    return Path(_row_name(row)) / evaluation_name(column)


def evaluation_name(column: Column) -> str:
    """Name what a column evaluates: the same for columns that differ in their metric alone."""
    masks = ["ground-truth-masks"] * (column.masks == GROUND_TRUTH)
    branch = [f"branch-{column.branch}"] * (column.branch is not None)
    return slug("-".join([Path(column.dataset).stem, *masks, *branch]))


def _row_name(row: Row) -> str:
    """Files of the same name in two folders differ by a hash of their path."""
    if row.recipe or not Path(row.model).is_file():
        return slug(row.label)
    return f"{slug(row.label)}-{sha256(os.fsencode(Path(row.model).absolute())).hexdigest()[:8]}"


def slug(text: str) -> str:
    """Turn a text into a folder's name: lower case letters, digits, ``.``, ``+`` and ``-``."""
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-")
