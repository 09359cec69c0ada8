"""What a table is: rows, columns, published figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from maskadapter.pipelines.model_evaluation import Branch

TRUE_MASKS = "ground-truth"


@dataclass(frozen=True)
class Published:
    """A figure in percent, and where it stands. approximate: read from a figure, or quoted as about so much."""

    percent: float
    source: str
    approximate: bool = False


@dataclass(frozen=True)
class Column:
    """One number of every row. key: by which ``Row.published`` names it. dataset: a known set or a YAML file. measure:
    as ``evaluate`` names it. branch, proposals: as ``model_predictor`` takes them, where they are not the row's own."""

    key: str
    dataset: str
    metric: str
    branch: Branch | None = None
    proposals: str | None = None

    @property
    def title(self) -> str:
        alone = " by the embedding alone" * (self.branch == "out-of-vocabulary")
        # The accuracies say themselves what they are of.
        true = " of ground-truth masks" * (self.proposals == TRUE_MASKS and self.metric.startswith("mIoU"))
        return f"{Path(self.dataset).stem}: {self.metric}{alone}{true}"


@dataclass(frozen=True)
class Row:
    """One line of a table.

    of: whose weights, in words. how: what is done with them, in words. model, embedding, branch, proposals: as
        ``subject.model`` takes them; ``{}`` in ``model`` stands for a file that the user has to give.
    recipe: what trains the row's weights, ``table4/both-stages``; "" where they are published ones. joined: its file is
        a warm-up's, which holds no generator; for masks that are not given it is joined to the segmenter of ``model``.
    file: what ``--weights`` calls a file that only the user can bring. cited: why nobody can run the row here.
    against: label of the row that this one is compared with, image by image. published: by the column's key. note:
        what else is known.
    """

    of: str
    how: str
    model: str = ""
    pooler: str = "adapter"
    branch: Branch = "ensemble"
    proposals: str = "generator"
    recipe: str = ""
    joined: bool = False
    file: str = ""
    cited: str = ""
    against: str = ""
    published: Mapping[str, Published] = field(default_factory=dict)
    note: str = ""

    @property
    def label(self) -> str:
        return f"{self.of}: {self.how}"


@dataclass(frozen=True)
class Table:
    """split: as ``Split.of`` takes it, for columns of seen and unseen classes; one for all rows."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    split: str = ""
