"""Draw where mask pooling and Mask-Adapter pool CLIP's features, mask by mask. Source: paper, figure 4."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from maskadapter.errors import MaskAdapterError
from maskadapter.hub import ModelSource
from maskadapter.io import ImageFile, find_image_files, mask_parts, read_image
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.models.poolers import AdapterPooler
from maskadapter.paper.figures.image_grid import MOST_ROWS, Row, at_print_size, image_grid, mask_at_print_size
from maskadapter.paper.figures.page import check_output
from maskadapter.paper.figures.pooler_comparison import ADAPTER, POOLING, PoolerComparison
from maskadapter.results import masks_of
from maskadapter.vocabulary import BACKGROUND, Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


def activations(
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    masks: Any = None,
    classes: Any = None,
    background: Any = BACKGROUND,
    top: int = 3,
    single: int = 3,
    model: str | Path | ModelSource | None = None,
    device: str = "cpu",
) -> "Figure":
    """Draw a row for every mask: its outline, weights of mask pooling, mean of the adapter's maps, most different maps.

    Every panel is scaled to its own highest weight.

    images: as ``find_image_files`` takes them. output: .png, .pdf or .svg.
    masks: as ``classify`` takes them; for several images a COCO file with the masks of all. Without masks, the segments
        that ``segment`` finds for the ``classes``, as ``Vocabulary.of`` takes them; with masks, these are classified,
        or numbered where there are no classes.
    background: classes that compete with the others, as ``segment`` takes them.
    top: how many masks of each image, the largest first. single: how many single maps of each mask, 0 to 4.
    model: as ``load`` takes it; it needs an adapter. device: where to compute.

    Returns the figure, which is also in the file. Raises MaskAdapterError: neither masks nor classes, nothing found,
    more than 20 images or rows, and what ``find_image_files``, ``mask_parts``, ``Vocabulary.of``, ``load`` raise.
    """
    path = check_output(output)
    if masks is None and classes is None:
        raise MaskAdapterError("neither masks nor classes: give masks, or classes to segment the images into")
    if top < 1 or not 0 <= single <= 4:
        raise MaskAdapterError(f"top is {top}, single {single}; at least 1 mask and 0 to 4 single maps are needed")
    vocabulary = None if classes is None else Vocabulary.of(classes)
    found = find_image_files(images)
    if masks is not None and len(found) > 1 and Path(str(masks)).suffix.lower() != ".json":
        raise MaskAdapterError(f"{len(found)} images need their masks in one COCO file that ends in .json")
    if len(found) > MOST_ROWS:
        raise MaskAdapterError(f"{len(found)} images were given; at most {MOST_ROWS} fit into a figure")
    # Most mistakes in images and masks show at the first image, before the model is loaded.
    _largest_given(masks, found[0], read_image(found[0].source), top)
    logger.info("loading the model")
    comparison = PoolerComparison.load(ModelSource.of(model), device)
    encoded = None if vocabulary is None else comparison.segmenter.encode_text(vocabulary)
    rows: list[Row] = []
    adapter = cast(AdapterPooler, comparison.segmenter.pooler).adapter
    single = min(single, adapter.config.num_maps - 1)  # one map is its own mean
    titles = ["mask", POOLING, f"{ADAPTER}, mean" if single else ADAPTER, *["single map"] * single]
    for number, image in enumerate(found, start=1):
        logger.info("image %d of %d", number, len(found))
        photo = read_image(image.source)
        given = _largest_given(masks, image, photo, top)
        chosen, labels = _masks_and_labels(comparison.segmenter, photo, given, encoded, background, top)
        if len(rows) + len(labels) > MOST_ROWS:
            raise MaskAdapterError(f"more than {MOST_ROWS} rows do not fit into a figure: lower top, or give fewer")
        if labels:
            rows += _rows(comparison, photo, chosen, labels, single, len(titles))
    if not rows:
        raise MaskAdapterError("there are no masks to show: none were given, or none of the classes was found")
    return image_grid(rows, titles, path)


def _largest_given(masks: Any, image: ImageFile, photo: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The ``top`` largest given masks of an image that are not empty, (n, H, W) bool, and their places among all."""
    if masks is None:
        return None
    name = image.source.name if isinstance(image.source, Path) else None
    size, start, count = photo.shape[:2], 0, min(top, MOST_ROWS + 1)  # one more than fits is enough to refuse them
    held, areas, numbers = np.zeros((0, *size), bool), np.zeros(0, int), np.zeros(0, int)
    for part in mask_parts(masks, size, name):
        areas = np.concatenate([areas, np.count_nonzero(part, axis=(1, 2))])
        numbers = np.concatenate([numbers, start + np.arange(len(part))])
        order = np.argsort(-areas, kind="stable")[:count]
        order = order[areas[order] > 0]
        chosen = [held[one] if one < len(held) else part[one - len(held)] for one in order]
        held, areas, numbers = np.stack(chosen) if chosen else held, areas[order], numbers[order]
        start += len(part)
    return held, numbers


def _masks_and_labels(
    segmenter: OpenVocabularySegmenter,
    photo: np.ndarray,
    given: tuple[np.ndarray, np.ndarray] | None,
    encoded: EncodedVocabulary | None,
    background: Any,
    top: int,
) -> tuple[np.ndarray, list[str]]:
    """Return the ``top`` largest masks of an image that are not empty, and a label for each."""
    if given is None:
        assert encoded is not None
        result = segmenter.segment(photo, encoded, background=background)
        largest = sorted(result, key=lambda segment: -segment.area)[:top]
        return masks_of(largest, result.size), [segment.class_name for segment in largest]
    masks, numbers = given
    if encoded is None or not len(masks):
        return masks, [f"mask {number + 1}" for number in numbers]
    return masks, [encoded.vocabulary.names[label] for label in segmenter.classify(photo, masks, encoded).labels]


def _rows(
    comparison: PoolerComparison, photo: np.ndarray, masks: np.ndarray, labels: list[str], single: int, columns: int
) -> list[Row]:
    maps = comparison.maps(photo, masks)
    small = Image.fromarray(at_print_size(photo, columns))
    rows = []
    for mask, label, pooling, adapted in zip(masks, labels, maps[POOLING].weights, maps[ADAPTER].weights, strict=True):
        chosen = most_different(adapted, single)
        shown = [adapted.mean(axis=0), *adapted[chosen]]
        heat = [maps[POOLING].heat(pooling[0], small), *(maps[ADAPTER].heat(one, small) for one in shown)]
        notes = ["", "", "", *(str(index + 1) for index in chosen)]
        rows.append(Row(list(map(np.asarray, (small, *heat))), label, mask_at_print_size(mask, columns), notes))
    return rows


def most_different(maps: np.ndarray, count: int) -> list[int]:
    """Return the indices of ``count`` of M maps (M, h, w) that sum to 1: the farthest from the mean, then from those.

    The distance of two maps is the weight that has to be moved to turn one into the other, 0 to 1.
    """
    flat = maps.reshape(len(maps), -1)
    distance = 0.5 * np.abs(flat - flat.mean(axis=0)).sum(axis=1)
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(int(np.argmax(np.where(np.isin(np.arange(len(flat)), chosen), -1, distance))))
        to_last = 0.5 * np.abs(flat - flat[chosen[-1]]).sum(axis=1)
        distance = to_last if len(chosen) == 1 else np.minimum(distance, to_last)
    return chosen
