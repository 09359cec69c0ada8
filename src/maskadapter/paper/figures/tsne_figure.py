"""Draw the embeddings of a data set's ground-truth masks on a plane. Source: paper, figure 5."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskadapter.data import Dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation import Partition
from maskadapter.paper.figures.model_columns import FIGURE5, adapters_by_title
from maskadapter.paper.figures.page import COLORS, TEXT, check_output, legend_shape, page
from maskadapter.paper.figures.pooler_comparison import ADAPTER, PoolerComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

FEWEST = 5
"""Fewer masks than this cannot be arranged."""
# A class has a shape and a color: not everybody can distinguish more than seven colors.
_SEEN, _UNSEEN = ("o", "s", "P"), ("^", "v", ">")
MOST_CLASSES = len(COLORS) * len(_SEEN)


def figure5(
    dataset: Dataset,
    output: str | Path,
    *,
    limit: int = 200,
    top: int = 12,
    partition: str | Path | None = "synonyms",
    seed: int = 0,
    models: Sequence[str | Path] = FIGURE5,
    device: str = "cpu",
) -> "Figure":
    """Draw a point for every ground-truth mask but crowds, by mask pooling and by adapters, of the same features.

    output: .png, .pdf or .svg. limit: only the first so many images. top: the classes with the most masks, 1 to 21.
    partition: which classes count as seen, as ``Partition.of`` takes it; unseen ones are triangles; None: all alike.
    seed: of t-SNE, the same for all panels. device: where to compute.
    models: 1 to 3, each as ``load`` takes it, with an adapter; all of one CLIP. ``LABEL=`` before it is the title of
        its panel. The paper's are trained by recipes/table4/no-consistency and table1/fcclip-large-mixed.

    t-SNE of normalized embeddings keeps neighbors together; neither the size of a cluster nor the distance between two
    means anything. Below each panel: how many masks have a nearest neighbor, by cosine, of their own class.

    Returns the figure, which is also in the file. Raises MaskAdapterError, one line: fewer than 5 masks, CLIPs
    that differ, and what the data set, ``Partition.of`` and ``load`` raise.
    """
    path = check_output(output, "sklearn")
    if limit < 1 or not 1 <= top <= MOST_CLASSES:
        raise MaskAdapterError(f"limit is {limit}, top {top}; at least 1 image and 1 to {MOST_CLASSES} classes")
    from sklearn.manifold import TSNE

    sources = adapters_by_title(models)
    logger.info("loading the models")
    comparison = PoolerComparison.load(sources, device)
    names, seen = dataset.vocabulary.names, np.ones(len(dataset.vocabulary), bool)
    if partition is not None:
        trained_on = comparison.segmenter.inference.seen_in
        seen = np.array(Partition.of(partition, dataset.vocabulary, trained_on).seen)
    embeddings, classes = _embed_dataset(comparison, dataset, min(limit, len(dataset)))
    held = np.bincount(classes, minlength=len(names))
    shown = [label for label in np.argsort(-held, kind="stable")[:top].tolist() if held[label]]
    chosen = np.isin(classes, shown)
    if chosen.sum() < FEWEST:
        raise MaskAdapterError(f"{chosen.sum()} masks of {dataset.name} are too few: at least {FEWEST} are needed")
    classes = classes[chosen]
    texts, columns, high = legend_shape([names[label] for label in shown], TEXT, most=6)
    side, several = TEXT / len(embeddings), len(sources) > 1
    with page(path, TEXT, 0.85 * side + 0.55 + 0.15 * several + high) as figure:
        panels = figure.subplots(1, len(embeddings))
        for axes, (name, all_vectors) in zip(panels, embeddings.items(), strict=True):
            vectors = all_vectors[chosen]
            logger.info("t-SNE of %d masks, %s", len(vectors), name)
            # 30 neighbors, scikit-learn's default, or a third of the points where there are few.
            perplexity = min(30.0, max(1.5, (len(vectors) - 1) / 3))
            points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
            for place, label in enumerate(shown):
                turn, color = divmod(place, len(COLORS))
                marker = (_SEEN if seen[label] else _UNSEEN)[turn]
                style: Any = {"s": 12, "c": COLORS[color], "marker": marker, "edgecolors": "white", "linewidths": 0.2}
                axes.scatter(*points[classes == label].T, label=names[label], **style)
            title = ADAPTER + (",\n" if several else ", ") + name if name in sources else name
            axes.set(xticks=[], yticks=[], title=title)
            same = same_class_neighbors(vectors, classes)
            axes.set_xlabel(f"nearest neighbor of the same class: {100 * same:.0f} %", size=7)
            axes.set_box_aspect(0.85)
            axes.spines[:].set_visible(True)
        handles, _ = panels[0].get_legend_handles_labels()
        unseen = "" if seen[shown].all() else " (triangles: unseen classes)"
        title = f"{int(chosen.sum()):,} masks of {dataset.name}{unseen}"
        legend: Any = {"loc": "outside lower center", "markerscale": 1.4, "title_fontsize": 7}
        figure.legend(handles, texts, ncols=columns, title=title, **legend)
    return figure


def _embed_dataset(comparison: PoolerComparison, dataset: Dataset, count: int) -> tuple[dict[str, Any], np.ndarray]:
    """Embed the masks of the first ``count`` images: (N, D) by pooler, and their classes (N,)."""
    embedded, classes = [], []
    for index in range(count):
        logger.info("image %d of %d", index + 1, count)
        sample = dataset[index]
        masks = sample.target.masks()
        kept = masks.any(axis=(1, 2)) & ~sample.target.is_crowd
        if kept.any():
            embedded.append(comparison.embeddings(sample.image, masks[kept]))
            classes.append(sample.target.classes[kept])
    if not classes:
        raise MaskAdapterError(f"the first {count} images of {dataset.name} have no masks")
    embeddings = {name: np.concatenate([one[name] for one in embedded]) for name in comparison.poolers}
    return embeddings, np.concatenate(classes)


def same_class_neighbors(vectors: np.ndarray, classes: np.ndarray) -> float:
    """Return the share, 0 to 1, of unit vectors (N, D) whose nearest neighbor by cosine has the same class (N,)."""
    near = []
    for start in range(0, len(vectors), 1024):  # not all pairs at once
        part = vectors[start : start + 1024] @ vectors.T
        part[np.arange(len(part)), start + np.arange(len(part))] = -2
        near.append(part.argmax(axis=1))
    return float((classes[np.concatenate(near)] == classes).mean())
