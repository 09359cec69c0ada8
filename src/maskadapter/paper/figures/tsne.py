"""The embeddings of a data set's ground-truth masks on a plane: do classes come apart? Source: paper, its t-SNE figure."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskadapter.data.dataset import Dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.partition import Partition
from maskadapter.paper.figures.both_ways import BothWays
from maskadapter.paper.figures.page import COLORS, TEXT, check_output, legend_shape, page
from maskadapter.system.progress import bar, busy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 5
"""Masks below which there is nothing to arrange."""

# Shape and color tell a class: more than seven colors are not told apart by everybody.
_SEEN, _UNSEEN = ("o", "s", "P"), ("^", "v", ">")
MOST_CLASSES = len(COLORS) * len(_SEEN)


def tsne(
    dataset: Dataset,
    output: str | Path,
    *,
    limit: int = 200,
    top: int = 12,
    split: str | Path | None = "synonyms",
    seed: int = 0,
    model: str | Path | None = None,
    adapter: str | Path | None = None,
    architecture: str | None = None,
    device: str = "cpu",
) -> "Figure":
    """Draw a point for every ground-truth mask but crowds, by mask pooling and by the Mask-Adapter of the same model.

    Color and shape tell the class.

    output: .png, .pdf or .svg. limit: only the first so many images. top: the classes with the most masks, 1 to 21.
    split: unseen classes get triangles, see ``Partition.of``; None tells them not apart. seed: of scikit-learn's t-SNE.
    model, adapter, like, device: as ``load`` takes them; the model needs an adapter.

    Distances are those between normalized embeddings. t-SNE keeps neighbors together and little else: neither the
    size of a heap nor the room between two says anything. Below each panel stands what is true of the embeddings
    themselves: how many masks have a nearest neighbor, by cosine, of their own class.

    Returns the figure, which is also in the file. Raises MaskAdapterError, one line: fewer than 5 masks, and what the
    data set, ``Partition.of`` and ``load`` raise.
    """
    path = check_output(output, "sklearn")
    if limit < 1 or not 1 <= top <= MOST_CLASSES:
        raise MaskAdapterError(f"limit is {limit}, top {top}; at least 1 image and 1 to {MOST_CLASSES} classes")
    with busy("loading the model"):
        ways = BothWays.load(model, adapter, architecture, device)
    names = dataset.vocabulary.names
    parted = None if split is None else Partition.of(split, dataset.vocabulary, ways.segmenter.inference.seen_in)
    seen = np.ones(len(names), bool) if parted is None else np.array(parted.seen)
    vectors, classes = _embedded(ways, dataset, min(limit, len(dataset)))
    held = np.bincount(classes, minlength=len(names))
    shown = [label for label in np.argsort(-held, kind="stable")[:top].tolist() if held[label]]
    chosen = np.isin(classes, shown)
    if chosen.sum() < FEWEST:
        raise MaskAdapterError(f"{chosen.sum()} masks of {dataset.name} are too few: at least {FEWEST} are needed")
    classes = classes[chosen]
    columns, high = legend_shape([names[label] for label in shown], TEXT, most=6)
    with page(path, TEXT, 3.4 + high) as figure:
        panels = figure.subplots(1, len(vectors))
        for axes, (name, all_rows) in zip(panels, vectors.items(), strict=True):
            rows = all_rows[chosen]
            with busy(f"t-SNE of {len(rows):,} masks"):
                points = _plane(rows, seed)
            for place, label in enumerate(shown):
                turn, color = divmod(place, len(COLORS))
                axes.scatter(
                    *points[classes == label].T,
                    s=12,
                    c=COLORS[color],
                    marker=(_SEEN if seen[label] else _UNSEEN)[turn],
                    edgecolors="white",
                    linewidths=0.2,
                    label=names[label],
                )
            axes.set_title(name)
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(f"nearest neighbor of the same class: {100 * neighbors(rows, classes):.0f} %", size=7)
            axes.set_box_aspect(0.85)
            for side in axes.spines.values():
                side.set_visible(True)
        handles, labels = panels[0].get_legend_handles_labels()
        told = f"{int(chosen.sum()):,} masks of {dataset.name}"
        unseen = " (triangles: unseen classes)" if not seen[shown].all() else ""
        legend = figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, markerscale=1.4, title=told + unseen
        )
        legend.get_title().set_fontsize(7)
    return figure


def _embedded(ways: BothWays, dataset: Dataset, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Of the first ``count`` images: way -> (N, D), and the classes (N,) of all masks."""
    vectors: dict[str, list[np.ndarray]] = {name: [] for name in ways.ways}
    classes = []
    with bar("images", count) as advance:
        for index in range(count):
            sample = dataset[index]
            masks = sample.target.masks()
            kept = masks.any(axis=(1, 2)) & ~sample.target.is_crowd
            if kept.any():
                for name, rows in ways.embeddings(sample.image, masks[kept]).items():
                    vectors[name].append(rows)
                classes.append(sample.target.classes[kept])
            advance(1)
    if not classes:
        raise MaskAdapterError(f"the first {count} images of {dataset.name} have no masks")
    return {name: np.concatenate(rows) for name, rows in vectors.items()}, np.concatenate(classes)


def _plane(rows: np.ndarray, seed: int) -> np.ndarray:
    """(N, D) of length 1 -> (N, 2)."""
    from sklearn.manifold import TSNE

    # As many neighbors as there can be sensibly: 30, scikit-learn's default, or a third of few points.
    perplexity = min(30.0, max(1.5, (len(rows) - 1) / 3))
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(rows)


def neighbors(rows: np.ndarray, classes: np.ndarray) -> float:
    """(N, D) of length 1, (N,) -> the share, 0 to 1, whose nearest other row by cosine has the same class."""
    near = []
    for start in range(0, len(rows), 1024):  # not all pairs at once
        part = rows[start : start + 1024] @ rows.T
        part[np.arange(len(part)), start + np.arange(len(part))] = -2
        near.append(part.argmax(axis=1))
    return float((classes[np.concatenate(near)] == classes).mean())
