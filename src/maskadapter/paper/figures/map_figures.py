"""Draw where Mask-Adapter pools CLIP's features for a mask. Source: paper, figures 4 and 6."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from PIL import Image

from maskadapter.errors import MaskAdapterError
from maskadapter.hub import ModelSource
from maskadapter.models.poolers import AdapterPooler
from maskadapter.paper.figures.image_grid import MOST_ROWS, Row, at_print_size, image_grid, mask_at_print_size
from maskadapter.paper.figures.model_columns import FCCLIP, FIGURE6, adapters_by_title
from maskadapter.paper.figures.page import check_output
from maskadapter.paper.figures.pooler_comparison import ADAPTER, POOLING, PoolerComparison
from maskadapter.paper.figures.shown_masks import MaskChoice
from maskadapter.results import ActivationMaps
from maskadapter.vocabulary import BACKGROUND

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

MOST_MASKS = 8
"""Masks of one image beside each other."""
_FADED = 0.75  # how much white covers what is outside of a mask


def figure4(
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    masks: Any = None,
    classes: Any = None,
    background: Any = BACKGROUND,
    top: int = 4,
    single: int = 0,
    pooling: bool = False,
    model: str | Path | ModelSource = FCCLIP,
    device: str = "cpu",
) -> "Figure":
    """Draw for every image the means of the adapter's maps above, and the masks that they belong to below.

    Every map is scaled to its own highest weight.

    images: as ``find_image_files`` takes them. output: .png, .pdf or .svg.
    masks: as ``classify`` takes them; for several images a COCO file with the masks of all. Without masks, the segments
        that ``segment`` finds for the ``classes``, as ``Vocabulary.of`` takes them; with masks, these are classified,
        or numbered where there are no classes.
    background: classes that compete with the others, as ``segment`` takes them.
    top: how many masks of each image, the largest first, 1 to 8.
    single: how many rows of single maps follow the means, 0 to 4: those that differ most from the mean.
    pooling: whether a row with the weights of mask pooling follows.
    model: as ``load`` takes it; it needs an adapter. device: where to compute.

    Returns the figure, which is also in the file. Raises MaskAdapterError: neither masks nor classes, nothing found,
    more than 20 rows, and what ``find_image_files``, ``mask_parts``, ``Vocabulary.of``, ``load`` raise.
    """
    path = check_output(output)
    if not 1 <= top <= MOST_MASKS or not 0 <= single <= 4:
        raise MaskAdapterError(f"top is {top}, single {single}; 1 to {MOST_MASKS} masks and 0 to 4 single maps fit")
    choice = MaskChoice(images, masks, classes, background, top, MOST_ROWS // (2 + single + pooling), path)
    logger.info("loading the model")
    comparison = PoolerComparison.load({ADAPTER: ModelSource.of(model)}, device)
    drawn = []
    for shown in choice.of(comparison.segmenter):
        # Their size in print depends on the most masks of an image, which shows at the end.
        large = [mask_at_print_size(mask, 1) for mask in shown.masks]
        drawn.append((at_print_size(shown.photo, 1), large, shown.labels, comparison.maps(shown.photo, shown.masks)))
    columns = max(len(labels) for _, _, labels, _ in drawn)
    rows = []
    for photo, large, labels, maps in drawn:
        small, outlines = at_print_size(photo, columns), [mask_at_print_size(mask, columns) for mask in large]
        empty = [None] * (columns - len(labels))
        for title, panels in _map_rows(maps, single, pooling):
            heat = [of.heat(weights, Image.fromarray(small)) for of, weights, _ in panels]
            notes = [note for _, _, note in panels]
            rows.append(Row([*map(np.asarray, heat), *empty], title, outlines, notes))
        rows.append(Row([*(_faded(small, mask) for mask in outlines), *empty], "mask", outlines, labels))
    return image_grid(rows, [""] * columns, path)


class _Panel(NamedTuple):
    """One map (h, w) of one mask, and a note for its corner."""

    maps: ActivationMaps
    weights: np.ndarray
    note: str


def _map_rows(maps: dict[str, ActivationMaps], single: int, pooling: bool) -> list[tuple[str, list[_Panel]]]:
    """Return for each row of maps its title and a panel for each mask."""
    adapted = maps[ADAPTER]
    rows = [(ADAPTER, [_Panel(adapted, of_mask.mean(axis=0), "") for of_mask in adapted.weights])]
    count = adapted.weights.shape[1]
    chosen = [most_different(of_mask, min(single, count - 1)) for of_mask in adapted.weights]  # one is its own mean
    for numbers in zip(*chosen, strict=True):
        panels = [
            _Panel(adapted, of_mask[number], f"map {number + 1}")
            for of_mask, number in zip(adapted.weights, numbers, strict=True)
        ]
        rows.append(("single map", panels))
    if pooling:
        rows.append((POOLING, [_Panel(maps[POOLING], of_mask[0], "") for of_mask in maps[POOLING].weights]))
    return rows


def figure6(
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    masks: Any = None,
    classes: Any = None,
    background: Any = BACKGROUND,
    top: int = 1,
    single: int = 3,
    models: Sequence[str | Path] = FIGURE6,
    device: str = "cpu",
) -> "Figure":
    """Draw a row for every mask: the mask, and by every model its one map, or the mean of its maps and single ones.

    Every map is scaled to its own highest weight.

    images, output, masks, classes, background: as in ``figure4``. top: how many masks of each image.
    single: how many single maps of a model with several, 0 to 4: those that differ most from the mean.
    models: 1 to 3, each as ``load`` takes it, with an adapter; all of one CLIP. The first finds the segments.
        ``LABEL=`` before it is its title. The paper's are trained by recipes/table10/1-map
        and table1/fcclip-large-warmup. device: where to compute.

    Returns the figure, which is also in the file. Raises MaskAdapterError as ``figure4``, and where the CLIPs differ.
    """
    path = check_output(output)
    if top < 1 or not 0 <= single <= 4:
        raise MaskAdapterError(f"top is {top}, single {single}; at least 1 mask and 0 to 4 single maps are needed")
    sources = adapters_by_title(models)
    choice = MaskChoice(images, masks, classes, background, min(top, MOST_ROWS + 1), MOST_ROWS, path)
    logger.info("loading the models")
    comparison = PoolerComparison.load(sources, device)
    counts = {title: cast(AdapterPooler, comparison.poolers[title]).adapter.config.num_maps for title in sources}
    titles, chosen = ["mask"], {title: min(single, count - 1) for title, count in counts.items()}
    for title, count in counts.items():
        titles += [f"{title}: mean of {count}" if count > 1 else title, *["single map"] * chosen[title]]
    rows: list[Row] = []
    for shown in choice.of(comparison.segmenter):
        if len(rows) + len(shown.labels) > MOST_ROWS:
            raise MaskAdapterError(f"more than {MOST_ROWS} rows do not fit into a figure: lower top, or give fewer")
        maps = comparison.maps(shown.photo, shown.masks)
        small = at_print_size(shown.photo, len(titles))
        for number, (mask, label) in enumerate(zip(shown.masks, shown.labels, strict=True)):
            outline = mask_at_print_size(mask, len(titles))
            panels, notes = [_faded(small, outline)], [""]
            for title in sources:
                of_mask = maps[title].weights[number]
                several = most_different(of_mask, chosen[title])
                heat = [of_mask.mean(axis=0), *of_mask[several]]
                panels += [np.asarray(maps[title].heat(one, Image.fromarray(small))) for one in heat]
                notes += ["", *(f"map {one + 1}" for one in several)]
            rows.append(Row(panels, label, [outline] * len(panels), notes))
    return image_grid(rows, titles, path)


def _faded(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photo (H, W, 3) uint8, white outside of the mask (H, W) bool, but for a trace."""
    faded = _FADED * 255 + (1 - _FADED) * photo
    return np.where(mask[..., None], photo, faded.astype(np.uint8))


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
