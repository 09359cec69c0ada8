"""Where mask pooling and Mask-Adapter pool CLIP's features, mask by mask. Source: paper, figure 4."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from maskadapter.errors import MaskAdapterError
from maskadapter.io.image_files import ImageFile, find_image_files
from maskadapter.io.images import read_image
from maskadapter.io.masks import mask_parts
from maskadapter.models.encoded_vocabulary import EncodedVocabulary
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.paper.figures.both_ways import ADAPTER, POOLING, BothWays
from maskadapter.paper.figures.image_grid import MOST_ROWS, Row, at_print_size, image_grid, mask_at_print_size
from maskadapter.paper.figures.page import check_output
from maskadapter.system.progress import bar, busy
from maskadapter.vocabulary.vocabulary import BACKGROUND, Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def activations(
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    masks: Any = None,
    classes: Any = None,
    background: Any = BACKGROUND,
    top: int = 3,
    single: int = 3,
    model: str | Path | None = None,
    adapter: str | Path | None = None,
    architecture: str | None = None,
    device: str = "cpu",
) -> "Figure":
    """Draw a row for every mask: the image with its outline, the weights of mask pooling, the mean of the adapter's
    maps, and those of its maps that differ most. Each is scaled to its own highest weight.

    images: as ``find_image_files`` takes them. output: .png, .pdf or .svg.
    masks: as ``classify`` takes them; for several images a COCO file that has them all. Without masks those segments
        of the image that ``segment`` finds for the ``classes``, as ``Vocabulary.of`` takes them; with masks the
        classes name the masks, and without classes they are numbered.
    background: words that compete with the classes, as ``segment`` takes them.
    top: of each image the largest so many masks. single: so many single maps of each, 0 to 4.
    model, adapter, like, device: as ``load`` takes them; the model needs an adapter.

    Returns the figure, which is also in the file. Raises MaskAdapterError, one line: neither masks nor classes, nothing
    found, more than 20 images or rows, and what ``find_image_files``, ``mask_parts``, ``Vocabulary.of`` and ``load``
    raise.
    """
    path = check_output(output)
    if masks is None and classes is None:
        raise MaskAdapterError("nothing says which masks to show: give masks, or classes that are to be found")
    if top < 1 or not 0 <= single <= 4:
        raise MaskAdapterError(f"top is {top}, single {single}; at least 1 mask and 0 to 4 single maps are needed")
    vocabulary = None if classes is None else Vocabulary.of(classes)
    found = find_image_files(images)
    if masks is not None and len(found) > 1 and Path(str(masks)).suffix.lower() != ".json":
        raise MaskAdapterError(f"{len(found)} images need their masks in one COCO file that ends in .json")
    if len(found) > MOST_ROWS:
        raise MaskAdapterError(f"{len(found)} images were given; at most {MOST_ROWS} fit into a figure")
    # Most of what is wrong with images and masks shows at the first, before the model is loaded.
    for image in found[:1]:
        _given(masks, image, read_image(image.source), top)
    with busy("loading the model"):
        ways = BothWays.load(model, adapter, architecture, device)
    encoded = None if vocabulary is None else ways.segmenter.encode_text(vocabulary)
    rows: list[Row] = []
    single = min(single, _maps_of(ways) - 1)  # one map is its own mean
    titles = ["mask", POOLING, f"{ADAPTER}, mean" if single else ADAPTER, *["single map"] * single]
    with bar("images", len(found)) as advance:
        for image in found:
            photo = read_image(image.source)
            chosen, names = _named(ways.segmenter, photo, _given(masks, image, photo, top), encoded, background, top)
            if len(rows) + len(names) > MOST_ROWS:
                raise MaskAdapterError(f"more than {MOST_ROWS} rows do not fit into a figure: lower top, or give fewer")
            if names:
                rows += _rows(ways, photo, chosen, names, single, len(titles))
            advance(1)
    if not rows:
        raise MaskAdapterError("there are no masks to show: none were given, or none of the words was found")
    return image_grid(rows, titles, path)


@dataclass(frozen=True)
class _Largest:
    """masks: (n, H, W), the largest first, none of them empty. areas: pixels of each. numbers: their places among all
    that were given."""

    masks: np.ndarray
    areas: np.ndarray
    numbers: np.ndarray


def _given(masks: Any, image: ImageFile, photo: np.ndarray, top: int) -> _Largest | None:
    """Of the given masks of an image the ``top`` largest; None where none are given at all."""
    if masks is None:
        return None
    name = image.source.name if isinstance(image.source, Path) else None
    size, start = (photo.shape[0], photo.shape[1]), 0
    # One more than fits is enough to say that they do not fit.
    count = min(top, MOST_ROWS + 1)
    held = _Largest(np.zeros((0, *size), bool), np.zeros(0, int), np.zeros(0, int))
    for part in mask_parts(masks, size, name):
        areas = np.concatenate([held.areas, np.count_nonzero(part, axis=(1, 2))])
        numbers = np.concatenate([held.numbers, start + np.arange(len(part))])
        order = np.argsort(-areas, kind="stable")[:count]
        order = order[areas[order] > 0]
        chosen = [held.masks[one] if one < len(held.masks) else part[one - len(held.masks)] for one in order]
        held = _Largest(np.stack(chosen) if chosen else held.masks, areas[order], numbers[order])
        start += len(part)
    return held


def _maps_of(ways: BothWays) -> int:
    return int(ways.segmenter.pooler.adapter.config.num_maps)  # type: ignore[attr-defined]


def _named(
    segmenter: OpenVocabularySegmenter,
    photo: np.ndarray,
    given: _Largest | None,
    encoded: EncodedVocabulary | None,
    background: Any,
    top: int,
) -> tuple[np.ndarray, list[str]]:
    """The ``top`` largest masks of an image that are not empty, and their names."""
    if given is None:
        assert encoded is not None
        panoptic = segmenter.segment(photo, encoded, background=background).panoptic()
        largest = sorted(panoptic.segments, key=lambda segment: -segment.area)[:top]
        return panoptic.masks(largest), [encoded.vocabulary.names[segment.label] for segment in largest]
    masks = given.masks
    if encoded is None:
        return masks, [f"mask {number + 1}" for number in given.numbers]
    if not len(masks):
        return masks, []
    return masks, [encoded.vocabulary.names[label] for label in segmenter.classify(photo, masks, encoded).labels]


def _rows(
    ways: BothWays, photo: np.ndarray, masks: np.ndarray, names: Sequence[str], single: int, columns: int
) -> list[Row]:
    maps = ways.maps(photo, masks)
    small = Image.fromarray(at_print_size(photo, columns))
    rows = []
    for mask, name, pooling, adapted in zip(masks, names, maps[POOLING].weights, maps[ADAPTER].weights, strict=True):
        chosen = differing(adapted, single)
        heat = [maps[POOLING].heat(pooling[0], small), maps[ADAPTER].heat(adapted.mean(axis=0), small)]
        heat += [maps[ADAPTER].heat(adapted[index], small) for index in chosen]
        notes = ["", "", "", *(str(index + 1) for index in chosen)]
        drawn = [np.asarray(one) for one in (small, *heat)]
        rows.append(Row(drawn, name, mask_at_print_size(mask, columns), notes))
    return rows


def differing(maps: np.ndarray, count: int) -> list[int]:
    """(M, h, w), each summing to 1 -> ``count`` of them: first the one farthest from the mean, then each time the one
    whose nearest chosen one is farthest. The distance is the weight that would have to be moved."""
    flat = maps.reshape(len(maps), -1)
    distance = 0.5 * np.abs(flat - flat.mean(axis=0)).sum(axis=1)
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(int(np.argmax(np.where(np.isin(np.arange(len(flat)), chosen), -1, distance))))
        to_last = 0.5 * np.abs(flat - flat[chosen[-1]]).sum(axis=1)
        distance = to_last if len(chosen) == 1 else np.minimum(distance, to_last)
    return chosen
