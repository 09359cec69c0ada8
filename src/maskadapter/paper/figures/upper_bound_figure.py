"""Draw how well ground-truth masks are classified in several ways. Source: paper, figure 1."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, cast

from maskadapter import evaluation
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.metrics import CONVENTIONS, Convention
from maskadapter.paper.figures.page import COLORS, COLUMN, TEXT, check_output, labeled, legend_shape, page
from maskadapter.system.json_files import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

METRICS = ("accuracy of segments",)
"""The paper's figure has the accuracy of table 3."""


@dataclass(frozen=True)
class _Report:
    """A report that ``evaluate`` wrote. numbers: in percent. images: of which data set, and how many."""

    folder: Path
    numbers: dict[str, float]
    images: tuple[str, int]
    convention: str
    classes: list[dict[str, Any]]


def figure1(
    reports: Sequence[str | Path],
    output: str | Path,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = evaluation.RESAMPLES,
    seed: int = evaluation.SEED,
) -> "Figure":
    """Draw a bar for every report and metric, with the standard error where the report's records lie beside it.

    reports: of ``maskadapter evaluate ... --masks ground-truth`` on the same images: ``report.json`` or its
        folder, or ``"LABEL=PATH"``; without a label the report's model.
    output: .png, .pdf or .svg. metrics: ``"accuracy of segments"``, ``"accuracy of class masks"`` or ``"mIoU"``, each
        also with `` seen`` or `` unseen`` behind it; those that a report lacks are left out.
    resamples: how many bootstrap samples of the images the standard error is estimated from; seed: of the samples. It
        is about other images, and not the error of the difference of two bars, which are of the same images.

    Returns the figure, which is also in the file. Raises MaskAdapterError: no report, another kind of report, reports
    of different images, an unknown metric.
    """
    path = check_output(output)
    for metric in metrics:
        if evaluation.name_and_group(metric)[0] not in evaluation.METRICS:
            choice = ", ".join(evaluation.METRICS)
            raise MaskAdapterError(f"no metric '{metric}': choose from {choice}; seen, unseen may follow")
    found = labeled(reports, _read)
    first = next(iter(found.values()))
    for label, report in found.items():
        if report.images != first.images:
            images = " and ".join(f"{count} of {name}" for name, count in (first.images, report.images))
            raise MaskAdapterError(f"the reports are of different images ({images}): '{label}' cannot be compared")
    shown = [metric for metric in metrics if any(metric in report.numbers for report in found.values())]
    if not shown:
        raise MaskAdapterError(f"no report has the metric {', '.join(metrics)}")
    from matplotlib.patches import Patch

    wide, count = 0.8 / len(found), len(found) * len(shown)
    width = COLUMN if count < 10 else TEXT
    texts, columns, high = legend_shape(list(found), width, handle=1)
    letters = int((width - 0.5) / len(shown) / 0.066)  # of a metric's name, beside the others
    with page(path, width, 2.15 + high) as figure:
        axes = figure.subplots()
        for place, (color, (label, report)) in enumerate(zip(COLORS, found.items(), strict=False)):
            logger.info("standard errors of %s", label)
            held = {group: metric for group, metric in enumerate(shown) if metric in report.numbers}
            errors = _standard_errors(report, list(held.values()), resamples, seed)
            middles = [group + (place - (len(found) - 1) / 2) * wide for group in held]
            heights = [report.numbers[metric] for metric in held.values()]
            axes.bar(middles, heights, 0.92 * wide, color=color, label=label)
            reach = [errors.get(metric, 0.0) for metric in held.values()]
            if errors:
                axes.errorbar(middles, heights, reach, fmt="none", ecolor="#444444", elinewidth=0.8, capsize=2)
            for middle, height, error in zip(middles, heights, reach, strict=True):
                style: Any = {"ha": "center", "size": 7, "rotation": 90 if count > 20 else 0}
                top = (middle, height + error)
                axes.annotate(f"{height:.1f}", top, (0, 2.5), textcoords="offset points", **style)
        axes.set_xticks(range(len(shown)), [fill(metric, letters) for metric in shown])
        axes.tick_params(axis="x", length=0)
        name, number = first.images
        axes.set(xlabel=f"{name}, {number:,} images", ylabel="on ground-truth masks (%)")
        axes.margins(y=0.12)
        handles = [Patch(color=color, label=text) for color, text in zip(COLORS, texts, strict=False)]
        figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=1)
    return figure


def _read(source: str) -> tuple[str, _Report]:
    path = Path(source)
    file = path / "report.json" if path.is_dir() else path
    content = read_json(file, MaskAdapterError)
    try:
        numbers, facts, classes = content["numbers in percent"], content["facts"], content["per class"]
        held = {metric: float(number) for metric, number in numbers.items() if number is not None}
        images, stated = (facts["data set"], facts["images"]), str(facts.get("convention", "")).partition(":")[0]
        report = _Report(file.parent, held, images, stated, [dict(one) for one in classes])
        label = str(facts.get("model", file.resolve().parent.name))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MaskAdapterError(f"{file} is not a report of maskadapter evaluate") from None
    if "accuracy of segments" not in numbers:
        raise MaskAdapterError(f"{file} is not of ground-truth masks: evaluate with --masks ground-truth")
    return label, report


def _standard_errors(report: _Report, metrics: Sequence[str], resamples: int, seed: int) -> dict[str, float]:
    """Standard errors in percent by metric, from the bootstrap over images; none where records are missing."""
    records, count = evaluation.Records(report.folder), report.images[1]
    records.refresh()
    if records.missing(count) or count < 2:
        return {}
    convention = cast(Convention, report.convention if report.convention in CONVENTIONS else "detectron2-main")
    partition = evaluation.Partition("the report's", tuple(one.get("seen") is True for one in report.classes))
    errors = {}
    for metric in metrics:
        counts = evaluation.image_counts(records.read(count), metric, len(report.classes))
        computed = evaluation.metric_function(metric, partition, convention)
        errors[metric] = evaluation.standard_error(evaluation.bootstrap(counts, computed, resamples, seed))
    return {metric: error for metric, error in errors.items() if not math.isnan(error)}
