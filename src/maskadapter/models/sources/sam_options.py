"""Options of SAM's automatic mask generator."""

from pydantic import BaseModel, Field


class SamOptions(BaseModel, frozen=True, extra="forbid"):
    """Options of SAM's automatic mask generator, by SAM's names. Source of the values: Kirillov et al. 2023, B."""

    points_per_side: int = Field(default=32, ge=1, le=1024)  # of the image, and of each crop
    points_per_batch: int = Field(default=32, ge=1)  # points whose masks are in memory together
    pred_iou_thresh: float = 0.88  # 0 to 1, least IoU that the network predicts for a mask
    stability_score_thresh: float = 0.95  # 0 to 1, least IoU of the masks that two thresholds give
    box_nms_thresh: float = Field(default=0.7, ge=0, le=1)  # of two masks with a higher IoU of boxes the better is kept
    crop_n_layers: int = Field(default=0, ge=0, le=6)  # how often it is cut into 4, 16 ... crops, prompted like it
    min_mask_region_area: int = Field(default=0, ge=0)  # pixels, smaller masks are left out
    unmasked_regions: bool = True  # whether what no mask covers becomes masks too, see docs/masks.md
