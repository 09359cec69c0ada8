"""Report the metrics of a data set and everything that they depend on: JSON for programs, Markdown for people."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maskadapter.data import Dataset
from maskadapter.evaluation.metrics.semantic import CONVENTIONS
from maskadapter.evaluation.scores import Scores
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

LIBRARIES = ("maskadapter", "torch", "open_clip_torch", "timm", "pillow", "numpy", "pycocotools")


@dataclass(frozen=True)
class Report:
    """numbers: every metric in percent, by name; NaN where there was nothing to measure. facts: what they depend on and
    how much they are computed from, ready for JSON. classes: the metrics of each class. reference: the caller's
    figures, in percent, for those of the numbers that have one."""

    numbers: Mapping[str, float]
    facts: Mapping[str, Any]
    classes: Sequence[Mapping[str, Any]]
    reference: Mapping[str, float]

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
        columns |= {metric: [_or_none(float(one)) for one in values] for metric, values in scores.per_class.items()}
        classes = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        whole = len(sizes) == len(dataset)  # a part of the images is compared with nothing
        comparable = {name: value for name, value in reference.items() if whole and name in scores.numbers}
        return cls(scores.numbers, facts, classes, comparable)

    def save(self, folder: str | Path) -> None:
        """Write ``report.json`` and ``report.md``; MaskAdapterError where the folder cannot be written."""
        numbers = {name: _or_none(value) for name, value in self.numbers.items()}
        differences = {name: _or_none(self.numbers[name] - value) for name, value in self.reference.items()}
        content: dict[str, Any] = {"numbers in percent": numbers, "facts": self.facts}
        if self.reference:
            content |= {"reference": self.reference, "difference to the reference": differences}
        path = write_json(Path(folder) / "report.json", {**content, "per class": self.classes})
        with write_atomically(path.with_suffix(".md")) as temporary:
            temporary.write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """Two tables: the metrics, beside the reference figures where there are any, and the facts."""
        header = ["metric", "%", *(["reference", "difference"] if self.reference else [])]
        rows = []
        for name, value in self.numbers.items():
            row = [name, "-" if math.isnan(value) else f"{value:.2f}"]
            if name in self.reference:
                row += [f"{self.reference[name]:.1f}", f"{value - self.reference[name]:+.2f}"]
            rows.append(row + [""] * (len(header) - len(row)))
        metrics = markdown_table(header, rows, "l" + "r" * (len(header) - 1))
        facts = markdown_table(["", ""], [[name, _text(value)] for name, value in self.facts.items()])
        return "\n".join([*metrics, "", *facts]) + "\n"


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(one) for one in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
