"""The paper's tables as data, read from ``tables.yaml``: rows, columns, published figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from maskadapter.errors import MaskAdapterError

if TYPE_CHECKING:  # what the command line lists does not wait for it
    from maskadapter.pipelines import Branch


@dataclass(frozen=True)
class Published:
    """A published figure in percent, and its source. approximate: read from a figure, or quoted as about so much."""

    percent: float
    source: str
    approximate: bool = False


@dataclass(frozen=True)
class Column:
    """One number that is measured for every row.

    key: its name in ``Row.published``. dataset: a known data set or a YAML file. metric: as ``evaluate`` calls it.
    branch, masks: in place of the row's.
    """

    key: str
    dataset: str
    metric: str
    branch: "Branch | None" = None
    masks: str | None = None

    @property
    def title(self) -> str:
        """The column's heading, such as ``ade20k-150: mIoU of ground-truth masks``."""
        alone = " by the out-of-vocabulary classifier alone" * (self.branch == "out-of-vocabulary")
        given = f" of {self.masks} masks" * (self.masks is not None and self.metric.startswith("mIoU"))  # others say so
        return f"{Path(self.dataset).stem}: {self.metric}{alone}{given}"


@dataclass(frozen=True)
class Row:
    """One line of a table: a model and how it is used.

    of: whose weights, for people. how: what is done with them, for people. model: a model's name or file; ``{}`` in it
        stands for a file that only the user has. pooler: ``"adapter"``, ``"pooling"`` or ``"cropping"``. branch: which
        of the two classifiers counts, or the ensemble. masks: where they come from, as ``evaluate`` takes them; None
        for the model's own.
    recipe: the training that makes the row's weights, ``table4/both-stages``; "" for published weights. joined: its
        file comes from the warm-up and has no mask generator; where one is needed it is joined to the segmenter
        ``model``. file: the name under which ``--weights`` takes a file that only the user has.
    cited: why nobody can run the row. against: label of the row that this one is compared with, image by image.
    published: by the column's key. note: what else is known.
    """

    of: str
    how: str
    model: str = ""
    pooler: str = "adapter"
    branch: "Branch" = "ensemble"
    masks: str | None = None
    recipe: str = ""
    joined: bool = False
    file: str = ""
    cited: str = ""
    against: str = ""
    published: Mapping[str, Published] = field(default_factory=dict)
    note: str = ""

    @property
    def label(self) -> str:
        """The row's name in its table, such as ``FC-CLIP: Mask-Adapter``."""
        return f"{self.of}: {self.how}"


@dataclass(frozen=True)
class Table:
    """Rows and columns, each row measured in each column. notes: sentences below the table.

    partition: which classes count as seen, for columns of seen and of unseen classes: the name of a class list, or "".
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    partition: str = ""


def _row(source: str = "", approximate: bool = False, **content: Any) -> Row:
    figures = {key: Published(value, source, approximate) for key, value in content.pop("published", {}).items()}
    return Row(**content, published=figures)


def _read(path: Path) -> dict[str, Table]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    columns = {key: Column(key, **column) for key, column in content["columns"].items()}
    tables = {}
    for name, table in content["tables"].items():
        shared = {"source": table.get("source", ""), **table.get("each row", {})}
        rows = tuple(_row(**{**shared, **row}) for row in table["rows"])
        measured, notes = tuple(columns[key] for key in table["columns"]), tuple(table.get("notes", ()))
        tables[name] = Table(name, table["title"], measured, rows, notes, table.get("partition", ""))
    return tables


TABLES: Mapping[str, Table] = _read(Path(__file__).with_name("tables.yaml"))
"""All tables of the paper by name. A figure that is not in them is not known here."""


def table_named(name: str) -> Table:
    """Return a table by its name, ``table3`` or ``3``. Raises MaskAdapterError for any other name."""
    table = TABLES.get(name if name.startswith("table") else f"table{name}")
    if table is None:
        raise MaskAdapterError(f"no table '{name}': choose from {', '.join(TABLES)}")
    return table
