"""What a user gets back: segmentations, classifications, activation maps, and how they are drawn and saved."""

from maskadapter.results.activation_maps import ActivationMaps
from maskadapter.results.classification import Classification
from maskadapter.results.overlay import color_of, draw_overlay
from maskadapter.results.postprocessing import (
    Instances,
    PanopticMap,
    Segment,
    SemanticOrder,
    boxes_of,
    semantic_map,
    semantic_scores,
)
from maskadapter.results.segmentation import ENDINGS, NONE, Explanation, Segmentation, check_formats, load_supervision
from maskadapter.results.upsampling import Upsampler
