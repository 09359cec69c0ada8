"""SAM and its kin as a mask generator: everything in an image, without names.

The networks and their image processors are transformers'. A grid of points asks the network for masks; kept are those
that it is sure of and that hardly change when their threshold is moved, and of several with nearly the same box the
surest. The last step is done here: the processor would need torchvision's compiled operators, which do not load beside
every PyTorch.
Source: Kirillov et al. 2023, appendix B; paper, section 4.4, table 8 and appendix C.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from maskadapter.io.coco_format import decode_segmentation
from maskadapter.models.classifier import TextClassifier
from maskadapter.models.preprocess import from_batch
from maskadapter.models.sources.given_masks import as_proposals, at_stride_4, rest_of
from maskadapter.models.sources.pretrained import pretrained
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.image_sizes import ImageSizes
from maskadapter.types.proposals import Proposals


class PointGrid(BaseModel, frozen=True, extra="forbid"):
    """What SAM is asked for, and which answers are kept. Source of the values: Kirillov et al. 2023, appendix B.

    points: along each side of the image, and of each crop. at_a_time: points whose masks are in memory together.
    crop_layers: how often the image is cut further, into 4, 16 ... overlapping crops, each asked as the image is.
    min_iou: 0 to 1, how good the network thinks a mask to be. min_stability: 0 to 1, the overlap of the masks that two
    thresholds give. max_overlap: 0 to 1, of two masks whose boxes overlap more than that the surer is kept.
    min_area: share of the image that a mask covers at least. rest: whether the pieces of the image that no mask
    holds become masks of their own, named by what they show, see docs/masks.md.
    """

    points: int = Field(default=32, ge=1, le=1024)
    at_a_time: int = Field(default=32, ge=1)
    crop_layers: int = Field(default=0, ge=0, le=6)
    min_iou: float = 0.88
    min_stability: float = 0.95
    max_overlap: float = Field(default=0.7, ge=0, le=1)
    min_area: float = Field(default=0.0, ge=0, le=1)
    rest: bool = True


class SegmentAnything(nn.Module):
    """Class-agnostic proposals.

    Args:
        network: of transformers' mask generation family: SAM, SAM-HQ, SAM 2, SAM 3's tracker, EdgeTAM.
        processor: its image processor. grid: see ``PointGrid``.
    """

    def __init__(self, network: nn.Module, processor: Any, grid: PointGrid | None = None) -> None:
        super().__init__()
        self.network: Any = network
        self.processor = processor
        self.grid = grid or PointGrid()

    @classmethod
    def from_pretrained(cls, name: str, grid: PointGrid | None = None) -> "SegmentAnything":
        """name: of a model on the Hugging Face hub (``facebook/sam-vit-huge``), or a folder.

        Raises MaskAdapterError, one line, for names that do not exist or are gated, without a network, and for models
        of another kind.
        """
        return cls(*pretrained(name, "AutoModelForMaskGeneration", "SAM, SAM 2, SAM 3, SAM-HQ, EdgeTAM"), grid)

    def forward(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        """images: (B, 3, H, W), normalized and padded; the others are not used. Returns mask logits (B, N, H / 4,
        W / 4), the surest first, then the rest, and no class logits. N is that of the image with the most masks; the
        others are filled up with empty ones."""
        return as_proposals([self._logits(image) for image in images])

    @torch.no_grad()
    def masks(self, image: np.ndarray) -> tuple[list[Mapping[str, Any]], Tensor]:
        """(H, W, 3) uint8 RGB -> N masks as run lengths (COCO's, not compressed), the surest first, and (N,) how good
        the network thinks them to be."""
        runs, scores, boxes = [], [], []
        for some_runs, some_scores, some_boxes in self._answers(image):
            runs += some_runs
            scores.append(some_scores)
            boxes.append(some_boxes)
        ious = torch.cat(scores)
        kept = distinct(torch.cat(boxes), ious, self.grid.max_overlap)
        smallest = self.grid.min_area * image.shape[0] * image.shape[1]
        kept = [index for index in kept if sum(runs[index]["counts"][1::2]) >= smallest]
        return [runs[index] for index in kept], ious[kept]

    def _logits(self, image: Tensor) -> Tensor:
        """(3, H, W) -> (N, H / 4, W / 4)."""
        pixels = from_batch(image)
        size = (pixels.shape[0], pixels.shape[1])
        sizes = ImageSizes((image.shape[1], image.shape[2]), size, size)
        runs, _ = self.masks(pixels)
        # One by one: thousands of masks at the image's size would not fit into memory.
        masks = (torch.from_numpy(decode_segmentation(one, size)) for one in runs)
        cells = at_stride_4(masks, sizes)
        return torch.cat([cells, rest_of(cells, sizes)] if self.grid.rest else [cells]).to(image)

    def _answers(self, image: np.ndarray) -> Iterator[tuple[list[Mapping[str, Any]], Tensor, Tensor]]:
        """Of some points each: masks as run lengths, (n,) scores, (n, 4) boxes xyxy in pixels."""
        grid, processor = self.grid, self.processor
        parameter = next(self.network.parameters())
        target = processor.size.get("longest_edge", processor.size.get("height"))
        boxes, points, crops, labels = processor.generate_crop_boxes(
            image.copy(), target, crop_n_layers=grid.crop_layers, points_per_crop=grid.points
        )  # it wants an array that may be written to
        for number, (box, crop) in enumerate(zip(boxes, crops, strict=True)):
            given = processor(images=[crop], return_tensors="pt")
            sizes = {name: given[name].tolist() for name in ("original_sizes", "reshaped_input_sizes") if name in given}
            embeddings = _named(self.network.get_image_embeddings(given["pixel_values"].to(parameter)))
            for start in range(0, points.shape[1], grid.at_a_time):
                chosen = slice(start, start + grid.at_a_time)
                answer = self.network(
                    input_points=points[:, chosen, number : number + 1].to(parameter),
                    input_labels=labels[:, chosen, number : number + 1].to(parameter.device),
                    **embeddings,
                )
                logits = processor.post_process_masks(answer.pred_masks.float().cpu(), binarize=False, **sizes)
                yield processor.filter_masks(
                    logits[0],
                    answer.iou_scores[0].float().cpu(),
                    image.shape[:2],
                    box,
                    pred_iou_thresh=grid.min_iou,
                    stability_score_thresh=grid.min_stability,
                )


def distinct(boxes: Tensor, scores: Tensor, max_overlap: float) -> list[int]:
    """Non-maximum suppression: the boxes that overlap no better one by more than ``max_overlap``, best first.

    boxes: (N, 4) xyxy. scores: (N,). max_overlap: 0 to 1, intersection over union.
    """
    boxes = boxes.double()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    alive, kept = torch.ones(len(boxes), dtype=torch.bool), []
    for index in scores.argsort(descending=True, stable=True).tolist():
        if not alive[index]:
            continue
        kept.append(index)
        corner, other = torch.maximum(boxes[index, :2], boxes[:, :2]), torch.minimum(boxes[index, 2:], boxes[:, 2:])
        shared = (other - corner).clamp(min=0).prod(dim=1)
        alive &= ~(shared > max_overlap * (areas[index] + areas - shared))
    return kept


def _named(embeddings: Any) -> dict[str, Any]:
    """As the networks take back what they gave: SAM-HQ has intermediate embeddings besides, the others have one tensor,
    or several of SAM 2's levels in a list."""
    if isinstance(embeddings, tuple):
        return {"image_embeddings": embeddings[0], "intermediate_embeddings": embeddings[1]}
    return {"image_embeddings": embeddings}
