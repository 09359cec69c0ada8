"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.results.activation_maps import ActivationMaps
from maskadapter.results.by_mode import Mode, segments_by_mode
from maskadapter.results.classification import Classification
from maskadapter.results.coco_annotations import panoptic_annotation, segment_annotations
from maskadapter.results.colors import colors_of
from maskadapter.results.counting import pixel_counts
from maskadapter.results.detections import detections_of, load_supervision
from maskadapter.results.overlay import draw_overlay
from maskadapter.results.postprocessing import (
    Instances,
    PanopticMap,
    Segment,
    SemanticOrder,
    boxes_of,
    semantic_map,
    semantic_scores,
)
from maskadapter.results.result import Result
from maskadapter.results.result_segment import NONE, ResultSegment, classified, filtered, masks_of, painted
from maskadapter.results.segmentation import Explanation, Segmentation
from maskadapter.results.upsampling import Upsampler
