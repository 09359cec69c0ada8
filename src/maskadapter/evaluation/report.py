"""The numbers of a data set with everything that they depend on: JSON for programs, Markdown for people."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maskadapter.data.dataset import Dataset
from maskadapter.evaluation.metrics.semantic import CONVENTIONS, Convention
from maskadapter.evaluation.partition import PAPER, Split
from maskadapter.evaluation.scores import Scores
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json

LIBRARIES = ("maskadapter", "torch", "open_clip_torch", "timm", "pillow", "numpy", "pycocotools")


@dataclass(frozen=True)
class Report:
    """numbers: every measure in percent, by name; NaN where there was nothing to measure. facts: what they depend on
    and were made of, ready for JSON. classes: the numbers of each class. paper: published values, in percent, of those
    numbers that can be held against them."""

    numbers: Mapping[str, float]
    facts: Mapping[str, Any]
    classes: Sequence[Mapping[str, Any]]
    paper: Mapping[str, float]

    @classmethod
    def of(
        cls,
        scores: Scores,
        dataset: Dataset,
        sizes: Sequence[tuple[int, int]],
        convention: Convention,
        split: Split | None,
        settings: Mapping[str, Any],
        paper: Mapping[str, float],
    ) -> "Report":
        """sizes: (height, width) of every image that was judged. settings, paper: as ``evaluate`` takes them."""
        vocabulary = dataset.vocabulary
        areas = sorted(sizes, key=lambda size: (size[0] * size[1], size))
        facts: dict[str, Any] = {
            "data set": dataset.name,
            "images": len(sizes),
            "of": len(dataset),
            "smallest and largest image": [f"{width} x {height}" for height, width in (areas[0], areas[-1])],
            "classes": len(vocabulary),
            "of them things": sum(vocabulary.is_thing),
        }
        if "mIoU" in scores.numbers:
            facts["convention"] = f"{convention}: mIoU is the mean over {CONVENTIONS[convention]}"
        if "AP" in scores.numbers and dataset.name == "lvis-v1":
            facts["AP"] = "COCO's, not LVIS's federated one: unlabeled objects count as mistakes"
        if split is not None:
            facts["split"] = f"{split.name}: {split.counts[0]} seen, {split.counts[1]} unseen"
        facts |= {**scores.counts, **settings, "libraries": _versions()}
        classes = [
            {
                "name": name,
                "thing": vocabulary.is_thing[index],
                **({"seen": split.seen[index]} if split else {}),
                **{metric: _or_none(float(values[index])) for metric, values in scores.per_class.items()},
            }
            for index, name in enumerate(vocabulary.names)
        ]
        whole = len(sizes) == len(dataset)
        comparable = {
            name: value
            for name, value in paper.items()
            if whole and name in scores.numbers and _comparable(name, convention, split)
        }
        return cls(scores.numbers, facts, classes, comparable)

    def save(self, folder: str | Path) -> tuple[Path, Path]:
        """Write ``report.json`` and ``report.md``; MaskAdapterError where the folder cannot be written."""
        numbers = {name: _or_none(value) for name, value in self.numbers.items()}
        differences = {name: self.numbers[name] - value for name, value in self.paper.items()}
        content: dict[str, Any] = {"numbers in percent": numbers, "facts": self.facts}
        if self.paper:
            content |= {"paper": self.paper, "difference to the paper": differences}
        path = write_json(Path(folder) / "report.json", {**content, "per class": self.classes})
        with write_atomically(path.with_suffix(".md")) as temporary:
            temporary.write_text(self.markdown(), encoding="utf-8")
        return path, path.with_suffix(".md")

    def markdown(self) -> str:
        """Two tables: the numbers, with the paper's beside them where there are any, and the facts."""
        head = ["metric", "%", *(["paper", "difference"] if self.paper else [])]
        rows = [head, ["---", *["---:"] * (len(head) - 1)]]
        for name, value in self.numbers.items():
            row = [name, "-" if math.isnan(value) else f"{value:.2f}"]
            if name in self.paper:
                row += [f"{self.paper[name]:.1f}", f"{value - self.paper[name]:+.2f}"]
            rows.append(row + [""] * (len(head) - len(row)))
        facts = [["", ""], ["---", "---"], *([name, _told(value)] for name, value in self.facts.items())]
        return "\n\n".join("\n".join(f"| {' | '.join(row)} |" for row in table) for table in (rows, facts)) + "\n"


def _comparable(name: str, convention: Convention, split: Split | None) -> bool:
    """The paper's means are over classes chosen in one way, and are no yardstick for means over others."""
    if name.startswith("mIoU") and convention != "detectron2-main":
        return False
    return not name.endswith(("seen", "unseen")) or (split is not None and split.counts == PAPER)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_told(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_told(one) for one in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("|", "\\|")
