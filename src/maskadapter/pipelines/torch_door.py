"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.pipelines.classifying import classify_images
from maskadapter.pipelines.labeling import label_images
from maskadapter.pipelines.model_check import Finding, check_model
from maskadapter.pipelines.model_evaluation import model_predictor
from maskadapter.pipelines.predictor import file_predictor
from maskadapter.pipelines.segmenting import segment_images
from maskadapter.pipelines.video import write_segmented_video
