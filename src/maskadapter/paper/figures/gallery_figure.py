"""Draw images, their ground truth and the results of models side by side. Source: paper, figures 9 and 10."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskadapter.data import Dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.hub import DEFAULT, load
from maskadapter.io import find_image_files, read_image
from maskadapter.paper.figures.image_grid import MOST_ROWS, Row, at_print_size, image_grid, mask_at_print_size
from maskadapter.paper.figures.model_columns import FIGURE9, FIGURE10, models_by_title
from maskadapter.paper.figures.page import check_no_input, check_output
from maskadapter.results import draw_overlay
from maskadapter.types import UNLABELED, Target
from maskadapter.vocabulary import BACKGROUND, Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_TEXT = 22  # pixels of a label: 5 points in print


def figure9(
    dataset: Dataset,
    output: str | Path,
    *,
    limit: int = 4,
    numbers: Sequence[int] | None = None,
    models: Sequence[str | Path] = FIGURE9,
    device: str = "cpu",
) -> "Figure":
    """Draw a row for every image: FC-CLIP and MAFT+ without and with Mask-Adapter, beside the ground truth.

    dataset: ADE20K-150 in the paper. Everything else as in ``gallery``.
    """
    return gallery((), output, dataset=dataset, limit=limit, numbers=numbers, models=models, device=device)


def figure10(
    dataset: Dataset,
    output: str | Path,
    *,
    limit: int = 4,
    numbers: Sequence[int] | None = None,
    models: Sequence[str | Path] = FIGURE10,
    device: str = "cpu",
) -> "Figure":
    """Draw a row for every image: FC-CLIP without and with Mask-Adapter, beside the ground truth.

    dataset: PASCAL-Context 459 in the paper. Everything else as in ``gallery``.
    """
    return gallery((), output, dataset=dataset, limit=limit, numbers=numbers, models=models, device=device)


def gallery(
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    classes: Any = None,
    background: Any = BACKGROUND,
    dataset: Dataset | None = None,
    limit: int = 4,
    numbers: Sequence[int] | None = None,
    models: Sequence[str | Path] = (DEFAULT,),
    device: str = "cpu",
) -> "Figure":
    """Draw a row for every image: the image, the ground truth where there is one, and the overlay of every model.

    images: as ``find_image_files`` takes them; () with a data set. output: .png, .pdf or .svg. classes: as
        ``Vocabulary.of`` takes them. background: classes that compete with them, as ``segment`` takes them.
    dataset: instead of images and classes; every pixel goes to one of its classes, as in an evaluation. Its first
        ``limit`` images are drawn, or those with the ``numbers``, counted from 0.
    models: 1 to 5, each ``NAME`` or ``NAME:POOLER``, NAME as ``load`` takes it, POOLER ``adapter``, ``pooling`` or
        ``cropping``; ``LABEL=`` before it is the title of its column. device: where to compute.

    Returns the figure, which is also in the file. Raises MaskAdapterError: images without classes, none or more than 20
    images, and what ``find_image_files``, the data set, ``Vocabulary.of`` and ``load`` raise.
    """
    path = check_output(output)
    columns = models_by_title(models)
    if dataset is None:
        if classes is None:
            raise MaskAdapterError("no classes to segment the images into: give classes, or a data set")
        vocabulary, ground_truth = Vocabulary.of(classes), None
        found = find_image_files(images)
        _check_rows(len(found))
        check_no_input(path, [image.source for image in found])
        photos = [read_image(image.source) for image in found]
    else:
        if images or classes is not None:
            raise MaskAdapterError(f"{dataset.name} has its own images and classes: leave images and classes out")
        vocabulary, background = dataset.vocabulary, None
        numbers = range(min(limit, len(dataset))) if numbers is None else numbers
        _check_rows(len(numbers))
        if not all(0 <= number < len(dataset) for number in numbers):
            raise MaskAdapterError(f"{dataset.name} has the images 0 to {len(dataset) - 1:,}: give numbers among these")
        samples = [dataset[number] for number in numbers]
        photos, ground_truth = [one.image for one in samples], [labels_of(one.target) for one in samples]
    titles = ["image", *["ground truth"] * (ground_truth is not None), *columns]
    drawn = [[at_print_size(photo, len(titles))] for photo in photos]

    def add(labels: np.ndarray, index: int) -> None:
        drawn[index].append(overlay_at_print_size(drawn[index][0], labels, vocabulary.names, len(titles)))

    for index, labels in enumerate(ground_truth or ()):
        add(labels, index)
    for title, model in columns.items():
        logger.info("loading %s", title)
        segmenter = load(model, device=device)
        encoded = segmenter.encode_text(vocabulary)
        for index, photo in enumerate(photos):
            logger.info("%s, image %d of %d", title, index + 1, len(photos))
            add(segmenter.segment(photo, encoded, background=background).semantic(), index)
    return image_grid([Row(panels) for panels in drawn], titles, path)


def _check_rows(count: int) -> None:
    if not 1 <= count <= MOST_ROWS:
        raise MaskAdapterError(f"{count:,} images were given; 1 to {MOST_ROWS} fit into a figure")


def overlay_at_print_size(small: np.ndarray, labels: np.ndarray, names: Sequence[str], columns: int) -> np.ndarray:
    """Draw labels (H, W) over an image ``at_print_size``, so that the names of classes are readable in print."""
    return np.asarray(draw_overlay(small, mask_at_print_size(labels, columns), names, text_size=_TEXT))


def labels_of(target: Target) -> np.ndarray:
    """Return the class of every pixel, (H, W) int, UNLABELED where there is none; the smallest mask is on top."""
    if target.overlapping is None:
        return target.labels()
    labels = np.full(target.size, UNLABELED, np.int32)
    for index in np.argsort(-target.overlapping.sum(axis=(1, 2)), kind="stable"):
        labels[target.overlapping[index]] = target.classes[index]
    return labels
