"""The paper's tables as data, read from ``tables.yaml``: rows and columns as printed, and how each row is run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from maskadapter.errors import MaskAdapterError

if TYPE_CHECKING:  # what the command line lists does not wait for it
    from maskadapter.pipelines import Branch


@dataclass(frozen=True)
class Column:
    """One number that is printed for every row.

    key: its name in ``Row.published`` and its heading. dataset: a known data set or a YAML file. metric: as
    ``evaluate`` calls it. branch, masks: in place of the row's.
    """

    key: str
    dataset: str
    metric: str
    branch: "Branch | None" = None
    masks: str | None = None

    @property
    def title(self) -> str:
        """What it measures and where, such as ``mIoU of ground-truth masks, ade20k-150``."""
        alone = " of the out-of-vocabulary classifier" * (self.branch == "out-of-vocabulary")
        given = f" of {self.masks} masks" * (self.masks is not None and self.metric.startswith("mIoU"))  # others say so
        return f"{self.metric}{alone}{given}, {Path(self.dataset).stem}"


@dataclass(frozen=True)
class Row:
    """One line of a table: what the paper prints, and the model that makes its numbers.

    id: its name in its table. printed: its cells below ``Table.headers``. label: these in one line, for messages.
    published: the paper's figures in percent by the column's key; a figure that it does not print is left out.
    model: a model's name or file; ``{}`` in it stands for a file that only the user has. pooler: ``"adapter"``,
        ``"pooling"`` or ``"cropping"``. branch: which of the two classifiers counts, or the ensemble. masks: where they
        come from, as ``evaluate`` takes them; None for the model's own.
    recipe: the training that makes the row's weights, ``table4/both-stages``; "" for published weights. same_training:
        it and all other recipes of the same training. published_weights: whether the model's published weights come
        from it.
    joined: the training is a warm-up, whose file has no mask generator; where one is needed the file is joined to the
        segmenter ``model``. file: the name under which ``--weights`` takes a file that only the user has.
    cited: why nobody can run the row. against: id of the row that this one is compared with, image by image.
    """

    id: str
    printed: tuple[str, ...]
    label: str
    published: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    pooler: str = "adapter"
    branch: "Branch" = "ensemble"
    masks: str | None = None
    recipe: str = ""
    same_training: tuple[str, ...] = ()
    published_weights: bool = False
    joined: bool = False
    file: str = ""
    cited: str = ""
    against: str = ""


@dataclass(frozen=True)
class Table:
    """Rows and columns as printed. headers: above the cells that describe a row. notes: sentences below the table.

    partition: which classes count as seen, as ``evaluate`` takes it, for columns of seen and of unseen classes, or "".
    """

    name: str
    title: str
    headers: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    partition: str = ""


def _label(headers: tuple[str, ...], printed: tuple[str, ...]) -> str:
    """A row's cells in one line; those that mean nothing without their header get it."""
    shown = {"yes": "{0}", "": ""}
    texts = [
        shown.get(cell, "{0} {1}" if cell.replace(".", "").isdecimal() else "{1}").format(header, cell)
        for header, cell in zip(headers, printed, strict=True)
    ]
    return ", ".join(filter(None, texts))


def _read(path: Path) -> dict[str, Table]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    columns = {key: Column(key, **column) for key, column in content["columns"].items()}
    same = {recipe: tuple(group) for group in content["same_training"] for recipe in group}

    def row(name: str, table: Mapping[str, Any]) -> Row:
        facts = {**table.get("each row", {}), **table["rows"][name]}
        printed, figures = tuple(facts.pop("printed")), zip(table["columns"], facts.pop("published"), strict=True)
        published = {key: figure for key, figure in figures if figure is not None}
        if "model" not in facts:
            facts.setdefault("cited", table.get("cited"))
        if recipe := facts.get("recipe"):
            facts["same_training"] = same.get(recipe, (recipe,))
        return Row(name, printed, _label(tuple(table["headers"]), printed), published, **facts)

    return {
        name: Table(
            name,
            table["title"],
            tuple(table["headers"]),
            tuple(columns[key] for key in table["columns"]),
            tuple(row(one, table) for one in table["rows"]),
            tuple(table.get("notes", ())),
            table.get("partition", ""),
        )
        for name, table in content["tables"].items()
    }


TABLES: Mapping[str, Table] = _read(Path(__file__).with_name("tables.yaml"))
"""All tables of the paper by name, with every figure that it prints in them."""


def table_named(name: str) -> Table:
    """Return a table by its name, ``table3`` or ``3``. Raises MaskAdapterError for any other name."""
    table = TABLES.get(name if name.startswith("table") else f"table{name}")
    if table is None:
        raise MaskAdapterError(f"no table '{name}': choose from {', '.join(TABLES)}, or all")
    return table
