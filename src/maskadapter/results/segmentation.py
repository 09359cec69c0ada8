"""The result of segmenting an image: masks with classes, in every form that they are asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from maskadapter.errors import MaskAdapterError
from maskadapter.io import categories, coco_info, image_entry, panoptic_image
from maskadapter.results import postprocessing as postprocess
from maskadapter.results.activation_maps import ActivationMaps
from maskadapter.results.coco_annotations import instance_annotations, panoptic_annotation, segment_annotations
from maskadapter.results.colors import colors_of
from maskadapter.results.counting import pixel_counts
from maskadapter.results.mask_votes import mask_votes
from maskadapter.results.overlay import check_label_image, label_image
from maskadapter.results.postprocessing import Instances, PanopticMap, SemanticOrder, boxes_of
from maskadapter.results.result import Result
from maskadapter.results.result_segment import NONE, ResultSegment, filtered, masks_of, painted
from maskadapter.results.saving import ENDINGS, FORMATS, check_formats, write_file
from maskadapter.results.upsampling import Upsampler
from maskadapter.system.paths import user_path
from maskadapter.types import CompactMask, ImageSizes
from maskadapter.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

_MOST_DRAWN = 8  # segments on a sheet of activation maps, the largest


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation(Result):
    """One segmented image, a sequence of segments: plain data that can be pickled, without the model. It keeps the
    networks' predictions at their own resolution; results at the image's size are made when asked for.

    image: (H, W, 3) uint8 RGB, upright. vocabulary: the K classes.
    mask_logits: (N, h, w), proposals at the networks' resolution, covering the padded input; int8 where that holds them
        exactly.
    probs: (N, K + L + 1), probabilities of the classes, of the background's classes, void last; each row sums to 1.
    sizes: how the input relates to the image. background: names of L further classes that competed with the K; pixels
    that they win belong to no class. background_list: name of the built-in list that they are from, where it is one.
    semantic_order, overlap_threshold: as in ``results.postprocessing``. join_touching: see the function there.
    file_name: the image's, where it came from a file; saved files are named after it.
    fixed: the segments where they do not follow from the proposals: masks that were given, each a segment of its own,
        or what ``filter`` kept. They may overlap; ``mask_logits`` is of no masks then.
    estimated: (N,) bool, the proposals whose mask embedding was not computed but estimated, where the model pruned
        proposals; all false where all were computed, as they are where estimates turned out wrong. None: not pruned.
    """

    image: np.ndarray
    vocabulary: Vocabulary
    mask_logits: "Tensor"
    probs: "Tensor"
    sizes: ImageSizes
    background: tuple[str, ...] = ()
    semantic_order: SemanticOrder = "masks-first"
    overlap_threshold: float = 0.8
    join_touching: bool = False
    file_name: str = "image.png"
    background_list: str | None = None
    fixed: tuple[ResultSegment, ...] | None = None
    estimated: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}; background: {self.background_list or len(self.background) or 'none'})"

    @property
    def segments(self) -> tuple[ResultSegment, ...]:
        """Those of ``panoptic()``; of given masks one for each, which may overlap, numbered as they were given."""
        return self._with_background[: len(self._panoptic.segments)] if self.fixed is None else self.fixed

    def filter(self, score: float = 0.0, classes: Any = None) -> "Segmentation":
        """The result with some of its segments alone, which keep their ids. Everything follows from them then:
        ``semantic()`` is the class of each pixel's segment, ``instances()`` are the things among them.

        score: 0 to 1, the least. classes: whatever ``Vocabulary.of`` takes; None keeps all classes. Raises
        MaskAdapterError for a name that no class has."""
        kept = filtered(self.segments, self.vocabulary, score, classes)
        return replace(self, fixed=kept, mask_logits=self.mask_logits.new_zeros(0, *self.mask_logits.shape[1:]))

    def semantic(self) -> np.ndarray:
        """(H, W) int32: the class of every pixel, an index into ``class_names``; -1 = none of them. Read-only. Of
        given masks: the class with the largest sum of probabilities over the masks that the pixel lies in, -1 where
        it lies in none."""
        return self._semantic

    def label_map(self) -> np.ndarray:
        """As ``semantic()``."""
        return self._semantic

    def semantic_scores(self) -> np.ndarray:
        """(K, H, W) float32: the score of every class at every pixel, from which ``semantic()`` takes the highest,
        unless one of the background's is higher: the sum over proposals of class probability times mask probability.
        Given masks count with exactly their pixels. 4 K bytes per pixel."""
        count = len(self.vocabulary)
        scores = np.zeros((count, *self.size), np.float32)
        if self.fixed is not None:
            regions, votes = self._votes(self.fixed)
            for score, vote in zip(scores, votes.T[:count], strict=True):
                score[:] = vote[regions]
        elif len(self.probs):
            for rows, tile in postprocess.semantic_scores(self._upsampler(), self.probs, self.semantic_order):
                scores[:, rows] = tile[:count].float().cpu().numpy()
        return scores

    def panoptic(self) -> PanopticMap:
        """Segments that do not overlap, as a map and a list. Of given masks, overlapped pixels go to the smaller."""
        return self._panoptic

    def instances(self, top: int = 100) -> Instances:
        """The things among the ``top`` best pairs of proposal and class, best first, with masks (N, H, W) bool at the
        image's size: N bytes per pixel. Of given masks: those whose class is a thing, at most ``top``."""
        if self.fixed is None:
            return postprocess.instances(self._upsampler(), self._class_probs, self.vocabulary.is_thing, top)
        things = sorted((one for one in self.fixed if one.is_thing), key=lambda one: -one.score)[:top]
        masks = masks_of(things, self.size)
        labels = np.array([one.label for one in things], np.int64)
        return Instances(masks, boxes_of(masks), labels, np.array([one.score for one in things], np.float32))

    def explain(self, top: int = 5) -> list["Explanation"]:
        """The ``top`` most probable classes of every segment, largest segment first. Segments that the background won
        are among them, by the name ``NONE``, with ids after the others and with the background's classes."""
        segments = self._with_background if self.fixed is None else self.fixed
        return [
            Explanation(one.class_name, one, tuple(one.top(top)))
            for one in sorted(segments, key=lambda segment: -segment.area)
        ]

    def summary(self, top: int = 5) -> dict[str, Any]:
        """The result in numbers, ready for JSON: share of every class, and the segments with their best classes."""
        labels = self.semantic()
        pixels = pixel_counts(labels, -1, len(self.vocabulary) + 1).tolist()
        return {
            "file_name": self.file_name,
            "height": self.size[0],
            "width": self.size[1],
            "background": self.background_text,
            "pruning": self.pruning_text,
            "classes": [
                {"label": label, "name": name, "pixels": count, "share": count / labels.size}
                for label, (name, count) in enumerate(zip(self.class_names, pixels[1:], strict=True))
            ],
            "none": {"pixels": pixels[0], "share": pixels[0] / labels.size},
            "segments": [
                {
                    "id": one.segment.id,
                    "name": one.name,
                    "is_thing": one.segment.is_thing,
                    "area": one.segment.area,
                    "score": one.segment.score if one.segment.area else None,  # JSON has no NaN
                    "classes": [{"name": name, "probability": probability} for name, probability in one.classes],
                }
                for one in self.explain(top)
            ],
        }

    @property
    def background_text(self) -> str:
        """What competed with the classes: the name of a built-in list, the names of one's own, or "none"."""
        return self.background_list or ", ".join(self.background) or "none"

    @property
    def pruning_text(self) -> str | None:
        """How many proposals were estimated, or that all were computed; None where none were pruned."""
        if self.estimated is None:
            return None
        if not self.estimated.any():
            return f"all {len(self.estimated)} proposals were computed, none is estimated"
        return f"{self.estimated.sum()} of {len(self.estimated)} proposals were estimated"

    def largest_segments(self) -> list[ResultSegment]:
        """The segments with a class that a sheet of activation maps shows, at most 8, the largest first."""
        shown = [segment for segment in self.segments if segment.label >= 0]
        return sorted(shown, key=lambda segment: -segment.area)[:_MOST_DRAWN]

    def save(
        self,
        folder: str | Path,
        formats: str | Sequence[str] = ("overlay", "labels"),
        stem: str | None = None,
        activation_maps: ActivationMaps | None = None,
    ) -> list[Path]:
        """Write results into ``folder``, made if needed, and return their paths: ``stem``, by default the image's name,
        and what ``ENDINGS`` has for the format.

        ``overlay``: the image with its segments drawn over it. ``labels``: value = index + 1 and 0 = none, 8 bit with
        a palette (16 bit without one above 255 classes), and the classes as JSON. ``panoptic``: PNG and JSON as COCO
        has them. ``coco``: COCO instances with run-length masks and scores; of given masks one for each that has a
        class, under its id. Category ids: index + 1. ``summary``: see there. ``activations``: where the model pooled
        for the largest segments, from ``model.activation_maps(image, result)``.
        Raises MaskAdapterError for an unknown format, missing activation maps, more classes than ``labels`` has values
        for, a folder that cannot be written.
        """
        formats, folder = check_formats(formats), user_path(folder, MaskAdapterError)
        if "labels" in formats:
            check_label_image(len(self.vocabulary))
        if "activations" in formats:
            if activation_maps is None:
                todo = "give activation_maps=model.activation_maps(image, result)"
                raise MaskAdapterError(f"activations need activation maps: {todo}")
            if (count := len(activation_maps.weights)) != (needed := len(self.largest_segments())):
                todo = "give those of model.activation_maps(image, result) of this result"
                raise MaskAdapterError(f"{count} activation maps came for {needed} segments: {todo}")
        stem = stem or Path(self.file_name).stem
        return [
            write_file(folder / f"{stem}{ending}", content)
            for name in filter(formats.__contains__, FORMATS)
            for ending, content in zip(ENDINGS[name], self._contents(name, stem, activation_maps), strict=True)
        ]

    def _contents(self, format: str, stem: str, activation_maps: Any) -> tuple[Any, ...]:
        """An image or an object for JSON for each of the format's files."""
        match format:
            case "overlay":
                return (self.overlay(),)
            case "labels":
                values = {str(value): name for value, name in enumerate(self.class_names, start=1)}
                return label_image(self.semantic(), self.class_names), values
            case "panoptic":
                panoptic = self.panoptic()
                annotation = panoptic_annotation(panoptic, f"{Path(stem).name}-panoptic.png")
                return panoptic_image(panoptic.ids), self._coco([annotation])
            case "coco" if self.fixed is not None:
                return (self._coco(segment_annotations(self.fixed)),)
            case "coco":
                found = postprocess.instance_masks(self._upsampler(), self._class_probs, self.vocabulary.is_thing)
                return (self._coco(instance_annotations(found)),)
            case "summary":
                return (self.summary(),)
            case _:
                largest = self.largest_segments()
                names, palette = [one.class_name for one in largest], colors_of(self.class_names)
                colors = [palette[one.label] for one in largest]
                return (activation_maps.drawn(self.image, masks_of(largest, self.size), names, colors),)

    def _coco(self, annotations: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            **coco_info(),
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
        """The panoptic result including the background's segments, whose ids come last."""
        is_thing = (*self.vocabulary.is_thing, *(False for _ in self.background))
        panoptic = postprocess.panoptic_map(self._upsampler(), self.probs, is_thing, self.overlap_threshold)
        panoptic = postprocess.join_touching(panoptic) if self.join_touching else panoptic
        return postprocess.labels_last_from(panoptic, len(self.vocabulary))

    @cached_property
    def _panoptic(self) -> PanopticMap:
        if self.fixed is not None:
            panoptic = painted(self.fixed, self.size)
        else:
            panoptic = postprocess.without_labels_from(self._everything, len(self.vocabulary))
        panoptic.ids.flags.writeable = False  # every caller gets the same array
        return panoptic

    @cached_property
    def _with_background(self) -> tuple[ResultSegment, ...]:
        """The panoptic segments, then those that the background won."""
        return tuple(self._panoptic_segments())

    def _panoptic_segments(self) -> Iterator[ResultSegment]:
        names, probs = (*self.class_names, *self.background, "(nothing)"), self.probs.float().cpu().numpy()
        ids, count = self._everything.ids, len(self.vocabulary)
        for one, inside in zip(self._everything.segments, ndimage.find_objects(ids), strict=True):
            mask = CompactMask.in_box(ids[inside] == one.id, inside, self.size)
            label, name = (one.label, names[one.label]) if one.label < count else (-1, NONE)
            row = probs[one.proposal]
            yield ResultSegment(one.id, label, name, one.is_thing, one.score, mask, one.proposal, row, names)

    @cached_property
    def _semantic(self) -> np.ndarray:
        if self.fixed is not None:
            regions, votes = self._votes(self.fixed)
            labels = np.where(votes.any(axis=1), votes.argmax(axis=1), -1).astype(np.int32)[regions]
        else:
            labels = postprocess.semantic_map(self._upsampler(), self.probs, self.semantic_order)
        labels[labels >= len(self.vocabulary)] = -1
        labels.flags.writeable = False  # every caller gets the same array
        return labels

    def _votes(self, segments: tuple[ResultSegment, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Regions (H, W) and the sums of the classes' and the background's probabilities there, see ``mask_votes``."""
        probs = np.array([one.probs[:-1] for one in segments], np.float32).reshape(-1, self.probs.shape[1] - 1)
        return mask_votes([one.compact for one in segments], probs, self.size)

    def _upsampler(self) -> Upsampler:
        return Upsampler(self.mask_logits, self.sizes)


@dataclass(frozen=True)
class Explanation:
    """The most probable classes of one segment, best first, with probabilities from 0 to 1; "(nothing)" is void. name:
    the segment's class, or ``NONE``."""

    name: str
    segment: ResultSegment
    classes: tuple[tuple[str, float], ...]
