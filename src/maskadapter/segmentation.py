"""What the user gets back: a segmented picture, or named masks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from maskadapter import coco, postprocess
from maskadapter.errors import MaskAdapterError
from maskadapter.files import write_atomically
from maskadapter.postprocess import Instances, PanopticMap, SemanticOrder
from maskadapter.resampling import Enlarger, Frame
from maskadapter.visualize import draw_overlay, label_image
from maskadapter.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = ("overlay", "labels", "panoptic", "coco")


def check_formats(formats: str | Sequence[str]) -> list[str]:
    """The names in ``formats``, a sequence or words between commas; MaskAdapterError for one that is not known."""
    names = [name.strip() for name in formats.split(",")] if isinstance(formats, str) else list(formats)
    for name in names:
        if name not in FORMATS:
            raise MaskAdapterError(f"unknown format '{name}': choose from {', '.join(FORMATS)}")
    return names


@dataclass(frozen=True)
class Segmentation:
    """One segmented picture. It keeps what the networks said at their own resolution; results are made when asked for.

    image: (H, W, 3) uint8 RGB, the picture, upright.
    vocabulary: the K classes.
    mask_logits: (N, h, w), proposals at the generator's resolution, covering the padded input.
    probs: (N, K + 1), each proposal's class probabilities, void last; rows sum to 1.
    frame: how the input relates to the picture.
    semantic_order, overlap_threshold: as in ``maskadapter.postprocess``.
    file_name: the picture's, where it came from a file; saved files are called after it.
    """

    image: np.ndarray = field(repr=False)
    vocabulary: Vocabulary = field(repr=False)
    mask_logits: "Tensor" = field(repr=False)
    probs: "Tensor" = field(repr=False)
    frame: Frame
    semantic_order: SemanticOrder = "masks-first"
    overlap_threshold: float = 0.8
    file_name: str = "picture.png"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K display names; label i stands for ``class_names[i]``."""
        return self.vocabulary.names

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture and of every result."""
        return self.frame.picture

    def semantic(self) -> np.ndarray:
        """(H, W) int32: the class of every pixel, an index into ``class_names``; -1 = none of them. Read-only."""
        return self._semantic

    def panoptic(self) -> PanopticMap:
        """Every pixel to one segment: ids (H, W) int32, 0 = none, and the list of segments."""
        return postprocess.panoptic_map(self._masks(), self.probs, self.vocabulary.is_thing, self.overlap_threshold)

    def instances(self, top: int = 100) -> Instances:
        """The things among the ``top`` best pairs of proposal and class: masks (N, H, W) bool, boxes xyxy, labels and
        scores, best first. All masks are at the picture's size: N bytes per pixel."""
        return postprocess.instances(self._masks(), self.probs, self.vocabulary.is_thing, top)

    def save(
        self, folder: str | Path, formats: str | Sequence[str] = ("overlay", "labels"), stem: str | None = None
    ) -> list[Path]:
        """Write results into ``folder``, made if needed, and return their paths. ``stem``: instead of the
        picture's own name.

        ``overlay``: ``<stem>-overlay.png``, the picture with its segments drawn over it. ``labels``:
        ``<stem>-labels.png``, value = index + 1 and 0 = none, 8 bit (16 bit above 255 classes), and
        ``<stem>-classes.json``. ``panoptic``: ``<stem>-panoptic.png`` and ``<stem>-panoptic.json`` as COCO has them.
        ``coco``: ``<stem>-instances.json``, COCO instances with run-length masks and scores. Category ids: index + 1.
        Raises MaskAdapterError for an unknown format or a folder that cannot be written.
        """
        formats = check_formats(formats)
        stem = stem or Path(self.file_name).stem
        folder = Path(folder)
        written = []
        if "overlay" in formats:
            written.append(
                _write_png(folder / f"{stem}-overlay.png", draw_overlay(self.image, self.semantic(), self.class_names))
            )
        if "labels" in formats:
            labels = label_image(self.semantic(), len(self.vocabulary))
            written.append(_write_png(folder / f"{stem}-labels.png", labels))
            values = {str(value): name for value, name in enumerate(self.class_names, start=1)}
            written.append(coco.write_json(folder / f"{stem}-classes.json", values))
        if "panoptic" in formats:
            written += self._write_panoptic(folder, stem)
        if "coco" in formats:
            written.append(self._write_instances(folder, stem))
        return written

    def _write_panoptic(self, folder: Path, stem: str) -> list[Path]:
        panoptic = self.panoptic()
        picture = _write_png(folder / f"{stem}-panoptic.png", coco.panoptic_picture(panoptic.ids))
        content = {
            "images": [coco.image_entry(self.file_name, self.size)],
            "annotations": [coco.panoptic_annotation(panoptic, picture.name)],
            "categories": coco.categories(self.class_names, self.vocabulary.is_thing),
        }
        return [picture, coco.write_json(folder / f"{stem}-panoptic.json", content)]

    def _write_instances(self, folder: Path, stem: str) -> Path:
        content = {
            "images": [coco.image_entry(self.file_name, self.size)],
            "annotations": coco.instance_annotations(self.instances()),
            "categories": coco.categories(self.class_names, self.vocabulary.is_thing),
        }
        return coco.write_json(folder / f"{stem}-instances.json", content)

    @cached_property
    def _semantic(self) -> np.ndarray:
        labels = postprocess.semantic_map(self._masks(), self.probs, self.semantic_order)
        labels.flags.writeable = False  # every caller gets the same array
        return labels

    def _masks(self) -> Enlarger:
        return Enlarger(self.mask_logits, self.frame)


@dataclass(frozen=True)
class Classification:
    """Names for given masks. probs: (N, K) float32, each row sums to 1, over ``class_names``."""

    vocabulary: Vocabulary = field(repr=False)
    probs: np.ndarray

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K display names."""
        return self.vocabulary.names

    @property
    def labels(self) -> np.ndarray:
        """(N,) int: the best class of every mask."""
        return self.probs.argmax(axis=1)

    @property
    def scores(self) -> np.ndarray:
        """(N,) float32, 0 to 1: the probability of the best class."""
        return self.probs.max(axis=1)


def _write_png(path: Path, picture: Image.Image) -> Path:
    with write_atomically(path) as temporary:
        picture.save(temporary, format="PNG")
    return path
