"""How well the truth's own masks are named in several ways: what is left to gain. Source: paper, figure 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from maskadapter.coco import read_json
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.mask_accuracy import accuracy
from maskadapter.evaluation.records import Records
from maskadapter.evaluation.semantic import CONVENTIONS, Convention, mean_iou, pixel_counts
from maskadapter.plot.labelled import labelled
from maskadapter.plot.page import COLOURS, COLUMN, TEXT, check_output, legend_shape, page
from maskadapter.progress import bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = ("accuracy of segments", "mIoU")

# What a record holds of each measure, see ``evaluation.mask_accuracy``.
_ROWS = {"accuracy of segments": "segments", "accuracy of class masks": "class_masks", "mIoU": "painted"}


@dataclass(frozen=True)
class _Report:
    """What ``evaluate`` wrote. numbers: percent. classes: one for each class of the data set."""

    folder: Path
    numbers: dict[str, float | None]
    facts: dict[str, Any]
    classes: list[dict[str, Any]]

    @property
    def pictures(self) -> tuple[str, int]:
        return self.facts["data set"], self.facts["pictures"]


def upper_bound(
    reports: Sequence[str | Path],
    output: str | Path,
    *,
    measures: Sequence[str] = MEASURES,
    resamples: int = 1000,
    seed: int = 0,
) -> "Figure":
    """Draw a bar for every report and measure, with the standard error where the report's records lie beside it.

    reports: of ``maskadapter evaluate ... --proposals ground-truth`` on the same pictures: ``report.json`` or its
        folder, or ``"LABEL=PATH"``; without a label the report's model.
    output: .png, .pdf or .svg. measures: ``"accuracy of segments"``, ``"accuracy of class masks"`` or ``"mIoU"``, in
        percent, each also with `` seen`` or `` unseen`` behind it. One that no report has is left out.
    resamples: how many times as many pictures are drawn, with replacement, for the standard error; seed: of the draws.
        It says how far another sample of pictures might lie, and not how far the difference of two bars might: they
        are of the same pictures.

    Returns the figure, which is also in the file. Raises MaskAdapterError: no report, another kind of report, reports
    of different pictures, an unknown measure.
    """
    path = check_output(output)
    for measure in measures:
        if _parts(measure)[0] not in _ROWS:
            raise MaskAdapterError(f"no measure '{measure}': choose from {', '.join(_ROWS)}; seen, unseen may follow")
    found = labelled(reports, _read)
    first = next(iter(found.values()))
    for label, report in found.items():
        if report.pictures != first.pictures:
            told = " and ".join(f"{count} of {name}" for name, count in (first.pictures, report.pictures))
            raise MaskAdapterError(f"the reports are of different pictures ({told}): '{label}' cannot be compared")
    shown = [measure for measure in measures if any(report.numbers.get(measure) for report in found.values())]
    if not shown:
        raise MaskAdapterError(f"no report has the measure {', '.join(measures)}")
    with bar("standard errors", len(found)) as advance:
        errors = {}
        for label, report in found.items():
            errors[label] = _standard_errors(report, shown, resamples, seed)
            advance(1)
    wide, count = 0.8 / len(found), len(found) * len(shown)
    width = COLUMN if count < 10 else TEXT
    columns, high = legend_shape(list(found), width)
    letters = int((width - 0.5) / len(shown) / 0.066)  # of a measure's name, beside the others
    with page(path, width, 2.15 + high) as figure:
        axes = figure.subplots()
        for place, (colour, (label, report)) in enumerate(zip(COLOURS, found.items(), strict=False)):
            heights = [report.numbers.get(measure) or 0.0 for measure in shown]
            left = np.arange(len(shown)) + (place - (len(found) - 1) / 2) * wide
            bars = axes.bar(left, heights, 0.92 * wide, color=colour, label=label)
            reach = [errors[label].get(measure, 0.0) for measure in shown]
            if errors[label]:
                axes.errorbar(left, heights, reach, fmt="none", ecolor="#444444", elinewidth=0.8, capsize=2)
            tops = [height + error for height, error in zip(heights, reach, strict=True)]
            for rectangle, height, top in zip(bars, heights, tops, strict=True):
                middle = rectangle.get_x() + rectangle.get_width() / 2
                axes.annotate(
                    f"{height:.1f}",
                    (middle, top),
                    (0, 2.5),
                    textcoords="offset points",
                    ha="center",
                    size=7,
                    rotation=90 if count > 20 else 0,
                )
        axes.set_xticks(range(len(shown)), [fill(measure, letters) for measure in shown])
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("names for true masks (%)")
        axes.margins(y=0.12)
        figure.legend(loc="outside upper center", ncols=columns, handlelength=1)
        name, pictures = first.pictures
        axes.set_xlabel(f"{name}, {pictures:,} pictures")
    return figure


def _read(path: Path) -> tuple[str, _Report]:
    file = path / "report.json" if path.is_dir() else path
    content = read_json(file, MaskAdapterError)
    try:
        numbers, facts, classes = content["numbers in percent"], content["facts"], content["per class"]
        report = _Report(file.parent, dict(numbers), dict(facts), [dict(one) for one in classes])
        label = str(facts.get("model", file.resolve().parent.name))
        _ = report.pictures
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MaskAdapterError(f"{file} is no report of maskadapter evaluate") from None
    if "accuracy of segments" not in numbers:
        raise MaskAdapterError(f"{file} does not name true masks: evaluate with --proposals ground-truth")
    return label, report


def _parts(measure: str) -> tuple[str, str]:
    """``"mIoU unseen"`` -> ("mIoU", "unseen")."""
    for kind in ("seen", "unseen"):
        if measure.endswith(f" {kind}"):
            return measure.removesuffix(f" {kind}"), kind
    return measure, ""


def _standard_errors(report: _Report, measures: Sequence[str], resamples: int, seed: int) -> dict[str, float]:
    """Measure -> percent, by the bootstrap over pictures; nothing where the records are not all there."""
    records, count = Records(report.folder), report.pictures[1]
    records.refresh()
    if records.missing(count) or count < 2:
        return {}
    told = str(report.facts.get("convention", "")).partition(":")[0]
    convention = cast(Convention, told if told in CONVENTIONS else "detectron2-main")
    # How often each picture is in each of the draws.
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples).astype(float)
    classes = len(report.classes)
    errors = {}
    for measure in measures:
        name, kind = _parts(measure)
        if report.numbers.get(measure) is None:
            continue
        rows = [record["masks"][_ROWS[name]] for record in records.read(count)]
        counts = np.stack([pixel_counts([row], classes) for row in rows]).astype(float)
        among = np.array([not kind or one.get("seen") is (kind == "seen") for one in report.classes])
        sums = (draws @ counts.reshape(count, -1)).reshape(resamples, 3, classes)
        values = [mean_iou(one, convention, among) if name == "mIoU" else accuracy(one, among) for one in sums]
        errors[measure] = 100 * float(np.nanstd(values, ddof=1))
    return errors
