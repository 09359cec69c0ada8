"""The result of segmenting an image: masks with classes, in every form that they are asked for."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from maskadapter.errors import MaskAdapterError
from maskadapter.io import categories, image_entry, panoptic_image
from maskadapter.results import postprocessing as postprocess
from maskadapter.results.activation_maps import ActivationMaps
from maskadapter.results.coco_annotations import instance_annotations, panoptic_annotation
from maskadapter.results.formats import ENDINGS, FORMATS, check_formats
from maskadapter.results.overlay import draw_overlay, label_image
from maskadapter.results.postprocessing import Instances, PanopticMap, Segment, SemanticOrder, boxes_of
from maskadapter.results.upsampling import Upsampler
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.extras import load_extra
from maskadapter.system.json_files import write_json
from maskadapter.types import ImageSizes
from maskadapter.vocabulary import Vocabulary

if TYPE_CHECKING:
    from supervision import Detections
    from torch import Tensor

NONE = "none of them"

_MOST_DRAWN = 8  # segments on a sheet of activation maps, the largest


@dataclass(frozen=True)
class Segmentation:
    """One segmented image: plain data that can be pickled, without the model. It keeps the networks' predictions at
    their own resolution; results at the image's size are made when asked for.

    image: (H, W, 3) uint8 RGB, upright. vocabulary: the K classes.
    mask_logits: (N, h, w), proposals at the networks' resolution, covering the padded input.
    probs: (N, K + L + 1), probabilities of the classes, of the background's classes, void last; each row sums to 1.
    sizes: how the input relates to the image. background: names of L further classes that competed with the K; pixels
    that they win belong to no class.
    semantic_order, overlap_threshold: as in ``results.postprocessing``. join_touching: see the function there.
    file_name: the image's, where it came from a file; saved files are named after it.
    """

    image: np.ndarray = field(repr=False)
    vocabulary: Vocabulary = field(repr=False)
    mask_logits: "Tensor" = field(repr=False)
    probs: "Tensor" = field(repr=False)
    sizes: ImageSizes
    background: tuple[str, ...] = field(default=(), repr=False)
    semantic_order: SemanticOrder = "masks-first"
    overlap_threshold: float = 0.8
    join_touching: bool = False
    file_name: str = "image.png"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K display names; label i stands for ``class_names[i]``."""
        return self.vocabulary.names

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image and of every result."""
        return self.sizes.original

    def semantic(self) -> np.ndarray:
        """(H, W) int32: the class of every pixel, an index into ``class_names``; -1 = none of them. Read-only."""
        return self._semantic

    def panoptic(self) -> PanopticMap:
        """Segments that do not overlap, as a map and a list."""
        return postprocess.without_labels_from(self._everything, len(self.vocabulary))

    def instances(self, top: int = 100) -> Instances:
        """The things among the ``top`` best pairs of proposal and class, best first, with masks (N, H, W) bool at the
        image's size: N bytes per pixel."""
        return postprocess.instances(self._masks(), self._class_probs, self.vocabulary.is_thing, top)

    def explain(self, top: int = 5) -> list["Explanation"]:
        """The ``top`` most probable classes of every segment, largest segment first. Segments that the background won
        are among them, by the name ``NONE`` and with the background's classes."""
        names = (*self.class_names, *self.background, "(nothing)")
        explained = []
        for segment in sorted(self._everything.segments, key=lambda segment: -segment.area):
            probs = self.probs[segment.proposal].float().cpu()
            best = probs.argsort(descending=True, stable=True)[:top].tolist()
            name = self.class_names[segment.label] if segment.label < len(self.vocabulary) else NONE
            explained.append(Explanation(name, segment, tuple((names[index], float(probs[index])) for index in best)))
        return explained

    def summary(self, top: int = 5) -> dict[str, Any]:
        """The result in numbers, ready for JSON: share of every class, and the segments with their best classes."""
        labels = self.semantic()
        pixels = np.bincount((labels + 1).ravel(), minlength=len(self.vocabulary) + 1).tolist()
        return {
            "file_name": self.file_name,
            "height": self.size[0],
            "width": self.size[1],
            "classes": [
                {"label": label, "name": name, "pixels": count, "share": count / labels.size}
                for label, (name, count) in enumerate(zip(self.class_names, pixels[1:], strict=True))
            ],
            "none": {"pixels": pixels[0], "share": pixels[0] / labels.size},
            "segments": [
                {
                    "name": explained.name,
                    "is_thing": explained.segment.is_thing,
                    "area": explained.segment.area,
                    "score": explained.segment.score,
                    "classes": [{"name": name, "probability": probability} for name, probability in explained.classes],
                }
                for explained in self.explain(top)
            ],
        }

    def to_supervision(self) -> "Detections":
        """The panoptic segments as ``supervision.Detections``, with ``class_name`` in ``data``."""
        panoptic = self.panoptic()
        masks, labels = panoptic.masks(), [segment.label for segment in panoptic.segments]
        return load_supervision().Detections(
            xyxy=boxes_of(masks),
            mask=masks,
            confidence=np.array([segment.score for segment in panoptic.segments], dtype=np.float32),
            class_id=np.array(labels, dtype=int),
            data={"class_name": np.array([self.class_names[label] for label in labels], dtype=str)},
        )

    def largest_segments(self) -> list[Segment]:
        """The panoptic segments that a sheet of activation maps shows, at most 8, the largest first."""
        return sorted(self.panoptic().segments, key=lambda segment: -segment.area)[:_MOST_DRAWN]

    def save(
        self,
        folder: str | Path,
        formats: str | Sequence[str] = ("overlay", "labels"),
        stem: str | None = None,
        activation_maps: ActivationMaps | None = None,
    ) -> list[Path]:
        """Write results into ``folder``, made if needed, and return their paths: ``stem``, by default the image's name,
        and what ``ENDINGS`` has for the format.

        ``overlay``: the image with its segments drawn over it. ``labels``: value = index + 1 and 0 = none, 8 bit (16
        bit above 255 classes), and the classes as JSON. ``panoptic``: PNG and JSON as COCO has them. ``coco``: COCO
        instances with run-length masks and scores. Category ids: index + 1. ``summary``: see there. ``activations``:
        where the model pooled for the largest segments, from ``model.activation_maps(image, result)``.
        Raises MaskAdapterError for an unknown format, missing activation maps, a folder that cannot be written.
        """
        formats = check_formats(formats)
        if "activations" in formats:
            if activation_maps is None:
                todo = "give activation_maps=model.activation_maps(image, result)"
                raise MaskAdapterError(f"activations need activation maps: {todo}")
            if (count := len(activation_maps.weights)) != (needed := len(self.largest_segments())):
                todo = "give those of model.activation_maps(image, result) of this result"
                raise MaskAdapterError(f"{count} activation maps came for {needed} segments: {todo}")
        stem = stem or Path(self.file_name).stem
        return [
            _write(Path(folder) / f"{stem}{ending}", content)
            for name in filter(formats.__contains__, FORMATS)
            for ending, content in zip(ENDINGS[name], self._contents(name, stem, activation_maps), strict=True)
        ]

    def _contents(self, format: str, stem: str, activation_maps: Any) -> tuple[Any, ...]:
        """An image or an object for JSON for each of the format's files."""
        match format:
            case "overlay":
                return (draw_overlay(self.image, self.semantic(), self.class_names),)
            case "labels":
                values = {str(value): name for value, name in enumerate(self.class_names, start=1)}
                return label_image(self.semantic(), len(self.vocabulary)), values
            case "panoptic":
                panoptic = self.panoptic()
                annotation = panoptic_annotation(panoptic, f"{Path(stem).name}-panoptic.png")
                return panoptic_image(panoptic.ids), self._coco([annotation])
            case "coco":
                found = postprocess.instance_masks(self._masks(), self._class_probs, self.vocabulary.is_thing)
                return (self._coco(instance_annotations(found)),)
            case "summary":
                return (self.summary(),)
            case _:
                largest = self.largest_segments()
                names = [self.class_names[segment.label] for segment in largest]
                return (activation_maps.drawn(self.image, self.panoptic().masks(largest), names),)

    def _coco(self, annotations: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "images": [image_entry(self.file_name, self.size)],
            "annotations": annotations,
            "categories": categories(self.class_names, self.vocabulary.is_thing),
        }

    @property
    def _class_probs(self) -> "Tensor":
        """Probabilities without the background's: (N, K + 1)."""
        return self.probs[:, [*range(len(self.vocabulary)), -1]]

    @cached_property
    def _everything(self) -> PanopticMap:
        """The panoptic result including the background's segments."""
        is_thing = (*self.vocabulary.is_thing, *(False for _ in self.background))
        panoptic = postprocess.panoptic_map(self._masks(), self.probs, is_thing, self.overlap_threshold)
        return postprocess.join_touching(panoptic) if self.join_touching else panoptic

    @cached_property
    def _semantic(self) -> np.ndarray:
        labels = postprocess.semantic_map(self._masks(), self.probs, self.semantic_order)
        labels[labels >= len(self.vocabulary)] = -1
        labels.flags.writeable = False  # every caller gets the same array
        return labels

    def _masks(self) -> Upsampler:
        return Upsampler(self.mask_logits, self.sizes)


@dataclass(frozen=True)
class Explanation:
    """The most probable classes of one segment, best first, with probabilities from 0 to 1; "(nothing)" is void. name:
    the segment's class, or ``NONE``."""

    name: str
    segment: Segment
    classes: tuple[tuple[str, float], ...]


def load_supervision() -> Any:
    """Import supervision without its warning that OpenCV is missing, which it can do without; MaskAdapterError where
    supervision is not installed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="OpenCV .* is not installed", category=UserWarning)
        return load_extra("supervision", "label")


def _write(path: Path, content: Any) -> Path:
    if not isinstance(content, Image.Image):
        return write_json(path, content)
    with write_atomically(path) as temporary:
        content.save(temporary, format="PNG")
    return path
