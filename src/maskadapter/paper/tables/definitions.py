"""All tables of the paper by name.

A figure that is not in them is not known here. Sources: the paper (arXiv 2412.04533), the official README, and notes of
others that quote the paper.
"""

from collections.abc import Mapping

from maskadapter.errors import MaskAdapterError
from maskadapter.paper.tables.published_weights import table_1, table_2, table_3, table_8, table_11
from maskadapter.paper.tables.table import Table
from maskadapter.paper.tables.trainings import table_4, table_5, table_6, table_7, table_9, table_10

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        table_1(),
        table_2(),
        table_3(),
        table_4(),
        table_5(),
        table_6(),
        table_7(),
        table_8(),
        table_9(),
        table_10(),
        table_11(),
    )
}


def table_named(name: str) -> Table:
    """Return a table by its name, ``table3`` or ``3``. Raises MaskAdapterError for any other name."""
    table = TABLES.get(name if name.startswith("table") else f"table{name}")
    if table is None:
        raise MaskAdapterError(f"no table '{name}': choose from {', '.join(TABLES)}")
    return table
