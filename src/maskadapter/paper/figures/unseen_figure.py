"""Draw a metric of unseen classes over the steps of a training. Source: paper, figure 7."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskadapter.errors import MaskAdapterError
from maskadapter.paper.figures.page import COLORS, COLUMN, check_output, labeled, legend_shape, page
from maskadapter.training import LOGGED_METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PREFIX = "evaluation/"
_RUNS = ("COCO-Panoptic=runs/fcclip-large-warmup", "COCO-Panoptic and LVIS=runs/on-coco-panoptic-and-lvis")


def figure7(
    runs: Sequence[str | Path] | None,
    output: str | Path,
    *,
    dataset: str | None = None,
    metric: str | None = None,
    seen: bool = False,
) -> "Figure":
    """Draw unseen classes over the steps of training, a line for each run; ``seen``: dashed, the seen ones as well.

    runs: folders that ``train`` wrote, finished or not, or ``"LABEL=FOLDER"``; without a label the folder's name. None:
        the paper's two, of recipes/table1/fcclip-large-warmup and table7/on-coco-panoptic-and-lvis.
    output: .png, .pdf or .svg. dataset: one that the runs were evaluated on; None where there is one.
    metric: ``"mIoU"``, ``"accuracy of segments"``, ``"PQ"`` or ``"AP"``, in percent; None is the first that all share.

    Returns the figure, which is also in the file. Raises MaskAdapterError: no log, no evaluations in it, none of that
    data set or metric.
    """
    path = check_output(output)
    curves = labeled(_RUNS if runs is None else runs, _read)
    dataset = _chosen("data set", dataset, [list(found) for found in curves.values()])
    of_set = {label: found[dataset] for label, found in curves.items()}
    metrics = [name for name in LOGGED_METRICS if not name.endswith("seen")]
    metric = _chosen("metric", metric, [[m for m in metrics if m in found] for found in of_set.values()], first=True)
    kinds = {"unseen": "-", "seen": "--"} if seen else {"unseen": "-"}
    lines = {(label, kind): f"{label}, {kind}" if seen else label for label in of_set for kind in kinds}
    texts, columns, high = legend_shape(list(lines.values()), COLUMN, most=2)
    with page(path, COLUMN, 1.95 + high) as figure:
        axes = figure.subplots()
        for color, (label, found) in zip(COLORS, of_set.items(), strict=False):
            for kind, line in kinds.items():
                points = sorted(found[metric].get(kind, {}).items())
                # Points mark the evaluations; many of them would hide the line.
                mark = "o" if len(points) <= 30 else ""
                style: Any = {"color": color, "marker": mark, "markersize": 2.5, "label": lines[label, kind]}
                axes.plot([step for step, _ in points], [percent for _, percent in points], line, **style)
        axes.set(xlabel=f"iteration, evaluated on {dataset}", ylabel=f"{metric if seen else f'unseen {metric}'} (%)")
        axes.locator_params(axis="x", nbins=5, integer=True)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y", linewidth=0.3)
        if axes.get_ylim()[1] < 0.1:  # all are 0: an axis around it would show negative percentages
            axes.set_ylim(0, 1)
        figure.legend(axes.lines, texts, loc="outside upper center", ncols=columns, handlelength=2.6)
    return figure


def _read(source: str) -> tuple[str, dict[str, dict[str, dict[str, dict[int, float]]]]]:
    """The run's name, and: data set -> metric -> "seen", "unseen" -> step -> percent, of metrics of unseen classes."""
    folder = Path(source)
    path = folder / "log.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # a run that is not finished may be writing the last
    except (FileNotFoundError, NotADirectoryError):
        raise MaskAdapterError(f"no {path.name} in {folder}: give the folder of a run of maskadapter train") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MaskAdapterError(f"cannot read {path}: {error}") from None
    found: dict[str, dict[str, dict[str, dict[int, float]]]] = {}
    for line in lines:
        try:
            entry = dict(json.loads(line))
            step = int(entry["step"])
        except (ValueError, KeyError, TypeError):
            continue  # cut off by a crash
        for key, value in entry.items():
            dataset, _, name = key.removeprefix(_PREFIX).rpartition("/")
            metric, _, kind = name.rpartition(" ")
            if key.startswith(_PREFIX) and kind in ("seen", "unseen") and math.isfinite(value):
                found.setdefault(dataset, {}).setdefault(metric, {}).setdefault(kind, {})[step] = value
    unseen = {name: {metric: of for metric, of in metrics.items() if "unseen" in of} for name, metrics in found.items()}
    if not any(unseen.values()):
        needed = "train with evaluation.every and evaluation.datasets, on a data set that has unseen classes"
        raise MaskAdapterError(f"{path} has no metrics of unseen classes: {needed}")
    return folder.resolve().name, {name: metrics for name, metrics in unseen.items() if metrics}


def _chosen(what: str, wanted: str | None, offers: Sequence[Sequence[str]], first: bool = False) -> str:
    """Return the wanted name, or the only one that all ``offers`` share; ``first``: the first of several."""
    shared = [name for name in offers[0] if all(name in others for others in offers)]
    if wanted in shared or (wanted is None and shared and (first or len(shared) == 1)):
        return wanted or shared[0]
    if not shared:
        raise MaskAdapterError(f"the runs have no {what} in common with metrics of unseen classes")
    problem = f"no {what} '{wanted}' in all runs" if wanted else f"the runs have several {what}s"
    raise MaskAdapterError(f"{problem}: choose from {', '.join(shared)}")
