"""Report the metrics of a data set and everything that they depend on: JSON for programs, Markdown for people."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from maskadapter.data import Dataset
from maskadapter.evaluation.metrics.semantic import CONVENTIONS
from maskadapter.evaluation.scores import Scores
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

MAX_CLASSES = 200  # rows of the table of classes in report.md; report.json has all
MAX_CONFUSIONS = 20  # rows of the tables of confusions in report.md; report.json has ten times as many
LIBRARIES = ("maskadapter", "torch", "open_clip_torch", "timm", "pillow", "numpy", "pycocotools")


@dataclass(frozen=True)
class Report:
    """numbers: every metric in percent, by name; NaN where there was nothing to measure. facts: what they depend on and
    how much they are computed from, ready for JSON. classes: the metrics of each class. reference: the caller's
    figures, in percent, for those of the numbers that have one. confusions: by what is counted, pixels or segments, the
    most frequent pairs of a class and another that was predicted instead, with their share of the class in percent."""

    numbers: Mapping[str, float]
    facts: Mapping[str, Any]
    classes: Sequence[Mapping[str, Any]]
    reference: Mapping[str, float]
    confusions: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def of(
        cls,
        scores: Scores,
        dataset: Dataset,
        sizes: Sequence[tuple[int, int]],
        settings: Mapping[str, Any],
        reference: Mapping[str, float],
    ) -> "Report":
        """Make the report of images of (height, width) ``sizes``. settings, reference: as ``evaluate`` takes them."""
        vocabulary, partition = dataset.vocabulary, scores.partition
        areas = sorted(sizes, key=lambda size: (size[0] * size[1], size))
        facts: dict[str, Any] = {"data set": dataset.name, "images": len(sizes), "of": len(dataset)}
        facts["smallest and largest image"] = [f"{width} x {height}" for height, width in (areas[0], areas[-1])]
        facts |= {"classes": len(vocabulary), "of them things": sum(vocabulary.is_thing)}
        if "mIoU" in scores.numbers:
            facts["convention"] = f"{scores.convention}: mIoU is the mean over {CONVENTIONS[scores.convention]}"
        if "AP" in scores.numbers and dataset.name == "lvis-v1":
            facts["AP"] = "COCO's, not LVIS's federated one: unlabeled objects count as false positives"
        columns: dict[str, Sequence[Any]] = {"name": vocabulary.names, "thing": vocabulary.is_thing}
        if partition is not None:
            columns["seen"] = partition.seen
            facts["partition"] = f"{partition.name}: {partition.counts[0]} seen, {partition.counts[1]} unseen"
        facts |= {**scores.counts, **settings}
        facts["libraries"] = {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}
        columns |= {metric: list(map(_or_none, values.tolist())) for metric, values in scores.per_class.items()}
        classes = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        whole = len(sizes) == len(dataset)  # a part of the images is compared with nothing
        comparable = {name: value for name, value in reference.items() if whole and name in scores.numbers}
        confusions = {unit: _most_frequent(rows, vocabulary.names, unit) for unit, rows in scores.confused.items()}
        return cls(scores.numbers, facts, classes, comparable, confusions)

    def save(self, folder: str | Path) -> None:
        """Write ``report.json`` and ``report.md``; MaskAdapterError where the folder cannot be written."""
        numbers = {name: _or_none(value) for name, value in self.numbers.items()}
        differences = {name: _or_none(self.numbers[name] - value) for name, value in self.reference.items()}
        content: dict[str, Any] = {"numbers in percent": numbers, "facts": self.facts}
        if self.reference:
            content |= {"reference": self.reference, "difference to the reference": differences}
        content |= {"per class": self.classes, "confusions": self.confusions}
        path = write_json(Path(folder) / "report.json", content)
        with write_atomically(path.with_suffix(".md")) as temporary:
            temporary.write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """Tables of the metrics, beside the reference figures if there are any, the facts, classes and confusions."""
        header = ["metric", "%", *(["reference", "difference"] if self.reference else [])]
        rows = []
        for name, value in self.numbers.items():
            row = [name, "-" if math.isnan(value) else f"{value:.2f}"]
            if name in self.reference:
                row += [f"{self.reference[name]:.1f}", f"{value - self.reference[name]:+.2f}"]
            rows.append(row + [""] * (len(header) - len(row)))
        metrics = markdown_table(header, rows, "l" + "r" * (len(header) - 1))
        facts = markdown_table(["", ""], [[name, _text(value)] for name, value in self.facts.items()])
        return "\n".join([*metrics, "", *facts, *self._class_tables(), *self._confusion_tables()]) + "\n"

    def _class_tables(self) -> list[str]:
        """The classes with figures, in the order of the vocabulary; of a large one the worst and the best of those that
        occur."""
        columns = [name for name in self.classes[0] if name != "thing"]
        metric = next(name for name in columns if name not in ("name", "seen"))
        note = "All figures but the counts are in percent; report.json has them too."
        rows = [row for row in self.classes if any(_measured(row[name]) for name in columns if name != "seen")]
        if len(rows) < len(self.classes) <= MAX_CLASSES:
            note = f"{len(rows):,} of {len(self.classes):,} classes occur or were predicted. {note}"
        if len(self.classes) > MAX_CLASSES:
            occurring = [row for row in rows if row[metric] is not None]
            rows, half = sorted(occurring, key=lambda row: row[metric]), MAX_CLASSES // 2
            note = f"{len(rows):,} of {len(self.classes):,} classes occur, here by their {metric}. {note}"
            if len(rows) > MAX_CLASSES:
                note = f"The {half} worst and the {half} best: {note}"
                rows = rows[:half] + rows[-half:]
        cells = [[_cell(row[name]) for name in columns] for row in rows]
        table = markdown_table(["class", *columns[1:]], cells, "l" + "r" * (len(columns) - 1))
        return ["", "## Classes", "", note, "", *table]

    def _confusion_tables(self) -> list[str]:
        lines = []
        for unit, pairs in self.confusions.items():
            cells = [[_cell(value) for value in pair.values()] for pair in pairs[:MAX_CONFUSIONS]]
            if cells:
                table = markdown_table(["ground truth", "predicted", unit, "% of the class"], cells, "llrr")
                lines += ["", f"## Most frequent confusions, {unit}", "", *table]
        return lines


def _most_frequent(confused: np.ndarray, names: Sequence[str], unit: str) -> list[dict[str, Any]]:
    """Return the most frequent pairs of two classes in (E, 3) confusions, the last column being a count of ``unit``."""
    totals = np.bincount(confused[:, 0], confused[:, 2], minlength=len(names))
    wrong = confused[confused[:, 0] != confused[:, 1]]
    order = np.argsort(-wrong[:, 2], kind="stable")[: 10 * MAX_CONFUSIONS]
    return [
        {
            "ground truth": names[true],
            "predicted": names[found] if found < len(names) else "no class",
            unit: count,
            "percent of the class": 100 * count / totals[true],
        }
        for true, found, count in wrong[order].tolist()
    ]


def _measured(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and value > 0)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:.1f}" if isinstance(value, float) else _text(value)


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(one) for one in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
