"""Many images at once, a model's evaluation and a file's check: models, data and evaluation put together."""

from maskadapter.pipelines.classifying import classify_images
from maskadapter.pipelines.image_run import Report
from maskadapter.pipelines.labeling import label_images
from maskadapter.pipelines.mask_files import with_masks
from maskadapter.pipelines.model_check import Finding, check_model
from maskadapter.pipelines.model_evaluation import GROUND_TRUTH, Branch, model_predictor
from maskadapter.pipelines.predictor import file_predictor
from maskadapter.pipelines.segmenting import segment_images
