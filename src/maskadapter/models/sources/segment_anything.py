"""SAM and its kin as a mask source: masks of everything in an image, without classes.

A grid of points prompts transformers' network for masks; kept are those with a high predicted IoU that hardly change
when their threshold is moved, and of several with nearly the same box the best. Source: Kirillov et al. 2023, appendix
B; paper, section 4.4, table 8 and appendix C."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from maskadapter.errors import MaskAdapterError
from maskadapter.io import decode_segmentation, encode_mask
from maskadapter.models.sources.pretrained import pretrained
from maskadapter.models.sources.sam_options import SamOptions

_GRID = 224  # blocks along the longer side: the masks' resolution in an input of 896 pixels at stride 4
_SMALLEST = 0.001  # share of the image


class SegmentAnything:
    """A mask source. network: of transformers' mask generation family (SAM, SAM-HQ, SAM 2, SAM 3's tracker, EdgeTAM).
    processor: its image processor. options: see ``SamOptions``."""

    def __init__(self, network: nn.Module, processor: Any, options: SamOptions | None = None) -> None:
        self.network: Any = network
        self.processor, self.options = processor, options or SamOptions()

    @classmethod
    def from_pretrained(
        cls, name: str, options: SamOptions | None = None, device: str | torch.device = "cpu"
    ) -> "SegmentAnything":
        """Load a model from the Hugging Face hub (``facebook/sam-vit-huge``) or a folder; raises as ``pretrained``."""
        network, processor = pretrained(name, "AutoModelForMaskGeneration", "SAM, SAM 2, SAM 3, SAM-HQ, EdgeTAM")
        return cls(network.to(device), processor, options)

    def __call__(self, image: np.ndarray) -> list[dict[str, Any]]:
        """Annotations with run lengths of an image (H, W, 3) uint8 RGB, the best first, then ``unmasked_regions``."""
        runs, size = self.masks(image)[0], (image.shape[0], image.shape[1])
        if self.options.unmasked_regions:
            decoded = (decode_segmentation(one, size) for one in runs)
            runs = [*runs, *map(encode_mask, unmasked_regions(decoded, size))]
        return [{"segmentation": one} for one in runs]

    @torch.no_grad()
    def masks(self, image: np.ndarray) -> tuple[list[Mapping[str, Any]], Tensor]:
        """SAM's own masks of an image (H, W, 3) uint8 RGB, the best first: N run lengths, COCO's, and predicted IoU."""
        answers = list(self._answers(image))
        runs, ious = [run for some, _, _ in answers for run in some], torch.cat([scores for _, scores, _ in answers])
        best = distinct(torch.cat([boxes for _, _, boxes in answers]), ious, self.options.box_nms_thresh)
        kept = [index for index in best if sum(runs[index]["counts"][1::2]) >= self.options.min_mask_region_area]
        return [runs[index] for index in kept], ious[kept]

    def _answers(self, image: np.ndarray) -> Iterator[tuple[list[Mapping[str, Any]], Tensor, Tensor]]:
        """Answers to some points at a time: masks as run lengths, (n,) scores, (n, 4) boxes xyxy in pixels."""
        options, processor = self.options, self.processor
        thresholds = options.model_dump(include={"pred_iou_thresh", "stability_score_thresh"})
        parameter = next(self.network.parameters())
        target = processor.size.get("longest_edge", processor.size.get("height"))
        crops_of = {"crop_n_layers": options.crop_n_layers, "points_per_crop": options.points_per_side}
        # It wants an array that may be written to.
        try:
            boxes, points, crops, labels = processor.generate_crop_boxes(image.copy(), target, **crops_of)
        except RuntimeError as error:
            if not options.crop_n_layers:
                raise
            raise MaskAdapterError("crop_n_layers needs transformers 5.21 or newer, or leave it at 0") from error
        for number, (box, crop) in enumerate(zip(boxes, crops, strict=True)):
            given = processor(images=[crop], return_tensors="pt")
            sizes = {name: given[name].tolist() for name in ("original_sizes", "reshaped_input_sizes") if name in given}
            embeddings = self.network.get_image_embeddings(given["pixel_values"].to(parameter))
            # One tensor, a list of SAM 2's levels, or SAM-HQ's tuple with intermediate ones.
            names = ("image_embeddings", "intermediate_embeddings")
            named = dict(zip(names, embeddings if isinstance(embeddings, tuple) else (embeddings,), strict=False))
            for start in range(0, points.shape[1], options.points_per_batch):
                chosen = slice(start, start + options.points_per_batch)
                answer = self.network(
                    input_points=points[:, chosen, number : number + 1].to(parameter),
                    input_labels=labels[:, chosen, number : number + 1].to(parameter.device),
                    **named,
                )
                logits = processor.post_process_masks(answer.pred_masks.float().cpu(), binarize=False, **sizes)
                ious = answer.iou_scores[0].float().cpu()
                yield processor.filter_masks(logits[0], ious, image.shape[:2], box, **thresholds)


def distinct(boxes: Tensor, scores: Tensor, max_iou: float) -> list[int]:
    """Non-maximum suppression: indices of the boxes (N, 4) xyxy whose IoU with every better one is at most ``max_iou``,
    best of scores (N,) first. The processor's own needs torchvision's compiled operators, which may fail to load."""
    boxes = boxes.double()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    alive, kept = torch.ones_like(scores, dtype=torch.bool), []
    for index in scores.argsort(descending=True, stable=True).tolist():
        if not alive[index]:
            continue
        kept.append(index)
        corner, other = torch.maximum(boxes[index, :2], boxes[:, :2]), torch.minimum(boxes[index, 2:], boxes[:, 2:])
        shared = (other - corner).clamp(min=0).prod(dim=1)
        alive &= ~(shared > max_iou * (areas[index] + areas - shared))
    return kept


def unmasked_regions(masks: Iterable[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Masks (H, W) bool of what no mask (H, W) bool of an image of ``size`` covers, one for each connected region, the
    largest first; none where there is no mask. Regions are connected over blocks of which more than half is unmasked,
    so that thin gaps between masks do not count; those smaller than a thousandth of the image are left out."""
    free, some = np.ones(size, dtype=bool), False
    for mask in masks:
        free &= ~mask
        some = True
    if not some:
        return
    side = max(1, -(-max(size) // _GRID))
    rows, columns = np.arange(0, size[0], side), np.arange(0, size[1], side)
    count = np.add.reduceat(np.add.reduceat(free, rows, axis=0, dtype=np.int64), columns, axis=1)
    area = np.outer(np.diff([*rows, size[0]]), np.diff([*columns, size[1]]))
    blocks, number = ndimage.label(2 * count > area)
    regions = blocks.repeat(side, axis=0)[: size[0]].repeat(side, axis=1)[:, : size[1]] * free
    areas = np.bincount(regions.ravel(), minlength=number + 1)[1:]
    enough = np.flatnonzero(areas >= _SMALLEST * size[0] * size[1])
    for index in enough[np.argsort(-areas[enough], kind="stable")]:
        yield regions == index + 1
