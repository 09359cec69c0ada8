"""Draw the same images segmented into the classes of several vocabularies. Source: paper, figure 11."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskadapter.errors import MaskAdapterError
from maskadapter.hub import ModelSource, load
from maskadapter.io import find_image_files
from maskadapter.models.sources import masks_from
from maskadapter.paper.figures.gallery_figure import overlay_at_print_size
from maskadapter.paper.figures.image_grid import MOST_ROWS, Row, at_print_size, image_grid
from maskadapter.paper.figures.model_columns import FCCLIP, SAM
from maskadapter.paper.figures.page import check_no_input, check_output
from maskadapter.vocabulary import BACKGROUND, Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

MOST_VOCABULARIES = 5


def figure11(
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    classes: Sequence[Any],
    masks: str = SAM,
    background: Any = BACKGROUND,
    model: str | Path | ModelSource = FCCLIP,
    device: str = "cpu",
) -> "Figure":
    """Draw a row for every image: the image, and its masks classified by every vocabulary, from one pass of the model.

    images: as ``find_image_files`` takes them; those of COCO-Stuff in the paper. output: .png, .pdf or .svg.
    classes: 1 to 5 vocabularies, each as ``Vocabulary.of`` takes it, a column each.
    masks: a source of masks as ``--masks`` names it, ``sam:NAME`` with its options, or a file of masks.
    background: classes that compete with the others, as ``segment`` takes them.
    model: as ``load`` takes it. device: where to compute.

    Returns the figure, which is also in the file. Raises MaskAdapterError: more than 20 images, no vocabulary, too
    many, and what ``find_image_files``, ``Vocabulary.of`` and ``load`` raise.
    """
    path = check_output(output)
    vocabularies = vocabularies_by_title(classes)
    found = find_image_files(images)
    check_no_input(path, [masks, *(image.source for image in found)])
    if len(found) > MOST_ROWS:
        raise MaskAdapterError(f"{len(found)} images were given; at most {MOST_ROWS} fit into a figure")
    logger.info("loading the model")
    segmenter, given = load(ModelSource.of(model), device=device), masks_from(masks, device)
    encoded = {title: segmenter.encode_text(vocabulary) for title, vocabulary in vocabularies.items()}
    titles, rows = ["image", *vocabularies], []
    for number, image in enumerate(found, start=1):
        logger.info("image %d of %d", number, len(found))
        once = segmenter.encode_image(image.source, given)
        small = at_print_size(once.image, len(titles))
        panels = [small]
        for title, text in encoded.items():
            labels = segmenter.segment(once, text, background=background).semantic()
            panels.append(overlay_at_print_size(small, labels, vocabularies[title].names, len(titles)))
        rows.append(Row(panels))
    return image_grid(rows, titles, path)


def vocabularies_by_title(classes: Sequence[Any]) -> Mapping[str, Vocabulary]:
    """Return vocabularies by the titles of their columns: the name of a built-in list, else the classes."""
    if not 1 <= len(classes) <= MOST_VOCABULARIES:
        raise MaskAdapterError(f"{len(classes)} vocabularies were given; 1 to {MOST_VOCABULARIES} fit into a figure")
    found = [Vocabulary.of(one) for one in classes]
    titles = [one.name or ", ".join(one.names) for one in found]
    if len(set(titles)) < len(titles):
        raise MaskAdapterError(f"two vocabularies are the same: {', '.join(titles)[:100]}")
    return dict(zip(titles, found, strict=True))
