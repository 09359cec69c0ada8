"""Images, their truth, and what one or several models make of them, side by side. Source: the paper's images of
results."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from maskadapter.data.dataset import Dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.hub import loading as hub
from maskadapter.hub.model_source import DEFAULT
from maskadapter.io.image_files import find_image_files
from maskadapter.io.images import read_image
from maskadapter.models.build import MODELS
from maskadapter.models.config import PoolerName
from maskadapter.paper.figures.image_grid import MOST_ROWS, Row, at_print_size, image_grid, mask_at_print_size
from maskadapter.paper.figures.labeled import split_label
from maskadapter.paper.figures.page import check_output
from maskadapter.results.overlay import draw_overlay
from maskadapter.system.progress import bar, busy
from maskadapter.types.target import UNLABELED, Target
from maskadapter.vocabulary.vocabulary import BACKGROUND, Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MODELS = 5

_TEXT = 22  # pixels of a name: 5 points in print


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

    images: as ``find_image_files`` takes them; () with a data set. classes: what to look for in them, as
        ``Vocabulary.of`` takes it. background: words that compete with the classes, as ``segment`` takes them.
    output: .png, .pdf or .svg.
    dataset: instead of images and classes; every pixel goes to one of its classes, as it is evaluated. Of it the
        first ``limit`` images, or those of the ``numbers``, counted from 0.
    models: 1 to 5, each ``NAME`` or ``NAME:EMBEDDING``, NAME as ``load`` takes it, EMBEDDING "adapter" or "pooling";
        ``LABEL=`` before it is the title of its column. Every proposal is computed, as in an evaluation.

    Returns the figure, which is also in the file. Raises MaskAdapterError, one line: images without classes, none or
    more than 20 images, and what ``find_image_files``, the data set, ``Vocabulary.of`` and ``load`` raise.
    """
    path = check_output(output)
    columns = [_parsed(str(model)) for model in models]
    if not 1 <= len(columns) <= MOST_MODELS:
        raise MaskAdapterError(f"{len(columns)} models were given; 1 to {MOST_MODELS} fit beside each other")
    if dataset is None:
        if classes is None:
            raise MaskAdapterError("nothing says what to look for: give classes, or a data set")
        vocabulary, truth = Vocabulary.of(classes), None
        photos = _photos(images)
    else:
        if images or classes is not None:
            raise MaskAdapterError(f"{dataset.name} has its own images and classes: leave images and classes out")
        vocabulary, background = dataset.vocabulary, None
        photos, truth = _samples(dataset, range(min(limit, len(dataset))) if numbers is None else numbers)
    titles = ["image", *([] if truth is None else ["truth"]), *(title for title, _, _ in columns)]
    drawn = [[at_print_size(photo, len(titles))] for photo in photos]

    def add(labels: np.ndarray, index: int) -> None:
        # Drawn at the size of print, so that the names can be read there.
        small = mask_at_print_size(labels, len(titles))
        drawn[index].append(np.asarray(draw_overlay(drawn[index][0], small, vocabulary.names, text_size=_TEXT)))

    for index, labels in enumerate(truth or ()):
        add(labels, index)
    with bar("images", len(photos) * len(columns)) as advance:
        for _, name, pooler in columns:
            with busy(f"loading {name}"):
                segmenter = hub.load(name, pooler=pooler, device=device, prune_proposals=False)
            encoded = segmenter.encode_text(vocabulary)
            for index, photo in enumerate(photos):
                add(segmenter.segment(photo, encoded, background=background).semantic(), index)
                advance(1)
    return image_grid([Row(panels) for panels in drawn], titles, path)


def _photos(images: str | Path | Sequence[str | Path]) -> list[np.ndarray]:
    found = find_image_files(images)
    _check_rows(len(found))
    return [read_image(image.source) for image in found]


def _samples(dataset: Dataset, numbers: Sequence[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and the class of each of their pixels."""
    _check_rows(len(numbers))
    if not all(0 <= number < len(dataset) for number in numbers):
        raise MaskAdapterError(f"{dataset.name} has the images 0 to {len(dataset) - 1:,}; others were asked for")
    samples = [dataset[number] for number in numbers]
    return [sample.image for sample in samples], [labels_of(sample.target) for sample in samples]


def _check_rows(count: int) -> None:
    if not 1 <= count <= MOST_ROWS:
        raise MaskAdapterError(f"{count:,} images were given; 1 to {MOST_ROWS} fit into a figure")


def _parsed(text: str) -> tuple[str, str, PoolerName | None]:
    """``"ours=tiny:adapter"`` -> title, model, pooler."""
    label, model = split_label(text)
    name, _, ending = model.rpartition(":")
    embeddings: tuple[PoolerName, ...] = get_args(PoolerName)
    for pooler in embeddings:
        if name and ending == pooler:
            return label or f"{_short(name)}, {pooler}", name, pooler
    if name in MODELS:
        raise MaskAdapterError(f"no embedding '{ending}' in '{model}': {' or '.join(embeddings)} may stand after the :")
    return label or _short(model), model, None


def _short(model: str) -> str:
    return model if model in MODELS else Path(model).stem


def labels_of(target: Target) -> np.ndarray:
    """(H, W) int: the class of every pixel, UNLABELED where there is none; of masks that overlap the smallest is on
    top."""
    if target.overlapping is None:
        return target.labels()
    labels = np.full(target.size, UNLABELED, np.int32)
    for index in np.argsort(-target.overlapping.sum(axis=(1, 2)), kind="stable"):
        labels[target.overlapping[index]] = target.classes[index]
    return labels
